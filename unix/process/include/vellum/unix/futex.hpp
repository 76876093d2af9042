// Futexes: threads that wait for a word of their memory to change.
//
// A waiter is found by what the word is: of private memory its program and address, of shared memory the object and the
// place in it. It stands in the table before it looks at the word, so that no wake between is missed.
#pragma once

#include <optional>

#include <vellum/base/intrusive_list.hpp>
#include <vellum/unix/program.hpp>

namespace vellum::unix {

enum class FutexScope : std::uint8_t { only_program, perhaps_shared };

struct FutexKey {
  const void* what = nullptr;
  std::uint64_t where = 0;
  bool operator==(const FutexKey&) const = default;
};

struct FutexWaiter {
  Thread* thread = nullptr;
  FutexKey key;
  std::uint32_t channels = ~0U;  // FUTEX_WAIT_BITSET
  std::atomic<bool> woken{false};
  ListLink link;
};

class FutexTable {
 public:
  void add(FutexWaiter& waiter) VELLUM_EXCLUDES(lock_);
  // False: it was woken meanwhile.
  bool remove(FutexWaiter& waiter) VELLUM_EXCLUDES(lock_);
  // Wakes up to `count`; moves up to `move` more to another key. Returns how many of both.
  unsigned wake(const FutexKey& key, unsigned count, std::uint32_t channels = ~0U) VELLUM_EXCLUDES(lock_);
  unsigned requeue(const FutexKey& key, unsigned count, const FutexKey& to, unsigned move) VELLUM_EXCLUDES(lock_);

 private:
  static constexpr unsigned kBuckets = 64;
  using List = IntrusiveList<FutexWaiter, &FutexWaiter::link>;
  [[nodiscard]] List& bucket(const FutexKey& key) VELLUM_REQUIRES(lock_);
  unsigned wake_locked(const FutexKey& key, unsigned count, std::uint32_t channels) VELLUM_REQUIRES(lock_);

  Spinlock lock_{LockRank::wait_queue};
  List buckets_[kBuckets] VELLUM_GUARDED_BY(lock_);
};

// Errors: invalid (not aligned), bad_address.
[[nodiscard]] Result<FutexKey> futex_key(Program& program, VirtAddr address, FutexScope scope);
// Errors of all: futex_key()'s. Waiting: try_again (the word is not `expected`), timed_out, interrupted.
[[nodiscard]] Result<void> wait_for_futex(VirtAddr address, FutexScope scope, std::uint32_t expected,
                                          std::uint32_t channels, std::optional<Nanoseconds> deadline);
Result<unsigned> wake_futex(Program& program, VirtAddr address, unsigned count);
// At the end of a thread: the futexes on its robust list lose their owner.
void leave_robust_futexes(Thread& thread);

}  // namespace vellum::unix
