// What a program says about memory that is mapped: what it will need, what it needs no more, what is to stay.

#include <vellum/unix/process_system.hpp>
#include <vellum/unix/system_call.hpp>
#include <vellum/unix/user_memory.hpp>

#include "memory_ranges.hpp"
#include "value_names.hpp"

namespace vellum::unix {

namespace {

using Request = MapRequest<Format>;

Space& space() { return this_process().program->space; }

bool has(std::uint64_t flags, std::uint64_t flag) { return (flags & flag) != 0; }

Result<std::uint64_t> sys_msync(const Arguments& arguments) {
  constexpr std::uint64_t kAsync = 1;
  constexpr std::uint64_t kInvalidate = 2;
  constexpr std::uint64_t kSync = 4;
  const std::uint64_t flags = arguments.value[2];
  if ((flags & ~(kAsync | kInvalidate | kSync)) != 0 || (flags & (kAsync | kSync)) == (kAsync | kSync)) {
    return Errno::invalid;
  }
  const VirtRange range = VELLUM_TRY(named_range(arguments.address(0), ByteCount(arguments.value[1])));
  return for_each_region(space(), range, [&](const Region<Format>& region, VirtRange part) -> Result<void> {
    if (!has(flags, kSync) || region.object == nullptr || !region.traits.is_shared()) {
      return {};
    }
    const Ref<FileObject> object = Ref<FileObject>::share(*region.object);
    const PageIndex first = region.first + whole_pages(part.start() - region.range.start());
    return object->write_back(IndexRange::must(first, whole_pages(part.size())));
  });
}

// MADV_DONTNEED: private memory is what it was when it was mapped.
Result<void> forget(const Region<Format>& region, VirtRange part) {
  if (region.traits.is_shared()) {
    return {};  // the object keeps the pages
  }
  const Ref<FileObject> object = region.object != nullptr ? Ref<FileObject>::share(*region.object) : nullptr;
  Request request;
  request.address = part.start();
  request.length = part.size();
  request.prot = region.prot;
  request.maximum = region.maximum;
  request.traits = region.traits;
  request.placement = Placement::fixed;
  request.object = object.get();
  request.offset = ByteCount((region.first.value() << kPageShift) + (part.start() - region.range.start()).value());
  if (request.object == nullptr) {
    request.offset = ByteCount(0);
  }
  VELLUM_TRY(space().map(request));
  return {};
}

enum class Advice : std::uint8_t {
  normal = 0,
  random = 1,
  sequential = 2,
  will_need = 3,
  do_not_need = 4,
  free = 8,
  do_fork = 11,
  huge_pages = 14,
  no_huge_pages = 15,
  do_not_dump = 16,
  do_dump = 17,
  keep_on_fork = 19,
  cold = 20,
  page_out = 21,
  populate_read = 22,
  populate_write = 23,
};

Result<std::uint64_t> sys_madvise(const Arguments& arguments) {
  const auto advice = static_cast<Advice>(arguments.value[2]);
  switch (arguments.value[2] > 0xff ? Advice{0xff} : advice) {
    case Advice::normal:
    case Advice::random:
    case Advice::sequential:
    case Advice::will_need:
    case Advice::do_not_need:
    case Advice::free:
    case Advice::do_fork:
    case Advice::huge_pages:
    case Advice::no_huge_pages:
    case Advice::do_not_dump:
    case Advice::do_dump:
    case Advice::keep_on_fork:
    case Advice::cold:
    case Advice::page_out:
    case Advice::populate_read:
    case Advice::populate_write:
      break;
    default:
      return Errno::invalid;
  }
  VirtRange range;
  if (arguments.value[1] == 0 && arguments.address(0).is_page_aligned()) {
    return 0;
  }
  range = VELLUM_TRY(named_range(arguments.address(0), ByteCount(arguments.value[1]), Errno::invalid));
  return for_each_region(space(), range, [&](const Region<Format>& region, VirtRange part) -> Result<void> {
    switch (advice) {
      case Advice::do_not_need:
        return forget(region, part);
      case Advice::free:
        return region.object != nullptr || region.traits.is_shared() ? Errno::invalid : Result<void>();
      case Advice::populate_read:
        return touch(space(), part, Access::read);
      case Advice::populate_write:
        return touch(space(), part, Access::write);
      default:
        return {};
    }
  });
}

Result<std::uint64_t> sys_mlock(const Arguments& arguments) {
  const VirtAddr start = arguments.address(0).page();
  const ByteCount length = arguments.address(0).offset_in_page() + ByteCount(arguments.value[1]);
  if (arguments.value[1] == 0) {
    return 0;
  }
  const VirtRange range = VELLUM_TRY(named_range(start, length, Errno::invalid));
  return for_each_region(space(), range, [&](const Region<Format>& region, VirtRange part) -> Result<void> {
    const Access access = region.prot.can_write() && !region.traits.is_shared() ? Access::write : Access::read;
    return region.prot.is_none() ? Errno::no_memory : touch(space(), part, access);
  });
}

Result<std::uint64_t> sys_mlock2(const Arguments& arguments) {
  constexpr std::uint64_t kOnFault = 1;
  if ((arguments.value[2] & ~kOnFault) != 0) {
    return Errno::invalid;
  }
  if (arguments.value[2] == kOnFault) {
    return 0;
  }
  return sys_mlock(arguments);
}

Result<std::uint64_t> sys_munlock(const Arguments& arguments) {
  const VirtAddr start = arguments.address(0).page();
  const ByteCount length = arguments.address(0).offset_in_page() + ByteCount(arguments.value[1]);
  if (arguments.value[1] == 0) {
    return 0;
  }
  const VirtRange range = VELLUM_TRY(named_range(start, length, Errno::invalid));
  return for_each_region(space(), range, [](const Region<Format>&, VirtRange) { return Result<void>(); });
}

Result<std::uint64_t> sys_mlockall(const Arguments& arguments) {
  constexpr std::uint64_t kKnown = 7;
  constexpr std::uint64_t kOnFault = 4;
  const std::uint64_t flags = arguments.value[0];
  return flags == 0 || (flags & ~kKnown) != 0 || flags == kOnFault ? Result<std::uint64_t>(Errno::invalid) : 0;
}

Result<std::uint64_t> sys_munlockall(const Arguments& /*arguments*/) { return 0; }

Result<std::uint64_t> sys_mincore(const Arguments& arguments) {
  if (!arguments.address(0).is_page_aligned()) {
    return Errno::invalid;
  }
  const VirtRange range = VELLUM_TRY(named_range(arguments.address(0), ByteCount(arguments.value[1])));
  const VirtAddr vector = arguments.address(2);
  VirtAddr expected = range.start();
  for (VirtAddr page = range.start(); page != range.end(); page += ByteCount(kPageSize)) {
    const std::optional<Region<Format>> region = space().region_at_or_after(page);
    if (!region || !region->range.contains(page)) {
      return Errno::no_memory;
    }
    VELLUM_TRY(write_user<std::uint8_t>(vector + ByteCount((page - expected).value() >> kPageShift),
                                        space().is_resident(page) ? 1 : 0));
  }
  return 0;
}

constexpr Shown kHex = Shown::hexadecimal;
constexpr Shown kDecimal = Shown::decimal;

constexpr SystemCall kCalls[] = {
    {26, "msync", sys_msync, 3, {kHex, kDecimal, value_names::kSyncFlags}},
    {27, "mincore", sys_mincore, 3, {kHex, kDecimal, Shown::bytes}},
    {28, "madvise", sys_madvise, 3, {kHex, kDecimal, value_names::kAdvice}},
    {149, "mlock", sys_mlock, 2, {kHex, kDecimal}},
    {150, "munlock", sys_munlock, 2, {kHex, kDecimal}},
    {151, "mlockall", sys_mlockall, 1, {value_names::kLockAllFlags}},
    {152, "munlockall", sys_munlockall, 0, {}},
    {325, "mlock2", sys_mlock2, 3, {kHex, kDecimal, value_names::kLockFlags}},
};

}  // namespace

std::span<const SystemCall> memory_advice_calls() { return kCalls; }

}  // namespace vellum::unix
