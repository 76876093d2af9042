// mmap and its family.

#include <algorithm>

#include <vellum/unix/file_caller.hpp>
#include <vellum/unix/memory_file.hpp>
#include <vellum/unix/process_system.hpp>
#include <vellum/unix/system_call.hpp>
#include <vellum/unix/user_memory.hpp>

#include "memory_ranges.hpp"

namespace vellum::unix {

namespace {

namespace map_flag {
constexpr std::uint64_t kShared = 0x1;
constexpr std::uint64_t kPrivate = 0x2;
constexpr std::uint64_t kSharedValidate = 0x3;
constexpr std::uint64_t kTypeMask = 0xf;
constexpr std::uint64_t kFixed = 0x10;
constexpr std::uint64_t kAnonymous = 0x20;
constexpr std::uint64_t kBelow2G = 0x40;  // MAP_32BIT
constexpr std::uint64_t kGrowsDown = 0x100;
constexpr std::uint64_t kLocked = 0x2000;
constexpr std::uint64_t kNoReserve = 0x4000;
constexpr std::uint64_t kPopulate = 0x8000;
constexpr std::uint64_t kNonBlocking = 0x10000;
constexpr std::uint64_t kHugePages = 0x40000;
constexpr std::uint64_t kFixedNoReplace = 0x100000;
// What MAP_SHARED_VALIDATE knows (Linux's LEGACY_MAP_MASK), fixed_no_replace not among it.
constexpr std::uint64_t kLegacy = kTypeMask | kFixed | kAnonymous | kBelow2G | kGrowsDown | 0x800 | 0x1000 | kLocked |
                                  kNoReserve | kPopulate | kNonBlocking | 0x20000 | kHugePages | (0x3fULL << 26);
}  // namespace map_flag

constexpr std::uint64_t kProtMask = 7;
constexpr std::uint64_t kProtSemaphore = 8;
constexpr std::uint64_t kProtGrowsDown = 0x01000000;
constexpr std::uint64_t kProtGrowsUp = 0x02000000;

using Request = MapRequest<Format>;

Space& space() { return this_process().program->space; }

bool has(std::uint64_t flags, std::uint64_t flag) { return (flags & flag) != 0; }

Result<bool> is_shared(std::uint64_t flags) {
  switch (flags & map_flag::kTypeMask) {
    case map_flag::kSharedValidate:
      if (has(flags, ~map_flag::kLegacy)) {
        return Errno::not_supported;
      }
      return true;
    case map_flag::kShared:
      return true;
    case map_flag::kPrivate:
      return false;
    default:
      return Errno::invalid;
  }
}

// What may be mapped of a file, by how it was opened.
Result<void> permit(const OpenFile& file, Request& request, bool shared) {
  if (file.is_path_only()) {
    return Errno::bad_descriptor;
  }
  if (!file.is_readable()) {
    return Errno::access_denied;
  }
  if (shared && !file.is_writable()) {
    if (request.prot.can_write()) {
      return Errno::access_denied;
    }
    request.maximum = request.maximum.without(Prot::write());
  }
  if (const Result<std::uint32_t> seals = seals_of(file);
      shared && seals.ok() && (seals.value() & seal::kFutureWrite) != 0) {
    if (request.prot.can_write()) {
      return Errno::not_permitted;
    }
    request.maximum = request.maximum.without(Prot::write());
  }
  const Path& path = file.path();
  if (path.mount && (path.mount->flags() & mount_flag::kNoExecute) != 0) {
    if (request.prot.can_execute()) {
      return Errno::not_permitted;
    }
    request.maximum = request.maximum.without(Prot::execute());
  }
  return {};
}

// MAP_32BIT: somewhere in the second gigabyte.
Result<VirtAddr> map_low(Request request) {
  constexpr VirtAddr kStart{0x4000'0000};
  constexpr VirtAddr kEnd{0x8000'0000};
  request.placement = Placement::fixed_no_replace;
  for (VirtAddr at = kStart; request.length <= kEnd - at;) {
    request.address = at;
    const Result<VirtAddr> mapped = space().map(request);
    if (mapped.ok() || mapped.error() != Errno::exists) {
      return mapped;
    }
    const std::optional<Region<Format>> region = space().region_at_or_after(at);
    at = region && region->range.end() > at ? region->range.end() : at + ByteCount(kPageSize);
    if (at >= kEnd) {
      break;
    }
  }
  return Errno::no_memory;
}

Result<VirtAddr> map(Request& request, std::uint64_t flags) {
  const bool anywhere = request.placement == Placement::anywhere;
  const VirtAddr at = VELLUM_TRY(anywhere && has(flags, map_flag::kBelow2G) ? map_low(request) : space().map(request));
  if (has(flags, map_flag::kLocked) || (has(flags, map_flag::kPopulate) && !has(flags, map_flag::kNonBlocking))) {
    (void)touch_range(space(), at, request.length);
  }
  return at;
}

Result<VirtAddr> map_anonymous(Request& request, std::uint64_t flags, bool shared) {
  if (!shared) {
    return map(request, flags);
  }
  if (has(flags, map_flag::kGrowsDown)) {
    return Errno::invalid;
  }
  const ByteCount size = bytes_of(pages_for(request.length));
  if (pages_for(request.length) > FileObject::kMaxPages) {
    return Errno::no_memory;
  }
  const Ref<FileObject> object =
      Ref<FileObject>::adopt(VELLUM_TRY(process_system().memory.objects.create_anonymous(size)));
  request.object = object.get();
  request.offset = ByteCount(0);
  return map(request, flags);
}

Result<VirtAddr> map_file(Request& request, std::uint64_t flags, bool shared, OpenFile& file) {
  VELLUM_TRY(permit(file, request, shared));
  const FileMapping mapping = VELLUM_TRY(file.mapping());
  if (!mapping.object) {  // /dev/zero
    return map_anonymous(request, flags, shared);
  }
  if (has(flags, map_flag::kGrowsDown)) {
    return Errno::invalid;
  }
  request.object = mapping.object.get();
  return map(request, flags);
}

Result<std::uint64_t> sys_mmap(const Arguments& arguments) {
  const std::uint64_t flags = arguments.value[3];
  if ((arguments.value[5] & (kPageSize - 1)) != 0) {
    return Errno::invalid;
  }
  Ref<OpenFile> file;
  if (!has(flags, map_flag::kAnonymous)) {
    file = VELLUM_TRY(calling_files().table->get(arguments.integer(4)));
  } else if (has(flags, map_flag::kHugePages)) {
    return Errno::no_memory;  // none are set aside
  }
  if (arguments.value[1] == 0) {
    return Errno::invalid;
  }
  const bool shared = VELLUM_TRY(is_shared(flags));
  Request request;
  request.address = arguments.address(0);
  request.length = ByteCount(arguments.value[1]);
  request.prot = Prot::from_bits(static_cast<unsigned>(arguments.value[2] & kProtMask));
  request.offset = ByteCount(file ? arguments.value[5] : 0);
  request.placement = has(flags, map_flag::kFixedNoReplace) ? Placement::fixed_no_replace
                      : has(flags, map_flag::kFixed)        ? Placement::fixed
                                                            : Placement::anywhere;
  Traits traits;
  traits = shared ? traits | Traits::shared() : traits;
  traits = has(flags, map_flag::kGrowsDown) ? traits | Traits::grows_down() : traits;
  traits = has(flags, map_flag::kNoReserve) ? traits | Traits::no_reserve() : traits;
  request.traits = traits;
  if (has(flags, map_flag::kPopulate) && !has(flags, map_flag::kNonBlocking)) {
    request.populate = Populate::now;
  }
  const VirtAddr at =
      VELLUM_TRY(file ? map_file(request, flags, shared, *file) : map_anonymous(request, flags, shared));
  return at.value();
}

Result<std::uint64_t> sys_munmap(const Arguments& arguments) {
  VELLUM_TRY(space().unmap(arguments.address(0), ByteCount(arguments.value[1])));
  return 0;
}

// PROT_GROWSDOWN: from the start of the stack that the range lies in.
Result<void> protect_growing(VirtAddr address, ByteCount length, Prot prot) {
  const std::optional<Region<Format>> region = space().region_at_or_after(address);
  if (!region || region->range.start() >= address + length) {
    return Errno::no_memory;
  }
  if (!region->traits.is_growing_down()) {
    return Errno::invalid;
  }
  const VirtAddr start = std::min(address, region->range.start());
  return space().protect(start, address + length - start, prot);
}

Result<std::uint64_t> sys_mprotect(const Arguments& arguments) {
  const std::uint64_t bits = arguments.value[2];
  const std::uint64_t grows = bits & (kProtGrowsDown | kProtGrowsUp);
  if (grows == (kProtGrowsDown | kProtGrowsUp)) {
    return Errno::invalid;
  }
  if (!arguments.address(0).is_page_aligned()) {
    return Errno::invalid;
  }
  if (arguments.value[1] == 0) {
    return 0;
  }
  if ((bits & ~(kProtMask | kProtSemaphore | kProtGrowsDown | kProtGrowsUp)) != 0 || grows == kProtGrowsUp) {
    return Errno::invalid;
  }
  const Prot prot = Prot::from_bits(static_cast<unsigned>(bits & kProtMask));
  const ByteCount length(arguments.value[1]);
  VELLUM_TRY(grows != 0 ? protect_growing(arguments.address(0), length, prot)
                        : space().protect(arguments.address(0), length, prot));
  return 0;
}

Result<std::uint64_t> sys_brk(const Arguments& arguments) { return space().set_break(arguments.address(0)).value(); }

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

constexpr SystemCall kCalls[] = {
    {9,
     "mmap",
     sys_mmap,
     6,
     {Shown::hexadecimal, Shown::decimal, Shown::flags, Shown::flags, Shown::descriptor, Shown::hexadecimal}},
    {10, "mprotect", sys_mprotect, 3, {Shown::hexadecimal, Shown::decimal, Shown::flags}},
    {11, "munmap", sys_munmap, 2, {Shown::hexadecimal, Shown::decimal}},
    {12, "brk", sys_brk, 1, {Shown::hexadecimal}},
    {26, "msync", sys_msync, 3, {Shown::hexadecimal, Shown::decimal, Shown::flags}},
    {27, "mincore", sys_mincore, 3, {Shown::hexadecimal, Shown::decimal, Shown::bytes}},
    {28, "madvise", sys_madvise, 3, {Shown::hexadecimal, Shown::decimal, Shown::decimal}},
    {149, "mlock", sys_mlock, 2, {Shown::hexadecimal, Shown::decimal}},
    {150, "munlock", sys_munlock, 2, {Shown::hexadecimal, Shown::decimal}},
    {151, "mlockall", sys_mlockall, 1, {Shown::flags}},
    {152, "munlockall", sys_munlockall, 0, {}},
    {325, "mlock2", sys_mlock2, 3, {Shown::hexadecimal, Shown::decimal, Shown::flags}},
};

}  // namespace

std::span<const SystemCall> memory_calls() { return kCalls; }

}  // namespace vellum::unix
