// The cursor: a transaction on a range of one tree. Every operation on an address space but the page fault is one.
//
//   TreeOperation<F> operation(tree);
//   {
//     Cursor<F> cursor(tree, operation.gather());
//     cursor.lock(range);                    // nobody else changes the meaning of the range from here on
//     ... look: is_unmapped, for_each ...
//     result = cursor.prepare(range);        // may fail, and has then changed nothing that anybody can tell
//     cursor.replace(range, &meaning);       // cannot fail
//   }                                        // locks go
//   operation.gather().finish();             // translations, then what they led to
//
// Locks. lock() goes down without locks to the deepest node through which nothing but this tree comes and whose own
// runs can describe the whole range, and locks it: the covering node. prepare() adds, top-down and from left to right,
// the nodes at the two edges of the range that it covers in part. Whoever changes a meaning holds the lock of a node
// that covers it; two operations on overlapping ranges have covering nodes of which one is above the other, and the
// upper one waits for the lower's lock when it gets there. That the lower one does not change, behind the upper one's
// back, what that has looked at already, is seen to by held slots: the upper one notes in its covering node which slots
// it covers, before it looks; the lower one, once it has its lock, looks whether a node above holds the slot through
// which it came, and if so lets go and starts again. Either it had its lock before the upper one looked there, which
// then waited for it to finish; or after, and then it sees the note. Page faults lock the one node that they fill.
//
// What prepare() changes means the same before and after: paths become exclusive (a shared node is cloned), runs split
// at the range's bounds, meanings move from a slot into the child that describes it in more detail, nodes appear.
#pragma once

#include <vellum/pagetable/gather.hpp>
#include <vellum/pagetable/tables.hpp>
#include <vellum/pagetable/tree.hpp>

namespace vellum {

// Where a meaning stands. `highest` is the design: at the highest level that it fills. `deepest` moves it into each
// child as that is created; kept to measure one against the other (docs/decisions/001).
enum class MeaningPlacement : std::uint8_t { highest, deepest };

template <PageTableFormat F>
class [[nodiscard]] Cursor {
 public:
  Cursor(Tree& tree, TlbGather<F>& gather) : tree_(tree), gather_(gather), tables_(tree.store) {}
  ~Cursor() { unlock(); }
  Cursor(const Cursor&) = delete;
  Cursor& operator=(const Cursor&) = delete;

  // Locks what covers `range`, which is not empty and lies below the root's kernel slots. To change: what is seen stays
  // as it is until unlock(). To look: each part is seen as it is at some moment.
  enum class Intent : std::uint8_t { change, look };
  void lock(VpnRange range, Intent intent = Intent::change);
  // The same for two ranges within `both`, of which each is prepared, and then each changed. What that leaves empty, or
  // at a lower level than it could be, stays so.
  void lock_for_two(VpnRange both);
  void unlock();

  // Whether nothing in `range` means anything. Before prepare().
  [[nodiscard]] bool is_unmapped(VpnRange range);
  // Calls visit(VpnRange, const Meaning&) -> bool for each stretch of `range` that means something, in ascending order,
  // until it returns false. Neighbours that mean the same may come apart. Before prepare().
  template <class Visitor>
  void for_each(VpnRange range, Visitor&& visit) {
    (void)visit_node<Extent::in_range>(*covering_, range, visit);
  }
  // The same, but what is found is given whole, as far as one run goes, also where it begins before `range` or ends
  // after it.
  template <class Visitor>
  void for_each_whole(VpnRange range, Visitor&& visit) {
    (void)visit_node<Extent::whole>(*covering_, range, visit);
  }

  // What the following change needs. `fill` also makes room where nothing is mapped; `clear` only where something is;
  // `discard` only where something stands.
  enum class Purpose : std::uint8_t { fill, clear, protect, discard };
  // Error: no_memory; the tree means what it meant.
  [[nodiscard]] Result<void> prepare(VpnRange range, Purpose purpose);
  // Gives all of `range`, as prepared, a meaning or, with null, none. What was there is unmapped. Returns the pages
  // that meant something before.
  MeaningSum replace(VpnRange range, const Meaning* meaning);
  // Changes the meaning of all of `range`, as prepared (protect), where it means something.
  void change(VpnRange range, const MeaningChange& change);
  // Takes out what stands in `range`, as prepared (discard). What it means stays.
  void discard(VpnRange range);
  // Whether what lock() locked is left with nothing in it, and could go.
  [[nodiscard]] bool is_empty() const;
  // Takes out the table of the slot that `range`, as locked, is, if it is empty, or moves its meaning up if it has one.
  void tidy(VpnRange range);

 private:
  static constexpr unsigned kMaxLocked = 4 * F::kLevels;

