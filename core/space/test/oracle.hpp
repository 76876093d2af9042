// What an operation on a SpaceModel must answer, from the contracts of AddressSpace alone.
#pragma once

#include "model.hpp"
#include "operation.hpp"

namespace vellum::test {

template <PageTableFormat F>
class Oracle {
 public:
  static constexpr std::uint64_t kAllPages = ~std::uint64_t{0} >> kPageShift;

  Oracle(const SpaceLayout& layout, PageCount memory) : layout_(layout), memory_(memory) {}

  [[nodiscard]] static Vpn end_of(VirtRange range) { return vpn_of<F>(range.last()) + PageCount(1); }

  // Of a map but for what is mapped already: success, or the error.
  [[nodiscard]] Result<void> request(const Operation& op) const {
    const PageCount pages = pages_for(op.length);
    if (op.length.is_zero() || op.offset.value() % kPageSize != 0) {
      return Errno::invalid;
    }
    if (pages.value() > std::uint64_t{1} << (F::kVirtualBits - kPageShift)) {
      return Errno::no_memory;
    }
    if (op.placement != Placement::anywhere) {
      VELLUM_TRY(fixed_address(op.address, pages));
    }
    if (op.object != 0 && (op.offset.value() >> kPageShift) + pages.value() > kAllPages / 2) {
      return Errno::overflow;
    }
    if (!op.prot.within(op.maximum)) {
      return Errno::access_denied;
    }
    if (op.traits.is_growing_down() && (op.object != 0 || op.traits.is_shared())) {
      return Errno::invalid;
    }
    const bool shared_memory = op.traits.is_shared() && op.object == 0;
    const bool own_memory = !op.traits.is_shared() && op.prot.can_write();
    if ((shared_memory || own_memory) && !op.traits.is_unreserved() && pages > memory_) {
      return Errno::no_memory;
    }
    return {};
  }
  [[nodiscard]] bool exceeds_size(const SpaceModel& space, PageCount more) const {
    return space.mapped() + more > whole_pages(layout_.size_limit);
  }
  [[nodiscard]] static bool is_data(Prot prot, Traits traits) {
    return prot.can_write() && !traits.is_shared() && !traits.is_growing_down();
  }
  [[nodiscard]] bool exceeds_data(const SpaceModel& space, Prot prot, Traits traits, PageCount more) const {
    const PageCount used = space.sum_of([](const Stretch& stretch) { return is_data(stretch.prot, stretch.traits); });
    return is_data(prot, traits) && used + more > whole_pages(layout_.data_limit);
  }
  // Whether so many pages are more than memory could ever hold.
  [[nodiscard]] bool exceeds(PageCount pages) const { return pages > memory_; }
  // Of a map whose address is given.
  [[nodiscard]] Result<void> map_fixed(const Operation& op, const SpaceModel& space) const {
    const PageCount pages = pages_for(op.length);
    const Vpn start = vpn_of<F>(op.address);
    if (op.placement == Placement::fixed_no_replace && !space.is_free(start, start + pages)) {
      return Errno::exists;
    }
    const PageCount more = pages - space.mapped_in(start, start + pages);
    if (exceeds_size(space, more) || exceeds_data(space, op.prot, op.traits, more)) {
      return Errno::no_memory;
    }
    return {};
  }
  [[nodiscard]] Result<void> fixed_address(VirtAddr address, PageCount pages) const {
    const Result<VirtRange> range = VirtRange::checked(address, bytes_of(pages));
    const bool named =
        range.ok() && (range.value().last() <= layout_.user[0].last() || layout_.user[1].contains(range.value()));
    if (!named) {
      return Errno::no_memory;
    }
    if (!address.is_page_aligned()) {
      return Errno::invalid;
    }
    return layout_.contains(range.value()) ? Result<void>() : Result<void>(Errno::not_permitted);
  }
  // Where a hint must be followed.
  [[nodiscard]] std::optional<VirtAddr> hint(const Operation& op, const SpaceModel& space) const {
    const VirtAddr at = std::max(op.address.page(), layout_.user[0].start());
    const Result<VirtRange> range = VirtRange::checked(at, bytes_of(pages_for(op.length)));
    const bool usable = op.address.page() != VirtAddr(0) && range.ok() && layout_.contains(range.value()) &&
                        space.is_free(vpn_of<F>(at), end_of(range.value()));
    return usable ? std::optional(at) : std::nullopt;
  }
  [[nodiscard]] bool has_room(const SpaceModel& space, PageCount pages) const {
    return space.has_gap(vpn_of<F>(layout_.placement_bottom),
                         vpn_of<F>(layout_.placement_top - ByteCount(1)) + PageCount(1), pages);
  }

