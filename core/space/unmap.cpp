// munmap.

#include <vellum/pagetable/instantiate.hpp>
#include <vellum/pagetable/leaf_change.hpp>
#include <vellum/space/space.hpp>

namespace vellum {

template <PageTableFormat F>
Result<void> AddressSpace<F>::unmap(VirtAddr address, ByteCount length) {
  const PageCount pages = pages_for(length);
  if (!address.is_page_aligned() || pages.is_zero() || pages.value() > ~std::uint64_t{0} >> kPageShift) {
    return Errno::invalid;
  }
  const VirtRange range = VELLUM_TRY(VirtRange::checked(address, bytes_of(pages)));
  if (!layout_.may_name(range)) {
    return Errno::invalid;
  }
  constexpr PageCount kMuch = PageCount(64 * entry_count<F>(1));  // that may be mapped by so many tables
  const VpnRange gone = VpnRange::must(vpn_of<F>(address), pages);
  Result<void> result;
  std::optional<Vpn> to_prune;
  {
    TreeOperation<F> operation(tree);
    TlbGather<F>& gather = operation.gather();
    if (LeafChange<F> leaf(tree, tables_, path_of(gather.cpu())); leaf.lock(gone)) {
      count_lost(gather.cpu(), leaf.clear(gather));
      if (leaf.is_empty()) {
        to_prune = note_emptied(gather.cpu(), gone.start());
      }
    } else {
      Cursor<F> cursor(tree, gather);
      cursor.lock(gone);
      result = cursor.prepare(gone, Cursor<F>::Purpose::clear);
      if (result.ok()) {
        count_lost(gather.cpu(), cursor.replace(gone, nullptr));
        if (cursor.is_empty()) {
          to_prune = note_emptied(gather.cpu(), gone.start());
        }
      }
    }
    gather.finish();
  }
  if (to_prune) {
    prune(*to_prune);
  }
  if (pages > kMuch) {
    system_.settle();
  }
  // The lowest of the mappings placed downwards went: the next one may have its place.
  std::uint64_t lowest = gone.start().value();
  if (result.ok() && place_below_.load(std::memory_order_relaxed) == lowest) {
    const std::uint64_t top = vpn_of<F>(layout_.placement_top - ByteCount(1)).value() + 1;
    const std::uint64_t end = gone.start().value() + pages.value();
    place_below_.compare_exchange_strong(lowest, end < top ? end : top, std::memory_order_relaxed);
  }
  return result;
}

#define VELLUM_COMPILE(F) template Result<void> AddressSpace<F>::unmap(VirtAddr, ByteCount);
VELLUM_FOR_EACH_FORMAT(VELLUM_COMPILE)
#undef VELLUM_COMPILE

}  // namespace vellum
