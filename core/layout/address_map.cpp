#include <vellum/layout/address_map.hpp>

#include "placement.hpp"

namespace vellum {

using namespace layout_detail;

namespace {

constexpr PageCount kFirstPage{1};
constexpr PageCount kNucleusPages{2048};  // 8 MB: text and data
constexpr ByteCount kDescriptorSize{16};

ByteCount max_memory(Arch arch) { return arch == Arch::amd64 ? kMaxMemoryAmd64 : kMaxMemoryI386; }

// The rules that need no arithmetic.
std::optional<LayoutProblem> check_inputs(const KernelInputs& kernel, const UserInputs& user) {
  if (kernel.arch == Arch::i386 && user.model != UserModel::illumos) {
    return LayoutProblem{LayoutRule::model_fits_arch, {}, {}};
  }
  if (kernel.physical_top < kMinMemory) {
    return LayoutProblem{LayoutRule::enough_memory, kMinMemory, kernel.physical_top};
  }
  if (kernel.physical_top > max_memory(kernel.arch)) {
    return LayoutProblem{LayoutRule::addressable_memory, kernel.physical_top, max_memory(kernel.arch)};
  }
  return std::nullopt;
}

}  // namespace

ByteCount own_tables_size(ByteCount physical_top) { return kDescriptorSize * pages_for(physical_top).value(); }

KernelInputs KernelInputs::for_memory(Arch arch, ByteCount memory) {
  const PageCount pages = whole_pages(memory);
  const PageCount taken = kFirstPage + kNucleusPages;
  KernelInputs inputs;
  inputs.arch = arch;
  inputs.physical_top = bytes_of(pages);
  inputs.usable_pages = pages > taken ? pages - taken : PageCount(0);
  return inputs;
}

std::expected<AddressMap, LayoutProblem> AddressMap::create(const KernelInputs& kernel, const UserInputs& user) {
  if (const auto problem = check_inputs(kernel, user)) {
    return std::unexpected(*problem);
  }
  AddressMap map;
  map.arch_ = kernel.arch;
  map.model_ = user.model;
  map.physical_top_ = kernel.physical_top;
  const auto landmarks = kernel.arch == Arch::amd64 ? place_amd64(kernel, map.notes_) : place_i386(kernel, map.notes_);
  if (!landmarks.has_value()) {
    return std::unexpected(landmarks.error());
  }
  map.landmarks_ = *landmarks;
  place_user(kernel.arch, user, map.landmarks_);

  map.floor_ = map.space_end();
  for (const auto rows : {kernel.arch == Arch::amd64 ? kAmd64Table : kI386Table, user_table(kernel.arch, user.model)}) {
    if (const auto problem = map.place(rows)) {
      return std::unexpected(*problem);
    }
  }
  VELLUM_CHECK(map.floor_ == VirtAddr(0));
  return map;
}

std::optional<LayoutProblem> AddressMap::place(std::span<const RegionRow> rows) {
  for (std::size_t i = 0; i < rows.size();) {
    const RegionRow& row = rows[i];
    std::size_t next = i + 1;
    while (next < rows.size() && rows[next].kind == RowKind::part) {
      ++next;
    }
    const VirtAddr start = row.start.in(landmarks_);
    const VirtAddr end = row.end.in(landmarks_);
    // Last bytes are compared, so that 2^64, which is 0, needs no case of its own.
    const VirtAddr last = end - ByteCount(1);
    const VirtAddr highest_free = floor_ - ByteCount(1);
    if (start != end) {
      if (last > highest_free || start > last) {
        const VirtAddr reached = start > last ? start : last;
        return LayoutProblem{LayoutRule::regions_in_order, reached - VirtAddr(0), highest_free - VirtAddr(0), &row};
      }
      if (last != highest_free) {
        append(kUnusedRow, end, floor_);
      }
      append(row, start, end);
      regions_[count_ - 1].parts = rows.subspan(i + 1, next - i - 1);
    }
    i = next;
  }
  return std::nullopt;
}

void AddressMap::append(const RegionRow& row, VirtAddr start, VirtAddr end) {
  VELLUM_CHECK(count_ < kMaxRegions);
  regions_[count_++] = LayoutRegion{&row, VirtRange::must(start, end - start), {}};
  floor_ = start;
}

const LayoutRegion* AddressMap::find(VirtAddr address) const {
  for (const LayoutRegion& region : regions()) {
    if (region.range.contains(address)) {
      return &region;
    }
  }
  return nullptr;
}

const LayoutRegion* AddressMap::find(RegionId id) const {
  for (const LayoutRegion& region : regions()) {
    if (region.row->id == id) {
      return &region;
    }
  }
  return nullptr;
}

VirtAddr AddressMap::space_end() const {
  return arch_ == Arch::amd64 ? amd64_layout::kSpaceEnd : i386_layout::kSpaceEnd;
}

}  // namespace vellum
