#include <vellum/pagetable/tables.hpp>

#include <algorithm>
#include <bit>

#include <vellum/pagetable/gather.hpp>
#include <vellum/pagetable/instantiate.hpp>

namespace vellum {

template <PageTableFormat F>
unsigned Tables<F>::search_entry(const Node& node, unsigned from, unsigned last) const {
  const auto window = machine().window(node.table);
  const AlignedWord* const table = entries(window.data());
  const unsigned shift = part_shift(node);
  while (from <= last) {
    const unsigned rest = unsigned{node.occupied.load(std::memory_order_relaxed)} >> (from >> shift);
    if (rest == 0) {
      break;
    }
    if ((rest & 1U) == 0) {
      from = ((from >> shift) + static_cast<unsigned>(std::countr_zero(rest))) << shift;
    }
    const unsigned end = std::min(last + 1, ((from >> shift) + 1) << shift);
    for (; from < end; ++from) {
      if (__atomic_load_n(table + from, __ATOMIC_ACQUIRE) != 0) {
        return from;
      }
    }
  }
  return last + 1;
}

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
void Tables<F>::clear_pages(Node& leaf, unsigned first, unsigned last, TlbGather<F>& gather) const {
  if (leaf.live == 0) {
    return;
  }
  for (unsigned slot = first; slot <= last; ++slot) {
    if (load(leaf, slot).bits == 0) {
      slot = search_entry(leaf, slot, last) - 1;
      continue;
    }
    const Entry entry = exchange(leaf, slot, {});
    --leaf.live;
    if (state(entry, leaf) == EntryState::swapped) {
      gather.release_swap(Codec::swap_slot(entry));
      continue;
    }
    const Pfn frame = Codec::frame(entry, 1);
    if (memory().frame(frame).kind() != FrameKind::zero_page) {
      --leaf.resident;
    }
    if (F::is_present(entry)) {
      gather.flush(range_of(leaf, slot));
    }
    gather.release_frame(frame);
  }
}

template <PageTableFormat F>
void Tables<F>::limit_pages(Node& leaf, unsigned first, unsigned last, Prot prot, TlbGather<F>& gather) const {
  for (unsigned slot = first; slot <= last; ++slot) {
    if (load(leaf, slot).bits == 0) {
      slot = search_entry(leaf, slot, last) - 1;
    } else if (limit(leaf, slot, prot)) {
      gather.flush(range_of(leaf, slot));
    }
  }
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
  const unsigned last = original.slot_count - 1U;
  for (unsigned slot = next_entry(original, 0, last); slot <= last; slot = next_entry(original, slot + 1, last)) {
    Entry entry = load(original, slot);
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
        if (original.level > 1) {
          child(entry, original).share.fetch_add(1, std::memory_order_relaxed);
        } else if (frame.kind() != FrameKind::zero_page) {
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

// What only one entry names is left alone, so its lock, which the caller may hold already, is not taken.
template <PageTableFormat F>
Result<Node*> Tables<F>::exclusive_child(Node& node, unsigned slot, TlbGather<F>& gather) const {
  const Entry entry = load(node, slot);
  Node& original = is_large(entry, node) ? *VELLUM_TRY(split(node, slot, gather)) : child(entry, node);
  const std::optional<Meaning> meaning = node.meaning_at(slot);
  const Prot prot = meaning ? meaning->prot : Prot::all();
  Node* exclusive = &original;
  if (original.share.load(std::memory_order_acquire) > 1) {
    const LockGuard guard(original.lock);
    exclusive = VELLUM_TRY(clone(original, page_of(node, slot)));
  }
  Entry own = Codec::table(exclusive->table, node.level, allowed(prot));
  if (prot.is_none()) {
    own = Codec::with(own, node.level, EntryRights{.user = true}, false);
  }
  node.granted |= grant_bits(allowed(prot));
  set(node, slot, own);
  if (exclusive != &original) {
    gather.flush_table(node, slot);
    gather.release_table(original);
  }
  return exclusive;
}

template <PageTableFormat F>
Result<void> Tables<F>::enter_large(Node& node, unsigned slot, Pfn block, EntryRights rights) const {
  VELLUM_ASSERT(has_large(node.level) && load(node, slot).bits == 0);
  (void)VELLUM_TRY(store_->create_large(entry_count<F>(1), page_of(node, slot), block));
  ++node.live;
  ++node.resident;
  node.granted |= grant_bits(rights);
  set(node, slot, Codec::page(block, node.level, rights));
  return {};
}

template <PageTableFormat F>
bool Tables<F>::is_large_alone(const Node& node, unsigned slot) const {
  const Node& large = child(load(node, slot), node);
  bool alone = large.share.load(std::memory_order_acquire) == 1;
  for (unsigned i = 0; alone && i < large.slot_count; ++i) {
    alone = memory().frame(large.table + PageCount(i)).share() == 1;
  }
  return alone;
}

// Frames that follow one another, from that of `first` on.
template <PageTableFormat F>
void Tables<F>::fill_with_pages(Node& table, Entry first) const {
  const auto window = machine().window(table.table);
  AlignedWord* const page = entries(window.data());
  for (unsigned i = 0; i < table.slot_count; ++i) {
    __atomic_store_n(page + i, first.bits + i * kPageSize, __ATOMIC_RELAXED);
  }
  table.occupied.store(0xFFFF, std::memory_order_relaxed);
}

// Nobody else can reach the new table, so its lock is not taken. Where the large page is named from elsewhere too, the
// frames are held by both from now on.
template <PageTableFormat F>
Result<Node*> Tables<F>::split(Node& node, unsigned slot, TlbGather<F>& gather) const VELLUM_NO_THREAD_SAFETY_ANALYSIS {
  Entry entry = load(node, slot);
  Node& large = child(entry, node);
  VELLUM_ASSERT(large.large);
  Node* const table = VELLUM_TRY(create_child(node, slot));
  const bool alone = large.share.load(std::memory_order_acquire) == 1;
  for (unsigned i = 0; !alone && i < large.slot_count; ++i) {
    memory().frame(large.table + PageCount(i)).retain();
  }
  Entry link;
  do {
    const EntryRights rights = Codec::rights(entry, node.level);
    const bool present = F::is_present(entry);
    const std::uint64_t marks = entry.bits & (F::accessed_bit(1) | F::kDirty);
    Entry page = Codec::page(large.table, 1, rights);
    page = present ? page : Codec::with(page, 1, rights, false);
    page.bits |= marks;
    fill_with_pages(*table, page);
    link = Codec::table(table->table, node.level, rights);
    link = present ? link : Codec::with(link, node.level, rights, false);
    table->granted = grant_bits(rights);
  } while (!replace(node, slot, entry, link));
  table->live = large.slot_count;
  table->resident = large.slot_count;
  --node.resident;
  gather.flush(VpnRange::must(page_of(node, slot), PageCount(1)));
  store_->count(gather.cpu(), MemoryEvent::large_split);
  if (alone) {
    memory().frame(large.table).assign(FrameKind::anonymous, nullptr, 0);
    large.stale.store(true, std::memory_order_release);
    store_->retire(large, gather.cpu());
  } else {
    gather.release_table(large);
  }
  return table;
}

template <PageTableFormat F>
void Tables<F>::deny_writes(Node& node) const {
  if ((node.granted & Prot::write().bits()) == 0) {
    return;
  }
  const unsigned last = node.slot_count - 1U;
  for (unsigned slot = next_entry(node, 0, last); slot <= last; slot = next_entry(node, slot + 1, last)) {
    if ((load(node, slot).bits & X86EntryBits::kWrite) != 0) {
      deny_write(node, slot);
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
    const unsigned last = child.slot_count - 1U;
    for (unsigned index = next_entry(child, 0, last); index <= last; index = next_entry(child, index + 1, last)) {
      (void)limit(child, index, meaning.prot);  // the entry above has forbidden it so far: no TLB knows more
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

// The frames of a large page. Those that nothing else maps are a block again: no translation leads to them any more.
template <PageTableFormat F>
void Tables<F>::release_pages(const Node& large, TlbGather<F>& gather) const {
  bool alone = true;
  for (unsigned i = 0; alone && i < large.slot_count; ++i) {
    alone = memory().frame(large.table + PageCount(i)).share() == 1;
  }
  if (alone) {
    return memory().free_split_block(large.table, Order(kLargeOrder));
  }
  for (unsigned i = 0; i < large.slot_count; ++i) {
    gather.release_frame(large.table + PageCount(i));
  }
}

// Of a table of pages, or of one above: the compiler makes two functions of it.
template <PageTableFormat F>
template <bool is_leaf>
void Tables<F>::release_entries(Node& node, TlbGather<F>& gather) const {
  const auto window = machine().window(node.table);
  AlignedWord* const table = entries(window.data());
  constexpr std::uint64_t kStateBits = X86EntryBits::kPresent | Codec::kTagMask;
  const unsigned last = node.slot_count - 1U;
  for (unsigned slot = 0; slot <= last; ++slot) {
    const Entry entry{__atomic_load_n(table + slot, __ATOMIC_RELAXED)};
    if (entry.bits == 0) {
      slot = search_entry(node, slot, last) - 1;
      continue;
    }
    __atomic_store_n(table + slot, 0, __ATOMIC_RELAXED);
    if constexpr (!is_leaf) {
      release(child(entry, node), gather);
    } else if ((entry.bits & kStateBits) != Codec::kSwapped) [[likely]] {
      gather.release_frame(Codec::frame(entry, 1));
    } else {
      gather.release_swap(Codec::swap_slot(entry));
    }
  }
}

template <PageTableFormat F>
void Tables<F>::tear_down(Node& node, TlbGather<F>& gather) const {
  if (node.large) {
    release_pages(node, gather);
    return store_->retire(node, gather.cpu());
  }
  {
    const LockGuard guard(node.lock);
    node.stale.store(true, std::memory_order_release);
    if (node.level == 1) {
      release_entries<true>(node, gather);
    } else {
      release_entries<false>(node, gather);
    }
    node.live = 0;
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
