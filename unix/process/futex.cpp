#include <vellum/unix/futex.hpp>

#include <vellum/unix/process_system.hpp>
#include <vellum/unix/user_memory.hpp>

namespace vellum::unix {

FutexTable::List& FutexTable::bucket(const FutexKey& key) {
  const std::uint64_t mixed = (reinterpret_cast<std::uintptr_t>(key.what) >> 4) + (key.where >> 2);
  return buckets_[(mixed ^ mixed >> 8) % kBuckets];
}

void FutexTable::add(FutexWaiter& waiter) {
  const LockGuard guard(lock_);
  bucket(waiter.key).push_back(waiter);
}

bool FutexTable::remove(FutexWaiter& waiter) {
  const LockGuard guard(lock_);
  if (!waiter.link.is_linked()) {
    return false;
  }
  bucket(waiter.key).remove(waiter);
  return true;
}

unsigned FutexTable::wake_locked(const FutexKey& key, unsigned count, std::uint32_t channels) {
  unsigned woken = 0;
  List& list = bucket(key);
  list.for_each([&](FutexWaiter& waiter) {
    if (woken < count && waiter.key == key && (waiter.channels & channels) != 0) {
      list.remove(waiter);
      Thread& thread = *waiter.thread;  // the waiter may be gone as soon as it is told
      waiter.woken.store(true, std::memory_order_release);
      unblock(thread);
      ++woken;
    }
  });
  return woken;
}

unsigned FutexTable::wake(const FutexKey& key, unsigned count, std::uint32_t channels) {
  const LockGuard guard(lock_);
  return wake_locked(key, count, channels);
}

unsigned FutexTable::requeue(const FutexKey& key, unsigned count, const FutexKey& to, unsigned move) {
  const LockGuard guard(lock_);
  unsigned done = wake_locked(key, count, ~0U);
  unsigned moved = 0;
  List& from = bucket(key);
  List& target = bucket(to);
  if (key == to) {
    return done;
  }
  from.for_each([&](FutexWaiter& waiter) {
    if (moved < move && waiter.key == key) {
      from.remove(waiter);
      waiter.key = to;
      target.push_back(waiter);
      ++moved;
    }
  });
  return done + moved;
}

Result<FutexKey> futex_key(Program& program, VirtAddr address, FutexScope scope) {
  if (!address.is_aligned(ByteCount(4))) {
    return Errno::invalid;
  }
  const FutexKey own = {.what = &program, .where = address.value()};
  if (scope == FutexScope::only_program) {
    return own;
  }
  const std::optional<Region<Format>> region = program.space.region_at_or_after(address);
  if (!region || !region->range.contains(address)) {
    return Errno::bad_address;
  }
  if (!region->traits.is_shared() || region->object == nullptr) {
    return own;
  }
  const std::uint64_t offset = (region->first.value() << kPageShift) + (address - region->range.start()).value();
  return FutexKey{.what = region->object, .where = offset};
}

Result<void> wait_for_futex(VirtAddr address, FutexScope scope, std::uint32_t expected, std::uint32_t channels,
                            std::optional<Nanoseconds> deadline) {
  Thread& self = this_thread();
  FutexTable& futexes = self.system.futexes;
  FutexWaiter waiter;
  waiter.thread = &self;
  waiter.key = VELLUM_TRY(futex_key(*self.process->program, address, scope));
  waiter.channels = channels;
  futexes.add(waiter);
  const Result<std::uint32_t> value = read_user<std::uint32_t>(address);
  if (!value.ok() || value.value() != expected) {
    (void)futexes.remove(waiter);
    return value.ok() ? Errno::try_again : value.error();
  }
  const Wakeup why = block_current(waiter.woken, Interruptible::yes, deadline);
  if (!futexes.remove(waiter) || why == Wakeup::woken) {
    return {};
  }
  return why == Wakeup::timeout ? Errno::timed_out : Errno::interrupted;
}

Result<unsigned> wake_futex(Program& program, VirtAddr address, unsigned count) {
  const FutexKey key = VELLUM_TRY(futex_key(program, address, FutexScope::perhaps_shared));
  return process_system().futexes.wake(key, count);
}

namespace {

constexpr std::uint32_t kOwnerMask = 0x3fffffff;
constexpr std::uint32_t kOwnerDied = 0x40000000;
constexpr std::uint32_t kWaiters = 0x80000000;
constexpr unsigned kMostRobust = 2048;

// Linux's struct robust_list_head.
struct RobustHead {
  std::uint64_t first;
  std::int64_t futex_offset;
  std::uint64_t pending;
};

void leave_robust_futex(Thread& thread, VirtAddr word) {
  const Result<std::uint32_t> value = read_user<std::uint32_t>(word);
  if (!value.ok() || (value.value() & kOwnerMask) != static_cast<std::uint32_t>(thread.id.value())) {
    return;
  }
  if (write_user<std::uint32_t>(word, (value.value() & kWaiters) | kOwnerDied).ok() &&
      (value.value() & kWaiters) != 0) {
    (void)wake_futex(*thread.process->program, word, 1);
  }
}

}  // namespace

void leave_robust_futexes(Thread& thread) {
  if (thread.robust_list.value() == 0) {
    return;
  }
  const Result<RobustHead> head = read_user<RobustHead>(thread.robust_list);
  if (!head.ok()) {
    return;
  }
  const auto word_of = [&](std::uint64_t entry) {
    return VirtAddr((entry & ~std::uint64_t{1}) + static_cast<std::uint64_t>(head.value().futex_offset));
  };
  std::uint64_t entry = head.value().first;
  for (unsigned i = 0; i < kMostRobust && (entry & ~std::uint64_t{1}) != thread.robust_list.value(); ++i) {
    const Result<std::uint64_t> next = read_user<std::uint64_t>(VirtAddr(entry & ~std::uint64_t{1}));
    if (entry != head.value().pending) {
      leave_robust_futex(thread, word_of(entry));
    }
    if (!next.ok()) {
      return;
    }
    entry = next.value();
  }
  if (head.value().pending != 0) {
    leave_robust_futex(thread, word_of(head.value().pending));
  }
}

}  // namespace vellum::unix
