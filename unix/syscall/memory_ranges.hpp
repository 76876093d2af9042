// Ranges that a program names, and what lies in them.
#pragma once

#include <algorithm>

#include <vellum/unix/checkpoint.hpp>
#include <vellum/unix/program.hpp>

namespace vellum::unix {

// Whole pages from a page boundary on. Errors: invalid (not at a page), `too_large` (beyond the address space).
[[nodiscard]] inline Result<VirtRange> named_range(VirtAddr address, ByteCount length,
                                                   Errno too_large = Errno::no_memory) {
  if (!address.is_page_aligned()) {
    return Errno::invalid;
  }
  const PageCount pages = pages_for(length);
  if (pages.value() > ~std::uint64_t{0} >> kPageShift) {
    return too_large;
  }
  const Result<VirtRange> range = VirtRange::checked(address, bytes_of(pages));
  return range.ok() ? range : Result<VirtRange>(too_large);
}

// A region whose object, if it has one, stays for as long as this lives, whatever becomes of the mapping.
class HeldRegion {
 public:
  explicit HeldRegion(const Region<Format>& held)
      : region_(held), object_(held.object != nullptr ? Ref<FileObject>::adopt(held.object) : nullptr) {}

  const Region<Format>* operator->() const { return &region_; }
  [[nodiscard]] const Ref<FileObject>& object() const { return object_; }
  // The object's page at an address of the region.
  [[nodiscard]] PageIndex index_of(VirtAddr address) const {
    return region_.first + whole_pages(address - region_.range.start());
  }
  [[nodiscard]] IndexRange indices_of(VirtRange part) const {
    return IndexRange::must(index_of(part.start()), whole_pages(part.size()));
  }

 private:
  Region<Format> region_;
  Ref<FileObject> object_;
};

// Calls visit(held region, part of it) -> Result<void> for all that is mapped in a range, until it fails. Error:
// visit's; no_memory where there are holes, which are passed over.
template <class Visitor>
[[nodiscard]] Result<std::uint64_t> for_each_region(Space& space, VirtRange range, Visitor visit) {
  bool holes = false;
  VirtAddr at = range.start();
  while (range.contains(at)) {
    const std::optional<Region<Format>> found = space.hold_region(at);
    if (!found) {
      holes = true;
      break;
    }
    const HeldRegion region(*found);
    const VirtRange rest = VirtRange::must(at, range.size() - (at - range.start()));
    const VirtRange part = region->range.intersection(rest);
    if (part.empty()) {
      holes = true;
      break;
    }
    holes |= part.start() != at;
    VELLUM_TRY(visit(region, part));
    at = part.last() + ByteCount(1);
  }
  return holes ? Result<std::uint64_t>(Errno::no_memory) : 0;
}

// Calls visit(piece) -> Result<void> for pieces of a few hundred pages, with a checkpoint between them. Errors:
// visit's; interrupted.
template <class Visitor>
[[nodiscard]] Result<void> in_pieces(VirtRange range, Visitor visit) {
  constexpr ByteCount kPiece = bytes_of(VirtualMemory<Format>::kPiece);
  for (ByteCount done{0}; done < range.size();) {
    const ByteCount size = std::min(range.size() - done, kPiece);
    VELLUM_TRY(visit(VirtRange::must(range.start() + done, size)));
    done += size;
    if (done < range.size() && !checkpoint()) {
      return Errno::interrupted;
    }
  }
  return {};
}

// Does to each page what an access of the program would. Errors: no_memory, bad_address (no right, beyond a file),
// interrupted.
[[nodiscard]] inline Result<void> touch(Space& space, VirtRange range, Access access) {
  const VpnRange all = VpnRange::must(vpn_of<Format>(range.start()), whole_pages(range.size()));
  return in_pieces(range, [&](VirtRange piece) -> Result<void> {
    for (VirtAddr page = piece.start(); piece.contains(page);) {
      const PageCount there = space.pages_there(vpn_of<Format>(page), access);
      if (!there.is_zero()) {
        page += bytes_of(there);
        continue;
      }
      switch (space.fault(page, access, all)) {
        case FaultVerdict::resolved:
          page += ByteCount(kPageSize);
          break;
        case FaultVerdict::out_of_memory:
          return Errno::no_memory;
        default:
          return Errno::bad_address;
      }
    }
    return {};
  });
}

}  // namespace vellum::unix
