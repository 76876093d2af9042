// mmap and its family.

#include <algorithm>

#include <vellum/unix/file_caller.hpp>
#include <vellum/unix/memory_file.hpp>
#include <vellum/unix/memory_pressure.hpp>
#include <vellum/unix/process_system.hpp>
#include <vellum/unix/system_call.hpp>
#include <vellum/unix/system_lock.hpp>
#include <vellum/unix/user_memory.hpp>

#include "memory_locks.hpp"
#include "memory_ranges.hpp"
#include "value_names.hpp"

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

// Whether so many pages more may be locked. Error: try_again.
Result<void> permit_locking(const LockBudget& budget, PageCount more) {
  return budget.unlimited || budget.permits(space().locked(), more) ? Result<void>() : Result<void>(Errno::try_again);
}

Result<VirtAddr> map_unlocked(const Request& request, std::uint64_t flags) {
  const bool anywhere = request.placement == Placement::anywhere;
  return anywhere && has(flags, map_flag::kBelow2G) ? map_low(request) : space().map(request);
}

Result<VirtAddr> map(const Request& request, std::uint64_t flags) {
  if (!has(flags, map_flag::kLocked) && !space().locks_future()) [[likely]] {
    return map_unlocked(request, flags);
  }
  const LockBudget budget = lock_budget();
  const LockingTurn turn(budget);
  VELLUM_TRY(permit_locking(budget, pages_for(request.length)));
  return map_unlocked(request, flags);
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
  auto& objects = process_system().memory.objects;
  const bool is_reserved = !request.traits.is_unreserved() || objects.commitment().is_strict();
  const Ref<FileObject> object = Ref<FileObject>::adopt(
      VELLUM_TRY(objects.create_anonymous(size, is_reserved ? Promise::whole : Promise::by_page)));
  request.object = object.get();
  request.offset = ByteCount(0);
  return map(request, flags);
}

// An open file held beside the system: whoever lets go of it last closes it.
class HeldFile {
 public:
  HeldFile() = default;
  ~HeldFile() {
    if (file_) {
      const InSystem in_system;
      file_.reset();
    }
  }
  HeldFile(const HeldFile&) = delete;
  HeldFile& operator=(const HeldFile&) = delete;

  // Error: bad_descriptor.
  [[nodiscard]] Result<void> find(int descriptor) {
    const InSystem in_system;
    file_ = VELLUM_TRY(calling_files().table->get(descriptor));
    return {};
  }
  // What may be mapped of it for a request, which it limits.
  [[nodiscard]] Result<FileMapping> mapping(Request& request, bool shared) const {
    const InSystem in_system;
    VELLUM_TRY(permit(*file_, request, shared));
    return file_->mapping();
  }

 private:
  Ref<OpenFile> file_;
};

Result<VirtAddr> map_file(Request& request, std::uint64_t flags, bool shared, const HeldFile& file) {
  const FileMapping mapping = VELLUM_TRY(file.mapping(request, shared));
  if (!mapping.object) {  // /dev/zero
    return map_anonymous(request, flags, shared);
  }
  if (has(flags, map_flag::kGrowsDown)) {
    return Errno::invalid;
  }
  request.object = mapping.object.get();
  return map(request, flags);
}

// Without a file: anonymous memory.
[[gnu::always_inline]] inline Result<std::uint64_t> map_as_asked(const Arguments& arguments, const HeldFile* file) {
  const std::uint64_t flags = arguments.value[3];
  if (arguments.value[1] == 0) {
    return Errno::invalid;
  }
  const bool shared = VELLUM_TRY(is_shared(flags));
  Request request;
  request.address = arguments.address(0);
  request.length = ByteCount(arguments.value[1]);
  request.prot = Prot::from_bits(static_cast<unsigned>(arguments.value[2] & kProtMask));
  request.offset = ByteCount(file != nullptr ? arguments.value[5] : 0);
  request.placement = has(flags, map_flag::kFixedNoReplace) ? Placement::fixed_no_replace
                      : has(flags, map_flag::kFixed)        ? Placement::fixed
                                                            : Placement::anywhere;
  Traits traits;
  traits = shared ? traits | Traits::shared() : traits;
  traits = has(flags, map_flag::kGrowsDown) ? traits | Traits::grows_down() : traits;
  traits = has(flags, map_flag::kNoReserve) ? traits | Traits::no_reserve() : traits;
  if (has(flags, map_flag::kLocked)) {
    if (!lock_budget().permits_any()) {
      return Errno::not_permitted;
    }
    traits = traits | Traits::locked();
  }
  request.traits = traits;
  if (has(flags, map_flag::kPopulate) && !has(flags, map_flag::kNonBlocking)) {
    request.populate = Populate::now;
  }
  const VirtAddr at =
      VELLUM_TRY(file != nullptr ? map_file(request, flags, shared, *file) : map_anonymous(request, flags, shared));
  return at.value();
}

