#include <vellum/unix/mutex.hpp>
#include <vellum/unix/wait_queue.hpp>

namespace vellum::unix {

Sleep::In::In(Sleep& sleep, WaitQueue& queue) : sleep_(sleep), queue_(queue) {
  const LockGuard guard(queue.lock_);
  queue.waiting_.push_back(*this);
}

Sleep::In::~In() {
  const LockGuard guard(queue_.lock_);
  queue_.waiting_.remove(*this);
}

void WaitQueue::wake(Sleep& sleep) {
  sleep.woken_.store(true, std::memory_order_release);
  unblock(*sleep.thread_);
}

void WaitQueue::wake_all() {
  const LockGuard guard(lock_);
  waiting_.for_each([](Sleep::In& in) { wake(in.sleep_); });
}

void WaitQueue::wake_one() {
  const LockGuard guard(lock_);
  if (Sleep::In* const first = waiting_.front(); first != nullptr) {
    wake(first->sleep_);
  }
}

bool Mutex::try_lock() { return !held_.exchange(true, std::memory_order_acquire); }

void Mutex::lock() VELLUM_NO_THREAD_SAFETY_ANALYSIS {  // the lock's own inside
  if (try_lock()) [[likely]] {
    return;
  }
  Sleep sleep(Interruptible::no);
  const Sleep::In in(sleep, waiting_);
  while (!try_lock()) {
    (void)sleep.until();
  }
}

void Mutex::unlock() {
  VELLUM_ASSERT(held_.load(std::memory_order_relaxed));
  held_.store(false, std::memory_order_release);
  waiting_.wake_one();
}

}  // namespace vellum::unix
