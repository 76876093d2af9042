// The page fault.

#include <algorithm>

#include <vellum/base/racing_copy.hpp>
#include <vellum/pagetable/instantiate.hpp>
#include <vellum/space/space.hpp>

#include "attempt.hpp"

namespace vellum {

template <PageTableFormat F>
FaultVerdict AddressSpace<F>::fault(VirtAddr address, Access access, VpnRange wanted) {
  if (!layout_.contains(address)) {
    return FaultVerdict::no_mapping;
  }
  const Vpn page = vpn_of<F>(address);
  if (fault_shortly(page, access)) [[likely]] {
    return FaultVerdict::resolved;
  }
  LargeBlock block(system_.memory);
  for (;;) {
    Step step;
    MemoryObject<F>* object = nullptr;
    PageIndex index;
    SwapSlot slot;
    {
      TreeOperation<F> operation(tree);
      TlbGather<F>& gather = operation.gather();
      Attempt trial{.page = page, .access = access, .gather = gather, .block = &block, .wanted = wanted};
      step = attempt(trial);
      if (step == Step::open && access != Access::write) {
        allow_links(page);
      } else if (step == Step::open) {
        step = open_path(page, gather).ok() ? Step::again : Step::no_memory;
      }
      gather.finish();
      object = trial.object;
      index = trial.index;
      slot = trial.slot;
    }
    switch (step) {
      case Step::done:
        return FaultVerdict::resolved;
      case Step::no_memory:
        return FaultVerdict::out_of_memory;
      case Step::populate: {
        const Result<void> populated = object->populate(index);
        object->release();
        if (!populated.ok()) {
          return populated.error() == Errno::no_memory ? FaultVerdict::out_of_memory : FaultVerdict::bus_error;
        }
        break;
      }
      case Step::swap_in: {
        const Result<void> read = swap_in(page, slot);
        if (!read.ok()) {
          return read.error() == Errno::no_memory ? FaultVerdict::out_of_memory : FaultVerdict::bus_error;
        }
        break;
      }
      case Step::take_block:
        block.allocate();
        break;
      case Step::missing:
        return FaultVerdict::missing;
      case Step::settle:
        switch (settle(page, access)) {
          case Settled::permitted:
            break;
          case Settled::no_mapping:
            return FaultVerdict::no_mapping;
          case Settled::access_denied:
            return FaultVerdict::access_denied;
          case Settled::no_memory:
            return FaultVerdict::out_of_memory;
        }
        break;
      case Step::again:
      case Step::open:
      case Step::exists:
        break;
    }
  }
}

template <PageTableFormat F>
typename AddressSpace<F>::Walk AddressSpace<F>::descend(Vpn page) const {
  Walk walk{.node = tree.root,
            .owner = tree.root,
            .exclusive = true,
            .links = EntryRights::everything(),
            .links_present = true};
  while (walk.node->level > 1) {
    const Entry entry = tables_.load(*walk.node, tables_.slot_of(*walk.node, page));
    if (!tables_.leads_on(entry)) {
      break;
    }
    Node& child = tables_.child(entry, *walk.node);
    if (!child.object_owned && child.share.load(std::memory_order_acquire) > 1) {
      walk.exclusive = false;
    }
    walk.links = walk.links & F::rights(entry, walk.node->level);
    walk.links_present = walk.links_present && F::is_present(entry);
    walk.node = &child;
    if (child.owning.load(std::memory_order_acquire)) {
      walk.owner = &child;
    }
  }
  return walk;
}

// Whether the way to a page still leads through `node`. Only then does what was read on the way belong to it: otherwise
// it may be another space's alone by now, in which the page means something else.
template <PageTableFormat F>
bool AddressSpace<F>::leads_to(Vpn page, const Node& node) const {
  const Node* reached = tree.root;
  while (reached->level > node.level) {
    const Entry entry = tables_.load(*reached, tables_.slot_of(*reached, page));
    if (!tables_.leads_on(entry)) {
      return false;
    }
    reached = &tables_.child(entry, *reached);
  }
  return reached == &node;
}

template <PageTableFormat F>
typename AddressSpace<F>::Step AddressSpace<F>::attempt(Attempt& attempt) {
  const Walk walk = descend(attempt.page);
  Node& node = *walk.node;
  const LockGuard guard(node.lock);
  if (node.stale.load(std::memory_order_relaxed)) {
    return Step::again;
  }
  std::optional<Meaning> meaning;
  if (node.owning.load(std::memory_order_relaxed)) {
    if (walk.owner != &node) {
      return Step::again;
    }
    meaning = node.meaning_at(tables_.slot_of(node, attempt.page));
  } else if (walk.owner == &node) {
    return Step::again;
  } else {
    meaning = walk.owner->meaning_at_unlocked(tables_.slot_of(*walk.owner, attempt.page));
  }
  if (!leads_to(attempt.page, node)) {
    return Step::again;
  }
  if (attempt.supplied ? !meaning || !meaning->traits.is_supplied() || meaning->backing != nullptr
                       : !meaning || !permits(meaning->prot, attempt.access)) {
    return Step::settle;
  }
  if (node.level > 1) {
    return add_table(attempt, node, walk, *meaning);
  }
  const bool is_out_of_reach = attempt.supplied && meaning->prot.is_none();  // nobody would come to the page anyway
  if ((!walk.links_present && !is_out_of_reach) || (attempt.access == Access::execute && !walk.links.execute)) {
    return Step::open;
  }
  const Entry entry = tables_.load(node, tables_.slot_of(node, attempt.page));
  if (attempt.supplied && entry.bits != 0) {
    return Step::exists;
  }
  switch (tables_.state(entry, node)) {
    case EntryState::empty:
      return fill_empty(attempt, node, walk, *meaning);
    case EntryState::swapped:
      attempt.slot = EntryCodec<F>::swap_slot(entry);
      system_.nodes.swap().retain(attempt.slot);
      return Step::swap_in;
    case EntryState::page:
    case EntryState::table:
      return upgrade(attempt, node, walk, *meaning, entry);
  }
  return Step::again;
}

// The object's own table for a slot, where the mapping lets all of it stand there; null otherwise. A private mapping
// that may be written would soon need a copy of the table.
template <PageTableFormat F>
Result<Node*> AddressSpace<F>::linked_table(const Node& node, unsigned slot, const Meaning& meaning) const {
  if (meaning.backing == nullptr || !F::restricts(node.level) ||
      (!meaning.traits.is_shared() && meaning.prot.can_write())) {
    return nullptr;
  }
  const auto& mapping = static_cast<const Mapping<F>&>(*meaning.backing);
  const unsigned level = node.level - 1U;
  if (!mapping.is_congruent(level)) {
    return nullptr;
  }
  const Result<Node*> table = mapping.object.table_for(mapping.index_of(tables_.page_of(node, slot)), level);
  if (!table.ok() && table.error() == Errno::out_of_range) {
    return nullptr;
  }
  return table;
}

template <PageTableFormat F>
typename AddressSpace<F>::Step AddressSpace<F>::add_table(Attempt& attempt, Node& node, const Walk& walk,
                                                          const Meaning& meaning) {
  const unsigned slot = tables_.slot_of(node, attempt.page);
  if (const Entry entry = tables_.load(node, slot); entry.bits != 0) {
    return tables_.is_large(entry, node) ? use_large(attempt, node, walk, meaning) : Step::again;
  }
  if (attempt.block != nullptr) {
    const Step step = add_large(attempt, node, walk, meaning);
    if (step != Step::settle) {
      return step;
    }
  }
  if (node.object_owned) {
    // A part of the object's own tree, linked: only the object adds to it.
    const auto& mapping = static_cast<const Mapping<F>&>(*meaning.backing);
    attempt.object = &mapping.object;
    attempt.index = mapping.index_of(attempt.page);
    attempt.object->retain();
    return Step::populate;
  }
  const bool sink_now = !F::restricts(node.level) || (system_.meaning_placement == MeaningPlacement::deepest &&
                                                      walk.exclusive && walk.owner == &node);
  if (sink_now && !node.reserve_runs(2).ok()) {
    return Step::no_memory;
  }
  const Result<Node*> linked = linked_table(node, slot, meaning);
  if (!linked.ok()) {
    return Step::no_memory;
  }
  Node* child = linked.value();
  EntryRights rights = walk.owner == &node ? tables_.allowed(meaning.prot) : EntryRights::everything();
  if (child == nullptr) {
    const Result<Node*> created = tables_.create_child(node, slot);
    if (!created.ok()) {
      return Step::no_memory;
    }
    child = created.value();
    rights.write = rights.write && walk.exclusive;
    if (sink_now) {
      const LockGuard guard(child->lock);
      tables_.push_down(node, slot, *child, meaning, attempt.gather);
      rights = EntryRights::everything();
    }
  } else {
    rights.write = rights.write && walk.exclusive && meaning.traits.is_shared();
  }
  // What may not be touched can be supplied.
  tables_.link(node, slot, *child, rights, sink_now || walk.owner != &node || !meaning.prot.is_none());
  return Step::again;
}

template <PageTableFormat F>
typename AddressSpace<F>::Step AddressSpace<F>::fill_empty(Attempt& attempt, Node& leaf, const Walk& walk,
                                                           const Meaning& meaning) {
  if (meaning.traits.is_supplied() && !attempt.supplied) {
    return Step::missing;
  }
  const bool write = attempt.access == Access::write;
  const bool links_suffice = walk.links.write || attempt.supplied;
  if (write && (!walk.exclusive || !links_suffice) && !leaf.object_owned) {
    return Step::open;
  }
  if (meaning.backing != nullptr) {
    return fill_from_object(attempt, leaf, meaning);
  }
  const unsigned slot = tables_.slot_of(leaf, attempt.page);
  if (attempt.supplied) {
    EntryRights rights = tables_.allowed(meaning.prot);
    rights.write = rights.write && *attempt.supplied != system_.zero_frame();
    enter_page(leaf, slot, *attempt.supplied, rights, !meaning.prot.is_none());
    return Step::done;
  }
  if (!write) {
    enter_zero_page(leaf, slot, meaning.prot, attempt.gather.cpu());
    return Step::done;
  }
  const Result<Pfn> frame = system_.memory.allocate(Contents::zeroed);
  if (!frame.ok()) {
    return Step::no_memory;
  }
  system_.memory.frame(frame.value()).assign(FrameKind::anonymous, nullptr, 0);
  enter_page(leaf, slot, frame.value(), tables_.allowed(meaning.prot));
  system_.nodes.count(attempt.gather.cpu(), MemoryEvent::zero_filled);
  return Step::done;
}

template <PageTableFormat F>
typename AddressSpace<F>::Step AddressSpace<F>::fill_from_object(Attempt& attempt, Node& leaf, const Meaning& meaning) {
  const auto& mapping = static_cast<const Mapping<F>&>(*meaning.backing);
  const PageIndex index = mapping.index_of(attempt.page);
  const bool write = attempt.access == Access::write;
  const bool copy = write && !meaning.traits.is_shared();
  std::optional<Pfn> frame;
  if (!leaf.object_owned) {
    frame = mapping.object.lookup(index, copy ? Access::read : attempt.access);
  }
  if (!frame) {
    attempt.object = &mapping.object;
    attempt.index = index;
    attempt.object->retain();
    return Step::populate;
  }
  if (copy) {
    const Step step = copy_page(attempt, leaf, meaning, *frame);
    attempt.gather.release_frame(*frame);
    return step;
  }
  EntryRights rights = tables_.allowed(meaning.prot);
  rights.write = write;
  enter_page(leaf, tables_.slot_of(leaf, attempt.page), *frame, rights);
  system_.nodes.count(attempt.gather.cpu(), MemoryEvent::object_mapped);
  if (!write) {
    fill_around(attempt, leaf, mapping, rights);
  }
  return Step::done;
}

// What is read from one page of an object is soon read from those beside it: those that are in memory are mapped as
// well, in a stretch that is aligned, as far as the mapping and the object's table go.
template <PageTableFormat F>
void AddressSpace<F>::fill_around(Attempt& attempt, Node& leaf, const Mapping<F>& mapping, EntryRights rights) {
  const unsigned most = system_.most_in_order;
  const unsigned slot = tables_.slot_of(leaf, attempt.page);
  unsigned first = slot - slot % most;
  unsigned last = std::min(first + most, unsigned{leaf.slot_count}) - 1;
  if (const std::optional<RunValue> run = leaf.run_at(slot)) {
    first = std::max(first, run->first());
    last = std::min(last, run->last());
  }
  const std::uint64_t index = mapping.index_of(attempt.page).value();
  const std::uint64_t in_table = index % entry_count<F>(1);
  first = std::max<unsigned>(first, slot - static_cast<unsigned>(std::min<std::uint64_t>(slot, in_table)));
  last = std::min<unsigned>(last, slot + static_cast<unsigned>(entry_count<F>(1) - 1 - in_table));
  const IndexRange around = IndexRange::must(PageIndex(index - (slot - first)), PageCount(last - first + 1));
  mapping.object.look_up_each(around, [&](PageIndex at, Pfn frame) {
    leaf.lock.assert_held();
    const unsigned beside = static_cast<unsigned>(slot + at.value() - index);
    if (tables_.load(leaf, beside).bits == 0) {
      system_.memory.frame(frame).retain();
      enter_page(leaf, beside, frame, rights);
      system_.nodes.count(attempt.gather.cpu(), MemoryEvent::object_mapped);
    }
  });
}

// Puts a private copy of a page where that page, or nothing, is.
template <PageTableFormat F>
typename AddressSpace<F>::Step AddressSpace<F>::copy_page(Attempt& attempt, Node& leaf, const Meaning& meaning,
                                                          Pfn from) {
  const bool zero = from == system_.zero_frame();
  const Result<Pfn> copy = system_.memory.allocate(zero ? Contents::zeroed : Contents::any);
  if (!copy.ok()) {
    return Step::no_memory;
  }
  if (!zero) {
    const auto source = tables_.machine().window(from);
    const auto target = tables_.machine().window(copy.value());
    racing_copy(target.data(), source.data(), kPageSize);
  }
  system_.memory.frame(copy.value()).assign(FrameKind::anonymous, nullptr, 0);
  system_.nodes.count(attempt.gather.cpu(), zero ? MemoryEvent::zero_filled : MemoryEvent::copied);
  const unsigned slot = tables_.slot_of(leaf, attempt.page);
  const Entry old = tables_.load(leaf, slot);
  if (old.bits == 0) {
    enter_page(leaf, slot, copy.value(), tables_.allowed(meaning.prot));
    return Step::done;
  }
  if (zero) {
    ++leaf.resident;
  }
  leaf.granted |= tables_.grant_bits(tables_.allowed(meaning.prot));
  tables_.set(leaf, slot, EntryCodec<F>::page(copy.value(), 1, tables_.allowed(meaning.prot)));
  attempt.gather.flush(VpnRange::must(attempt.page, PageCount(1)));
  attempt.gather.release_frame(from);
  return Step::done;
}

// After a fault at an access that the tables permit: this CPU had not heard of a right that was added, for that is not
// announced. The fault itself made it forget the page [intel/vol3 4.10.4.1]; but the entries of a root that restricts
// nothing (PAE's) are held in registers, which only loading the root renews [intel/vol3 4.4.1].
template <PageTableFormat F>
void AddressSpace<F>::reload_root() {
  if constexpr (!F::restricts(F::kLevels)) {
    TlbFlush flush;
    flush.everything = true;
    tables_.machine().flush_local(flush);
  }
}

// The page is there, but the access needs more than its entry grants.
template <PageTableFormat F>
typename AddressSpace<F>::Step AddressSpace<F>::upgrade(Attempt& attempt, Node& leaf, const Walk& walk,
                                                        const Meaning& meaning, Entry entry) {
  const unsigned slot = tables_.slot_of(leaf, attempt.page);
  const EntryRights has = F::rights(entry, 1);
  if (attempt.access != Access::write) {
    if (!leaf.object_owned) {
      (void)tables_.limit(leaf, slot, meaning.prot);  // adds what is missing: the entry never had more
    }
    reload_root();
    return Step::done;
  }
  const bool linked = leaf.object_owned;
  if (!walk.exclusive || !walk.links.write || (linked && !meaning.traits.is_shared())) {
    return Step::open;
  }
  if (has.write && F::is_present(entry)) {
    reload_root();
    return Step::done;
  }
  const Pfn pfn = EntryCodec<F>::frame(entry, 1);
  Frame& frame = system_.memory.frame(pfn);
  if (meaning.traits.is_shared()) {
    // The first write to a clean page of a file: it becomes dirty.
    const auto& mapping = static_cast<const Mapping<F>&>(*meaning.backing);
    if (linked) {
      tables_.set(leaf, slot, EntryCodec<F>::with(entry, 1, EntryRights::everything(), true));
      system_.nodes.count(attempt.gather.cpu(), MemoryEvent::reused);
      return Step::done;
    }
    const std::optional<Pfn> dirtied = mapping.object.lookup(mapping.index_of(attempt.page), Access::write);
    if (!dirtied) {
      return Step::again;  // being truncated: its entry here is about to go
    }
    attempt.gather.release_frame(*dirtied);
    if (*dirtied != pfn) {
      return Step::again;  // truncated and grown again: the same
    }
  } else if (frame.kind() != FrameKind::anonymous || frame.share() != 1) {
    return copy_page(attempt, leaf, meaning, pfn);
  }
  leaf.granted |= tables_.grant_bits(tables_.allowed(meaning.prot));
  tables_.set(leaf, slot, EntryCodec<F>::with(entry, 1, tables_.allowed(meaning.prot), true));
  system_.nodes.count(attempt.gather.cpu(), MemoryEvent::reused);
  return Step::done;
}

// The page of zeros, to be read, in an empty entry of a leaf.
template <PageTableFormat F>
void AddressSpace<F>::enter_zero_page(Node& leaf, unsigned slot, Prot prot, CpuIndex cpu) {
  EntryRights rights = tables_.allowed(prot);
  rights.write = false;
  enter_page(leaf, slot, system_.zero_frame(), rights);
  system_.nodes.count(cpu, MemoryEvent::zero_shared);
}

// A new page in an empty entry of a leaf; or there, but not to be used.
template <PageTableFormat F>
void AddressSpace<F>::enter_page(Node& leaf, unsigned slot, Pfn frame, EntryRights rights, bool present) {
  ++leaf.live;
  if (frame != system_.zero_frame()) {
    ++leaf.resident;
  }
  leaf.granted |= tables_.grant_bits(rights);
  const Entry entry = EntryCodec<F>::page(frame, 1, rights);
  tables_.set(leaf, slot, present ? entry : EntryCodec<F>::with(entry, 1, rights, false));
}

#define VELLUM_COMPILE(F)                                                          \
  template FaultVerdict AddressSpace<F>::fault(VirtAddr, Access, VpnRange);        \
  template typename AddressSpace<F>::Walk AddressSpace<F>::descend(Vpn) const;     \
  template bool AddressSpace<F>::leads_to(Vpn, const Node&) const;                 \
  template void AddressSpace<F>::reload_root();                                    \
  template typename AddressSpace<F>::Step AddressSpace<F>::attempt(Attempt&);      \
  template void AddressSpace<F>::enter_zero_page(Node&, unsigned, Prot, CpuIndex); \
  template typename AddressSpace<F>::Step AddressSpace<F>::upgrade(Attempt&, Node&, const Walk&, const Meaning&, Entry);
VELLUM_FOR_EACH_FORMAT(VELLUM_COMPILE)
#undef VELLUM_COMPILE

}  // namespace vellum
