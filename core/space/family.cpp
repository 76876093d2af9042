#include <vellum/space/family.hpp>

#include <vellum/pagetable/instantiate.hpp>
#include <vellum/space/space.hpp>

namespace vellum {

template <PageTableFormat F>
void Family<F>::release() {
  if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    system_.families_.destroy(this);
  }
}

template <PageTableFormat F>
void Family<F>::add(FamilyMember<F>& member) {
  members_.push_back(member);
}

template <PageTableFormat F>
void Family<F>::remove(FamilyMember<F>& member) {
  const LockGuard guard(lock);
  members_.remove(member);
}

template <PageTableFormat F>
void Family<F>::unmap(Mapping<F>& mapping, VpnRange pages) {
  change(mapping, pages, Change::unmap);
}

template <PageTableFormat F>
bool Family<F>::has_one_member() {
  const LockGuard guard(lock);
  return members_.front() != nullptr && members_.next(*members_.front()) == nullptr;
}

template <PageTableFormat F>
void Family<F>::unmap_shown(Mapping<F>& mapping, VpnRange pages) {
  change(mapping, pages, Change::unmap_shown);
}

template <PageTableFormat F>
void Family<F>::write_protect(Mapping<F>& mapping, VpnRange pages) {
  change(mapping, pages, Change::write_protect);
}

// Entries of nodes that several members reach change once, for all: so what they let go is freed only when all members'
// TLBs have forgotten it. That no tree is closed by a fork meanwhile, while one's section is open, the family's lock
// sees to.
template <PageTableFormat F>
void Family<F>::change(Mapping<F>& mapping, VpnRange pages, Change change) {
  const LockGuard guard(lock);
  FamilyMember<F>* const first = members_.front();
  if (first == nullptr) {
    return;
  }
  const TreeSection section(first->tree);
  TlbGather<F> kept(first->tree, section.cpu());
  members_.for_each([&](FamilyMember<F>& member) {
    Node& root = *member.tree.root;
    const LockGuard root_guard(root.lock);
    lock.assert_held();  // by this function: the analysis does not look into it from here
    change_in(root, pages, mapping, change, kept);
  });
  flush(pages, section.cpu());
  kept.finish();
}

template <PageTableFormat F>
void Family<F>::flush(std::optional<VpnRange> pages, CpuIndex cpu) {
  members_.for_each([&](FamilyMember<F>& member) {
    TlbGather<F> gather(member.tree, cpu);
    if (pages) {
      gather.flush(*pages);
    } else {
      gather.flush_everything();
    }
    gather.finish();
  });
}

template <PageTableFormat F>
void Family<F>::change_in(Node& node, VpnRange pages, const Mapping<F>& mapping, Change change, TlbGather<F>& gather) {
  const Tables<F> tables(system_.nodes);
  const unsigned last = tables.slot_of(node, pages.last());
  for (unsigned slot = tables.next_entry(node, tables.slot_of(node, pages.start()), last); slot <= last;
       slot = tables.next_entry(node, slot + 1, last)) {
    const Entry entry = tables.load(node, slot);
    if (node.owning.load(std::memory_order_relaxed)) {
      const std::optional<Meaning> meaning = node.meaning_at(slot);
      if (meaning && meaning->backing != &mapping) {
        continue;
      }
    }
    if (tables.state(entry, node) != EntryState::table) {
      if (gather.is_full()) {
        flush(std::nullopt, gather.cpu());
        gather.drop_shared_frames();
      }
      change_entry(node, slot, entry, change, gather);
      continue;
    }
    Node& child = tables.child(entry, node);
    if (!child.object_owned) {  // the object has changed its own tables already
      const LockGuard guard(child.lock);
      change_in(child, pages.intersection(tables.range_of(node, slot)), mapping, change, gather);
    }
  }
}

template <PageTableFormat F>
void Family<F>::change_entry(Node& node, unsigned slot, Entry entry, Change change, TlbGather<F>& gather) {
  const Tables<F> tables(system_.nodes);
  if (change != Change::unmap) {
    const bool is_shown = tables.state(entry, node) == EntryState::page &&
                          system_.memory.frame(EntryCodec<F>::frame(entry, 1)).kind() == FrameKind::object;
    if (is_shown && change == Change::write_protect) {
      tables.deny_write(node, slot);
    }
    if (!is_shown || change == Change::write_protect) {
      return;
    }
  }
  tables.set(node, slot, {});
  --node.live;
  if (tables.state(entry, node) == EntryState::swapped) {
    gather.release_swap(EntryCodec<F>::swap_slot(entry));
  } else {
    --node.resident;
    gather.release_frame(EntryCodec<F>::frame(entry, 1));
  }
}

#define VELLUM_COMPILE(F) template class Family<F>;
VELLUM_FOR_EACH_FORMAT(VELLUM_COMPILE)
#undef VELLUM_COMPILE

}  // namespace vellum
