// Most faults, the short way: reads and writes of memory to which the way is known and only this space's.

#include <vellum/pagetable/instantiate.hpp>
#include <vellum/space/space.hpp>

#include "attempt.hpp"

namespace vellum {

// False where it is any other fault: then nothing was done. What it does is what attempt() would do; it may leave out
// what that checks, because the path says that nobody else comes to the leaf (leaf_path.hpp).
template <PageTableFormat F>
bool AddressSpace<F>::fault_shortly(Vpn page, Access access) {
  const TreeSection section(tree);
  LeafPath<F>* const path = path_of(section.cpu());
  Node* const leaf = path != nullptr ? path->find(tree, tables_, page) : nullptr;
  if (leaf == nullptr || access == Access::execute) {
    return false;
  }
  leaf->lock.lock();
  const std::optional<Covered> covered = covered_by(*leaf, *path, page);
  const unsigned slot = entry_index<F>(page, 1);
  const Entry entry = tables_.load(*leaf, slot);
  bool done = false;
  if (covered && permits(covered->meaning.prot, access)) {
    if (entry.bits != 0) {
      return upgrade_shortly(*leaf, *covered, {.page = page, .access = access, .cpu = section.cpu(), .entry = entry});
    }
    if (covered->meaning.traits.is_supplied()) {
      // the long way
    } else if (covered->meaning.backing == nullptr && access == Access::write) {
      done = fill_in_order(*leaf, slot, covered->last, covered->meaning.prot, section.cpu());
    } else if (covered->meaning.backing == nullptr) {
      enter_zero_page(*leaf, slot, covered->meaning.prot, section.cpu());
      done = true;
    }
  }
  leaf->lock.unlock();
  return done;
}

// What a page of a leaf means, and how far the same is said; nothing where the way does not let writes through, or is
// being changed.
template <PageTableFormat F>
std::optional<typename AddressSpace<F>::Covered> AddressSpace<F>::covered_by(const Node& leaf, const LeafPath<F>& path,
                                                                             Vpn page) {
  if (leaf.stale.load(std::memory_order_relaxed)) {
    return std::nullopt;
  }
  if (leaf.owning.load(std::memory_order_relaxed)) {
    const std::optional<RunValue> run = leaf.run_at(entry_index<F>(page, 1));
    return run ? std::optional(Covered{.meaning = run->meaning(), .last = run->last()}) : std::nullopt;
  }
  const Node& owner = path.owner();
  const unsigned slot = tables_.slot_of(owner, page);
  if (tables_.own_child(tables_.load(owner, slot), owner.level) == nullptr) {
    return std::nullopt;
  }
  const std::optional<Meaning> meaning = owner.meaning_at_unlocked(slot);
  if (meaning && meaning->backing != nullptr && !leads_to(page, leaf)) {
    return std::nullopt;  // only as long as the leaf is in the tree does its lock keep the backing
  }
  return meaning ? std::optional(Covered{.meaning = *meaning, .last = leaf.slot_count - 1U}) : std::nullopt;
}

// Something is in the entry, and does not permit the access.
template <PageTableFormat F>
bool AddressSpace<F>::upgrade_shortly(Node& leaf, const Covered& covered, const Found& found) {
  Step step = Step::again;
  TlbGather<F> gather(tree, found.cpu);
  if (tables_.state(found.entry, leaf) == EntryState::page) {
    Attempt attempt{.page = found.page, .access = found.access, .gather = gather};
    const Walk walk{
        .node = &leaf, .owner = &leaf, .exclusive = true, .links = EntryRights::everything(), .links_present = true};
    step = upgrade(attempt, leaf, walk, covered.meaning, found.entry);
  }
  leaf.lock.unlock();
  gather.finish();
  return step == Step::done;
}

// Zero-filled pages from an empty entry on. One, but where the entries before it show that a program fills its memory
// in order: then as many again as there are, up to the system's limit.
template <PageTableFormat F>
bool AddressSpace<F>::fill_in_order(Node& leaf, unsigned slot, unsigned last, Prot prot, CpuIndex cpu) {
  unsigned wanted = 1;
  while (wanted < system_.most_in_order && slot >= wanted && tables_.load(leaf, slot - wanted).bits != 0) {
    wanted = 2 * wanted;
  }
  if (wanted > 1 && system_.memory.level() != MemoryLevel::plenty) {
    wanted = 1;
  }
  const EntryRights rights = tables_.allowed(prot);
  unsigned done = 0;
  for (; done < wanted && slot + done <= last; ++done) {
    if (done > 0 && tables_.load(leaf, slot + done).bits != 0) {
      break;
    }
    const Result<Pfn> frame = system_.memory.allocate(Contents::zeroed);
    if (!frame.ok()) {
      break;
    }
    system_.memory.frame(frame.value()).assign(FrameKind::anonymous, nullptr, 0);
    tables_.set(leaf, slot + done, EntryCodec<F>::page(frame.value(), 1, rights));
    system_.nodes.count(cpu, MemoryEvent::zero_filled);
  }
  leaf.live = static_cast<std::uint16_t>(leaf.live + done);
  leaf.resident = static_cast<std::uint16_t>(leaf.resident + done);
  leaf.granted |= tables_.grant_bits(rights);
  return done != 0;
}

#define VELLUM_COMPILE(F) template bool AddressSpace<F>::fault_shortly(Vpn, Access);
VELLUM_FOR_EACH_FORMAT(VELLUM_COMPILE)
#undef VELLUM_COMPILE

}  // namespace vellum
