// What a program says of its mappings besides their rights: what fork does with them, and what is to stay in memory.

#include <algorithm>

#include <vellum/pagetable/instantiate.hpp>
#include <vellum/space/space.hpp>

namespace vellum {

template <PageTableFormat F>
Result<void> AddressSpace<F>::mark(VirtRange range, const Marking& marking) {
  const VpnRange wanted = inside(range);
  const bool starts_outside = !range.empty() && address_of<F>(wanted.start()) != range.start();
  if (wanted.empty() || (starts_outside && marking.gaps == Gaps::obstacle)) {
    return range.empty() ? Result<void>() : Result<void>(Errno::no_memory);
  }
  constexpr Traits kOfNoConcernToForks = Traits::wants_large() | Traits::refuses_large();
  if (marking.add.without(kOfNoConcernToForks) != Traits()) {
    is_marked_.store(true, std::memory_order_relaxed);
  }
  TreeOperation<F> operation(tree);
  TlbGather<F>& gather = operation.gather();
  Result<void> result;
  {
    Cursor<F> cursor(tree, gather);
    cursor.lock(wanted);
    const Reach reach = reach_of(cursor, wanted, marking.gaps, [&](const Meaning& found) {
      const bool wrong = marking.own_memory_only && (found.backing != nullptr || found.traits.is_shared());
      return wrong ? Result<void>(Errno::invalid) : Result<void>();
    });
    result = reach.then;
    const VpnRange changed = VpnRange::must(wanted.start(), reach.pages);
    if (!changed.empty()) {
      const Result<void> prepared = cursor.prepare(changed, Cursor<F>::Purpose::protect);
      if (prepared.ok()) {
        cursor.change(changed, {.prot = {}, .add = marking.add, .drop = marking.drop});
      } else {
        result = Errno::try_again;
      }
    }
  }
  gather.finish();
  return result.ok() && bytes_of(wanted.size()) != range.size() ? Result<void>(Errno::no_memory) : result;
}

template <PageTableFormat F>
Result<void> AddressSpace<F>::lock_memory(VirtRange range, LockMemory how) {
  const Result<void> marked = mark(range, {.add = traits_of(how), .drop = lock_traits(), .gaps = Gaps::obstacle});
  if (!marked.ok()) {
    return marked.error() == Errno::try_again ? Result<void>(Errno::no_memory) : marked;
  }
  return how == LockMemory::now ? bring_in_pieces(range) : Result<void>();
}

template <PageTableFormat F>
void AddressSpace<F>::lock_all(std::optional<LockMemory> current, LockMemory future) {
  future_locks_.store(traits_of(future).bits(), std::memory_order_relaxed);
  if (current) {
    for (const VirtRange& half : layout_.user) {
      (void)mark(half, {.add = traits_of(*current), .drop = lock_traits()});
      if (*current == LockMemory::now) {
        bring_in_locked(half);
      }
    }
  }
}

template <PageTableFormat F>
Traits AddressSpace<F>::traits_of(LockMemory how) {
  switch (how) {
    case LockMemory::now:
      return Traits::locked();
    case LockMemory::on_fault:
      return lock_traits();
    case LockMemory::no:
      break;
  }
  return {};
}

// As an access would, page by page; Linux's errors of mlock for what cannot be brought in.
template <PageTableFormat F>
Result<void> AddressSpace<F>::bring_in(VirtRange range) {
  for (VirtAddr at = range.start(); range.contains(at);) {
    const std::optional<Region<F>> region = region_at_or_after(at);
    const VirtRange rest = VirtRange::must(at, range.size() - (at - range.start()));
    const VirtRange part = region ? region->range.intersection(rest) : VirtRange();
    if (part.empty()) {
      break;
    }
    if (region->prot.is_none()) {
      return Errno::no_memory;
    }
    const bool writes = region->prot.can_write() && !region->traits.is_shared();
    const Access access = writes ? Access::write : Access::read;
    const VpnRange pages = VpnRange::must(vpn_of<F>(part.start()), whole_pages(part.size()));
    for (Vpn page = pages.start(); pages.contains(page);) {
      const PageCount there = pages_there(page, access);
      const FaultVerdict verdict = there.is_zero() ? fault(address_of<F>(page), access, pages) : FaultVerdict::resolved;
      if (verdict != FaultVerdict::resolved) {
        return verdict == FaultVerdict::out_of_memory ? Errno::try_again : Errno::no_memory;
      }
      page += std::max(there, PageCount(1));
    }
    at = part.last() + ByteCount(1);
  }
  return {};
}

template <PageTableFormat F>
Result<void> AddressSpace<F>::bring_in_pieces(VirtRange range) {
  const VpnRange pages = VpnRange::must(vpn_of<F>(range.start()), whole_pages(range.size()));
  return in_pieces(pages, [this](VpnRange piece) {
    return bring_in(VirtRange::must(address_of<F>(piece.start()), bytes_of(piece.size())));
  });
}

// What can be brought in of what is to be in memory.
template <PageTableFormat F>
void AddressSpace<F>::bring_in_locked(VirtRange range) {
  for (VirtAddr at = range.start(); range.contains(at);) {
    const std::optional<Region<F>> region = region_at_or_after(at);
    const VirtRange rest = VirtRange::must(at, range.size() - (at - range.start()));
    const VirtRange part = region ? region->range.intersection(rest) : VirtRange();
    if (part.empty()) {
      return;
    }
    if (region->traits.is_locked() && !region->traits.is_locked_on_fault()) {
      const Result<void> brought = bring_in_pieces(part);
      if (!brought.ok() && brought.error() == Errno::interrupted) {
        return;
      }
    }
    at = part.last() + ByteCount(1);
  }
}

template <PageTableFormat F>
PageCount AddressSpace<F>::sum_of(bool (*counts)(const Meaning&)) {
  PageCount pages{0};
  TreeOperation<F> operation(tree);
  {
    Cursor<F> cursor(tree, operation.gather());
    const VpnRange all = VpnRange::between(Vpn(0), vpn_of<F>(layout_.end() - ByteCount(1)) + PageCount(1));
    cursor.lock(all, Cursor<F>::Intent::look);
    cursor.for_each(all, [&](VpnRange stretch, const Meaning& meaning) {
      pages += counts(meaning) ? stretch.size() : PageCount(0);
      return true;
    });
  }
  operation.gather().finish();
  return pages;
}

template <PageTableFormat F>
PageCount AddressSpace<F>::locked() {
  return is_marked_.load(std::memory_order_relaxed)
             ? sum_of([](const Meaning& meaning) { return meaning.traits.is_locked(); })
             : PageCount(0);
}

// A child before anybody runs it: what it is not to have goes. Error: no_memory.
template <PageTableFormat F>
Result<void> AddressSpace<F>::settle_marks() {
  is_marked_.store(true, std::memory_order_relaxed);
  for (VirtAddr at(0);;) {
    const std::optional<Region<F>> region = region_at_or_after(at);
    if (!region) {
      return {};
    }
    const Traits traits = region->traits;
    if (traits.is_left_out_of_forks()) {
      VELLUM_TRY(unmap(region->range.start(), region->range.size()));
    } else {
      if (traits.is_wiped_by_forks()) {
        VELLUM_TRY(discard(region->range, Discard::locked_too));
      }
      if (traits.is_locked() || traits.is_supplied()) {
        VELLUM_TRY(mark(region->range, {.add = {}, .drop = lock_traits() | Traits::supplied()}));
      }
    }
    at = region->range.last();
    if (at >= layout_.end() - ByteCount(1)) {
      return {};
    }
    at += ByteCount(1);
  }
}

#define VELLUM_COMPILE(F)                                                         \
  template Result<void> AddressSpace<F>::mark(VirtRange, const Marking&);         \
  template Result<void> AddressSpace<F>::lock_memory(VirtRange, LockMemory);      \
  template void AddressSpace<F>::lock_all(std::optional<LockMemory>, LockMemory); \
  template void AddressSpace<F>::bring_in_locked(VirtRange);                      \
  template PageCount AddressSpace<F>::sum_of(bool (*)(const Meaning&));           \
  template PageCount AddressSpace<F>::locked();                                   \
  template Result<void> AddressSpace<F>::settle_marks();
VELLUM_FOR_EACH_FORMAT(VELLUM_COMPILE)
#undef VELLUM_COMPILE

}  // namespace vellum
