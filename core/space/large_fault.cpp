// Large pages: where a fault makes one, and what a later fault does with it.

#include <vellum/pagetable/instantiate.hpp>
#include <vellum/space/space.hpp>

#include "attempt.hpp"

namespace vellum {

// A large page for a slot where nothing stands. Step::settle where there is to be none.
template <PageTableFormat F>
typename AddressSpace<F>::Step AddressSpace<F>::add_large(Attempt& attempt, Node& node, const Walk& walk,
                                                          const Meaning& meaning) {
  if (!Tables<F>::has_large(node.level) || attempt.access != Access::write || meaning.backing != nullptr ||
      meaning.traits.is_supplied()) {
    return Step::settle;
  }
  const unsigned slot = tables_.slot_of(node, attempt.page);
  if (attempt.block->was_tried()) {
    const std::optional<Pfn> frames = attempt.block->frames();
    if (!frames || !walk.exclusive || !tables_.enter_large(node, slot, *frames, tables_.allowed(meaning.prot)).ok()) {
      return Step::settle;
    }
    attempt.block->was_taken();
    system_.nodes.count(attempt.gather.cpu(), MemoryEvent::zero_filled);
    return walk.links.write && walk.links_present ? Step::done : Step::open;
  }
  if (!pays_to_be_large(attempt, node, slot, meaning)) {
    return Step::settle;
  }
  return walk.exclusive ? Step::take_block : Step::open;
}

// Whether so much memory is as good as wanted already, and can be spared.
template <PageTableFormat F>
bool AddressSpace<F>::pays_to_be_large(const Attempt& attempt, const Node& node, unsigned slot,
                                       const Meaning& meaning) const {
  const LargePages policy = system_.large_pages.load(std::memory_order_relaxed);
  if (policy == LargePages::never || meaning.traits.is_refusing_large() || !permits_large_pages() ||
      system_.memory.level_without(Tables<F>::span(node)) != MemoryLevel::plenty) {
    return false;
  }
  if (policy == LargePages::everywhere || meaning.traits.is_wanting_large()) {
    return true;
  }
  if (policy == LargePages::where_advised) {
    return false;
  }
  const VpnRange all = tables_.range_of(node, slot);
  return attempt.wanted.contains(all) ||
         (attempt.page == all.start() && slot > 0 && is_filled(node, slot - 1, meaning));
}

// Whether every page of a slot that means this is there, in memory of its own.
template <PageTableFormat F>
bool AddressSpace<F>::is_filled(const Node& node, unsigned slot, const Meaning& meaning) const {
  if (node.owning.load(std::memory_order_relaxed) && node.meaning_at(slot) != meaning) {
    return false;
  }
  const Entry entry = tables_.load(node, slot);
  if (!tables_.leads_on(entry)) {
    return entry.bits != 0;
  }
  Node& before = tables_.child(entry, node);
  if (before.object_owned) {
    return false;
  }
  const LockGuard guard(before.lock);
  return before.resident == before.slot_count;
}

// A large page is there, and does not permit the access.
template <PageTableFormat F>
typename AddressSpace<F>::Step AddressSpace<F>::use_large(Attempt& attempt, Node& node, const Walk& walk,
                                                          const Meaning& meaning) {
  if (attempt.supplied) {
    return Step::exists;
  }
  const unsigned slot = tables_.slot_of(node, attempt.page);
  const Entry entry = tables_.load(node, slot);
  const bool write = attempt.access == Access::write;
  if (!walk.links_present || (attempt.access == Access::execute && !walk.links.execute) ||
      (write && (!walk.exclusive || !walk.links.write))) {
    return Step::open;
  }
  if (!write) {
    (void)tables_.limit(node, slot, meaning.prot);  // adds what is missing: the entry never had more
    reload_root();
    return Step::done;
  }
  if (F::rights(entry, node.level).write && F::is_present(entry)) {
    reload_root();
    return Step::done;
  }
  if (!tables_.is_large_alone(node, slot)) {
    return tables_.exclusive_child(node, slot, attempt.gather).ok() ? Step::again : Step::no_memory;
  }
  node.granted |= tables_.grant_bits(tables_.allowed(meaning.prot));
  tables_.set(node, slot, EntryCodec<F>::with(entry, node.level, tables_.allowed(meaning.prot), true));
  system_.nodes.count(attempt.gather.cpu(), MemoryEvent::reused);
  return Step::done;
}

template <PageTableFormat F>
PageCount AddressSpace<F>::pages_there(Vpn page, Access access) {
  const TreeSection section(tree);
  LeafPath<F>* const path = path_of(section.cpu());
  const Node* const leaf = path != nullptr ? path->find(tree, tables_, page) : nullptr;
  if (leaf != nullptr) {
    const Entry entry = tables_.load(*leaf, entry_index<F>(page, 1));
    const bool there = leaf->owning.load(std::memory_order_acquire) && F::is_present(entry) &&
                       (access == Access::read || F::rights(entry, 1).write);
    return PageCount(there ? 1 : 0);
  }
  const Walk walk = descend(page);
  const Entry entry = tables_.load(*walk.node, tables_.slot_of(*walk.node, page));
  if (!walk.links_present || !tables_.is_large(entry, *walk.node) || !F::is_present(entry) ||
      (access != Access::read && !(F::rights(entry, walk.node->level) & walk.links).write)) {
    return PageCount(0);
  }
  const VpnRange all = tables_.range_of(*walk.node, tables_.slot_of(*walk.node, page));
  return all.end() - page;
}

#define VELLUM_COMPILE(F)                                                                                           \
  template typename AddressSpace<F>::Step AddressSpace<F>::add_large(Attempt&, Node&, const Walk&, const Meaning&); \
  template typename AddressSpace<F>::Step AddressSpace<F>::use_large(Attempt&, Node&, const Walk&, const Meaning&); \
  template PageCount AddressSpace<F>::pages_there(Vpn, Access);
VELLUM_FOR_EACH_FORMAT(VELLUM_COMPILE)
#undef VELLUM_COMPILE

}  // namespace vellum
