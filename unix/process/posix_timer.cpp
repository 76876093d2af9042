// Timers of timer_create(2): what becomes of them when they run out, and in the end.

#include <vellum/unix/lifecycle.hpp>
#include <vellum/unix/signals.hpp>

namespace vellum::unix {

namespace {

Thread* thread_of(Process& process, ProcessId id) VELLUM_REQUIRES(process_lock) {
  Thread* thread = process.threads.front();
  while (thread != nullptr && thread->id != id) {
    thread = process.threads.next(*thread);
  }
  return thread;
}

// Once for all the times that have passed since the last tick; those that nobody was told of are counted.
void expired(Timer& timer) VELLUM_NO_THREAD_SAFETY_ANALYSIS {  // on_tick() holds process_lock
  auto& own = static_cast<PosixTimer&>(timer);
  std::uint64_t more = 0;
  if (!own.interval.is_zero()) {
    more = (monotonic_now() - own.deadline).value() / own.interval.value();
    own.next = own.deadline + Nanoseconds((more + 1) * own.interval.value());
    own.again = true;
    own.process.system.real_timer_expired = true;
  }
  if (own.notify == PosixTimer::Notify::nothing) {
    return;
  }
  if (own.is_lent) {
    own.missed += static_cast<std::uint32_t>(more + 1);
    return;
  }
  own.missed = static_cast<std::uint32_t>(more);
  Thread* const only = own.notify == PosixTimer::Notify::thread ? thread_of(own.process, own.thread) : nullptr;
  if (only != nullptr || own.notify == PosixTimer::Notify::process) {
    send_lent_signal(own.process, only, *own.queued);
  }
}

}  // namespace

Result<PosixTimer*> create_posix_timer(Process& process) {
  ProcessSystem& system = process.system;
  QueuedSignal* const queued = VELLUM_TRY(system.queued_signals.create());
  const Result<PosixTimer*> made = system.posix_timers.create(process, *queued);
  if (!made.ok()) {
    system.queued_signals.destroy(queued);
    return made;
  }
  PosixTimer& timer = *made.value();
  queued->lender = &timer;
  timer.expired = expired;
  {
    const LockGuard guard(process_lock);
    PosixTimers& timers = process.posix_timers;
    if (timers.count < process.limits[Resource::pending_signals].soft) {
      timer.id = timers.next_id;
      timers.next_id = timers.next_id == INT32_MAX ? 0 : timers.next_id + 1;
      ++timers.count;
      timers.all.push_back(timer);
      return made;
    }
  }
  system.queued_signals.destroy(queued);
  system.posix_timers.destroy(&timer);
  return Errno::try_again;
}

void destroy_posix_timer(PosixTimer& timer) {
  Process& process = timer.process;
  process.system.timers.cancel(timer);
  process.posix_timers.all.remove(timer);
  --process.posix_timers.count;
  if (timer.is_lent) {
    timer.queued->lender = nullptr;  // it stays where it waits
  } else {
    process.system.queued_signals.destroy(timer.queued);
  }
  process.system.posix_timers.destroy(&timer);
}

void end_posix_timers(Process& process) {
  while (PosixTimer* const timer = process.posix_timers.all.front()) {
    destroy_posix_timer(*timer);
  }
}

}  // namespace vellum::unix
