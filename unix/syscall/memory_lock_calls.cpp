// Memory that is to stay: mlock and its kin.

#include <vellum/unix/process_system.hpp>
#include <vellum/unix/system_call.hpp>

#include "memory_locks.hpp"
#include "memory_ranges.hpp"
#include "value_names.hpp"

namespace vellum::unix {

namespace {

LockBudget budget_of(const Process& process) VELLUM_REQUIRES(process_lock) {
  return {.unlimited = process.credentials.has(Capability::lock_memory),
          .limit = ByteCount(process.limits[Resource::locked_memory].soft)};
}

}  // namespace

void apply_lock_limit(Process& process) {
  if (process.program != nullptr) {
    const LockBudget budget = budget_of(process);
    process.program->space.set_lock_limit(budget.unlimited ? ByteCount(~std::uint64_t{0}) : budget.limit);
  }
}

LockBudget lock_budget() {
  const LockGuard guard(process_lock);
  apply_lock_limit(this_process());
  return budget_of(this_process());
}

namespace {

Space& space() { return this_process().program->space; }

// The pages that an address and a length touch; what wraps around when it is rounded up is nothing, as on Linux.
struct Touched {
  VirtAddr start;
  PageCount pages;
};
Touched touched_by(const Arguments& arguments) {
  const VirtAddr address = arguments.address(0);
  const std::uint64_t length = arguments.value[1] + address.offset_in_page().value();
  return {.start = address.page(), .pages = PageCount((length + (kPageSize - 1)) >> kPageShift)};
}

Result<VirtRange> range_of(const Touched& touched) {
  const Result<VirtRange> range = VirtRange::checked(touched.start, bytes_of(touched.pages));
  return range.ok() ? range : Result<VirtRange>(Errno::invalid);
}

PageCount locked_in(VirtRange range) {
  PageCount pages{0};
  (void)for_each_region(space(), range, [&](const HeldRegion& region, VirtRange part) -> Result<void> {
    pages += region->traits.is_locked() ? whole_pages(part.size()) : PageCount(0);
    return {};
  });
  return pages;
}

Result<std::uint64_t> lock(const Arguments& arguments, LockMemory how) {
  const LockBudget budget = lock_budget();
  if (!budget.permits_any()) {
    return Errno::not_permitted;
  }
  const LockingTurn turn(budget);
  const Touched touched = touched_by(arguments);
  const Result<VirtRange> range = range_of(touched);
  if (!budget.unlimited) {
    PageCount more = touched.pages;
    const PageCount before = space().locked();
    if (before + more > budget.pages() && range.ok()) {
      more = more - locked_in(range.value());
    }
    if (before + more > budget.pages()) {
      return Errno::no_memory;
    }
  }
  if (!range.ok()) {
    return range.error();
  }
  VELLUM_TRY(space().lock_memory(range.value(), how));
  return 0;
}

Result<std::uint64_t> sys_mlock(const Arguments& arguments) { return lock(arguments, LockMemory::now); }

Result<std::uint64_t> sys_mlock2(const Arguments& arguments) {
  constexpr std::uint64_t kOnFault = 1;
  if ((arguments.value[2] & ~kOnFault) != 0) {
    return Errno::invalid;
  }
  return lock(arguments, arguments.value[2] == kOnFault ? LockMemory::on_fault : LockMemory::now);
}

Result<std::uint64_t> sys_munlock(const Arguments& arguments) {
  const VirtRange range = VELLUM_TRY(range_of(touched_by(arguments)));
  VELLUM_TRY(space().lock_memory(range, LockMemory::no));
  return 0;
}

Result<std::uint64_t> sys_mlockall(const Arguments& arguments) {
  constexpr std::uint64_t kCurrent = 1;
  constexpr std::uint64_t kFuture = 2;
  constexpr std::uint64_t kOnFault = 4;
  const std::uint64_t flags = arguments.value[0];
  if (flags == 0 || (flags & ~(kCurrent | kFuture | kOnFault)) != 0 || flags == kOnFault) {
    return Errno::invalid;
  }
  const LockBudget budget = lock_budget();
  if (!budget.permits_any()) {
    return Errno::not_permitted;
  }
  const LockingTurn turn(budget);
  const bool current = (flags & kCurrent) != 0;
  if (current && !budget.unlimited && space().mapped() > budget.pages()) {
    return Errno::no_memory;
  }
  const LockMemory how = (flags & kOnFault) != 0 ? LockMemory::on_fault : LockMemory::now;
  space().lock_all(current ? std::optional(how) : std::nullopt, (flags & kFuture) != 0 ? how : LockMemory::no);
  return 0;
}

Result<std::uint64_t> sys_munlockall(const Arguments& /*arguments*/) {
  space().lock_all(LockMemory::no, LockMemory::no);
  return 0;
}

constexpr Shown kHex = Shown::hexadecimal;
constexpr Shown kDecimal = Shown::decimal;

constexpr SystemCall kCalls[] = {
    {149, "mlock", sys_mlock, 2, {kHex, kDecimal}, Served::beside_system},
    {150, "munlock", sys_munlock, 2, {kHex, kDecimal}, Served::beside_system},
    {151, "mlockall", sys_mlockall, 1, {value_names::kLockAllFlags}, Served::beside_system},
    {152, "munlockall", sys_munlockall, 0, {}, Served::beside_system},
    {325, "mlock2", sys_mlock2, 3, {kHex, kDecimal, value_names::kLockFlags}, Served::beside_system},
};

}  // namespace

std::span<const SystemCall> memory_lock_calls() { return kCalls; }

}  // namespace vellum::unix
