#include <vellum/pagetable/cursor.hpp>

#include <vellum/pagetable/instantiate.hpp>

namespace vellum {

// Room that a node needs for a replace or protect: two splits, and above the leaves a meaning pulled up at either edge.
template <PageTableFormat F>
unsigned Cursor<F>::room_for_change(const Node& node) const {
  return changes_ * (node.level == 1 ? 2U : 4U);
}

template <PageTableFormat F>
void Cursor<F>::lock_node(Node& node) {
  for (unsigned i = 0; changes_ > 1 && i < locked_count_; ++i) {
    if (locked_[i] == &node) {
      node.lock.assert_held();
      return;  // both ranges reach it
    }
  }
  node.lock.lock();
  VELLUM_CHECK(locked_count_ < kMaxLocked);
  locked_[locked_count_++] = &node;
}

// Locks taken by lock() and prepare() are kept until here: held across functions, in a number known only at run time.
template <PageTableFormat F>
void Cursor<F>::unlock() VELLUM_NO_THREAD_SAFETY_ANALYSIS {
  if (covering_ != nullptr) {
    covering_->let_slots_go();
  }
  while (locked_count_ > 0) {
    locked_[--locked_count_]->lock.unlock();
  }
  covering_ = nullptr;
  while (pruned_count_ > 0) {
    gather_.release_table(*pruned_[--pruned_count_]);
  }
}

template <PageTableFormat F>
typename Cursor<F>::Slots Cursor<F>::slots_of(const Node& node, VpnRange range) {
  const unsigned first = Tables<F>::slot_of(node, range.start());
  const unsigned last = Tables<F>::slot_of(node, range.last());
  const bool first_partial = !range.contains(Tables<F>::range_of(node, first));
  const bool last_partial = last != first && !range.contains(Tables<F>::range_of(node, last));
  return {.first = first, .last = last, .first_partial = first_partial, .last_partial = last_partial};
}

// The lowest level on which one node has both ends of the range and the range is not all of that node.
template <PageTableFormat F>
unsigned Cursor<F>::level_of(VpnRange range) {
  const std::uint64_t difference = range.start().value() ^ range.last().value();
  unsigned level = 1;
  while (level < F::kLevels &&
         (difference >> (F::shift(level + 1) - kPageShift) != 0 || range.size() == entry_span<F>(level + 1))) {
    ++level;
  }
  return level;
}

// From a node of a level towards the start of the range, down to `lowest` or as far as only this tree comes and
// meanings may stand. A step for each level, so that shifts are constants.
template <PageTableFormat F>
template <unsigned level>
Node& Cursor<F>::descend(Node& node, VpnRange range, unsigned lowest) {
  if constexpr (level == 1) {
    return node;
  } else {
    if (level == lowest) {
      return node;
    }
    const unsigned slot = entry_index<F>(range.start(), level);
    const Entry entry = tables_.load(node, slot);
    Node* child = tables_.own_child(entry, level);
    if (child == nullptr) {
      if (EntryCodec<F>::state(entry, level) != EntryState::table) {
        return node;
      }
      child = &tables_.child(entry, node);
      if (child->share.load(std::memory_order_acquire) != 1) {
        return node;
      }
    }
    if (!child->owning.load(std::memory_order_acquire)) {
      return node;
    }
    passed_[level] = &node;
    passed_slot_[level] = slot;
    return descend<level - 1>(*child, range, lowest);
  }
}

// Whether a cursor above, which may have looked at what was just locked, is at work.
template <PageTableFormat F>
bool Cursor<F>::is_held_above() const {
  for (unsigned level = locked_[0]->level + 1U; level <= F::kLevels; ++level) {
    if (passed_[level]->holds_slot(passed_slot_[level])) {
      return true;
    }
  }
  return false;
}

// Keeps the lock that it takes.
template <PageTableFormat F>
void Cursor<F>::lock(VpnRange range, Intent intent) VELLUM_NO_THREAD_SAFETY_ANALYSIS {
  VELLUM_ASSERT(!range.empty() && locked_count_ == 0);
  const unsigned lowest = level_of(range);
  for (unsigned rounds = 0;; ++rounds) {
    Node& node = descend<F::kLevels>(*tree_.root, range, lowest);
    lock_node(node);
    if (!node.stale.load(std::memory_order_relaxed) && node.owning.load(std::memory_order_relaxed) &&
        (intent == Intent::look || !is_held_above())) {
      covering_ = &node;
      if (intent == Intent::change && node.level > 1) {
        node.hold_slots(tables_.slot_of(node, range.start()), tables_.slot_of(node, range.last()));
      }
      return;
    }
    unlock();
    relax(rounds);
  }
}

template <PageTableFormat F>
void Cursor<F>::lock_for_two(VpnRange both) {
  changes_ = 2;
  lock(both);
}

template <PageTableFormat F>
bool Cursor<F>::is_unmapped(VpnRange range) {
  const Node& node = *covering_;
  node.lock.assert_held();
  if (node.owning_children == 0) {
    const unsigned index = node.first_run_from(tables_.slot_of(node, range.start()));
    return index == node.runs() || node.run(index).first() > tables_.slot_of(node, range.last());
  }
  bool unmapped = true;
  for_each(range, [&](VpnRange, const Meaning&) {
    unmapped = false;
    return false;
  });
  return unmapped;
}

// The covering node's lock was taken by lock().
template <PageTableFormat F>
Result<void> Cursor<F>::prepare(VpnRange range, Purpose purpose) {
  covering_->lock.assert_held();
  return prepare_node(*covering_, range, purpose);
}

template <PageTableFormat F>
Result<void> Cursor<F>::prepare_node(Node& node, VpnRange range, Purpose purpose) {
  VELLUM_TRY(node.reserve_runs(room_for_change(node)));
  if (node.level == 1) {
    return {};
  }
  const Slots slots = slots_of(node, range);
  if (slots.first_partial) {
    VELLUM_TRY(prepare_edge(node, slots.first, part(node, slots.first, range), purpose));
  }
  if (slots.last_partial) {
    VELLUM_TRY(prepare_edge(node, slots.last, part(node, slots.last, range), purpose));
  }
  if ((purpose == Purpose::protect || purpose == Purpose::discard) && node.owning_children > 0) {
    const unsigned first = slots.first + (slots.first_partial ? 1 : 0);
    const unsigned end = slots.last + (slots.last_partial ? 0 : 1);
    if (first < end) {
      VELLUM_TRY(make_children_exclusive(node, first, end - 1));
    }
  }
  return {};
}

// Leaves the child locked.
template <PageTableFormat F>
Result<void> Cursor<F>::prepare_edge(Node& node, unsigned slot, VpnRange range,
                                     Purpose purpose) VELLUM_NO_THREAD_SAFETY_ANALYSIS {
  const std::optional<Meaning> meaning = node.meaning_at(slot);
  if (tables_.load(node, slot).bits == 0) {
    if (purpose == Purpose::discard || (!meaning && purpose != Purpose::fill)) {
      return {};
    }
    Node* const child = VELLUM_TRY(tables_.create_child(node, slot));
    lock_node(*child);
    if (meaning) {
      tables_.push_down(node, slot, *child, *meaning, gather_);
    }
    child->owning.store(true, std::memory_order_release);
    tables_.link(node, slot, *child, EntryRights::everything(), true);
    return prepare_node(*child, range, purpose);
  }
  Node* const child = VELLUM_TRY(tables_.exclusive_child(node, slot, gather_));
  lock_node(*child);
  if (meaning) {
    tables_.push_down(node, slot, *child, *meaning, gather_);
  }
  return prepare_node(*child, range, purpose);
}

template <PageTableFormat F>
Result<void> Cursor<F>::make_children_exclusive(Node& node, unsigned first, unsigned last) {
  for (unsigned slot = tables_.next_entry(node, first, last); slot <= last;
       slot = tables_.next_entry(node, slot + 1, last)) {
    if (node.meaning_at(slot) || tables_.state(tables_.load(node, slot), node) != EntryState::table) {
      continue;
    }
    Node* const child = VELLUM_TRY(tables_.exclusive_child(node, slot, gather_));
    const LockGuard guard(child->lock);
    VELLUM_TRY(child->reserve_runs(room_for_change(*child)));
    if (child->owning_children > 0) {
      VELLUM_TRY(make_children_exclusive(*child, 0, child->slot_count - 1U));
    }
  }
  return {};
}

// The covering node's lock was taken by lock().
template <PageTableFormat F>
MeaningSum Cursor<F>::replace(VpnRange range, const Meaning* meaning) {
  covering_->lock.assert_held();
  return replace_in(*covering_, range, meaning);
}

template <PageTableFormat F>
MeaningSum Cursor<F>::replace_in(Node& node, VpnRange range, const Meaning* meaning) {
  if (node.level == 1) {
    return replace_slots(node, tables_.slot_of(node, range.start()), tables_.slot_of(node, range.last()), meaning);
  }
  const Slots slots = slots_of(node, range);
  MeaningSum lost;
  const auto edge = [&](unsigned slot) VELLUM_NO_THREAD_SAFETY_ANALYSIS {
    const Entry entry = tables_.load(node, slot);
    if (entry.bits != 0) {
      Node& child = tables_.child(entry, node);  // locked by prepare_edge()
      child.lock.assert_held();
      lost += replace_in(child, part(node, slot, range), meaning);
      tidy_edge(node, slot);
    }
  };
  if (slots.first_partial) {
    edge(slots.first);
  }
  const unsigned first = slots.first + (slots.first_partial ? 1 : 0);
  const unsigned end = slots.last + (slots.last_partial ? 0 : 1);
  if (first < end) {
    lost += replace_slots(node, first, end - 1, meaning);
  }
  if (slots.last_partial) {
    edge(slots.last);
  }
  return lost;
}

template <PageTableFormat F>
MeaningSum Cursor<F>::replace_slots(Node& node, unsigned first, unsigned last, const Meaning* meaning) {
  MeaningSum lost = clear_slots(node, first, last, Meanings::go);
  lost += tables_.span(node) * node.assign(first, last, meaning, gather_);
  return lost;
}

// Takes everything out of slots but, where meanings are to stay, the children that own some: those are emptied. Returns
// the pages that owning children below gave a meaning to that is gone.
template <PageTableFormat F>
MeaningSum Cursor<F>::clear_slots(Node& node, unsigned first, unsigned last, Meanings meanings) {
  MeaningSum lost;
  if (node.level == 1) {
    tables_.clear_pages(node, first, last, gather_);
    return lost;
  }
  for (unsigned slot = tables_.next_entry(node, first, last); slot <= last;
       slot = tables_.next_entry(node, slot + 1, last)) {
    if (meanings == Meanings::stay && node.owning_children > 0 && !node.meaning_at(slot)) {
      Node& child = tables_.child(tables_.load(node, slot), node);
      const LockGuard guard(child.lock);
      (void)clear_slots(child, 0, child.slot_count - 1U, Meanings::stay);
      continue;
    }
    const Entry entry = tables_.exchange(node, slot, {});
    --node.live;
    switch (tables_.state(entry, node)) {
      case EntryState::table: {
        Node& child = tables_.child(entry, node);
        if (child.owning.load(std::memory_order_relaxed)) {
          --node.owning_children;
          lost += forget_meanings(child, Reached::only_here);
        }
        gather_.flush_table(node, slot);
        gather_.release_table(child);
        break;
      }
      case EntryState::page:
        --node.resident;
        gather_.flush_entry(node, slot, entry);
        gather_.release_table(tables_.child(entry, node));
        break;
      case EntryState::swapped:
      case EntryState::empty:
        break;
    }
  }
  return lost;
}

// Counts the pages that mean something in a subtree that was just taken out, and turns operations away that are on
// their way into it. What others reach too is only counted.
template <PageTableFormat F>
MeaningSum Cursor<F>::forget_meanings(Node& node, Reached reached) {
  const LockGuard guard(node.lock);
  if (node.share.load(std::memory_order_acquire) > 1) {
    reached = Reached::by_others;
  }
  if (reached == Reached::only_here) {
    node.stale.store(true, std::memory_order_release);
  }
  MeaningSum pages;
  for (unsigned index = 0; index < node.runs(); ++index) {
    pages += tables_.span(node) * node.run(index).sum();
  }
  unsigned left = node.owning_children;
  const unsigned last = node.slot_count - 1U;
  for (unsigned slot = 0; left > 0; ++slot) {
    slot = tables_.next_entry(node, slot, last);
    const Entry entry = tables_.load(node, slot);
    if (tables_.state(entry, node) == EntryState::table) {
      Node& child = tables_.child(entry, node);
      if (child.owning.load(std::memory_order_relaxed)) {
        pages += forget_meanings(child, reached);
        --left;
      }
    }
  }
  return pages;
}

// The covering node's lock was taken by lock().
template <PageTableFormat F>
void Cursor<F>::change(VpnRange range, const MeaningChange& change) {
  covering_->lock.assert_held();
  change_in(*covering_, range, change);
}

template <PageTableFormat F>
void Cursor<F>::change_in(Node& node, VpnRange range, const MeaningChange& change) {
  if (node.level == 1) {
    return change_slots(node, tables_.slot_of(node, range.start()), tables_.slot_of(node, range.last()), change);
  }
  const Slots slots = slots_of(node, range);
  const auto edge = [&](unsigned slot) VELLUM_NO_THREAD_SAFETY_ANALYSIS {
    const Entry entry = tables_.load(node, slot);
    if (entry.bits != 0) {
      Node& child = tables_.child(entry, node);  // locked by prepare_edge()
      child.lock.assert_held();
      change_in(child, part(node, slot, range), change);
      tidy_edge(node, slot);
    }
  };
  if (slots.first_partial) {
    edge(slots.first);
  }
  const unsigned first = slots.first + (slots.first_partial ? 1 : 0);
  const unsigned end = slots.last + (slots.last_partial ? 0 : 1);
  if (first < end) {
    change_slots(node, first, end - 1, change);
  }
  if (slots.last_partial) {
    edge(slots.last);
  }
}

template <PageTableFormat F>
void Cursor<F>::change_slots(Node& node, unsigned first, unsigned last, const MeaningChange& change) {
  node.change(first, last, change, gather_);
  if (node.level == 1) {
    if (change.prot) {
      tables_.limit_pages(node, first, last, *change.prot, gather_);
    }
    return;
  }
  for (unsigned slot = tables_.next_entry(node, first, last); slot <= last;
       slot = tables_.next_entry(node, slot + 1, last)) {
    const Entry entry = tables_.load(node, slot);
    if (node.owning_children > 0 && !node.meaning_at(slot)) {
      Node& child = tables_.child(entry, node);
      const LockGuard guard(child.lock);
      change_slots(child, 0, child.slot_count - 1U, change);
    } else if (change.prot && tables_.limit(node, slot, *change.prot)) {
      gather_.flush_entry(node, slot, entry);
    }
  }
}

// The covering node's lock was taken by lock().
template <PageTableFormat F>
void Cursor<F>::discard(VpnRange range) {
  covering_->lock.assert_held();
  discard_in(*covering_, range);
}

template <PageTableFormat F>
void Cursor<F>::discard_in(Node& node, VpnRange range) {
  const Slots slots = slots_of(node, range);
  if (node.level == 1) {
    return tables_.clear_pages(node, slots.first, slots.last, gather_);
  }
  const auto edge = [&](unsigned slot) VELLUM_NO_THREAD_SAFETY_ANALYSIS {
    const Entry entry = tables_.load(node, slot);
    if (entry.bits != 0) {
      Node& child = tables_.child(entry, node);  // locked by prepare_edge()
      child.lock.assert_held();
      discard_in(child, part(node, slot, range));
      tidy_edge(node, slot);
    }
  };
  if (slots.first_partial) {
    edge(slots.first);
  }
  const unsigned first = slots.first + (slots.first_partial ? 1 : 0);
  const unsigned end = slots.last + (slots.last_partial ? 0 : 1);
  if (first < end) {
    (void)clear_slots(node, first, end - 1, Meanings::stay);
  }
  if (slots.last_partial) {
    edge(slots.last);
  }
}

// A child at the edge of a change may have become empty, or uniform: then it goes, or its meaning moves up.
template <PageTableFormat F>
void Cursor<F>::tidy_edge(Node& node, unsigned slot) {
  const Entry entry = tables_.load(node, slot);
  Node& child = tables_.child(entry, node);
  child.lock.assert_held();
  if (changes_ > 1) {
    return;  // the other change relies on what prepare() made
  }
  if (child.owning_children > 0 || child.slot_count != entry_count<F>(child.level)) {
    return;  // what also holds entries of the kernel stays
  }
  if (child.runs() == 0 && child.live == 0) {
    child.stale.store(true, std::memory_order_release);
    tables_.set(node, slot, {});
    --node.live;
    --node.owning_children;
    gather_.flush_table(node, slot);
    VELLUM_CHECK(pruned_count_ < kMaxLocked);
    pruned_[pruned_count_++] = &child;
  } else if (child.is_uniform() && F::restricts(node.level)) {
    const Meaning meaning = child.run(0).meaning();
    node.assign(slot, slot, &meaning, gather_);
    (void)tables_.limit(node, slot, meaning.prot);  // no entry below grants more than this
    child.owning.store(false, std::memory_order_release);
    child.assign(0, child.slot_count - 1U, nullptr, gather_);
    --node.owning_children;
  }
}

template <PageTableFormat F>
bool Cursor<F>::is_empty() const {
  covering_->lock.assert_held();
  return covering_ != tree_.root && covering_->runs() == 0 && covering_->live == 0;
}

// Keeps the child's lock until unlock().
template <PageTableFormat F>
void Cursor<F>::tidy(VpnRange range) VELLUM_NO_THREAD_SAFETY_ANALYSIS {
  Node& node = *covering_;
  if (node.level == 1 || range != tables_.range_of(node, tables_.slot_of(node, range.start()))) {
    return;
  }
  const unsigned slot = tables_.slot_of(node, range.start());
  const Entry entry = tables_.load(node, slot);
  if (tables_.state(entry, node) != EntryState::table) {
    return;
  }
  Node& child = tables_.child(entry, node);
  if (child.owning.load(std::memory_order_relaxed) && child.share.load(std::memory_order_acquire) == 1 &&
      node.reserve_runs(room_for_change(node)).ok()) {
    lock_node(child);
    tidy_edge(node, slot);
  }
}

#define VELLUM_COMPILE(F) template class Cursor<F>;
VELLUM_FOR_EACH_FORMAT(VELLUM_COMPILE)
#undef VELLUM_COMPILE

}  // namespace vellum
