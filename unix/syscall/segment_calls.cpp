// Shared memory segments of System V: shmget, shmat, shmdt, shmctl.

#include <vellum/unix/shared_segments.hpp>
#include <vellum/unix/system_call.hpp>
#include <vellum/unix/user_memory.hpp>

#include "memory_locks.hpp"
#include "paths.hpp"
#include "value_names.hpp"

namespace vellum::unix {

namespace {

SharedSegments& segments() { return process_system().segments; }
Space& space() { return this_process().program->space; }

Result<std::uint64_t> sys_shmget(const Arguments& arguments) {
  const std::int32_t id = VELLUM_TRY(segments().get(arguments.integer(0), ByteCount(arguments.value[1]),
                                                    static_cast<std::uint32_t>(arguments.value[2])));
  return static_cast<std::uint64_t>(id);
}

namespace attach_flag {
constexpr std::uint64_t kReadOnly = 010000;
constexpr std::uint64_t kRound = 020000;
constexpr std::uint64_t kRemap = 040000;
constexpr std::uint64_t kExecute = 0100000;
}  // namespace attach_flag

// Where a segment is to be attached, and what may be there already. Error: invalid.
Result<void> place(MapRequest<Format>& request, std::uint64_t flags) {
  const bool remaps = (flags & attach_flag::kRemap) != 0;
  if (request.address == VirtAddr(0)) {
    return remaps ? Result<void>(Errno::invalid) : Result<void>();
  }
  if (!request.address.is_page_aligned()) {
    if ((flags & attach_flag::kRound) == 0) {
      return Errno::invalid;
    }
    request.address = request.address.page();
    if (remaps && request.address == VirtAddr(0)) {
      return Errno::invalid;
    }
  }
  request.placement = remaps ? Placement::fixed : Placement::fixed_no_replace;
  return {};
}

Result<std::uint64_t> sys_shmat(const Arguments& arguments) {
  const std::uint64_t flags = arguments.value[2];
  const bool reads = (flags & attach_flag::kReadOnly) != 0;
  const bool executes = (flags & attach_flag::kExecute) != 0;
  MapRequest<Format> request;
  request.address = arguments.address(1);
  if (arguments.integer(0) < 0) {
    return Errno::invalid;
  }
  VELLUM_TRY(place(request, flags));
  const Ref<FileObject> object = VELLUM_TRY(segments().object_of(
      arguments.integer(0), static_cast<std::uint16_t>(4U | (reads ? 0U : 2U) | (executes ? 1U : 0U))));
  request.length = object->size();
  request.prot = Prot::from_bits(1U | (reads ? 0U : 2U) | (executes ? 4U : 0U));
  request.maximum = reads ? Prot::all().without(Prot::write()) : Prot::all();
  request.traits = Traits::shared();
  request.object = object.get();
  const Result<VirtAddr> at = space().map(request);
  if (!at.ok()) {
    return at.error() == Errno::exists ? Errno::invalid : at.error();
  }
  segments().note_attached(*object);
  return at.value().value();
}

// All that is left of what was attached at an address, as far as it lies where it was.
Result<std::uint64_t> sys_shmdt(const Arguments& arguments) {
  const VirtAddr address = arguments.address(0);
  if (!address.is_page_aligned()) {
    return Errno::invalid;
  }
  Ref<FileObject> object;
  VirtAddr at = address;
  while (const std::optional<Region<Format>> region = space().region_at_or_after(at)) {
    const VirtRange range = region->range;
    at = range.end();
    if (object && range.end() - address > object->size()) {
      break;
    }
    const bool may_be = region->object != nullptr && region->traits.is_shared() && range.start() >= address &&
                        (!object || region->object == object.get());
    if (!may_be || whole_pages(range.start() - address).value() != region->first.value()) {
      continue;
    }
    if (!object) {
      if (!segments().is_segment(*region->object)) {
        continue;
      }
      object = Ref<FileObject>::share(*region->object);
    }
    VELLUM_TRY(space().unmap(range.start(), range.size()));
  }
  if (!object) {
    return Errno::invalid;
  }
  segments().note_detached(*object);
  return 0;
}

// --- shmctl

struct LinuxPermissions {
  std::int32_t key;
  std::uint32_t user, group, creator, creator_group, mode;
  std::uint16_t sequence, padding;
  std::uint32_t padding2;
  std::uint64_t unused[2];
};
struct LinuxSegment {
  LinuxPermissions permissions;
  std::uint64_t size;
  std::int64_t attached_at, detached_at, changed_at;
  std::int32_t made_by, last_user;
  std::uint64_t attachments, unused[2];
};
static_assert(sizeof(LinuxSegment) == 112);
struct LinuxLimits {
  std::uint64_t largest, smallest, most, most_for_process, all_pages, unused[4];
};
struct LinuxTotals {
  std::int32_t segments;
  std::uint64_t pages, resident, swapped, swap_attempts, swap_successes;
};

LinuxSegment to_linux(const SegmentStatus& status) {
  return {.permissions = {.key = status.key,
                          .user = status.owner.value(),
                          .group = status.group.value(),
                          .creator = status.creator.value(),
                          .creator_group = status.creator_group.value(),
                          .mode = status.mode,
                          .sequence = status.sequence,
                          .padding = 0,
                          .padding2 = 0,
                          .unused = {}},
          .size = status.size.value(),
          .attached_at = status.attached_at,
          .detached_at = status.detached_at,
          .changed_at = status.changed_at,
          .made_by = status.made_by.value(),
          .last_user = status.last_user.value(),
          .attachments = status.attachments,
          .unused = {}};
}

namespace command {
constexpr int kRemove = 0;
constexpr int kSet = 1;
constexpr int kStatus = 2;
constexpr int kLimits = 3;
constexpr int kLock = 11;
constexpr int kUnlock = 12;
constexpr int kStatusOfSlot = 13;
constexpr int kTotals = 14;
constexpr int kStatusOfAnySlot = 15;
}  // namespace command

Result<std::uint64_t> write_status(int which, std::int32_t number, VirtAddr into) {
  const bool is_slot = which != command::kStatus;
  const SegmentStatus status = VELLUM_TRY(segments().status(
      number, is_slot ? SharedSegments::Naming::slot : SharedSegments::Naming::id,
      which == command::kStatusOfAnySlot ? SharedSegments::Asking::anybody : SharedSegments::Asking::reader));
  VELLUM_TRY(write_user(into, to_linux(status)));
  return is_slot ? static_cast<std::uint64_t>(status.id) : 0;
}

Result<std::uint64_t> write_limits(VirtAddr into) {
  const LinuxLimits limits = {.largest = SharedSegments::kLargest,
                              .smallest = 1,
                              .most = SharedSegments::kMost,
                              .most_for_process = SharedSegments::kMost,
                              .all_pages = SharedSegments::kLargest,
                              .unused = {}};
  VELLUM_TRY(write_user(into, limits));
  return segments().totals().highest;
}

Result<std::uint64_t> write_totals(VirtAddr into) {
  const SharedSegments::Totals totals = segments().totals();
  LinuxTotals shown;
  __builtin_memset(&shown, 0, sizeof shown);
  shown.segments = static_cast<std::int32_t>(totals.segments);
  shown.pages = totals.pages.value();
  shown.resident = totals.resident.value();
  VELLUM_TRY(write_user(into, shown));
  return totals.highest;
}

Result<std::uint64_t> sys_shmctl(const Arguments& arguments) {
  const std::int32_t number = arguments.integer(0);
  const int which = arguments.integer(1);
  if (number < 0 || which < 0) {
    return Errno::invalid;
  }
  switch (which) {
    case command::kStatus:
    case command::kStatusOfSlot:
    case command::kStatusOfAnySlot:
      return write_status(which, number, arguments.address(2));
    case command::kLimits:
      return write_limits(arguments.address(2));
    case command::kTotals:
      return write_totals(arguments.address(2));
    case command::kSet: {
      const auto wanted = VELLUM_TRY(read_user<LinuxSegment>(arguments.address(2)));
      VELLUM_TRY(segments().set_owner(number, UserId(wanted.permissions.user), GroupId(wanted.permissions.group),
                                      static_cast<std::uint16_t>(wanted.permissions.mode)));
      return 0;
    }
    case command::kRemove:
      VELLUM_TRY(segments().remove(number));
      return 0;
    case command::kLock: {
      const LockBudget budget = lock_budget();
      VELLUM_TRY(segments().lock(number, budget.unlimited ? std::nullopt : std::optional(budget.pages())));
      return 0;
    }
    case command::kUnlock:
      VELLUM_TRY(segments().unlock(number));
      return 0;
    default:
      return Errno::invalid;
  }
}

constexpr Shown kDecimal = Shown::decimal;
constexpr Shown kHex = Shown::hexadecimal;

constexpr SystemCall kCalls[] = {
    {29, "shmget", sys_shmget, 3, {kHex, kDecimal, value_names::kSegmentFlags}},
    {30, "shmat", sys_shmat, 3, {kDecimal, kHex, value_names::kAttachFlags}},
    {31, "shmctl", sys_shmctl, 3, {kDecimal, value_names::kSegmentCommands, kHex}},
    {67, "shmdt", sys_shmdt, 1, {kHex}},
};

}  // namespace

std::span<const SystemCall> segment_calls() { return kCalls; }

}  // namespace vellum::unix
