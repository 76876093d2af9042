// Bringing a page back from swap.

#include <vellum/pagetable/instantiate.hpp>
#include <vellum/space/space.hpp>

#include "attempt.hpp"

namespace vellum {

// Reads a slot, of which the caller has a reference, and enters it where the slot is still named; lets go of the slot.
// Errors: no_memory; the device's.
template <PageTableFormat F>
Result<void> AddressSpace<F>::swap_in(Vpn page, SwapSlot slot) {
  SwapStore& swap = system_.nodes.swap();
  const Result<Pfn> frame = system_.memory.allocate(Contents::any);
  Result<void> result = frame.ok() ? Result<void>() : Result<void>(frame.error());
  if (frame.ok()) {
    const auto window = tables_.machine().window(frame.value());
    result = swap.read(slot, std::span(window.data(), kPageSize));
  }
  if (result.ok()) {
    enter_swapped_in(page, slot, frame.value());
  } else if (frame.ok()) {
    system_.memory.free(frame.value());
  }
  swap.release(slot);
  return result;
}

// In place, also in a node that others reach: it is the same page for all of them.
template <PageTableFormat F>
void AddressSpace<F>::enter_swapped_in(Vpn page, SwapSlot slot, Pfn frame) {
  const TreeSection section(tree);
  system_.memory.frame(frame).assign(FrameKind::anonymous, nullptr, 0);
  Node& leaf = *descend(page).node;
  const LockGuard guard(leaf.lock);
  const unsigned index = tables_.slot_of(leaf, page);
  const bool named = leaf.level == 1 && !leaf.stale.load(std::memory_order_relaxed) &&
                     tables_.load(leaf, index) == EntryCodec<F>::swapped(slot);
  if (!named) {
    system_.memory.free(frame);
    return;
  }
  // The rights come with the next try, which knows the meaning.
  const Entry denied = EntryCodec<F>::with(EntryCodec<F>::page(frame, 1, EntryRights{.user = true}), 1,
                                           EntryRights{.user = true}, false);
  tables_.set(leaf, index, denied);
  ++leaf.resident;
  system_.nodes.count(section.cpu(), MemoryEvent::swapped_in);
  system_.nodes.swap().release(slot);
}

#define VELLUM_COMPILE(F) template Result<void> AddressSpace<F>::swap_in(Vpn, SwapSlot);
VELLUM_FOR_EACH_FORMAT(VELLUM_COMPILE)
#undef VELLUM_COMPILE

}  // namespace vellum
