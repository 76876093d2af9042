#include <vellum/unix/timer.hpp>

namespace vellum::unix {

void TimerQueue::set(Timer& timer, Nanoseconds deadline) {
  const LockGuard guard(lock_);
  if (timer.link.is_linked()) {
    timers_.remove(timer);
  }
  timer.deadline = deadline;
  Timer* later = timers_.front();
  while (later != nullptr && later->deadline <= deadline) {
    later = timers_.next(*later);
  }
  if (later == nullptr) {
    timers_.push_back(timer);
  } else if (Timer* const earlier = timers_.previous(*later); earlier != nullptr) {
    timers_.insert_after(*earlier, timer);
  } else {
    timers_.push_front(timer);
  }
}

void TimerQueue::cancel(Timer& timer) {
  const LockGuard guard(lock_);
  if (timer.link.is_linked()) {
    timers_.remove(timer);
  }
}

void TimerQueue::expire(Nanoseconds now) {
  const LockGuard guard(lock_);
  for (Timer* first = timers_.front(); first != nullptr && first->deadline <= now; first = timers_.front()) {
    timers_.remove(*first);
    first->expired(*first);
  }
}

}  // namespace vellum::unix
