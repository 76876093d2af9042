// mmap: choosing an address, and giving it a meaning.

#include <algorithm>

#include <vellum/pagetable/instantiate.hpp>
#include <vellum/pagetable/leaf_change.hpp>
#include <vellum/space/space.hpp>

namespace vellum {

template <PageTableFormat F>
Result<VirtAddr> AddressSpace<F>::map(const Request& request) {
  const Traits future = Traits::from_bits(future_locks_.load(std::memory_order_relaxed));
  if (future == Traits() && !request.traits.is_locked()) [[likely]] {
    return map_as_marked(request);
  }
  is_marked_.store(true, std::memory_order_relaxed);
  Request marked = request;
  marked.traits = request.traits | future;
  return map_as_marked(marked);
}

// Private memory that may be written is promised, unless the caller takes the risk. What is mapped like something that
// is there, and reserved already, stays so.
template <PageTableFormat F>
Traits AddressSpace<F>::promised(const Request& request) const {
  const bool strict = commitment().is_strict();
  const Traits traits = strict ? request.traits.without(Traits::no_reserve()) : request.traits;
  const bool counts = request.prot.can_write() && !traits.is_shared() && !traits.is_unreserved();
  return counts ? traits | Traits::reserved() : traits;
}

template <PageTableFormat F>
Result<VirtAddr> AddressSpace<F>::map_as_marked(const Request& asked) {
  if (const std::optional<VirtAddr> at = map_shortly(asked)) {
    return *at;
  }
  Request request = asked;
  request.traits = promised(asked);
  const PageCount pages = pages_for(request.length);
  VELLUM_TRY(check_request(request, pages));
  const VirtAddr at = request.placement == Placement::anywhere ? VELLUM_TRY(map_anywhere(request, pages))
                                                               : VELLUM_TRY(map_fixed(request, pages));
  const bool locked = request.traits.is_locked() && !request.traits.is_locked_on_fault();
  if (request.populate == Populate::now || locked) {
    const VpnRange wanted = VpnRange::must(vpn_of<F>(at), pages);
    (void)in_pieces(wanted, [&](VpnRange piece) -> Result<void> {
      populate(piece, request);
      return {};
    });
  }
  return at;
}

// What most calls ask for, in one go: a little private memory, anywhere. Nothing where something else is asked for, or
// the place below the last mapping will not do.
template <PageTableFormat F>
std::optional<VirtAddr> AddressSpace<F>::map_shortly(const Request& request) {
  const PageCount pages = pages_for(request.length);
  const bool plain = request.object == nullptr && request.placement == Placement::anywhere &&
                     request.populate == Populate::on_demand && request.traits == Traits() &&
                     request.prot.within(request.maximum) && request.offset.is_zero() &&
                     request.address.value() < kPageSize;
  const Vpn top(place_below_.load(std::memory_order_relaxed));
  const bool fits = !pages.is_zero() && pages < entry_span<F>(2) && top - vpn_of<F>(layout_.placement_bottom) >= pages;
  if (!plain || !fits || is_limited()) {
    return std::nullopt;
  }
  const Vpn at = top - pages;
  const TreeSection section(tree);
  LeafChange<F> leaf(tree, tables_, path_of(section.cpu()));
  const Traits traits = request.prot.can_write() ? Traits::reserved() : Traits();
  if (!leaf.lock(VpnRange::must(at, pages)) || !reserve(section.cpu(), traits, pages)) {
    return std::nullopt;
  }
  if (!leaf.fill({.backing = nullptr, .prot = request.prot, .maximum = request.maximum, .traits = traits})) {
    unreserve(section.cpu(), traits, pages);
    return std::nullopt;
  }
  count_mapped(section.cpu(), static_cast<std::int64_t>(pages.value()));
  place_below_.store(at.value(), std::memory_order_relaxed);
  return address_of<F>(at);
}

// Linux's order of checks: offset, length, address, what the file permits, memory.
template <PageTableFormat F>
Result<void> AddressSpace<F>::check_request(const Request& request, PageCount pages) const {
  if ((request.offset.value() & (kPageSize - 1)) != 0 || request.length.is_zero()) {
    return Errno::invalid;
  }
  if (pages > PageCount(std::uint64_t{1} << (F::kVirtualBits - kPageShift))) {
    return Errno::no_memory;
  }
  if (request.placement != Placement::anywhere) {
    VELLUM_TRY(check_fixed(request.address, pages));
  }
  // Offsets into files are signed 64-bit numbers.
  const std::uint64_t last_page = (request.offset.value() >> kPageShift) + pages.value();
  if (request.object != nullptr && last_page > (~std::uint64_t{0} >> 1 >> kPageShift)) {
    return Errno::overflow;
  }
  if (!request.prot.within(request.maximum)) {
    return Errno::access_denied;
  }
  const bool anonymous_private = request.object == nullptr && !request.traits.is_shared();
  if (request.traits.is_growing_down() && !anonymous_private) {
    return Errno::invalid;
  }
  return request.traits.is_reserved() && commitment().refuses(pages) ? Result<void>(Errno::no_memory) : Result<void>();
}

template <PageTableFormat F>
Result<void> AddressSpace<F>::check_fixed(VirtAddr address, PageCount pages) const {
  const Result<VirtRange> range = VirtRange::checked(address, bytes_of(pages));
  if (!range.ok() || !layout_.may_name(range.value())) {
    return Errno::no_memory;
  }
  if (!address.is_page_aligned()) {
    return Errno::invalid;
  }
  return layout_.contains(range.value()) ? Result<void>() : Result<void>(Errno::not_permitted);
}

template <PageTableFormat F>
bool AddressSpace<F>::exceeds_size(PageCount more) const {
  const PageCount most = whole_pages(ByteCount(size_limit_.load(std::memory_order_relaxed)));
  return more > most || mapped() > most - more;
}

template <PageTableFormat F>
Result<VirtAddr> AddressSpace<F>::map_fixed(const Request& request, PageCount pages) {
  VELLUM_TRY(
      map_at(request, {.pages = VpnRange::must(vpn_of<F>(request.address), pages), .placement = request.placement}));
  return request.address;
}

// Anonymous memory is mapped from its start, whatever offset was given.
template <PageTableFormat F>
PageIndex AddressSpace<F>::first_page_of(const Request& request) {
  return PageIndex(request.object == nullptr ? 0 : request.offset.value() >> kPageShift);
}

// A large piece of an object goes where the object's own tables can be linked; large anonymous memory begins at a
// table, and what fills entries of higher levels at one of those: then one run there describes it.
template <PageTableFormat F>
PageCount AddressSpace<F>::alignment_of(PageCount pages) {
  unsigned level = F::kLevels;
  while (level > 1 && pages < entry_span<F>(level)) {
    --level;
  }
  return entry_span<F>(level);
}

// The highest place for so many pages that ends at `top` or below and leaves `phase` beyond a multiple of `alignment`.
template <PageTableFormat F>
std::optional<Vpn> AddressSpace<F>::place(Vpn top, PageCount pages, PageCount alignment, PageCount phase) const {
  const Vpn bottom = vpn_of<F>(layout_.placement_bottom);
  if (top < bottom || top - bottom < pages) {
    return std::nullopt;
  }
  const std::uint64_t highest = (top - pages).value();
  const std::uint64_t mask = alignment.value() - 1;
  const std::uint64_t excess = (highest - phase.value()) & mask;
  if (highest - bottom.value() < excess) {
    return std::nullopt;
  }
  return Vpn(highest - excess);
}

template <PageTableFormat F>
Result<VirtAddr> AddressSpace<F>::map_anywhere(const Request& request, PageCount pages) {
  // As on Linux a hint means its page, or the lowest page where it is below that; the first page means none. A hint
  // that is not free means nothing.
  if (request.address.page() != VirtAddr(0)) {
    const VirtAddr hint = std::max(request.address.page(), layout_.user[0].start());
    const Result<VirtRange> range = VirtRange::checked(hint, bytes_of(pages));
    if (range.ok() && layout_.contains(range.value())) {
      const Result<void> mapped =
          map_at(request, {.pages = VpnRange::must(vpn_of<F>(hint), pages), .placement = Placement::fixed_no_replace});
      if (mapped.ok()) {
        return hint;
      }
      if (mapped.error() != Errno::exists) {
        return mapped.error();
      }
    }
  }
  const PageCount alignment = alignment_of(pages);
  const PageCount phase(first_page_of(request).value() & (alignment.value() - 1));
  std::optional<Vpn> at = place(Vpn(place_below_.load(std::memory_order_relaxed)), pages, alignment, phase);
  for (bool searched = false;;) {
    if (at) {
      const Result<void> mapped =
          map_at(request, {.pages = VpnRange::must(*at, pages), .placement = Placement::fixed_no_replace});
      if (mapped.ok()) {
        place_below_.store(at->value(), std::memory_order_relaxed);
        return address_of<F>(*at);
      }
      if (mapped.error() != Errno::exists) {
        return mapped.error();
      }
    } else if (searched) {
      return Errno::no_memory;
    }
    at = find_gap(pages, alignment, phase);
    searched = true;
  }
}

// The highest gap that fits, aligned if there is such a gap, by a walk over everything that is mapped.
template <PageTableFormat F>
std::optional<Vpn> AddressSpace<F>::find_gap(PageCount pages, PageCount alignment, PageCount phase) {
  const Vpn bottom = vpn_of<F>(layout_.placement_bottom);
  const Vpn top = vpn_of<F>(layout_.placement_top - ByteCount(1)) + PageCount(1);
  std::optional<Vpn> aligned;
  std::optional<Vpn> found;
  const auto consider = [&](Vpn from, Vpn to) {
    const std::optional<Vpn> wanted = place(to, pages, alignment, phase);
    if (wanted && *wanted >= from) {
      aligned = wanted;
    }
    const std::optional<Vpn> any = place(to, pages, PageCount(1), PageCount(0));
    if (any && *any >= from) {
      found = any;
    }
  };
  TreeOperation<F> operation(tree);
  TlbGather<F>& gather = operation.gather();
  {
    Cursor<F> cursor(tree, gather);
    const VpnRange all = VpnRange::between(bottom, top);
    cursor.lock(all, Cursor<F>::Intent::look);
    Vpn free_from = bottom;
    cursor.for_each(all, [&](VpnRange used, const Meaning&) {
      consider(free_from, used.start());
      free_from = used.start() + used.size();
      return true;
    });
    consider(free_from, top);
  }
  gather.finish();
  return aligned ? aligned : found;
}

template <PageTableFormat F>
Result<void> AddressSpace<F>::map_at(const Request& request, const Target& target) {
  Meaning meaning = {.backing = nullptr, .prot = request.prot, .maximum = request.maximum, .traits = request.traits};
  if (request.object == nullptr && !request.traits.is_shared()) {
    return enter(target, meaning);
  }
  ObjectStore<F>& objects = system_.objects;
  MemoryObject<F>* object = request.object;
  const bool own = object == nullptr;
  if (own) {
    object = VELLUM_TRY(objects.create_anonymous(bytes_of(target.pages.size()),
                                                 request.traits.is_unreserved() ? Promise::by_page : Promise::whole));
  }
  const Result<Mapping<F>*> mapping = objects.create_mapping(*object, *family_, target.pages, first_page_of(request),
                                                             request.traits.is_shared() && request.maximum.can_write());
  if (own) {
    object->release();
  }
  if (!mapping.ok()) {
    return mapping.error();
  }
  meaning.backing = mapping.value();
  const Result<void> entered = enter(target, meaning);
  if (mapping.value()->release()) {
    mapping.value()->unreferenced();
  }
  return entered;
}

template <PageTableFormat F>
MeaningSum AddressSpace<F>::meant_in(Cursor<F>& cursor, VpnRange pages) {
  MeaningSum sum;
  cursor.for_each(pages, [&](VpnRange stretch, const Meaning& meaning) {
    sum += stretch.size() * MeaningSum{.all = 1, .reserved = meaning.traits.is_reserved() ? 1U : 0U};
    return true;
  });
  return sum;
}

template <PageTableFormat F>
Result<void> AddressSpace<F>::enter(const Target& target, const Meaning& meaning) {
  const bool limited = is_limited();
  if (meaning.backing == nullptr && !limited) {
    const TreeSection section(tree);
    LeafChange<F> leaf(tree, tables_, path_of(section.cpu()));
    if (leaf.lock(target.pages) && reserve(section.cpu(), meaning.traits, target.pages.size())) {
      if (leaf.fill(meaning)) {
        count_mapped(section.cpu(), static_cast<std::int64_t>(target.pages.size().value()));
        return {};
      }
      unreserve(section.cpu(), meaning.traits, target.pages.size());
    }
  }
  const std::optional<PageCount> data = limited_data(meaning.prot, meaning.traits);
  TreeOperation<F> operation(tree);
  TlbGather<F>& gather = operation.gather();
  Result<void> result;
  {
    Cursor<F> cursor(tree, gather);
    cursor.lock(target.pages);
    // What is replaced makes room for what replaces it.
    const bool looks = limited || (meaning.traits.is_reserved() && commitment().is_strict());
    const MeaningSum before = looks ? meant_in(cursor, target.pages) : MeaningSum();
    const PageCount more = target.pages.size() - PageCount(before.all);
    const std::uint64_t kept = meaning.traits.is_reserved() ? before.reserved : 0;
    const PageCount promise = target.pages.size() - PageCount(kept);
    if (target.placement == Placement::fixed_no_replace && !cursor.is_unmapped(target.pages)) {
      result = Errno::exists;
    } else if (limited && (exceeds_size(more) || exceeds_data(data, more))) {
      result = Errno::no_memory;
    } else if (!reserve(gather.cpu(), meaning.traits, promise)) {
      result = Errno::no_memory;
    } else if (result = cursor.prepare(target.pages, Cursor<F>::Purpose::fill); result.ok()) {
      const MeaningSum lost = cursor.replace(target.pages, &meaning);
      count_mapped(gather.cpu(), static_cast<std::int64_t>(target.pages.size().value()));
      count_lost(gather.cpu(), {.all = lost.all, .reserved = lost.reserved - kept});
    } else {
      unreserve(gather.cpu(), meaning.traits, promise);
    }
  }
  gather.finish();
  return result;
}

template <PageTableFormat F>
std::optional<PageCount> AddressSpace<F>::limited_data(Prot prot, Traits traits) {
  if (data_limit_.load(std::memory_order_relaxed) == ~std::uint64_t{0} || !is_data(prot, traits)) {
    return std::nullopt;
  }
  return sum_of([](const Meaning& meaning) { return is_data(meaning.prot, meaning.traits); });
}

// As on Linux, pages that cannot be had are left to faults, and only what is private is written, to have its copies:
// pages of a file would become dirty.
template <PageTableFormat F>
void AddressSpace<F>::populate(VpnRange pages, const Request& request) {
  if (request.prot.is_none()) {
    return;
  }
  const Access access = request.prot.can_write() && !request.traits.is_shared() ? Access::write : Access::read;
  for (Vpn page = pages.start(); pages.contains(page);) {
    const PageCount there = pages_there(page, access);  // filled together with one before
    if (there.is_zero() && fault(address_of<F>(page), access, pages) != FaultVerdict::resolved) {
      return;
    }
    page += std::max(there, PageCount(1));
  }
}

#define VELLUM_COMPILE(F)                                                                         \
  template std::optional<PageCount> AddressSpace<F>::limited_data(Prot, Traits);                  \
  template Result<VirtAddr> AddressSpace<F>::map(const Request&);                                 \
  template Result<void> AddressSpace<F>::enter(const Target&, const Meaning&);                    \
  template Result<void> AddressSpace<F>::map_at(const Request&, const Target&);                   \
  template PageCount AddressSpace<F>::alignment_of(PageCount);                                    \
  template std::optional<Vpn> AddressSpace<F>::place(Vpn, PageCount, PageCount, PageCount) const; \
  template std::optional<Vpn> AddressSpace<F>::find_gap(PageCount, PageCount, PageCount);         \
  template bool AddressSpace<F>::exceeds_size(PageCount) const;
VELLUM_FOR_EACH_FORMAT(VELLUM_COMPILE)
#undef VELLUM_COMPILE

}  // namespace vellum
