// The most frequent fault by itself: the first write to a page of private anonymous memory, in a table that exists.

#include <vellum/pagetable/instantiate.hpp>
#include <vellum/space/space.hpp>

namespace vellum {

// False where it is any other fault, or there is no memory: then nothing was done. What it does is what attempt() and
// fill_empty() would do; it may leave out what they check, because it goes on only over entries that let writes
// through, and no entry does that names a table which others reach, but for the tables of objects, which no anonymous
// memory has.
template <PageTableFormat F>
bool AddressSpace<F>::touch_first(Vpn page) {
  Node* node = tree.root;
  Node* owner = node;
  for (unsigned level = F::kLevels; level > 1; --level) {
    const Entry entry = tables_.load(*node, entry_index<F>(page, level));
    if (!F::is_present(entry) || !F::rights(entry, level).write) {
      return false;
    }
    node = &tables_.store().node_of(F::frame(entry, level));
    if (node->owning.load(std::memory_order_acquire)) {
      owner = node;
    }
  }
  const LockGuard guard(node->lock);
  const unsigned slot = entry_index<F>(page, 1);
  const bool owns = node->owning.load(std::memory_order_relaxed);
  if (node->stale.load(std::memory_order_relaxed) || owns != (owner == node) || tables_.load(*node, slot).bits != 0) {
    return false;
  }
  const std::optional<Meaning> meaning =
      owns ? node->meaning_at(slot) : owner->meaning_at_unlocked(entry_index<F>(page, owner->level));
  if (!meaning || meaning->backing != nullptr || !meaning->prot.can_write()) {
    return false;
  }
  const Result<Pfn> frame = system_.memory.allocate(Contents::zeroed);
  if (!frame.ok()) {
    return false;
  }
  system_.memory.frame(frame.value()).assign(FrameKind::anonymous, nullptr, 0);
  enter_page(*node, slot, frame.value(), tables_.allowed(meaning->prot));
  system_.nodes.count(MemoryEvent::zero_filled);
  return true;
}

// A new page in an empty entry of a leaf.
template <PageTableFormat F>
void AddressSpace<F>::enter_page(Node& leaf, unsigned slot, Pfn frame, EntryRights rights) {
  ++leaf.live;
  if (frame != system_.zero_frame()) {
    ++leaf.resident;
  }
  leaf.granted |= tables_.grant_bits(rights);
  tables_.set(leaf, slot, EntryCodec<F>::page(frame, 1, rights));
}

#define VELLUM_COMPILE(F)                          \
  template bool AddressSpace<F>::touch_first(Vpn); \
  template void AddressSpace<F>::enter_page(Node&, unsigned, Pfn, EntryRights);
VELLUM_FOR_EACH_FORMAT(VELLUM_COMPILE)
#undef VELLUM_COMPILE

}  // namespace vellum