  void lock_node(Node& node) VELLUM_ACQUIRE(node.lock);
  [[nodiscard]] unsigned room_for_change(const Node& node) const;
  [[nodiscard]] static unsigned level_of(VpnRange range);
  template <unsigned level>
  [[nodiscard]] Node& descend(Node& node, VpnRange range, unsigned lowest);
  [[nodiscard]] bool is_held_above() const;

  // The part of `range` in a slot.
  [[nodiscard]] static VpnRange part(const Node& node, unsigned slot, VpnRange range) {
    return range.intersection(Tables<F>::range_of(node, slot));
  }
  struct Slots {
    unsigned first;
    unsigned last;
    bool first_partial;  // the range covers only a part of the first slot
    bool last_partial;
  };
  [[nodiscard]] static Slots slots_of(const Node& node, VpnRange range);

  [[nodiscard]] Result<void> prepare_node(Node& node, VpnRange range, Purpose purpose) VELLUM_REQUIRES(node.lock);
  [[nodiscard]] Result<void> prepare_edge(Node& node, unsigned slot, VpnRange range, Purpose purpose)
      VELLUM_REQUIRES(node.lock);
  [[nodiscard]] Result<void> make_children_exclusive(Node& node, unsigned first, unsigned last)
      VELLUM_REQUIRES(node.lock);

  MeaningSum replace_in(Node& node, VpnRange range, const Meaning* meaning) VELLUM_REQUIRES(node.lock);
  MeaningSum replace_slots(Node& node, unsigned first, unsigned last, const Meaning* meaning)
      VELLUM_REQUIRES(node.lock);
  enum class Meanings : std::uint8_t { go, stay };
  MeaningSum clear_slots(Node& node, unsigned first, unsigned last, Meanings meanings) VELLUM_REQUIRES(node.lock);
  enum class Reached : std::uint8_t { only_here, by_others };
  MeaningSum forget_meanings(Node& node, Reached reached);
  void change_in(Node& node, VpnRange range, const MeaningChange& change) VELLUM_REQUIRES(node.lock);
  void change_slots(Node& node, unsigned first, unsigned last, const MeaningChange& change) VELLUM_REQUIRES(node.lock);
  void discard_in(Node& node, VpnRange range) VELLUM_REQUIRES(node.lock);
  void tidy_edge(Node& node, unsigned slot) VELLUM_REQUIRES(node.lock);

  enum class Extent : std::uint8_t { in_range, whole };
  template <Extent extent, class Visitor>
  bool visit_node(Node& node, VpnRange range, Visitor& visit);

  Tree& tree_;
  TlbGather<F>& gather_;
  Tables<F> tables_;
  unsigned changes_ = 1;  // ranges to be changed
  Node* covering_ = nullptr;
  // The way to the covering node: what was passed, by level.
  Node* passed_[F::kLevels + 1];
  unsigned passed_slot_[F::kLevels + 1];
  Node* locked_[kMaxLocked];
  unsigned locked_count_ = 0;
  Node* pruned_[kMaxLocked];  // empty nodes taken out, to be released once their locks are free
  unsigned pruned_count_ = 0;
};

// The visit of a locked node; below it, each child is locked in its turn. The analysis cannot follow the covering
// node's lock from lock() to here.
template <PageTableFormat F>
template <typename Cursor<F>::Extent extent, class Visitor>
bool Cursor<F>::visit_node(Node& node, VpnRange range, Visitor& visit) {
  node.lock.assert_held();
  const unsigned last = tables_.slot_of(node, range.last());
  unsigned slot = tables_.slot_of(node, range.start());
  unsigned index = node.first_run_from(slot);
  while (slot <= last) {
    const bool more = index < node.runs() && node.run(index).first() <= last;
    if (more && node.run(index).first() <= slot) {
      const RunValue run = node.run(index).value();
      VpnRange covered =
          VpnRange::must(tables_.page_of(node, run.first()), tables_.span(node) * (run.last() - run.first() + 1));
      if constexpr (extent == Extent::in_range) {
        covered = covered.intersection(range);
      }
      if (!visit(covered, run.meaning())) {
        return false;
      }
      slot = run.last() + 1;
      ++index;
      continue;
    }
    // What no run covers is empty, or a child that owns meaning.
    const unsigned end = more ? node.run(index).first() : last + 1;
    slot = node.owning_children == 0 ? end : tables_.next_entry(node, slot, end - 1);
    if (slot == end) {
      continue;
    }
    const Entry entry = tables_.load(node, slot);
    if (tables_.state(entry, node) == EntryState::table) {
      Node& child = tables_.child(entry, node);
      const LockGuard guard(child.lock);
      if (!visit_node<extent>(child, part(node, slot, range), visit)) {
        return false;
      }
    }
    ++slot;
  }
  return true;
}

}  // namespace vellum