  [[nodiscard]] Result<void> unmap(const Operation& op) const {
    const PageCount pages = pages_for(op.length);
    if (!op.address.is_page_aligned() || pages.is_zero() || pages.value() > kAllPages) {
      return Errno::invalid;
    }
    const Result<VirtRange> range = VirtRange::checked(op.address, bytes_of(pages));
    if (!range.ok() || (range.value().last() > layout_.user[0].last() && !layout_.user[1].contains(range.value()))) {
      return Errno::invalid;
    }
    return {};
  }

  // What mprotect answers, and how far it comes.
  struct Protected {
    Result<void> result;
    Vpn start;
    Vpn end;
  };
  [[nodiscard]] Protected protect(const Operation& op, const SpaceModel& space) const {
    if (!op.address.is_page_aligned()) {
      return {.result = Errno::invalid, .start = {}, .end = {}};
    }
    if (op.length.is_zero()) {
      return {.result = {}, .start = {}, .end = {}};
    }
    const PageCount pages = pages_for(op.length);
    const bool sound = pages.value() <= kAllPages && VirtRange::checked(op.address, bytes_of(pages)).ok();
    if (!sound || !is_canonical<F>(op.address)) {
      return {.result = Errno::no_memory, .start = {}, .end = {}};
    }
    const Vpn start = vpn_of<F>(op.address);
    Vpn reached = start;
    PageCount became_data{0};
    while (reached - start < pages) {
      const auto at = space.first_behind(reached);
      if (at == space.stretches().end() || at->start > reached || !layout_.contains(address_of<F>(reached))) {
        return {.result = Errno::no_memory, .start = start, .end = reached};
      }
      if (!op.prot.within(at->maximum)) {
        return {.result = Errno::access_denied, .start = start, .end = reached};
      }
      Vpn end = at->end;
      for (auto next = at + 1; next != space.stretches().end() && next->is_of_same_call(*std::prev(next)); ++next) {
        end = next->end;
      }
      end = std::min(end, start + pages);
      const bool becomes_own =
          !at->prot.can_write() && !at->traits.is_reserved() && promised(op.prot, at->traits).is_reserved();
      if (becomes_own && end - reached > memory_) {
        return {.result = Errno::no_memory, .start = start, .end = reached};
      }
      if (is_data(op.prot, at->traits) && !is_data(at->prot, at->traits)) {
        const bool exceeds = exceeds_data(space, op.prot, at->traits, became_data + (end - reached));
        if (exceeds && !exceeds_size(space, end - reached)) {
          return {.result = Errno::no_memory, .start = start, .end = reached};
        }
        became_data += end - reached;
      }
      reached = end;
    }
    return {.result = {}, .start = start, .end = reached};
  }

  // How far from its start something can be done to a range, and what is answered.
  struct Reach {
    Result<void> result;
    Vpn start;
    Vpn end;
  };
  template <class Permits>
  [[nodiscard]] Reach reach(VirtRange range, const SpaceModel& space, Gaps gaps, Permits permits) const {
    const VirtRange& half = range.overlaps(layout_.user[0]) ? layout_.user[0] : layout_.user[1];
    const VirtRange inside = range.intersection(half);
    if (inside.empty() || (gaps == Gaps::obstacle && inside.start() != range.start())) {
      return {.result = Errno::no_memory, .start = {}, .end = {}};
    }
    Reach reach = {.result = inside.size() == range.size() ? Result<void>() : Result<void>(Errno::no_memory),
                   .start = vpn_of<F>(inside.start()),
                   .end = end_of(inside)};
    Vpn reached = reach.start;
    for (auto at = space.first_behind(reached); reached < reach.end; ++at) {
      const bool gap = at == space.stretches().end() || at->start > reached;
      reach.result = gap ? Result<void>(Errno::no_memory) : reach.result;
      if (gap && gaps == Gaps::obstacle) {
        reach.end = reached;
      }
      if (at == space.stretches().end() || at->start >= reach.end) {
        break;
      }
      const Result<void> permitted = permits(*at);
      if (!permitted.ok()) {
        reach.result = permitted;
        reach.end = std::max(at->start, reach.start);
        break;
      }
      reached = at->end;
    }
    return reach;
  }

