#include <vellum/pagetable/content_move.hpp>

#include <algorithm>

#include <vellum/pagetable/instantiate.hpp>

namespace vellum {

template <PageTableFormat F>
ContentMove<F>::ContentMove(Tree& tree, TlbGather<F>& gather, VpnRange from, Vpn to)
    : tree_(tree), gather_(gather), tables_(tree.store), from_(from), to_(to) {
  const std::uint64_t distance = to.value() - from.start().value();
  while (highest_ < F::kLevels && F::restricts(highest_ + 1) &&
         (distance & (entry_span<F>(highest_ + 1).value() - 1)) == 0) {
    ++highest_;
  }
  std::fill(std::begin(last_aside_), std::end(last_aside_), ~std::uint64_t{0});
}

template <PageTableFormat F>
ContentMove<F>::~ContentMove() {
  for (EpochEntry* first : aside_) {
    while (first != nullptr) {
      auto& node = static_cast<Node&>(*first);
      first = first->next;
      tree_.store.destroy(node);
    }
  }
}

// The level of the entry that is moved as one from a page on.
template <PageTableFormat F>
unsigned ContentMove<F>::level_at(Vpn page) const {
  const PageCount left = from_.end() - page;
  unsigned level = 1;
  while (level < highest_ && (page.value() & (entry_span<F>(level + 1).value() - 1)) == 0 &&
         left >= entry_span<F>(level + 1)) {
    ++level;
  }
  return level;
}

// Visits what is moved, in ascending order: an entry, or in a table of pages all from the first that is not empty to
// the last of the range. Tables of objects are left where they are, for whoever touches the target finds them again.
template <PageTableFormat F>
template <class Visitor>
Result<void> ContentMove<F>::for_each_unit(Way way, Visitor visit) VELLUM_NO_THREAD_SAFETY_ANALYSIS {
  for (Vpn page = from_.start(); page < from_.end();) {
    const unsigned level = level_at(page);
    Node* node = tree_.root;
    for (;;) {
      unsigned slot = tables_.slot_of(*node, page);
      const Entry entry = tables_.load(*node, slot);
      if (node->level == level && level == 1) {
        const PageCount left = std::min(from_.end() - page, PageCount(node->slot_count - slot));
        const unsigned last = slot + static_cast<unsigned>(left.value()) - 1;
        slot = tables_.next_entry(*node, slot, last);
        if (slot <= last) {
          VELLUM_TRY(visit(Unit{.node = node, .slot = slot, .last = last, .page = tables_.page_of(*node, slot)}));
        }
        page += left;
        break;
      }
      const bool table = tables_.state(entry, *node) == EntryState::table;
      if (entry.bits == 0 || (table && tables_.child(entry, *node).object_owned)) {
        page = tables_.page_of(*node, slot) + tables_.span(*node);
        break;
      }
      if (node->level == level) {
        VELLUM_TRY(visit(Unit{.node = node, .slot = slot, .last = slot, .page = page}));
        page += tables_.span(*node);
        break;
      }
      node = way == Way::own ? VELLUM_TRY(tables_.exclusive_child(*node, slot, gather_)) : &tables_.child(entry, *node);
    }
  }
  return {};
}

template <PageTableFormat F>
Result<void> ContentMove<F>::own_subtree(Node& node, unsigned slot) VELLUM_NO_THREAD_SAFETY_ANALYSIS {
  const Entry entry = tables_.load(node, slot);
  if (tables_.state(entry, node) != EntryState::table || tables_.child(entry, node).object_owned) {
    return {};
  }
  Node& child = *VELLUM_TRY(tables_.exclusive_child(node, slot, gather_));
  if (child.level > 1) {
    const unsigned last = child.slot_count - 1U;
    for (unsigned below = tables_.next_entry(child, 0, last); below <= last;
         below = tables_.next_entry(child, below + 1, last)) {
      VELLUM_TRY(own_subtree(child, below));
    }
  }
  return {};
}

// Tables for the way to a new place of an entry of `level`, but for those that the target has in part only: they exist.
template <PageTableFormat F>
Result<void> ContentMove<F>::set_tables_aside(unsigned level, Vpn place, VpnRange target) {
  for (; level < F::kLevels; ++level) {
    const PageCount span = entry_span<F>(level + 1);
    const Vpn start(round_down(place.value(), span.value()));
    if (start.value() == last_aside_[level] || !target.contains(VpnRange::must(start, span))) {
      continue;
    }
    Node* const node = VELLUM_TRY(tree_.store.create(level, entry_count<F>(level), start, LockRank::node));
    node->next = aside_[level];
    aside_[level] = node;
    last_aside_[level] = start.value();
  }
  return {};
}

template <PageTableFormat F>
Result<void> ContentMove<F>::prepare(VpnRange target) VELLUM_NO_THREAD_SAFETY_ANALYSIS {
  if (!F::restricts(F::kLevels)) {
    VELLUM_TRY(tree_.root->reserve_runs(2U * tree_.root->slot_count));  // for push_down()
  }
  return for_each_unit(Way::own, [&](const Unit& unit) -> Result<void> {
    const unsigned level = unit.node->level;
    if (level > 1) {
      VELLUM_TRY(own_subtree(*unit.node, unit.slot));
    }
    // Of a table of pages the entries may go to two.
    const Vpn first = place_of(unit.page);
    const Vpn last = first + PageCount(unit.last - unit.slot);
    VELLUM_TRY(set_tables_aside(level, first, target));
    return set_tables_aside(level, level > 1 ? first : last, target);
  });
}

// The node of a level on the way to a page of the target. Where none is, one that was set aside comes in.
template <PageTableFormat F>
Node& ContentMove<F>::target_node(Vpn page, unsigned level, const Meaning& meaning) VELLUM_NO_THREAD_SAFETY_ANALYSIS {
  Node* node = tree_.root;
  while (node->level > level) {
    const unsigned slot = tables_.slot_of(*node, page);
    const Entry entry = tables_.load(*node, slot);
    if (entry.bits != 0) {
      node = &tables_.child(entry, *node);
      continue;
    }
    EpochEntry*& first = aside_[node->level - 1];
    VELLUM_CHECK(first != nullptr);
    Node& child = static_cast<Node&>(*first);
    first = first->next;
    child.next = nullptr;
    child.base = tables_.page_of(*node, slot);
    const bool owning = node->owning.load(std::memory_order_relaxed);
    if (owning && !F::restricts(node->level)) {
      tables_.push_down(*node, slot, child, meaning, gather_);
      tables_.link(*node, slot, child, EntryRights::everything(), true);
    } else {
      const EntryRights rights = owning ? tables_.allowed(meaning.prot) : EntryRights::everything();
      tables_.link(*node, slot, child, rights, !owning || !meaning.prot.is_none());
    }
    node = &child;
  }
  return *node;
}

template <PageTableFormat F>
void ContentMove<F>::move(const Meaning& meaning) {
  const Result<void> moved = for_each_unit(Way::look, [&](const Unit& unit) -> Result<void> {
    if (unit.node->level == 1) {
      move_pages(unit, meaning);
    } else {
      move_entry(unit, meaning);
    }
    return {};
  });
  VELLUM_CHECK(moved.ok());
}

// An entry above the tables of pages.
template <PageTableFormat F>
void ContentMove<F>::move_entry(const Unit& unit, const Meaning& meaning) VELLUM_NO_THREAD_SAFETY_ANALYSIS {
  Node& source = *unit.node;
  const Vpn place = place_of(unit.page);
  Node& target = target_node(place, source.level, meaning);
  const unsigned slot = tables_.slot_of(target, place);
  const Entry entry = tables_.exchange(source, unit.slot, {});
  --source.live;
  if (tables_.is_large(entry, source)) {
    --source.resident;
    ++target.live;
    ++target.resident;
    tables_.set(target, slot, entry);
    (void)tables_.limit(target, slot, meaning.prot);
    gather_.flush_entry(source, unit.slot, entry);
    return;
  }
  Node& child = tables_.child(entry, source);
  if (child.owning.load(std::memory_order_relaxed)) {
    --source.owning_children;
  }
  settle(child, place);
  gather_.flush_table(source, unit.slot);
  tables_.link(target, slot, child, tables_.allowed(meaning.prot), !meaning.prot.is_none());
}

template <PageTableFormat F>
void ContentMove<F>::move_pages(const Unit& unit, const Meaning& meaning) VELLUM_NO_THREAD_SAFETY_ANALYSIS {
  Node& source = *unit.node;
  Node* target = nullptr;
  unsigned last_present = unit.slot;
  bool is_present = false;
  for (unsigned slot = unit.slot; slot <= unit.last; slot = tables_.next_entry(source, slot + 1, unit.last)) {
    const Vpn place = place_of(tables_.page_of(source, slot));
    if (target == nullptr || place.value() - target->base.value() >= target->slot_count) {
      target = &target_node(place, 1, meaning);
    }
    const Entry entry = tables_.exchange(source, slot, {});
    const unsigned to = tables_.slot_of(*target, place);
    tables_.set(*target, to, entry);
    --source.live;
    ++target->live;
    if (tables_.state(entry, source) != EntryState::page) {
      continue;
    }
    if (tables_.memory().frame(EntryCodec<F>::frame(entry, 1)).kind() != FrameKind::zero_page) {
      --source.resident;
      ++target->resident;
    }
    if (F::is_present(entry)) {
      is_present = true;
      last_present = slot;
    }
    (void)tables_.limit(*target, to, meaning.prot);  // an entry above may have limited it so far
  }
  if (is_present) {
    gather_.flush(VpnRange::must(unit.page, PageCount(last_present - unit.slot + 1)));
  }
}

// Tells the nodes of a subtree where they are now. What they mean, the target says.
template <PageTableFormat F>
void ContentMove<F>::settle(Node& node, Vpn base) VELLUM_NO_THREAD_SAFETY_ANALYSIS {
  node.base = base;
  if (node.owning.load(std::memory_order_relaxed)) {
    node.assign(0, node.slot_count - 1U, nullptr, gather_);
    node.owning.store(false, std::memory_order_release);
    node.owning_children = 0;
  }
  if (node.level == 1) {
    return;
  }
  const unsigned last = node.slot_count - 1U;
  for (unsigned slot = tables_.next_entry(node, 0, last); slot <= last;
       slot = tables_.next_entry(node, slot + 1, last)) {
    const Entry entry = tables_.load(node, slot);
    if (tables_.is_large(entry, node)) {
      continue;  // what it maps knows no place
    }
    Node& child = tables_.child(entry, node);
    if (!child.object_owned) {
      settle(child, tables_.page_of(node, slot));
    }
  }
}

#define VELLUM_COMPILE(F) template class ContentMove<F>;
VELLUM_FOR_EACH_FORMAT(VELLUM_COMPILE)
#undef VELLUM_COMPILE

}  // namespace vellum
