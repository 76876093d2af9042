#include <vellum/pagetable/tables.hpp>

#include <vellum/pagetable/gather.hpp>
#include <vellum/pagetable/instantiate.hpp>

namespace vellum {

template <PageTableFormat F>
bool Tables<F>::limit(Node& node, unsigned slot, Prot prot) const {
  Entry before = load(node, slot);
  if (state(before, node) == EntryState::empty || state(before, node) == EntryState::swapped) {
    return false;
  }
  VELLUM_ASSERT(F::restricts(node.level));
  const bool present = !prot.is_none();
  EntryRights had;
  EntryRights wanted;
  do {
    had = Codec::rights(before, node.level);
    wanted = allowed(prot);
    wanted.write = wanted.write && had.write;
    node.granted |= grant_bits(wanted);
    if (had == wanted && F::is_present(before) == present) {
      return false;
    }
  } while (!replace(node, slot, before, Codec::with(before, node.level, wanted, present)));
  return F::is_present(before) && (!present || (had.write && !wanted.write) || (had.execute && !wanted.execute));
}

template <PageTableFormat F>
Result<Node*> Tables<F>::create_child(const Node& parent, unsigned slot) const {
  const unsigned level = parent.level - 1U;
  return store_->create(level, entry_count<F>(level), page_of(parent, slot), LockRank::node);
}

template <PageTableFormat F>
void Tables<F>::link(Node& parent, unsigned slot, Node& child, EntryRights rights, bool present) const {
  Entry entry = Codec::table(child.table, parent.level, rights);
  if (!present) {
    entry = Codec::with(entry, parent.level, rights, false);
  }
  parent.granted |= grant_bits(rights);
  ++parent.live;
  if (child.owning.load(std::memory_order_relaxed)) {
    ++parent.owning_children;
  }
  set(parent, slot, entry);
}

// Nobody else can reach the copy, so its lock is not taken: it would come after the original's, which for an object's
// table is the wrong order.
template <PageTableFormat F>
Result<Node*> Tables<F>::clone(Node& original, Vpn base) const VELLUM_NO_THREAD_SAFETY_ANALYSIS {
  Node* const copy = VELLUM_TRY(store_->create(original.level, original.slot_count, base, LockRank::node));
  const Result<void> runs = copy->copy_runs(original);
  if (!runs.ok()) {
    store_->destroy(*copy);
    return runs.error();
  }
  copy->owning.store(original.owning.load(std::memory_order_relaxed), std::memory_order_relaxed);
  unsigned left = original.live;
  for (unsigned slot = 0; left > 0; ++slot) {
    Entry entry = load(original, slot);
    if (entry.bits == 0) {
      continue;
    }
    --left;
    switch (state(entry, original)) {
      case EntryState::table: {
        Node& below = child(entry, original);
        below.share.fetch_add(1, std::memory_order_relaxed);
        if (original.object_owned) {  // the copy may be a private mapping's, which must not write the object's tables
          entry.bits &= ~X86EntryBits::kWrite;
        } else if (!below.object_owned && F::restricts(original.level)) {
          deny_write(original, slot);
          entry.bits &= ~X86EntryBits::kWrite;
        }
        break;
      }
      case EntryState::page: {
        Frame& frame = memory().frame(Codec::frame(entry, original.level));
        if (frame.kind() != FrameKind::zero_page) {
          frame.retain();
        }
        if (!original.object_owned) {  // there the right to write says that the page is dirty
          deny_write(original, slot);
        }
        entry.bits &= ~X86EntryBits::kWrite;
        break;
      }
      case EntryState::swapped:
        store_->swap().retain(Codec::swap_slot(entry));
        break;
      case EntryState::empty:
        break;
    }
    set(*copy, slot, entry);
  }
  for (unsigned slot = original.slot_count; slot < entry_count<F>(original.level); ++slot) {
    set(*copy, slot, load(original, slot));
  }
  copy->live = original.live;
  copy->resident = original.resident;
  copy->owning_children = original.owning_children;
  copy->granted = original.granted;
  return copy;
}

template <PageTableFormat F>
void Tables<F>::deny_writes(Node& node) const {
  if ((node.granted & Prot::write().bits()) == 0) {
    return;
  }
  const auto window = machine().window(node.table);
  AlignedWord* const table = entries(window.data());
  for (unsigned slot = 0; slot < node.slot_count; ++slot) {
    if ((__atomic_load_n(table + slot, __ATOMIC_RELAXED) & X86EntryBits::kWrite) != 0) {
      __atomic_fetch_and(table + slot, ~X86EntryBits::kWrite, __ATOMIC_ACQ_REL);
    }
  }
  node.granted = static_cast<std::uint8_t>(node.granted & ~Prot::write().bits());
}

template <PageTableFormat F>
void Tables<F>::push_down(Node& parent, unsigned slot, Node& child, const Meaning& meaning, MeaningSink& sink) const {
  VELLUM_ASSERT(!child.owning.load(std::memory_order_relaxed) && child.runs() == 0);
  child.assign(0, child.slot_count - 1U, &meaning, sink);
  const unsigned permitted = meaning.prot.bits();
  if (child.live > 0 && (meaning.prot.is_none() || (child.granted & ~permitted) != 0)) {
    child.granted = 0;
    unsigned left = child.live;
    for (unsigned index = 0; left > 0; ++index) {
      if (load(child, index).bits != 0) {
        (void)limit(child, index, meaning.prot);  // the entry above has forbidden it so far: no TLB knows more
        --left;
      }
    }
  }
  child.owning.store(true, std::memory_order_release);
  parent.assign(slot, slot, nullptr, sink);
  const Entry entry = load(parent, slot);
  if (entry.bits != 0) {
    ++parent.owning_children;
    if (F::restricts(parent.level)) {
      set(parent, slot, Codec::with(entry, parent.level, EntryRights::everything(), true));
      parent.granted |= grant_bits(EntryRights::everything());
    }
  }
}

template <PageTableFormat F>
void Tables<F>::release(Node& node, TlbGather<F>& gather) const {
  if (node.share.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    tear_down(node, gather);
  }
}

template <PageTableFormat F>
void Tables<F>::tear_down(Node& node, TlbGather<F>& gather) const {
  {
    const LockGuard guard(node.lock);
    node.stale.store(true, std::memory_order_release);
    for (unsigned slot = 0; node.live > 0; ++slot) {
      const Entry entry = load(node, slot);
      if (entry.bits == 0) {
        continue;
      }
      set(node, slot, {});
      --node.live;
      switch (state(entry, node)) {
        case EntryState::table:
          release(child(entry, node), gather);
          break;
        case EntryState::page:
          gather.release_frame(Codec::frame(entry, node.level));
          break;
        case EntryState::swapped:
          gather.release_swap(Codec::swap_slot(entry));
          break;
        case EntryState::empty:
          break;
      }
    }
    node.resident = 0;
    node.owning_children = 0;
    if (node.runs() > 0) {
      node.assign(0, node.slot_count - 1U, nullptr, gather);
    }
  }
  store_->retire(node, gather.cpu());
}

#define VELLUM_COMPILE(F) template class Tables<F>;
VELLUM_FOR_EACH_FORMAT(VELLUM_COMPILE)
#undef VELLUM_COMPILE

}  // namespace vellum
