// Tables that unmapping left empty: the last few of each CPU stay, for what is mapped and unmapped in turn; older ones
// go, so that a program cannot fill memory with tables of nothing.

#include <vellum/pagetable/instantiate.hpp>
#include <vellum/space/space.hpp>

namespace vellum {

// Takes note of a page under an empty table; gives back the page noted longest ago, whose table is to go now.
template <PageTableFormat F>
std::optional<Vpn> AddressSpace<F>::note_emptied(CpuIndex cpu, Vpn page) {
  PerCpu* const own = own_per_cpu(cpu);
  const Vpn table(round_down(page.value(), entry_span<F>(2).value()));
  if (own == nullptr) {
    return table;
  }
  for (const Vpn kept : own->emptied) {
    if (kept == table) {
      return std::nullopt;
    }
  }
  const Vpn oldest = own->emptied[own->next];
  own->emptied[own->next] = table;
  own->next = (own->next + 1) % PerCpu::kKept;
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

#define VELLUM_COMPILE(F)                                                   \
  template std::optional<Vpn> AddressSpace<F>::note_emptied(CpuIndex, Vpn); \
  template void AddressSpace<F>::prune(Vpn);
VELLUM_FOR_EACH_FORMAT(VELLUM_COMPILE)
#undef VELLUM_COMPILE

}  // namespace vellum
