// Keeps one CPU's accesses to memory apart from what other CPUs do to its TLB.
//
// The owner opens and closes the gate around every access; another CPU shuts it for as long as a shootdown takes. The
// owner's side must cost nearly nothing, the other side is an interrupt anyway. So it is Dekker's mutual exclusion with
// the barrier on one side only: the owner writes inside_ and reads shut_ in program order, kept by the compiler alone,
// and whoever shuts the gate makes every other CPU of the host pass a full barrier between writing shut_ and reading
// inside_ [membarrier(2), MEMBARRIER_CMD_PRIVATE_EXPEDITED]. Where the host has no such call the owner pays an
// exchange.
//
//   owner:  inside = 1; while (shut) { inside = 0; wait; inside = 1; }  access  inside = 0;
//   other:  shut = 1; barrier everywhere; wait until inside = 0;        flush   shut = 0;
#pragma once

#include <atomic>
#include <cstdint>

namespace vellum::hosted {

// Whether the host has the barrier. Asked for once in a process.
[[nodiscard]] bool host_has_asymmetric_barrier();
void asymmetric_barrier();

class AccessGate {
 public:
  AccessGate() : asymmetric_(host_has_asymmetric_barrier()) {}
  AccessGate(const AccessGate&) = delete;
  AccessGate& operator=(const AccessGate&) = delete;

  // Only the owner's thread. Does not nest: nothing that may wait is done in between.
  void enter() {
    announce();
    if (shut_.load(std::memory_order_acquire)) [[unlikely]] {
      wait_until_open();
    }
  }
  void leave() { inside_.store(false, std::memory_order_release); }

  // The other side, in three steps so that several gates share one barrier: shut all in ascending order of CPUs; then
  // asymmetric_barrier(), unless their owners are known to be outside; then wait for each.
  void shut();
  void wait_until_outside() const;
  void open() { shut_.store(false, std::memory_order_release); }

  // Called by a thread that becomes the owner, once it has said so.
  void wait_while_shut() const;

 private:
  void announce() {
    if (asymmetric_) [[likely]] {
      inside_.store(true, std::memory_order_relaxed);
      std::atomic_signal_fence(std::memory_order_seq_cst);
    } else {
      inside_.exchange(true, std::memory_order_seq_cst);
    }
  }
  void wait_until_open();

  std::atomic<bool> inside_{false};
  std::atomic<bool> shut_{false};
  const bool asymmetric_;
};

}  // namespace vellum::hosted
