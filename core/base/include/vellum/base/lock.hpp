// The one lock of the core: a spinlock with a rank. Every lock is a capability of clang's analysis; in debug builds the
// ranks are checked at run time as well, because the analysis does not see the order of locks of one type.
//
// Lock order (a lock may be taken while locks of a smaller rank are held; of two of equal rank, only where the rank is
// `node` or `object_node`, whose order is top-down and then by ascending address, or `space`, the parent before its
// child):
//
//   process        who is whose child, what signals wait for whom (unix/process)
//   space          a space's rarely changed parts: fork gate, program break
//     object       a memory object's structure: size, mappings
//       family     the spaces related by fork
//         node     a page-table node: its entries and runs
//           object_node  a node of an object's own tree
//             arena      an address-range arena
//               cache    an object cache's depot and slabs
//                 physical   the page allocator's shared lists
//                   wait_queue  who waits for something (unix/sync)
//                     timer       what happens when (unix/process)
//                       scheduler   who may run (unix/process)
//                         leaf     anything under which no other lock is taken
#pragma once

#include <atomic>
#include <cstdint>

#include <vellum/base/annotations.hpp>
#include <vellum/base/panic.hpp>

namespace vellum {

enum class LockRank : std::uint8_t {
  process = 1,
  space,
  object,
  family,
  node,
  object_node,
  arena,
  cache,
  physical,
  wait_queue,
  timer,
  scheduler,
  leaf,
};

// The ranks that one CPU holds, as counts. Each CPU has one; the machine says which (held_locks()).
class HeldLocks {
 public:
  void acquired(LockRank rank);
  void released(LockRank rank);
  [[nodiscard]] bool none() const;

 private:
  std::uint8_t held_[static_cast<unsigned>(LockRank::leaf) + 1] = {};
};

// Implemented once in each program by its machine.
//
// The lock ranks held by the calling CPU. Used in debug builds only.
[[nodiscard]] HeldLocks& held_locks();
// Called in each round of a spin loop, with the number of rounds so far: pauses the CPU; a hosted machine yields its
// thread after a while, because the holder may not be running.
void relax(unsigned rounds);

class VELLUM_CAPABILITY("spinlock") Spinlock {
 public:
  constexpr explicit Spinlock(LockRank rank) : rank_(rank) {}
  Spinlock(const Spinlock&) = delete;
  Spinlock& operator=(const Spinlock&) = delete;

  void lock() VELLUM_ACQUIRE() {
    note_acquired();
    unsigned rounds = 0;
    while (locked_.exchange(true, std::memory_order_acquire)) {
      while (locked_.load(std::memory_order_relaxed)) {
        relax(rounds++);
      }
    }
  }
  [[nodiscard]] bool try_lock() VELLUM_TRY_ACQUIRE(true) {
    if (locked_.exchange(true, std::memory_order_acquire)) {
      return false;
    }
    note_acquired();
    return true;
  }
  void unlock() VELLUM_RELEASE() {
    VELLUM_ASSERT(locked_.load(std::memory_order_relaxed));
    locked_.store(false, std::memory_order_release);
    note_released();
  }
  // Tells the analysis, and checks in debug builds, that somebody holds the lock: for code that reaches a locked
  // object by a way that the analysis cannot follow.
  void assert_held() const VELLUM_ASSERT_CAPABILITY(this) { VELLUM_ASSERT(locked_.load(std::memory_order_relaxed)); }

 private:
  void note_acquired() const {
#if VELLUM_DEBUG
    held_locks().acquired(rank_);
#endif
  }
  void note_released() const {
#if VELLUM_DEBUG
    held_locks().released(rank_);
#endif
  }

  std::atomic<bool> locked_{false};
  [[maybe_unused]] LockRank rank_;
};

class VELLUM_SCOPED_CAPABILITY LockGuard {
 public:
  explicit LockGuard(Spinlock& lock) VELLUM_ACQUIRE(lock) : lock_(lock) { lock_.lock(); }
  ~LockGuard() VELLUM_RELEASE() { lock_.unlock(); }
  LockGuard(const LockGuard&) = delete;
  LockGuard& operator=(const LockGuard&) = delete;

 private:
  Spinlock& lock_;
};

}  // namespace vellum