  // Where brk() leaves the end of the heap.
  [[nodiscard]] VirtAddr set_break(VirtAddr end, ByteCount limit, const SpaceModel& space) const {
    if (end < space.break_start || end - space.break_start > limit) {
      return space.break_end;
    }
    const Vpn old_top = vpn_of<F>(space.break_end + ByteCount(kPageSize - 1));
    const Vpn new_top = vpn_of<F>(end + ByteCount(kPageSize - 1));
    if (new_top > old_top) {
      const auto above = space.first_behind(old_top);
      const bool limited = above != space.stretches().end();
      const bool stack = limited && above->traits.is_growing_down();
      const PageCount distance = PageCount(1) + (stack ? whole_pages(layout_.stack_guard_gap) : PageCount(0));
      if ((limited && above->start < new_top + distance) || exceeds_size(space, new_top - old_top) ||
          exceeds_data(space, Prot::read() | Prot::write(), {}, new_top - old_top)) {
        return space.break_end;
      }
    }
    return end;
  }

  // What becomes of an access, and which pages it adds to a stack on the way.
  struct Faulted {
    FaultVerdict verdict;
    std::optional<Stretch> growth;
    std::optional<Stretch> stretch;  // that the page belongs to
  };
  [[nodiscard]] Faulted fault(VirtAddr address, Access access, SpaceModel& space) const {
    Faulted result = {.verdict = FaultVerdict::no_mapping, .growth = {}, .stretch = {}};
    if (!layout_.contains(address)) {
      return result;
    }
    const Vpn page = vpn_of<F>(address);
    const Stretch* found = space.find(page);
    if (found == nullptr) {
      result.growth = growth(address, space);
      found = result.growth ? &*result.growth : nullptr;
    }
    if (found == nullptr) {
      return result;
    }
    result.stretch = *found;
    const bool permitted = access == Access::read ? !found->prot.is_none() : needed_for(access).within(found->prot);
    const bool beyond = found->object && !found->object->has(found->index_of(page));
    result.verdict = !permitted ? FaultVerdict::access_denied
                     : beyond   ? FaultVerdict::bus_error
                                : FaultVerdict::resolved;
    return result;
  }

 private:
  [[nodiscard]] std::optional<Stretch> growth(VirtAddr address, const SpaceModel& space) const {
    const Vpn page = vpn_of<F>(address);
    const VirtRange& half = layout_.user[1].contains(address) ? layout_.user[1] : layout_.user[0];
    const auto above = space.first_behind(page);
    if (above == space.stretches().end() || above->start >= end_of(half) || !above->traits.is_growing_down()) {
      return std::nullopt;
    }
    if (above != space.stretches().begin()) {
      const Stretch& below = *std::prev(above);
      const bool same_half = below.start >= vpn_of<F>(half.start());
      const bool near = page - below.end < whole_pages(layout_.stack_guard_gap);
      if (same_half && near && !below.prot.is_none() && !below.traits.is_growing_down()) {
        return std::nullopt;
      }
    }
    const Stretch stack = space.joined(above);
    if (bytes_of(stack.end - page) > layout_.stack_limit || exceeds_size(space, stack.start - page)) {
      return std::nullopt;
    }
    Stretch grown = stack;
    grown.start = page;
    grown.end = stack.start;
    return grown;
  }

  SpaceLayout layout_;
  PageCount memory_;
};

}  // namespace vellum::test
