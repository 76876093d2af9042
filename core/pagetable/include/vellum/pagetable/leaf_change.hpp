// The short form of the cursor (cursor.hpp) for what most calls are: a change to a range in one leaf table that exists
// and to which only this tree comes. The locks, their order and what they protect are the cursor's; a leaf is its own
// covering node, and has no edges to prepare. Where lock() says no, the cursor is to be used.
#pragma once

#include <optional>

#include <vellum/pagetable/gather.hpp>
#include <vellum/pagetable/leaf_path.hpp>
#include <vellum/pagetable/tables.hpp>
#include <vellum/pagetable/tree.hpp>

namespace vellum {

template <PageTableFormat F>
class [[nodiscard]] LeafChange {
 public:
  // Inside a TreeSection, which lasts longer. `path` is the tree's for this CPU; where there is none, nothing can be
  // locked.
  LeafChange(Tree& tree, const Tables<F>& tables, LeafPath<F>* path) : tree_(tree), tables_(tables), path_(path) {}
  ~LeafChange() { unlock(); }
  LeafChange(const LeafChange&) = delete;
  LeafChange& operator=(const LeafChange&) = delete;

  // Locks the leaf of the range, which is not empty, with room for one of the changes below, or for none. False where
  // there is no such leaf, a cursor above is at work, or there is no room. (Inlined, as the next two: a call would cost
  // as much.)
  [[nodiscard, gnu::always_inline]] bool lock(VpnRange range, unsigned room = 2) VELLUM_NO_THREAD_SAFETY_ANALYSIS {
    const std::uint64_t difference = range.start().value() ^ range.last().value();
    if (difference >> F::index_bits(1) != 0 || range.size() == entry_span<F>(2) || path_ == nullptr) {
      return false;
    }
    leaf_ = path_->find(tree_, tables_, range.start());
    if (leaf_ == nullptr) {
      return false;
    }
    leaf_->lock.lock();
    if (leaf_->stale.load(std::memory_order_relaxed) || !leaf_->owning.load(std::memory_order_relaxed) ||
        path_->is_held(range.start()) || !leaf_->has_room(room)) [[unlikely]] {
      unlock();
      return false;
    }
    first_ = entry_index<F>(range.start(), 1);
    last_ = entry_index<F>(range.last(), 1);
    return true;
  }

  void unlock() VELLUM_NO_THREAD_SAFETY_ANALYSIS {
    if (leaf_ != nullptr) {
      leaf_->lock.unlock();
      leaf_ = nullptr;
    }
  }

  // Gives the range a meaning without a backing, if it has none so far. False where it has: nothing was changed.
  [[nodiscard, gnu::always_inline]] bool fill(const Meaning& meaning) {
    leaf_->lock.assert_held();
    const unsigned index = leaf_->first_run_from(first_);
    if (index < leaf_->runs() && leaf_->run(index).first() <= last_) {
      return false;
    }
    leaf_->fill(index, RunValue::of(first_, last_, meaning));
    return true;
  }
  // Takes away what the range means; returns the pages that meant something.
  [[gnu::always_inline]] MeaningSum clear(TlbGather<F>& gather) {
    leaf_->lock.assert_held();
    tables_.clear_pages(*leaf_, first_, last_, gather);
    return leaf_->assign(first_, last_, nullptr, gather);
  }
  // What all of the range means, where one run says so.
  [[nodiscard]] std::optional<Meaning> meaning() const {
    leaf_->lock.assert_held();
    const unsigned index = leaf_->first_run_from(first_);
    if (index == leaf_->runs() || leaf_->run(index).first() > first_ || leaf_->run(index).last() < last_) {
      return std::nullopt;
    }
    return leaf_->run(index).meaning();
  }
  // The run that all of the range lies in, where no other goes on with it: it does not reach the leaf's ends, and what
  // stands directly before or behind it means something else, by more than its backing.
  [[nodiscard]] std::optional<RunValue> lone_run() const {
    leaf_->lock.assert_held();
    const unsigned index = leaf_->first_run_from(first_);
    if (index == leaf_->runs()) {
      return std::nullopt;
    }
    const RunValue run = leaf_->run(index).value();
    if (run.first() > first_ || run.last() < last_ || run.first() == 0 || run.last() == leaf_->slot_count - 1U ||
        (index != 0 && may_be_one(leaf_->run(index - 1).value(), run)) ||
        (index + 1 != leaf_->runs() && may_be_one(run, leaf_->run(index + 1).value()))) {
      return std::nullopt;
    }
    return run;
  }
  // Changes the rights of the range, all of which means something, and makes the promise that they may need.
  void protect(Prot prot, TlbGather<F>& gather) {
    leaf_->lock.assert_held();
    leaf_->change(first_, last_, {.prot = prot, .add = {}, .drop = {}, .promises = true}, gather);
    tables_.limit_pages(*leaf_, first_, last_, prot, gather);
  }
  // Takes out what stands in the range. What it means stays.
  void discard(TlbGather<F>& gather) {
    leaf_->lock.assert_held();
    tables_.clear_pages(*leaf_, first_, last_, gather);
  }
  // Whether nothing is left in the leaf, so that it could go.
  [[nodiscard]] bool is_empty() const {
    leaf_->lock.assert_held();
    return leaf_->runs() == 0 && leaf_->live == 0;
  }

 private:
  [[nodiscard]] static bool may_be_one(const RunValue& run, const RunValue& next) {
    return run.last() + 1 == next.first() && (run.backing == nullptr) == (next.backing == nullptr) &&
           (run.word ^ next.word) >> 32 == 0;
  }

  Tree& tree_;
  const Tables<F>& tables_;
  LeafPath<F>* path_;
  Node* leaf_ = nullptr;
  unsigned first_ = 0;
  unsigned last_ = 0;
};

}  // namespace vellum
