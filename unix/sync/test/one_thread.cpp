// One thread that never waits for a lock: what sleeping asks of a scheduler.
#include <vellum/unix/checkpoint.hpp>
#include <vellum/unix/system_lock.hpp>
#include <vellum/unix/wait_queue.hpp>

namespace vellum::unix {

Thread* current_thread() { return nullptr; }
Wakeup block_current(const std::atomic<bool>& /*woken*/, Interruptible /*interruptible*/,
                     std::optional<Nanoseconds> /*deadline*/) {
  panic("the only thread of a test waits for itself");
}
void unblock(Thread& /*thread*/) {}
bool enter_system() { return false; }
void leave_system() {}
bool checkpoint() { return true; }
Nanoseconds monotonic_now() { return Nanoseconds(0); }

}  // namespace vellum::unix
