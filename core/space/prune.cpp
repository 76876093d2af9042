// Tables that unmapping left empty: the last few of each CPU stay, for what is mapped and unmapped in turn; older ones
// go, so that a program cannot fill memory with tables of nothing.

#include <vellum/pagetable/instantiate.hpp>
#include <vellum/space/space.hpp>

namespace vellum {

template <PageTableFormat F>
std::optional<Vpn> AddressSpace<F>::PerCpu::note_emptied(Vpn page, PageCount table_span) {
  const Vpn table(round_down(page.value(), table_span.value()));
  for (const Vpn kept : emptied) {
    if (kept == table) {
      return std::nullopt;
    }
  }
  const Vpn oldest = emptied[next];
  emptied[next] = table;
  next = (next + 1) % kKept;
  return oldest == Vpn(0) ? std::nullopt : std::optional<Vpn>(oldest);
}

// Takes out the empty tables on the way to a page, from the lowest upwards.
template <PageTableFormat F>
void AddressSpace<F>::prune(Vpn page) {
  for (unsigned level = 2; level <= F::kLevels; ++level) {
    const PageCount span = entry_span<F>(level);
    const VpnRange slot = VpnRange::must(Vpn(round_down(page.value(), span.value())), span);
    if (slot.last() > vpn_of<F>(layout_.end() - ByteCount(1))) {
      return;
    }
    TreeOperation<F> operation(tree);
    TlbGather<F>& gather = operation.gather();
    {
      Cursor<F> cursor(tree, gather);
      cursor.lock(slot);
      cursor.tidy(slot);
    }
    gather.finish();
  }
}

#define VELLUM_COMPILE(F)                                                            \
  template std::optional<Vpn> AddressSpace<F>::PerCpu::note_emptied(Vpn, PageCount); \
  template void AddressSpace<F>::prune(Vpn);
VELLUM_FOR_EACH_FORMAT(VELLUM_COMPILE)
#undef VELLUM_COMPILE

}  // namespace vellum
