// mprotect.

#include <vellum/pagetable/instantiate.hpp>
#include <vellum/pagetable/leaf_change.hpp>
#include <vellum/space/space.hpp>

namespace vellum {

// Whether the part of a region that was found last may have other rights, with the rest of the region that was found
// before; what becomes private memory by that is promised.
template <PageTableFormat F>
Result<void> AddressSpace<F>::permits_change(const Meaning& meaning, Prot prot, PageCount region, PageCount part,
                                             CpuIndex cpu) {
  if (!prot.within(meaning.maximum)) {
    return Errno::access_denied;
  }
  if (!meaning.needs_promise(prot)) {
    return {};
  }
  const bool permitted = !commitment().refuses(region) && reserve(cpu, Traits::reserved(), part);
  return permitted ? Result<void>() : Result<void>(Errno::no_memory);
}

// How far from the start of `pages` everything is mapped and may have the rights, and what stands in the way there. As
// on Linux what is asked of memory is judged for each region alone, and whole.
template <PageTableFormat F>
typename AddressSpace<F>::Permitted AddressSpace<F>::permitted_part(Cursor<F>& cursor, VpnRange pages, Prot prot,
                                                                    std::optional<PageCount> data, CpuIndex cpu) {
  Vpn reached = pages.start();
  Result<void> obstacle;
  std::optional<Meaning> region;
  Vpn region_start = pages.start();
  PageCount became_data{0};  // of the regions before
  PageCount promised{0};     // of the regions before, and
  PageCount promising{0};    // of this one
  const auto give_up = [&](Errno why) {
    obstacle = why;
    reached = region_start;
    unreserve(cpu, Traits::reserved(), promising);
    promising = PageCount(0);
    return false;
  };
  // Of a region, once it is seen whole. Where mappings come to more than they may already, Linux does not mind what
  // they are.
  const auto stays_within_data = [&] {
    if (!region || is_data(region->prot, region->traits) || !is_data(prot, region->traits)) {
      return true;
    }
    const PageCount size = reached - region_start;
    if (exceeds_data(data, became_data + size) && !exceeds_size(size)) {
      return give_up(Errno::no_memory);
    }
    became_data += size;
    return true;
  };
  cursor.for_each(pages, [&](VpnRange stretch, const Meaning& meaning) {
    if (stretch.start() != reached) {
      return false;
    }
    if (!region || !(*region == meaning)) {
      if (!stays_within_data()) {
        return false;
      }
      region = meaning;
      region_start = reached;
      promised += promising;
      promising = PageCount(0);
    }
    const PageCount size = stretch.start() + stretch.size() - region_start;
    const Result<void> permitted = permits_change(meaning, prot, size, stretch.size(), cpu);
    if (!permitted.ok()) {
      return give_up(permitted.error());
    }
    reached = region_start + size;
    promising += meaning.needs_promise(prot) ? stretch.size() : PageCount(0);
    return true;
  });
  if (obstacle.ok()) {
    (void)stays_within_data();
  }
  const PageCount reach = reached - pages.start();
  if (obstacle.ok() && reach != pages.size()) {
    obstacle = Errno::no_memory;
  }
  return {.pages = reach, .promised = promised + promising, .then = obstacle};
}

template <PageTableFormat F>
Result<void> AddressSpace<F>::protect(VirtAddr address, ByteCount length, Prot prot) {
  if (!address.is_page_aligned()) {
    return Errno::invalid;
  }
  if (length.is_zero()) {
    return {};
  }
  const PageCount pages = pages_for(length);
  const Result<VirtRange> range = pages.value() > ~std::uint64_t{0} >> kPageShift
                                      ? Result<VirtRange>(Errno::invalid)
                                      : VirtRange::checked(address, bytes_of(pages));
  if (!range.ok()) {
    return Errno::no_memory;
  }
  // Beyond the user half nothing is mapped; the part before it is changed all the same.
  const VirtRange inside = layout_.user[1].contains(address) ? range.value().intersection(layout_.user[1])
                                                             : range.value().intersection(layout_.user[0]);
  if (!inside.contains(address)) {
    return Errno::no_memory;
  }
  const VpnRange wanted = VpnRange::must(vpn_of<F>(address), whole_pages(inside.size()));
  const std::optional<PageCount> data = limited_data(prot, {});
  TreeOperation<F> operation(tree);
  TlbGather<F>& gather = operation.gather();
  Result<void> result;
  LeafChange<F> leaf(tree, tables_, path_of(gather.cpu()));
  const std::optional<Meaning> meaning = !data && leaf.lock(wanted) ? leaf.meaning() : std::nullopt;
  if (meaning) {
    result = permits_change(*meaning, prot, wanted.size(), wanted.size(), gather.cpu());
    if (result.ok()) {
      leaf.protect(prot, gather);
    }
    leaf.unlock();
  } else {
    leaf.unlock();
    Cursor<F> cursor(tree, gather);
    cursor.lock(wanted);
    const Permitted permitted = permitted_part(cursor, wanted, prot, data, gather.cpu());
    result = permitted.then;
    if (!permitted.pages.is_zero()) {
      const VpnRange changed = VpnRange::must(wanted.start(), permitted.pages);
      const Result<void> prepared = cursor.prepare(changed, Cursor<F>::Purpose::protect);
      if (prepared.ok()) {
        cursor.change(changed, {.prot = prot, .add = {}, .drop = {}, .promises = true});
      } else {
        unreserve(gather.cpu(), Traits::reserved(), permitted.promised);
        result = prepared;
      }
    }
  }
  gather.finish();
  return result.ok() && wanted.size() != pages ? Result<void>(Errno::no_memory) : result;
}

#define VELLUM_COMPILE(F) template Result<void> AddressSpace<F>::protect(VirtAddr, ByteCount, Prot);
VELLUM_FOR_EACH_FORMAT(VELLUM_COMPILE)
#undef VELLUM_COMPILE

}  // namespace vellum
