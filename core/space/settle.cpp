// What a fault that saw no right to its access does before it says so: looks under the locks, and lets a stack grow.

#include <vellum/pagetable/instantiate.hpp>
#include <vellum/space/space.hpp>

namespace vellum {

template <PageTableFormat F>
typename AddressSpace<F>::Settled AddressSpace<F>::settle(Vpn page, Access access) {
  const PageCount locked_before = locked();
  TreeOperation<F> operation(tree);
  TlbGather<F>& gather = operation.gather();
  Settled settled = Settled::no_mapping;
  {
    Cursor<F> cursor(tree, gather);
    const VpnRange one = VpnRange::must(page, PageCount(1));
    cursor.lock(one, Cursor<F>::Intent::look);
    std::optional<Meaning> meaning;
    cursor.for_each(one, [&](VpnRange, const Meaning& found) {
      meaning = found;
      return false;
    });
    if (meaning) {
      settled = permits(meaning->prot, access) ? Settled::permitted : Settled::access_denied;
    }
  }
  if (settled == Settled::no_mapping) {
    Cursor<F> cursor(tree, gather);
    settled = grow_down(cursor, page, locked_before, gather.cpu());
  }
  gather.finish();
  return settled;
}

// Extends the mapping above down to `page`, if it is one that grows, within its limit, and far enough from what is
// below.
template <PageTableFormat F>
typename AddressSpace<F>::Settled AddressSpace<F>::grow_down(Cursor<F>& cursor, Vpn page, PageCount locked_before,
                                                             CpuIndex cpu) {
  const PageCount gap = whole_pages(layout_.stack_guard_gap);
  const VirtAddr address = address_of<F>(page);
  const VirtRange& half = layout_.user[1].contains(address) ? layout_.user[1] : layout_.user[0];
  const Vpn bottom = vpn_of<F>(half.start());
  const Vpn from = page - bottom > gap ? page - gap : bottom;
  const Vpn end = vpn_of<F>(half.last()) + PageCount(1);
  const VpnRange looked_at = VpnRange::between(from, end);
  cursor.lock(looked_at);

  bool crowded = false;
  bool arrived = false;
  std::optional<Meaning> stack;
  VpnRange stretch;
  cursor.for_each(looked_at, [&](VpnRange found, const Meaning& meaning) {
    if (found.contains(page)) {
      arrived = true;
      return false;
    }
    if (found.start() < page) {
      crowded = !meaning.prot.is_none() && !meaning.traits.is_growing_down();  // the nearest below decides
      return true;
    }
    if (!stack) {
      stack = meaning;
      stretch = found;
      return true;
    }
    if (!(meaning == *stack) || found.start() != stretch.start() + stretch.size()) {
      return false;
    }
    stretch = VpnRange::must(stretch.start(), stretch.size() + found.size());
    return true;
  });
  if (arrived) {
    return Settled::permitted;  // somebody else was faster: try again
  }
  if (crowded || !stack || !stack->traits.is_growing_down()) {
    return Settled::no_mapping;
  }
  const PageCount grown = stretch.start() - page;
  if (bytes_of(stretch.size() + grown).value() > stack_limit_.load(std::memory_order_relaxed) || exceeds_size(grown)) {
    return Settled::no_mapping;
  }
  if (stack->traits.is_locked() &&
      bytes_of(locked_before + grown).value() > lock_limit_.load(std::memory_order_relaxed)) {
    return Settled::no_mapping;
  }
  const VpnRange added = VpnRange::must(page, grown);
  if (!reserve(cpu, stack->traits, grown)) {
    return Settled::no_mapping;
  }
  if (!cursor.prepare(added, Cursor<F>::Purpose::fill).ok()) {
    unreserve(cpu, stack->traits, grown);
    return Settled::no_memory;
  }
  (void)cursor.replace(added, &*stack);  // nothing was there
  count_mapped(cpu, static_cast<std::int64_t>(grown.value()));
  return Settled::permitted;
}

#define VELLUM_COMPILE(F) template typename AddressSpace<F>::Settled AddressSpace<F>::settle(Vpn, Access);
VELLUM_FOR_EACH_FORMAT(VELLUM_COMPILE)
#undef VELLUM_COMPILE

}  // namespace vellum
