// The 64-bit kernel's floating addresses: the rules of illumos's layout_kernel_va (i86pc, os/startup.c), in its order.
#include <algorithm>

#include "placement.hpp"

namespace vellum::layout_detail {

namespace {

using namespace amd64_layout;
using namespace literals;

constexpr ByteCount kLargePage = 2_MiB;
constexpr ByteCount kRootEntry = 512_GiB;
constexpr ByteCount kFixedUpTo = 256_GiB;  // of memory: beyond, the bases move down
// For each byte beyond kFixedUpTo: one of direct map, four of guest memory, 1.5 of file data, 1.5 of heap.
constexpr std::uint64_t kRoomPerByte = 8;
constexpr VirtAddr kLowestSegkpm = kHoleEnd + 1_TiB;

constexpr ByteCount kSegkpDefault = 2_GiB;
constexpr ByteCount kSegkpMin = 200_MiB;
constexpr ByteCount kSegkpMax = 8_GiB;
constexpr ByteCount kSegkvmmMin = 4_GiB;
constexpr ByteCount kSegzioMin = 400_MiB;
constexpr ByteCount kSegmapMin = 64_MiB;

// The direct map and what stands on it move down together.
void place_bases(ByteCount top, Landmarks& at) {
  at.segkpm_base = kSegkpmBase;
  at.valloc_base = kVallocBase;
  if (top > kFixedUpTo) {
    const ByteCount lower = round_up_to((top - kFixedUpTo) * kRoomPerByte, kRootEntry);
    at.segkpm_base = std::max(at.segkpm_base - lower, kLowestSegkpm);
    at.valloc_base = at.segkpm_base + round_up_to(top, 1_GiB);
  }
  at.segkpm_end = at.segkpm_base + round_up_to(top, kLargePage);
  at.kernelbase = at.segkpm_base - kRedZoneSize;
  at.user_limit = at.kernelbase - kLimitGap;
}

ByteCount segkp_size(const KernelInputs& inputs, ByteCount memory, LayoutNotes& notes) {
  ByteCount size = inputs.segkp_size.value_or(kSegkpDefault);
  if (size < kSegkpMin || size > kSegkpMax) {
    notes.segkp_size_ignored = true;
    size = kSegkpDefault;
  }
  return round_up_to(std::min(size, std::max(kSegkpMin, memory)), kLargePage);
}

}  // namespace

std::expected<Landmarks, LayoutProblem> place_amd64(const KernelInputs& inputs, LayoutNotes& notes) {
  const ByteCount top = inputs.physical_top;
  const ByteCount memory = bounded(bytes_of(inputs.usable_pages));
  notes.kernelbase_ignored = inputs.kernelbase.has_value();

  Landmarks at;
  place_bases(top, at);
  // At most 2^52 + 2^47: no sum below wraps before the comparison with the room that there is.
  const ByteCount below = at.valloc_base - kHoleEnd;
  const ByteCount room = kCoreHeap - kHoleEnd;

  const ByteCount tables = round_up_to(bounded(inputs.tables_size.value_or(own_tables_size(top))), kLargePage);
  const ByteCount segkp = segkp_size(inputs, memory, notes);
  const ByteCount segkvmm =
      round_up_to(std::max(bounded(inputs.segkvmm_size.value_or(memory * 4)), kSegkvmmMin), kLargePage);
  const ByteCount segzio =
      round_up_to(std::max(bounded(inputs.segzio_size.value_or(memory * 3 / 2)), kSegzioMin), kLargePage);
  const ByteCount segmap =
      std::max(round_up_to(bounded(inputs.segmap_size.value_or(ByteCount(0))), kLargePage), kSegmapMin);

  const ByteCount required = below + tables + segkp + segkvmm + segzio + kDeviceSize + segmap;
  if (required > room) {
    return std::unexpected(LayoutProblem{LayoutRule::regions_fit, required, room});
  }
  at.valloc_end = at.valloc_base + tables;
  at.segkp_base = at.valloc_end;
  at.segkvmm_base = at.segkp_base + segkp;
  at.segzio_base = at.segkvmm_base + segkvmm;
  at.toxic_addr = at.segzio_base + segzio;
  at.segmap_start = at.toxic_addr + kDeviceSize;
  at.kernelheap = at.segmap_start + segmap;
  at.ekernelheap = kCoreHeap;

  const ByteCount heap = at.ekernelheap - at.kernelheap;
  if (heap < memory) {
    return std::unexpected(LayoutProblem{LayoutRule::heap_large_enough, memory, heap});
  }
  return at;
}

}  // namespace vellum::layout_detail
