#include <vellum/pagetable/node.hpp>
#include <vellum/pagetable/node_store.hpp>

namespace vellum {

// Marks the runs as changing, for as long as it lives.
class Node::RunWriter {
 public:
  explicit RunWriter(Node& node) : node_(node) {
    node_.sequence.store(node_.sequence.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  ~RunWriter() { node_.sequence.store(node_.sequence.load(std::memory_order_relaxed) + 1, std::memory_order_release); }
  RunWriter(const RunWriter&) = delete;
  RunWriter& operator=(const RunWriter&) = delete;

  // Opens a gap of one run before `index`.
  void insert(unsigned index, unsigned first, unsigned last, const Meaning& meaning) {
    const unsigned count = node_.runs();
    VELLUM_CHECK(count < node_.run_capacity());
    Run* runs = node_.run_array();
    for (unsigned i = count; i > index; --i) {
      runs[i].set(runs[i - 1]);
    }
    runs[index].set(first, last, meaning);
    set_count(count + 1);
  }
  // Closes the gap [from, to).
  void erase(unsigned from, unsigned to) {
    const unsigned count = node_.runs();
    Run* runs = node_.run_array();
    for (unsigned i = to; i < count; ++i) {
      runs[from + (i - to)].set(runs[i]);
    }
    set_count(count - (to - from));
  }
  void resize(unsigned index, unsigned first, unsigned last) {
    Run& run = node_.run_array()[index];
    run.set(first, last, run.meaning());
  }
  void set(unsigned index, const Meaning& meaning) {
    Run& run = node_.run_array()[index];
    run.set(run.first(), run.last(), meaning);
  }

 private:
  void set_count(unsigned count) {
    node_.run_count.store(static_cast<std::uint16_t>(count), std::memory_order_release);
  }

  Node& node_;
};

namespace {

void drop(const Meaning& meaning, MeaningSink& sink) {
  if (meaning.backing != nullptr && meaning.backing->release()) {
    sink.dropped(*meaning.backing);
  }
}

void hold(const Meaning& meaning) {
  if (meaning.backing != nullptr) {
    meaning.backing->retain();
  }
}

}  // namespace

unsigned Node::first_run_from(unsigned slot) const {
  const Run* array = run_array();
  unsigned low = 0;
  unsigned high = runs();
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

std::optional<Meaning> Node::meaning_at(unsigned slot) const {
  const unsigned index = first_run_from(slot);
  if (index == runs() || run(index).first() > slot) {
    return std::nullopt;
  }
  return run(index).meaning();
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
    block->runs()[i].set(from[i]);
  }
  RunBlock* old = spill.load(std::memory_order_relaxed);
  {
    const RunWriter writer(*this);
    spill.store(block, std::memory_order_release);
  }
  if (old != nullptr) {
    store->epochs().retire(store->machine().current_cpu(), *old);
  }
  return {};
}

void Node::split_runs(unsigned first, unsigned last, RunWriter& writer) {
  unsigned index = first_run_from(first);
  if (index < runs() && run(index).first() < first) {
    const Meaning meaning = run(index).meaning();
    const unsigned end = run(index).last();
    hold(meaning);
    writer.resize(index, run(index).first(), first - 1);
    writer.insert(index + 1, first, end, meaning);
  }
  index = first_run_from(last);
  if (index < runs() && run(index).first() <= last && run(index).last() > last) {
    const Meaning meaning = run(index).meaning();
    const unsigned end = run(index).last();
    hold(meaning);
    writer.resize(index, run(index).first(), last);
    writer.insert(index + 1, last + 1, end, meaning);
  }
}

void Node::join_runs(unsigned from, unsigned to, RunWriter& writer, MeaningSink& sink) {
  unsigned index = from;
  while (index + 1 < runs() && index < to) {
    const Meaning meaning = run(index).meaning();
    if (run(index).last() + 1 == run(index + 1).first() && meaning == run(index + 1).meaning()) {
      writer.resize(index, run(index).first(), run(index + 1).last());
      writer.erase(index + 1, index + 2);
      drop(meaning, sink);
      --to;
    } else {
      ++index;
    }
  }
}

void Node::assign(unsigned first, unsigned last, const Meaning* meaning, MeaningSink& sink) {
  VELLUM_ASSERT(first <= last && last < slot_count);
  RunWriter writer(*this);
  if (meaning != nullptr) {
    hold(*meaning);
  }
  split_runs(first, last, writer);
  const unsigned from = first_run_from(first);
  unsigned to = from;
  for (; to < runs() && run(to).last() <= last; ++to) {
    const Meaning old = run(to).meaning();
    sink.removed(old, run(to).last() - run(to).first() + 1);
    drop(old, sink);
  }
  writer.erase(from, to);
  if (meaning != nullptr) {
    writer.insert(from, first, last, *meaning);
    join_runs(from == 0 ? 0 : from - 1, from + 1, writer, sink);
  }
}

void Node::set_prot(unsigned first, unsigned last, Prot prot, MeaningSink& sink) {
  VELLUM_ASSERT(first <= last && last < slot_count);
  RunWriter writer(*this);
  split_runs(first, last, writer);
  const unsigned from = first_run_from(first);
  unsigned to = from;
  for (; to < runs() && run(to).last() <= last; ++to) {
    Meaning meaning = run(to).meaning();
    meaning.prot = prot;
    writer.set(to, meaning);
  }
  join_runs(from == 0 ? 0 : from - 1, to, writer, sink);
}

Result<void> Node::copy_runs(const Node& from) {
  VELLUM_ASSERT(runs() == 0);
  VELLUM_TRY(reserve_runs(from.runs()));
  RunWriter writer(*this);
  for (unsigned i = 0; i < from.runs(); ++i) {
    const Meaning meaning = from.run(i).meaning();
    hold(meaning);
    writer.insert(i, from.run(i).first(), from.run(i).last(), meaning);
  }
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
