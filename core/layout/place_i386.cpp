// The 32-bit kernel's floating addresses: the rules of illumos's layout_kernel_va (i86pc, os/startup.c) from the time
// when it still had a 32-bit kernel, in its order.
#include <algorithm>

#include "placement.hpp"

namespace vellum::layout_detail {

namespace {

using namespace i386_layout;
using namespace literals;

constexpr ByteCount kLargePage = 2_MiB;  // PAE
constexpr ByteCount kKernelbaseAlignment = 4_MiB;
constexpr ByteCount kSegmapMin = 16_MiB;
constexpr ByteCount kHeapMin = 128_MiB;
constexpr ByteCount kMinUserSpace = 256_MiB;
// The tables, twice: once for themselves, once so that the heap grows with memory.
constexpr std::uint64_t kShareOfTables = 2;

std::expected<VirtAddr, LayoutProblem> choose_kernelbase(const KernelInputs& inputs, ByteCount tables,
                                                         LayoutNotes& notes) {
  VirtAddr base = std::min(inputs.kernelbase.value_or(inputs.default_kernelbase), kMaxKernelbase);
  base = base.align_down(kKernelbaseAlignment);
  notes.kernelbase_lowered = inputs.kernelbase.has_value() && *inputs.kernelbase > kMaxKernelbase;
  const ByteCount share =
      inputs.kernelbase.has_value() ? ByteCount(0) : round_up_to(tables * kShareOfTables, kKernelbaseAlignment);
  const ByteCount required = share + kMinUserSpace;
  const ByteCount available = base - VirtAddr(0);
  if (required > available) {
    return std::unexpected(LayoutProblem{LayoutRule::user_space_large_enough, required, available});
  }
  base -= share;
  notes.kernelbase_below_abi = base < kAbiMinKernelbase;
  return base;
}

}  // namespace

std::expected<Landmarks, LayoutProblem> place_i386(const KernelInputs& inputs, LayoutNotes& notes) {
  const ByteCount tables =
      round_up_to(bounded(inputs.tables_size.value_or(own_tables_size(inputs.physical_top))), ByteCount(kPageSize));
  const ByteCount segmap =
      std::max(round_up_to(bounded(inputs.segmap_size.value_or(ByteCount(0))), kLargePage), kSegmapMin);

  const auto kernelbase = choose_kernelbase(inputs, tables, notes);
  if (!kernelbase.has_value()) {
    return std::unexpected(kernelbase.error());
  }
  // From kernelbase up: segmap with the red zone in it, the heap, heap text, tables; the tables end on the pages
  // below the kernel's text.
  const ByteCount room = kMiscBase - *kernelbase;
  const ByteCount required = segmap + kHeapTextSize + round_up_to(tables, kLargePage) + kLargePage;
  if (required > room) {
    return std::unexpected(LayoutProblem{LayoutRule::regions_fit, required, room});
  }

  Landmarks at;
  at.kernelbase = *kernelbase;
  at.user_limit = at.kernelbase;
  at.valloc_base = (kMiscBase - tables).align_down(kLargePage);
  at.valloc_end = at.valloc_base + tables;
  at.ekernelheap = at.valloc_base - kHeapTextSize;
  at.segmap_start = at.kernelbase + kRedZoneSize;
  at.kernelheap = at.kernelbase + segmap;

  const ByteCount heap = at.ekernelheap - at.kernelheap;
  if (heap < kHeapMin) {
    return std::unexpected(LayoutProblem{LayoutRule::heap_large_enough, kHeapMin, heap});
  }
  return at;
}

}  // namespace vellum::layout_detail