Result<std::uint64_t> sys_mmap(const Arguments& arguments) {
  const std::uint64_t flags = arguments.value[3];
  if ((arguments.value[5] & (kPageSize - 1)) != 0) {
    return Errno::invalid;
  }
  if (has(flags, map_flag::kAnonymous)) {
    const bool huge = has(flags, map_flag::kHugePages);  // none are set aside
    return huge ? Result<std::uint64_t>(Errno::no_memory) : map_as_asked(arguments, nullptr);
  }
  HeldFile file;
  VELLUM_TRY(file.find(arguments.integer(4)));
  return map_as_asked(arguments, &file);
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

// A refusal by the budget is no error here, and so is told of here.
std::uint64_t set_break(VirtAddr wanted) {
  const VirtAddr end = space().set_break(wanted);
  if (end != wanted) [[unlikely]] {
    report_refusal();
  }
  return end.value();
}

Result<std::uint64_t> sys_brk(const Arguments& arguments) {
  const VirtAddr wanted = arguments.address(0);
  if (!space().locks_future()) [[likely]] {
    return set_break(wanted);
  }
  const LockBudget budget = lock_budget();
  const LockingTurn turn(budget);
  const VirtAddr before = space().set_break(VirtAddr(0));
  if (wanted > before && !permit_locking(budget, pages_for(wanted - before)).ok()) {
    return before.value();
  }
  return set_break(wanted);
}

Result<std::uint64_t> remap(const Remap& request) {
  const VirtAddr at = VELLUM_TRY(space().remap(request));
  return at.value();
}

// Flags that make no sense together are refused before anything else is looked at.
Result<std::uint64_t> sys_mremap(const Arguments& arguments) {
  constexpr std::uint64_t kMayMove = 1;
  constexpr std::uint64_t kFixed = 2;
  constexpr std::uint64_t kKeepsSource = 4;
  const std::uint64_t flags = arguments.value[3];
  if ((flags & ~(kMayMove | kFixed | kKeepsSource)) != 0 || (has(flags, kFixed) && !has(flags, kMayMove))) {
    return Errno::invalid;
  }
  const VirtAddr address = arguments.address(0);
  const Remap request = {.address = address,
                         .old_length = ByteCount(arguments.value[1]),
                         .new_length = ByteCount(arguments.value[2]),
                         .move = has(flags, kFixed)     ? Remap::Move::to_target
                                 : has(flags, kMayMove) ? Remap::Move::anywhere
                                                        : Remap::Move::forbidden,
                         .keeps_source = has(flags, kKeepsSource),
                         .target = arguments.address(4)};
  const PageCount old_pages = pages_for(request.old_length);
  const PageCount new_pages = pages_for(request.new_length);
  const std::optional<Region<Format>> region = space().region_at_or_after(address);
  const bool locked = region && region->traits.is_locked() && region->range.contains(address);
  if (!locked || new_pages <= old_pages || old_pages > whole_pages(region->range.end() - address)) [[likely]] {
    return remap(request);
  }
  const LockBudget budget = lock_budget();
  const LockingTurn turn(budget);
  VELLUM_TRY(permit_locking(budget, new_pages - old_pages));
  return remap(request);
}

constexpr Shown kHex = Shown::hexadecimal;
constexpr Shown kDecimal = Shown::decimal;

constexpr SystemCall kCalls[] = {
    {9,
     "mmap",
     sys_mmap,
     6,
     {kHex, kDecimal, value_names::kProtections, value_names::kMapFlags, Shown::descriptor, kHex},
     Served::beside_system},
    {10, "mprotect", sys_mprotect, 3, {kHex, kDecimal, value_names::kProtections}, Served::beside_system},
    {11, "munmap", sys_munmap, 2, {kHex, kDecimal}, Served::beside_system},
    {12, "brk", sys_brk, 1, {kHex}, Served::beside_system},
    {25, "mremap", sys_mremap, 5, {kHex, kDecimal, kDecimal, value_names::kRemapFlags, kHex}, Served::beside_system},
};

}  // namespace

std::span<const SystemCall> memory_calls() { return kCalls; }

}  // namespace vellum::unix
