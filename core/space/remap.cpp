// mremap.

#include <algorithm>

#include <vellum/pagetable/content_move.hpp>
#include <vellum/pagetable/instantiate.hpp>
#include <vellum/space/space.hpp>

#include "closed_tree.hpp"
#include "held_region.hpp"

namespace vellum {

namespace {

// A length as mremap counts it: what cannot be rounded up is nothing.
PageCount rounded(ByteCount length) {
  return length.value() > ~std::uint64_t{0} - (kPageSize - 1) ? PageCount(0) : pages_for(length);
}

}  // namespace

template <PageTableFormat F>
Result<VirtAddr> AddressSpace<F>::remap(const Remap& request) {
  const PageCount old_pages = rounded(request.old_length);
  const PageCount new_pages = rounded(request.new_length);
  const bool moves_as_it_is = request.move != Remap::Move::forbidden && request.old_length == request.new_length;
  if (!request.address.is_page_aligned() || new_pages.is_zero() || (request.keeps_source && !moves_as_it_is)) {
    return Errno::invalid;
  }
  const HeldRegion region(*this, request.address);
  if (!region) {
    return Errno::bad_address;
  }
  if (request.keeps_source || request.move == Remap::Move::to_target) {
    return remap_to(request, old_pages, new_pages);
  }
  if (old_pages >= new_pages) {
    VELLUM_TRY(cut_off(request.address, old_pages, new_pages));
    return request.address;
  }
  VELLUM_TRY(permits_growth(*region, request.address, old_pages, new_pages));
  if (request.address + bytes_of(old_pages) == region->range.end()) {
    const Result<void> grown = extend(*region, new_pages - old_pages);
    if (grown.ok()) {
      bring_in_locked(VirtRange::must(region->range.end(), bytes_of(new_pages - old_pages)));
      return request.address;
    }
    if (grown.error() != Errno::exists) {
      return grown.error();
    }
  }
  if (request.move == Remap::Move::forbidden) {
    return Errno::no_memory;
  }
  return move_mapping(request, *region, old_pages, new_pages);
}

// Unmaps what is beyond the new length.
template <PageTableFormat F>
Result<void> AddressSpace<F>::cut_off(VirtAddr address, PageCount old_pages, PageCount new_pages) {
  if (old_pages <= new_pages) {
    return {};
  }
  VELLUM_TRY(VirtRange::checked(address, bytes_of(old_pages)));
  return unmap(address + bytes_of(new_pages), bytes_of(old_pages - new_pages));
}

// Whether what lies at `address` may become larger, or elsewhere.
template <PageTableFormat F>
Result<void> AddressSpace<F>::permits_growth(const Region<F>& region, VirtAddr address, PageCount old_pages,
                                             PageCount new_pages) {
  if (old_pages.is_zero() && !region.traits.is_shared()) {
    return Errno::invalid;  // there is nothing that two mappings of private memory could share
  }
  if (old_pages > whole_pages(region.range.end() - address)) {
    return Errno::bad_address;
  }
  if (new_pages <= old_pages) {
    return {};
  }
  const PageIndex first = region.first + whole_pages(address - region.range.start());
  if (region.object != nullptr && first.value() + new_pages.value() > ~std::uint64_t{0} >> 1 >> kPageShift) {
    return Errno::invalid;
  }
  const PageCount more = new_pages - old_pages;
  const std::optional<PageCount> data = limited_data(region.prot, region.traits);
  return exceeds_size(more) || exceeds_data(data, more) || (region.traits.is_reserved() && commitment().refuses(more))
             ? Result<void>(Errno::no_memory)
             : Result<void>();
}

// Adds pages behind a region. Errors: exists where there is no room; no_memory.
template <PageTableFormat F>
Result<void> AddressSpace<F>::extend(const Region<F>& region, PageCount more) {
  const Result<VirtRange> added = VirtRange::checked(region.range.end(), bytes_of(more));
  const bool upper = layout_.user[1].contains(region.range.start());
  if (!added.ok() || !layout_.user[upper ? 1 : 0].contains(added.value())) {
    return Errno::exists;
  }
  const VpnRange pages = VpnRange::must(vpn_of<F>(region.range.end()), more);
  return map_at(request_like(region, region.range.end()), {.pages = pages, .placement = Placement::fixed_no_replace});
}

// What maps the same as a region, from an address on that lies in it or at its end.
template <PageTableFormat F>
MapRequest<F> AddressSpace<F>::request_like(const Region<F>& region, VirtAddr address) {
  const PageIndex first = region.first + whole_pages(address - region.range.start());
  return {.address = address,
          .length = ByteCount(0),
          .prot = region.prot,
          .maximum = region.maximum,
          .traits = region.traits,
          .object = region.object,
          .offset = ByteCount(region.object != nullptr ? first.value() << kPageShift : 0)};
}

// To an address that was asked for, or at least away. Linux's order: what is at the target goes before the source is
// looked at closely.
template <PageTableFormat F>
Result<VirtAddr> AddressSpace<F>::remap_to(const Remap& request, PageCount old_pages, PageCount new_pages) {
  const bool fixed = request.move == Remap::Move::to_target;
  const Result<VirtRange> target = VirtRange::checked(request.target, bytes_of(new_pages));
  if (!request.target.is_page_aligned() || !target.ok() || !layout_.may_name(target.value())) {
    return Errno::invalid;
  }
  const std::uint64_t source_end = request.address.value() + bytes_of(old_pages).value();
  const std::uint64_t target_end = request.target.value() + bytes_of(new_pages).value();
  if (source_end > request.target.value() && target_end > request.address.value()) {
    return Errno::invalid;
  }
  if (fixed) {
    VELLUM_TRY(unmap(request.target, bytes_of(new_pages)));
  }
  VELLUM_TRY(cut_off(request.address, old_pages, new_pages));
  old_pages = std::min(old_pages, new_pages);
  const HeldRegion region(*this, request.address);
  if (!region) {
    return Errno::bad_address;
  }
  VELLUM_TRY(permits_growth(*region, request.address, old_pages, new_pages));
  const std::optional<PageCount> data = limited_data(region->prot, region->traits);
  if (request.keeps_source && (exceeds_size(new_pages) || exceeds_data(data, new_pages) ||
                               (region->traits.is_reserved() && commitment().refuses(new_pages)))) {
    return Errno::no_memory;
  }
  if (fixed && !layout_.contains(target.value())) {
    return Errno::not_permitted;
  }
  return move_mapping(request, *region, old_pages, new_pages);
}

template <PageTableFormat F>
Result<VirtAddr> AddressSpace<F>::move_mapping(const Remap& request, const Region<F>& region, PageCount old_pages,
                                               PageCount new_pages) {
  const bool fixed = request.move == Remap::Move::to_target;
  const PageCount alignment = alignment_of(new_pages);
  const PageCount phase(vpn_of<F>(request.address).value() & (alignment.value() - 1));
  std::optional<Vpn> at;
  bool placed = false;  // here, and not by the caller
  if (fixed) {
    at = vpn_of<F>(request.target);
  } else if (request.keeps_source && request.target.value() >= kPageSize) {
    const VirtAddr hint = std::max(request.target, layout_.user[0].start());
    const Result<VirtRange> hinted = VirtRange::checked(hint, bytes_of(new_pages));
    at = hinted.ok() && layout_.contains(hinted.value()) ? std::optional(vpn_of<F>(hint)) : std::nullopt;
  }
  if (!at) {
    placed = true;
    at = place(Vpn(place_below_.load(std::memory_order_relaxed)), new_pages, alignment, phase);
  }
  for (;;) {
    if (!at) {
      at = find_gap(new_pages, alignment, phase);
      if (!at) {
        return Errno::no_memory;
      }
    }
    const Transplant plan{.from = VpnRange::must(vpn_of<F>(request.address), old_pages),
                          .to = VpnRange::must(*at, new_pages),
                          .keeps_source = request.keeps_source};
    switch (transplant(region, plan)) {
      case Transplanted::done:
        finish_move(plan, placed);
        bring_in_locked(VirtRange::must(address_of<F>(*at + old_pages), bytes_of(new_pages - old_pages)));
        return address_of<F>(*at);
      case Transplanted::no_memory:
        return Errno::no_memory;
      case Transplanted::source_changed:
        return Errno::bad_address;
      case Transplanted::target_taken:
        break;
    }
    if (fixed) {
      VELLUM_TRY(unmap(request.target, bytes_of(new_pages)));
    } else {
      placed = true;
      at.reset();
    }
  }
}

// The tables that were left, and where the next mapping may go.
template <PageTableFormat F>
void AddressSpace<F>::finish_move(const Transplant& plan, bool placed) {
  if (placed) {
    place_below_.store(plan.to.start().value(), std::memory_order_relaxed);
  }
  if (!plan.keeps_source && !plan.from.empty()) {
    prune(plan.from.start());
    prune(plan.from.last());
  }
}

// All or nothing. The object's lock, where there is one: an object that takes a page out of its mappings one after the
// other must not miss it because it moves from one to the other meanwhile.
template <PageTableFormat F>
typename AddressSpace<F>::Transplanted AddressSpace<F>::transplant(const Region<F>& region, const Transplant& plan) {
  const VirtAddr address = address_of<F>(plan.from.start());
  if (plan.from.empty()) {
    const Result<void> mapped =
        map_at(request_like(region, address), {.pages = plan.to, .placement = Placement::fixed_no_replace});
    return mapped.ok()                       ? Transplanted::done
           : mapped.error() == Errno::exists ? Transplanted::target_taken
                                             : Transplanted::no_memory;
  }
  Meaning meanings[2];  // of the target; of the source afterwards
  for (Meaning& meaning : meanings) {
    meaning = {.backing = nullptr, .prot = region.prot, .maximum = region.maximum, .traits = region.traits};
  }
  meanings[0].traits = region.traits.without(Traits::supplied());
  meanings[1].traits = region.traits.without(lock_traits());
  Transplanted result = Transplanted::done;
  for (unsigned i = 0; region.object != nullptr && i < (plan.keeps_source ? 2U : 1U); ++i) {
    const PageIndex first = region.first + whole_pages(address - region.range.start());
    const Result<Mapping<F>*> mapping =
        system_.objects.create_mapping(*region.object, *family_, i == 0 ? plan.to : plan.from, first,
                                       region.traits.is_shared() && region.maximum.can_write());
    meanings[i].backing = mapping.ok() ? mapping.value() : nullptr;
    result = mapping.ok() ? result : Transplanted::no_memory;
  }
  if (result == Transplanted::done) {
    DroppedBackings dropped;
    const LockGuard guard(lock_);
    result = region.object != nullptr
                 ? region.object->while_mappings_stay([&] { return transplant_alone(region, plan, meanings, dropped); })
                 : transplant_alone(region, plan, meanings, dropped);
  }
  for (const Meaning& meaning : meanings) {
    if (meaning.backing != nullptr && meaning.backing->release()) {
      meaning.backing->unreferenced();
    }
  }
  return result;
}

template <PageTableFormat F>
typename AddressSpace<F>::Transplanted AddressSpace<F>::transplant_alone(const Region<F>& region,
                                                                         const Transplant& plan,
                                                                         const Meaning (&meanings)[2],
                                                                         DroppedBackings& dropped) {
  const ClosedTree<F> closed(system_, *family_, tree);
  TlbGather<F> gather(tree, closed.cpu(), &dropped);
  Transplanted result = Transplanted::no_memory;
  // The source's promise goes along.
  const PageCount lost = plan.keeps_source ? PageCount(0) : plan.from.size();
  const PageCount more = plan.to.size() - lost;
  {
    Cursor<F> cursor(tree, gather);
    cursor.lock_for_two(
        VpnRange::between(std::min(plan.from.start(), plan.to.start()), std::max(plan.from.end(), plan.to.end())));
    ContentMove<F> content(tree, gather, plan.from, plan.to.start());
    if (!still_means(cursor, region, plan.from)) {
      result = Transplanted::source_changed;
    } else if (!cursor.is_unmapped(plan.to)) {
      result = Transplanted::target_taken;
    } else if (!reserve(closed.cpu(), region.traits, more)) {
      result = Transplanted::no_memory;
    } else if (cursor.prepare(plan.from, Cursor<F>::Purpose::clear).ok() &&
               cursor.prepare(plan.to, Cursor<F>::Purpose::fill).ok() && content.prepare(plan.to).ok()) {
      (void)cursor.replace(plan.to, &meanings[0]);
      content.move(meanings[0]);
      (void)cursor.replace(plan.from, plan.keeps_source ? &meanings[1] : nullptr);
      count_mapped(closed.cpu(), static_cast<std::int64_t>(more.value()));
      result = Transplanted::done;
    } else {
      unreserve(closed.cpu(), region.traits, more);
    }
  }
  gather.finish();
  return result;
}

// Whether pages mean what a region meant that was looked up before.
template <PageTableFormat F>
bool AddressSpace<F>::still_means(Cursor<F>& cursor, const Region<F>& region, VpnRange pages) {
  Vpn reached = pages.start();
  cursor.for_each(pages, [&](VpnRange stretch, const Meaning& meaning) {
    bool same = stretch.start() == reached && meaning.prot == region.prot && meaning.maximum == region.maximum &&
                meaning.traits == region.traits && (meaning.backing != nullptr) == (region.object != nullptr);
    if (same && meaning.backing != nullptr) {
      const auto& mapping = static_cast<const Mapping<F>&>(*meaning.backing);
      same = &mapping.object == region.object &&
             mapping.index_of(reached) == region.first + (reached - vpn_of<F>(region.range.start()));
    }
    reached = same ? stretch.end() : reached;
    return same;
  });
  return reached == pages.end();
}

#define VELLUM_COMPILE(F)                                         \
  template Result<VirtAddr> AddressSpace<F>::remap(const Remap&); \
  template MapRequest<F> AddressSpace<F>::request_like(const Region<F>&, VirtAddr);
VELLUM_FOR_EACH_FORMAT(VELLUM_COMPILE)
#undef VELLUM_COMPILE

}  // namespace vellum
