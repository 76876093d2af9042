// What a program says about memory that is mapped: what it will need, what it needs no more, what a child is not to
// have.

#include <vellum/unix/process_system.hpp>
#include <vellum/unix/system_call.hpp>
#include <vellum/unix/system_lock.hpp>
#include <vellum/unix/user_memory.hpp>

#include "memory_ranges.hpp"
#include "value_names.hpp"

namespace vellum::unix {

namespace {

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
  return for_each_region(space(), range, [&](const HeldRegion& region, VirtRange part) -> Result<void> {
    if (has(flags, kInvalidate) && region->traits.is_locked()) {
      return Errno::busy;
    }
    if (!has(flags, kSync) || !region.object() || !region->traits.is_shared()) {
      return {};
    }
    const InSystem in_system;
    return in_pieces(part, [&](VirtRange piece) { return region.object()->write_back(region.indices_of(piece)); });
  });
}

// --- madvise

enum class Advice : std::uint8_t {
  normal = 0,
  random = 1,
  sequential = 2,
  will_need = 3,
  do_not_need = 4,
  free = 8,
  remove = 9,
  do_not_fork = 10,
  do_fork = 11,
  huge_pages = 14,
  no_huge_pages = 15,
  do_not_dump = 16,
  do_dump = 17,
  wipe_on_fork = 18,
  keep_on_fork = 19,
  cold = 20,
  page_out = 21,
  populate_read = 22,
  populate_write = 23,
  do_not_need_locked = 24,
};

bool is_known(std::uint64_t advice) {
  constexpr std::uint64_t kKnown = 0x01FF'CF1F;  // a bit for each of the above
  return advice < 64 && (kKnown >> advice & 1) != 0;
}

// MADV_WILLNEED: of a file, what can be read ahead without a shortage.
Result<void> read_ahead(const HeldRegion& region, VirtRange part) {
  constexpr std::uint64_t kMostPages = 512;
  if (!region.object()) {
    return {};
  }
  const PageIndex first = region.index_of(part.start());
  for (std::uint64_t i = 0; i < whole_pages(part.size()).value() && i < kMostPages; ++i) {
    const bool plenty = process_system().memory.memory.level() == MemoryLevel::plenty;
    if (!plenty || !region.object()->populate(first + PageCount(i)).ok()) {
      break;
    }
  }
  return {};
}

// What the kernel keeps windows on does not go.
void forget_windows(FileObject& object, IndexRange pages) {
  process_system().files.windows().forget(object, bytes_of(PageCount(pages.start().value())),
                                          bytes_of(PageCount(pages.end().value())));
}

// MADV_REMOVE: zeros, for all who map the object.
Result<void> remove(const HeldRegion& region, VirtRange part) {
  if (region->traits.is_locked() || !region.object()) {
    return Errno::invalid;
  }
  if (!region->traits.is_shared() || !region->maximum.can_write()) {
    return Errno::access_denied;
  }
  const InSystem in_system;
  return in_pieces(part, [&](VirtRange piece) -> Result<void> {
    const IndexRange pages = region.indices_of(piece);
    VELLUM_TRY(region.object()->punch(pages));
    forget_windows(*region.object(), pages);
    return {};
  });
}

// MADV_PAGEOUT: what can be read again. There is no swap for the rest.
Result<void> page_out(const HeldRegion& region, VirtRange part) {
  if (region->traits.is_locked()) {
    return Errno::invalid;
  }
  const Ref<FileObject>& object = region.object();
  if (object && object->is_file() && static_cast<const FilePager*>(object->pager())->keeps_what_is_clean()) {
    const InSystem in_system;
    return in_pieces(part, [&](VirtRange piece) -> Result<void> {
      forget_windows(*object, region.indices_of(piece));
      (void)space().page_out(*object, region.indices_of(piece));
      return {};
    });
  }
  return {};
}

// MADV_POPULATE_*: what may not be touched so is refused before anything is.
Result<void> populate(const HeldRegion& region, VirtRange part, Access access) {
  const bool permitted = access == Access::write ? region->prot.can_write() : region->prot.can_read();
  return permitted ? touch(space(), part, access) : Result<void>(Errno::invalid);
}

Result<void> advise_region(Advice advice, const HeldRegion& region, VirtRange part) {
  switch (advice) {
    case Advice::will_need:
      return read_ahead(region, part);
    case Advice::remove:
      return remove(region, part);
    case Advice::page_out:
      return page_out(region, part);
    case Advice::cold:  // what is clean goes when memory is wanted, whenever it was used
      return region->traits.is_locked() ? Result<void>(Errno::invalid) : Result<void>();
    case Advice::populate_read:
      return populate(region, part, Access::read);
    case Advice::populate_write:
      return populate(region, part, Access::write);
    default:
      return {};
  }
}

Result<std::uint64_t> sys_madvise(const Arguments& arguments) {
  if (!is_known(arguments.value[2])) {
    return Errno::invalid;
  }
  const VirtRange range = VELLUM_TRY(named_range(arguments.address(0), ByteCount(arguments.value[1]), Errno::invalid));
  if (range.empty()) {
    return 0;
  }
  Result<void> result;
  const auto advice = static_cast<Advice>(arguments.value[2]);
  switch (advice) {
    case Advice::do_not_need:
      result = space().discard(range, Discard::unlocked);
      break;
    case Advice::do_not_need_locked:
      result = space().discard(range, Discard::locked_too);
      break;
    case Advice::free:
      result = space().discard(range, Discard::own_memory);
      break;
    case Advice::do_not_fork:
      result = space().mark(range, {.add = Traits::left_out_of_forks(), .drop = {}});
      break;
    case Advice::do_fork:
      result = space().mark(range, {.add = {}, .drop = Traits::left_out_of_forks()});
      break;
    case Advice::wipe_on_fork:
      result = space().mark(range, {.add = Traits::wiped_by_forks(), .drop = {}, .own_memory_only = true});
      break;
    case Advice::keep_on_fork:
      result = space().mark(range, {.add = {}, .drop = Traits::wiped_by_forks()});
      break;
    case Advice::huge_pages:
      result = space().mark(range, {.add = Traits::wants_large(), .drop = Traits::refuses_large()});
      break;
    case Advice::no_huge_pages:
      result = space().mark(range, {.add = Traits::refuses_large(), .drop = Traits::wants_large()});
      break;
    default:
      return for_each_region(space(), range, [advice](const HeldRegion& region, VirtRange part) {
        return advise_region(advice, region, part);
      });
  }
  VELLUM_TRY(result);
  return 0;
}

Result<std::uint64_t> sys_mincore(const Arguments& arguments) {
  if (!arguments.address(0).is_page_aligned()) {
    return Errno::invalid;
  }
  const VirtRange range = VELLUM_TRY(named_range(arguments.address(0), ByteCount(arguments.value[1])));
  VirtAddr vector = arguments.address(2);
  VELLUM_TRY(in_pieces(range, [&](VirtRange piece) -> Result<void> {
    std::uint8_t present[VirtualMemory<Format>::kPiece.value()];
    const PageCount mapped = space().list_resident(piece, present);
    VELLUM_TRY(copy_out(vector, std::as_bytes(std::span(present).first(mapped.value()))));
    vector += ByteCount(mapped.value());
    return mapped == whole_pages(piece.size()) ? Result<void>() : Result<void>(Errno::no_memory);
  }));
  return 0;
}

constexpr Shown kHex = Shown::hexadecimal;
constexpr Shown kDecimal = Shown::decimal;

constexpr SystemCall kCalls[] = {
    {26, "msync", sys_msync, 3, {kHex, kDecimal, value_names::kSyncFlags}, Served::beside_system},
    {27, "mincore", sys_mincore, 3, {kHex, kDecimal, Shown::bytes}, Served::beside_system},
    {28, "madvise", sys_madvise, 3, {kHex, kDecimal, value_names::kAdvice}, Served::beside_system},
};

}  // namespace

std::span<const SystemCall> memory_advice_calls() { return kCalls; }

}  // namespace vellum::unix
