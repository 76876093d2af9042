// Making the way to a page exclusively the space's own, so that it can be written.

#include <vellum/pagetable/instantiate.hpp>
#include <vellum/space/space.hpp>

namespace vellum {

// Lets through a link what the meaning that it carries allows.
template <PageTableFormat F>
void AddressSpace<F>::allow_link(Node& node, unsigned slot, Node& child, Prot prot) {
  Entry entry = EntryCodec<F>::table(child.table, node.level, tables_.allowed(prot));
  if (prot.is_none() && F::restricts(node.level)) {
    entry = EntryCodec<F>::with(entry, node.level, tables_.allowed(prot), false);
  }
  node.granted |= tables_.grant_bits(tables_.allowed(prot));
  tables_.set(node, slot, entry);
}

// The one place where shared nodes become exclusive for a fault: top-down, each node under its parent's lock. A shared
// node is replaced by a clone in this space; the others keep the original. Tables of an object that is mapped shared
// are not copied: the object's pages are to be written through them. Error: no_memory; the tree means what it meant.
//
// Hand over hand: which lock is held when cannot be followed by the analysis.
template <PageTableFormat F>
Result<void> AddressSpace<F>::open_path(Vpn page, TlbGather<F>& gather) VELLUM_NO_THREAD_SAFETY_ANALYSIS {
  Node* node = tree.root;
  std::optional<Meaning> above;  // of the run that covers everything from here on
  node->lock.lock();
  while (node->level > 1 && !node->stale.load(std::memory_order_relaxed)) {
    const unsigned slot = tables_.slot_of(*node, page);
    const Entry entry = tables_.load(*node, slot);
    if (!tables_.leads_on(entry)) {
      break;
    }
    Node* child = &tables_.child(entry, *node);
    Prot prot = Prot::all();
    if (node->owning.load(std::memory_order_relaxed)) {
      above = node->meaning_at(slot);
      if (above) {
        prot = above->prot;
      }
    }
    if (child->object_owned && above && above->traits.is_shared()) {
      allow_link(*node, slot, *child, prot);
      break;
    }
    child->lock.lock();
    Node* replaced = nullptr;
    if (child->share.load(std::memory_order_acquire) > 1) {
      const Result<Node*> copy = tables_.clone(*child, tables_.page_of(*node, slot));
      child->lock.unlock();
      if (!copy.ok()) {
        node->lock.unlock();
        return copy.error();
      }
      replaced = child;
      child = copy.value();
      child->lock.lock();
    }
    allow_link(*node, slot, *child, prot);
    if (replaced != nullptr) {
      gather.flush_table(*node, slot);
      gather.release_table(*replaced);
    }
    node->lock.unlock();
    node = child;
  }
  node->lock.unlock();
  return {};
}

// Gives the entries that lead to a page presence and execution back, as their meanings allow: when a meaning moves up
// from several tables into one entry, what it denied once, lower entries may deny still. No path becomes exclusive and
// nothing becomes writable.
template <PageTableFormat F>
void AddressSpace<F>::allow_links(Vpn page) {
  for (Node* node = tree.root; node->level > 1;) {
    const LockGuard guard(node->lock);
    const unsigned slot = tables_.slot_of(*node, page);
    const Entry entry = tables_.load(*node, slot);
    if (node->stale.load(std::memory_order_relaxed) || entry.bits == 0) {
      return;
    }
    const bool owning = node->owning.load(std::memory_order_relaxed);
    const std::optional<Meaning> meaning = owning ? node->meaning_at(slot) : std::nullopt;
    if (F::restricts(node->level)) {
      (void)tables_.limit(*node, slot, meaning ? meaning->prot : Prot::all());  // adds; no entry has more than this
    }
    if (tables_.is_large(entry, *node)) {
      return;
    }
    node = &tables_.child(entry, *node);
  }
}

#define VELLUM_COMPILE(F)                                               \
  template Result<void> AddressSpace<F>::open_path(Vpn, TlbGather<F>&); \
  template void AddressSpace<F>::allow_links(Vpn);                      \
  template void AddressSpace<F>::allow_link(Node&, unsigned, Node&, Prot);
VELLUM_FOR_EACH_FORMAT(VELLUM_COMPILE)
#undef VELLUM_COMPILE

}  // namespace vellum
