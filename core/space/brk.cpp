// brk: the heap, one anonymous mapping that grows upwards behind the program's data.

#include <algorithm>

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

// Linux keeps a page free behind the heap when it grows, and beneath a stack its guard gap.
template <PageTableFormat F>
bool AddressSpace<F>::has_room_for_heap(Vpn from, Vpn to) {
  const Vpn clear = to + PageCount(1);
  const Vpn end = std::min(clear + whole_pages(layout_.stack_guard_gap),
                           vpn_of<F>(layout_.user[0].end() - ByteCount(1)) + PageCount(1));
  if (from >= end) {
    return true;  // beyond what may be mapped
  }
  bool room = true;
  TreeOperation<F> operation(tree);
  {
    Cursor<F> cursor(tree, operation.gather());
    const VpnRange looked_at = VpnRange::between(from, end);
    cursor.lock(looked_at, Cursor<F>::Intent::look);
    cursor.for_each(looked_at, [&](VpnRange found, const Meaning& meaning) {
      room = found.start() >= clear && !meaning.traits.is_growing_down();
      return false;
    });
  }
  operation.gather().finish();
  return room;
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
    const Request request = {.address = old_top,
                             .length = new_top - old_top,
                             .prot = Prot::read() | Prot::write(),
                             .placement = Placement::fixed_no_replace};
    if (!has_room_for_heap(vpn_of<F>(old_top), vpn_of<F>(new_top)) || !map(request).ok()) {
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
