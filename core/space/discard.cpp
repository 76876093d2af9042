// madvise's MADV_DONTNEED, MADV_FREE and MADV_PAGEOUT: what was written, or could be read again, goes; what was mapped
// stays.

#include <vellum/pagetable/instantiate.hpp>
#include <vellum/pagetable/leaf_change.hpp>
#include <vellum/space/space.hpp>

namespace vellum {

template <PageTableFormat F>
Result<void> AddressSpace<F>::permits_discard(const Meaning& meaning, Discard how) {
  const bool kept = meaning.traits.is_locked() && how != Discard::locked_too;
  const bool not_own = how == Discard::own_memory && (meaning.backing != nullptr || meaning.traits.is_shared());
  return kept || not_own ? Result<void>(Errno::invalid) : Result<void>();
}

template <PageTableFormat F>
Result<void> AddressSpace<F>::discard(VirtRange range, Discard how) {
  const VpnRange wanted = inside(range);
  if (wanted.empty()) {
    return range.empty() ? Result<void>() : Result<void>(Errno::no_memory);
  }
  TreeOperation<F> operation(tree);
  TlbGather<F>& gather = operation.gather();
  Result<void> result;
  LeafChange<F> leaf(tree, tables_, path_of(gather.cpu()));
  const std::optional<Meaning> meaning = leaf.lock(wanted) ? leaf.meaning() : std::nullopt;
  if (meaning) {
    result = permits_discard(*meaning, how);
    if (result.ok()) {
      leaf.discard(gather);
    }
    leaf.unlock();
  } else {
    leaf.unlock();
    Cursor<F> cursor(tree, gather);
    cursor.lock(wanted);
    const Reach reach =
        reach_of(cursor, wanted, Gaps::passed, [how](const Meaning& found) { return permits_discard(found, how); });
    result = reach.then;
    const VpnRange changed = VpnRange::must(wanted.start(), reach.pages);
    if (!changed.empty()) {
      const Result<void> prepared = cursor.prepare(changed, Cursor<F>::Purpose::discard);
      if (prepared.ok()) {
        cursor.discard(changed);
      } else {
        result = Errno::try_again;
      }
    }
  }
  gather.finish();
  return result.ok() && bytes_of(wanted.size()) != range.size() ? Result<void>(Errno::no_memory) : result;
}

template <PageTableFormat F>
PageCount AddressSpace<F>::page_out(MemoryObject<F>& object, IndexRange pages) {
  return family_->has_one_member() ? object.page_out(pages, *family_) : PageCount(0);
}

// The part of a range that a program can have mapped, from its start on.
template <PageTableFormat F>
VpnRange AddressSpace<F>::inside(VirtRange range) const {
  for (const VirtRange& half : layout_.user) {
    const VirtRange part = range.intersection(half);
    if (!part.empty()) {
      return VpnRange::must(vpn_of<F>(part.start()), whole_pages(part.size()));
    }
  }
  return {};
}

#define VELLUM_COMPILE(F)                                                     \
  template Result<void> AddressSpace<F>::discard(VirtRange, Discard);         \
  template PageCount AddressSpace<F>::page_out(MemoryObject<F>&, IndexRange); \
  template VpnRange AddressSpace<F>::inside(VirtRange) const;
VELLUM_FOR_EACH_FORMAT(VELLUM_COMPILE)
#undef VELLUM_COMPILE

}  // namespace vellum
