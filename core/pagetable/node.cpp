#include <algorithm>

#include <vellum/pagetable/node.hpp>
#include <vellum/pagetable/node_store.hpp>

namespace vellum {

namespace {

// Marks the runs as changing, for as long as it lives.
class RunsChange {
 public:
  explicit RunsChange(std::atomic<std::uint32_t>& sequence) : sequence_(sequence) {
    sequence_.store(sequence_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  ~RunsChange() { sequence_.store(sequence_.load(std::memory_order_relaxed) + 1, std::memory_order_release); }
  RunsChange(const RunsChange&) = delete;
  RunsChange& operator=(const RunsChange&) = delete;

 private:
  std::atomic<std::uint32_t>& sequence_;
};

// Index of the first run that ends at or after a slot.
unsigned search(const Run* array, unsigned count, unsigned slot) {
  unsigned low = 0;
  unsigned high = count;
  while (low < high) {
    const unsigned middle = (low + high) / 2;
    if (array[middle].last() < slot) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

}  // namespace

unsigned Node::first_run_from(unsigned slot) const { return search(run_array(), runs(), slot); }

std::optional<RunValue> Node::run_at(unsigned slot) const {
  const unsigned index = first_run_from(slot);
  if (index == runs() || run(index).first() > slot) {
    return std::nullopt;
  }
  return run(index).value();
}

std::optional<Meaning> Node::meaning_at(unsigned slot) const {
  const std::optional<RunValue> run = run_at(slot);
  return run ? std::optional(run->meaning()) : std::nullopt;
}

std::optional<Meaning> Node::meaning_at_unlocked(unsigned slot) const {
  for (unsigned rounds = 0;; ++rounds) {
    const std::uint32_t before = sequence.load(std::memory_order_acquire);
    if ((before & 1U) == 0) {
      std::optional<Meaning> found;
      // The block's room bounds a count that may belong to another block.
      RunBlock* block = spill.load(std::memory_order_acquire);
      const Run* array = block != nullptr ? block->runs() : inline_runs;
      const unsigned capacity = block != nullptr ? block->capacity : kInlineRuns;
      unsigned low = 0;
      unsigned high = run_count.load(std::memory_order_acquire);
      high = high < capacity ? high : capacity;
      while (low < high) {
        const unsigned middle = (low + high) / 2;
        const Run& candidate = array[middle];
        if (candidate.last() < slot) {
          low = middle + 1;
        } else if (candidate.first() > slot) {
          high = middle;
        } else {
          found = candidate.meaning();
          break;
        }
      }
      if (sequence.load(std::memory_order_relaxed) == before) {
        return found;
      }
    }
    relax(rounds);
  }
}

Result<void> Node::reserve_runs(unsigned extra) {
  const unsigned needed = runs() + extra;
  if (needed <= run_capacity()) {
    return {};
  }
  RunBlock* block = VELLUM_TRY(store->create_run_block(needed));
  const Run* from = run_array();
  for (unsigned i = 0; i < runs(); ++i) {
    block->runs()[i].set(from[i].value());
  }
  RunBlock* old = spill.load(std::memory_order_relaxed);
  {
    const RunsChange change(sequence);
    spill.store(block, std::memory_order_release);
  }
  if (old != nullptr) {
    store->epochs().retire(store->machine().current_cpu(), *old);
  }
  return {};
}

void Node::substitute(unsigned from, unsigned to, const RunValue* values, unsigned made, MeaningSink& sink) {
  for (unsigned i = 0; i < made; ++i) {
    if (values[i].backing != nullptr) {
      values[i].backing->retain();
    }
  }
  Run* const array = run_array();
  for (unsigned i = from; i < to; ++i) {
    Backing* const backing = array[i].value().backing;
    if (backing != nullptr && backing->release()) {
      sink.dropped(*backing);
    }
  }
  const unsigned count = runs();
  const unsigned end = from + made;
  VELLUM_ASSERT(count - to + end <= run_capacity());
  const RunsChange change(sequence);
  if (end != to) {
    if (end < to) {
      for (unsigned i = to; i < count; ++i) {
        array[i - to + end].set(array[i].value());
      }
    } else {
      for (unsigned i = count; i > to; --i) {
        array[i - 1 - to + end].set(array[i - 1].value());
      }
    }
    run_count.store(static_cast<std::uint16_t>(count - to + end), std::memory_order_release);
  }
  for (unsigned i = from; i < end; ++i) {
    array[i].set(values[i - from]);
  }
}

// Opens or closes room for a run before `index`.
inline void Node::open_gap(Run* array, unsigned index) {
  const unsigned count = runs();
  VELLUM_ASSERT(count < run_capacity());
  for (unsigned i = count; i > index; --i) {
    array[i].set(array[i - 1].value());
  }
  run_count.store(static_cast<std::uint16_t>(count + 1), std::memory_order_release);
}

inline void Node::close_gap(Run* array, unsigned index) {
  const unsigned count = runs() - 1;
  for (unsigned i = index; i < count; ++i) {
    array[i].set(array[i + 1].value());
  }
  run_count.store(static_cast<std::uint16_t>(count), std::memory_order_release);
}

void Node::fill(unsigned index, RunValue value) {
  const RunsChange change(sequence);
  Run* const array = run_array();
  const RunValue left = index > 0 ? array[index - 1].value() : RunValue();
  const RunValue right = index < runs() ? array[index].value() : RunValue();
  const bool joins_left = index > 0 && left.last() + 1 == value.first() && left.means_the_same_as(value);
  const bool joins_right = index < runs() && right.first() == value.last() + 1 && right.means_the_same_as(value);
  if (joins_right) {
    value.set_last(right.last());
  }
  if (joins_left) {
    value.set_first(left.first());
    array[index - 1].set(value);
    if (joins_right) {
      close_gap(array, index);
    }
    return;
  }
  if (!joins_right) {
    open_gap(array, index);
  }
  array[index].set(value);
}

// Takes slots out of the run that covers them all; returns the index of the first run behind them.
inline unsigned Node::cut(unsigned index, const RunValue& run, unsigned first, unsigned last) {
  const RunsChange change(sequence);
  Run* const array = run_array();
  RunValue left = run;
  RunValue right = run;
  left.set_last(first - 1);
  right.set_first(last + 1);
  const bool keeps_left = run.first() < first;
  if (run.last() <= last) {
    if (keeps_left) {
      array[index].set(left);
      return index + 1;
    }
    close_gap(array, index);
    return index;
  }
  if (keeps_left) {
    open_gap(array, index);
    array[index++].set(left);
  }
  array[index].set(right);
  return index;
}

// What most changes are: of slots that no run covers, or one run all of them, and without a backing to count.
MeaningSum Node::assign(unsigned first, unsigned last, const Meaning* meaning, MeaningSink& sink) {
  VELLUM_ASSERT(first <= last && last < slot_count);
  const Run* const array = run_array();
  const unsigned count = runs();
  unsigned index = search(array, count, first);
  const RunValue run = index < count ? array[index].value() : RunValue();
  const bool unmapped = index == count || run.first() > last;
  const bool whole = run.first() <= first && run.last() >= last && run.backing == nullptr;
  if ((!unmapped && !whole) || (meaning != nullptr && meaning->backing != nullptr)) {
    return assign_any(first, last, meaning, sink);
  }
  if (!unmapped) {
    index = cut(index, run, first, last);
  }
  if (meaning != nullptr) {
    fill(index, RunValue::of(first, last, *meaning));
  }
  return unmapped ? MeaningSum() : run.sum(first, last);
}

// What the slots' old runs have outside of first..last stays, and what borders on them and means the same is joined:
// the runs [from, to) give way to at most three.
MeaningSum Node::assign_any(unsigned first, unsigned last, const Meaning* meaning, MeaningSink& sink) {
  const Run* const array = run_array();
  const unsigned count = runs();
  unsigned from = first_run_from(first);
  unsigned to = from;
  MeaningSum lost;
  for (; to < count && array[to].first() <= last; ++to) {
    lost += array[to].value().sum(std::max(array[to].first(), first), std::min(array[to].last(), last));
  }
  RunValue values[3];
  unsigned made = 0;
  const bool left = from < to && array[from].first() < first;
  bool right = from < to && array[to - 1].last() > last;
  RunValue rest;
  if (left) {
    values[made] = array[from].value();
    values[made++].set_last(first - 1);
  }
  if (right) {
    rest = array[to - 1].value();
    rest.set_first(last + 1);
  }
  if (meaning != nullptr) {
    RunValue middle = RunValue::of(first, last, *meaning);
    if (left && values[0].means_the_same_as(middle)) {
      middle.set_first(values[--made].first());
    } else if (!left && from > 0 && array[from - 1].last() + 1 == first &&
               array[from - 1].value().means_the_same_as(middle)) {
      middle.set_first(array[--from].first());
    }
    if (right && rest.means_the_same_as(middle)) {
      middle.set_last(rest.last());
      right = false;
    } else if (!right && to < count && array[to].first() == last + 1 && array[to].value().means_the_same_as(middle)) {
      middle.set_last(array[to++].last());
    }
    values[made++] = middle;
  }
  if (right) {
    values[made++] = rest;
  }
  substitute(from, to, values, made, sink);
  return lost;
}

void Node::change(unsigned first, unsigned last, const MeaningChange& change, MeaningSink& sink) {
  for (unsigned slot = first; slot <= last;) {
    const unsigned index = first_run_from(slot);
    if (index == runs() || run(index).first() > last) {
      return;
    }
    const unsigned from = std::max(run(index).first(), slot);
    slot = std::min(run(index).last(), last) + 1;
    const Meaning before = run(index).meaning();
    const Meaning meaning = change.of(before);
    if (!(meaning == before)) {
      assign(from, slot - 1, &meaning, sink);
    }
  }
}

Result<void> Node::copy_runs(const Node& from) {
  VELLUM_ASSERT(runs() == 0);
  VELLUM_TRY(reserve_runs(from.runs()));
  const RunsChange change(sequence);
  for (unsigned i = 0; i < from.runs(); ++i) {
    const RunValue value = from.run(i).value();
    if (value.backing != nullptr) {
      value.backing->retain();
    }
    run_array()[i].set(value);
  }
  run_count.store(static_cast<std::uint16_t>(from.runs()), std::memory_order_release);
  return {};
}

void Node::check_runs() const {
  for (unsigned i = 0; i < runs(); ++i) {
    VELLUM_CHECK(run(i).first() <= run(i).last() && run(i).last() < slot_count);
    if (i > 0) {
      VELLUM_CHECK(run(i - 1).last() < run(i).first());
      VELLUM_CHECK(run(i - 1).last() + 1 < run(i).first() || !(run(i - 1).meaning() == run(i).meaning()));
    }
  }
}

}  // namespace vellum
