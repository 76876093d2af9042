// brk: the heap, one anonymous mapping that grows upwards behind the program's data.

#include <vellum/pagetable/instantiate.hpp>
#include <vellum/space/space.hpp>

namespace vellum {

template <PageTableFormat F>
void AddressSpace<F>::set_break_start(VirtAddr start, ByteCount limit) {
  const LockGuard guard(lock_);
  break_start_ = start;
  break_end_ = start;
  break_limit_ = limit;
}

template <PageTableFormat F>
void AddressSpace<F>::set_limits(ByteCount stack, ByteCount size, ByteCount data) {
  stack_limit_.store(stack.value(), std::memory_order_relaxed);
  size_limit_.store(size.value(), std::memory_order_relaxed);
  data_limit_.store(data.value(), std::memory_order_relaxed);
  const LockGuard guard(lock_);
  break_limit_ = data;
}

template <PageTableFormat F>
VirtAddr AddressSpace<F>::set_break(VirtAddr end) {
  const LockGuard guard(lock_);
  if (end < break_start_ || end - break_start_ > break_limit_) {
    return break_end_;
  }
  const VirtAddr old_top = break_end_.align_up(ByteCount(kPageSize));
  const VirtAddr new_top = end.align_up(ByteCount(kPageSize));
  if (new_top < end) {
    return break_end_;  // rounds up to 2^64
  }
  if (new_top < old_top) {
    if (!unmap(new_top, old_top - new_top).ok()) {
      return break_end_;
    }
  } else if (new_top > old_top) {
    // Linux keeps a page free behind the heap when it grows, and beneath a stack its guard gap.
    const ByteCount grown = new_top - old_top;
    const Request request = {.address = old_top,
                             .length = grown,
                             .prot = Prot::read() | Prot::write(),
                             .placement = Placement::fixed_no_replace};
    const std::optional<Region<F>> above = region_at_or_after(old_top);
    if (above) {
      ByteCount distance(kPageSize);
      if (above->traits.is_growing_down()) {
        distance += layout_.stack_guard_gap;
      }
      if (above->range.start() < new_top || above->range.start() - new_top < distance) {
        return break_end_;
      }
    }
    if (!map(request).ok()) {
      return break_end_;
    }
  }
  break_end_ = end;
  return break_end_;
}

#define VELLUM_COMPILE(F)                                                     \
  template void AddressSpace<F>::set_break_start(VirtAddr, ByteCount);        \
  template void AddressSpace<F>::set_limits(ByteCount, ByteCount, ByteCount); \
  template VirtAddr AddressSpace<F>::set_break(VirtAddr);
VELLUM_FOR_EACH_FORMAT(VELLUM_COMPILE)
#undef VELLUM_COMPILE

}  // namespace vellum
