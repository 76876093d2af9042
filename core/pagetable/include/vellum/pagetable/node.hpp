// A node: one page of a page table, with what the software knows about its entries.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

#include <vellum/base/epoch.hpp>
#include <vellum/base/lock.hpp>
#include <vellum/base/result.hpp>
#include <vellum/pagetable/format.hpp>
#include <vellum/pagetable/meaning.hpp>

namespace vellum {

class NodeStore;

// A meaning and the slots of one node that it covers: a run's value.
struct RunValue {
  Backing* backing = nullptr;
  std::uint64_t word = 0;  // first and last slot, 16 bits each; rights, maximum, 8 bits each; traits, 16 bits

  [[nodiscard]] static RunValue of(unsigned first, unsigned last, const Meaning& meaning) {
    return {.backing = meaning.backing,
            .word = std::uint64_t{first} | std::uint64_t{last} << 16 | std::uint64_t{meaning.prot.bits()} << 32 |
                    std::uint64_t{meaning.maximum.bits()} << 40 | std::uint64_t{meaning.traits.bits()} << 48};
  }
  [[nodiscard]] unsigned first() const { return static_cast<unsigned>(word & 0xFFFF); }
  [[nodiscard]] unsigned last() const { return static_cast<unsigned>(word >> 16 & 0xFFFF); }
  [[nodiscard]] Meaning meaning() const {
    return {.backing = backing,
            .prot = Prot::from_bits(static_cast<unsigned>(word >> 32)),
            .maximum = Prot::from_bits(static_cast<unsigned>(word >> 40)),
            .traits = Traits::from_bits(static_cast<unsigned>(word >> 48))};
  }
  // Slots from..to, which it covers.
  [[nodiscard]] MeaningSum sum(std::uint64_t from, std::uint64_t to) const {
    return {.all = to - from + 1, .reserved = is_reserved() ? to - from + 1 : 0};
  }
  [[nodiscard]] bool means_the_same_as(const RunValue& other) const {
    return backing == other.backing && (word ^ other.word) >> 32 == 0;
  }
  [[nodiscard]] bool is_reserved() const { return (word >> 48 & Traits::reserved().bits()) != 0; }
  void set_first(unsigned first) { word = (word & ~std::uint64_t{0xFFFF}) | first; }
  void set_last(unsigned last) { word = (word & ~std::uint64_t{0xFFFF'0000}) | std::uint64_t{last} << 16; }
};

// A run as a node holds it. It can be read while it is being changed: a reader that overlaps a writer gets nonsense,
// and learns so from the node's sequence (Node::meaning_at_unlocked).
class Run {
 public:
  [[nodiscard]] unsigned first() const { return static_cast<unsigned>(word() & 0xFFFF); }
  [[nodiscard]] unsigned last() const { return static_cast<unsigned>(word() >> 16 & 0xFFFF); }
  [[nodiscard]] Meaning meaning() const { return value().meaning(); }
  // The slots that it covers.
  [[nodiscard]] MeaningSum sum() const {
    const RunValue run = value();
    return run.sum(run.first(), run.last());
  }
  [[nodiscard]] RunValue value() const {
    const std::uint64_t bits = word();
    return {.backing = backing_.load(std::memory_order_acquire), .word = bits};
  }
  void set(const RunValue& value) {
    backing_.store(value.backing, std::memory_order_release);
    word_.store(value.word, std::memory_order_release);
  }

 private:
  [[nodiscard]] std::uint64_t word() const { return word_.load(std::memory_order_acquire); }

  std::atomic<Backing*> backing_{nullptr};
  std::atomic<std::uint64_t> word_{0};
};

// Room for more runs than a node holds itself.
struct alignas(Run) RunBlock : EpochEntry {
  NodeStore* store = nullptr;
  std::uint32_t capacity = 0;
  std::uint32_t size_class = 0;

  [[nodiscard]] Run* runs() { return reinterpret_cast<Run*>(this + 1); }
};

// Told about the backings that leave a node's runs.
class MeaningSink {
 public:
  // A run that held `backing` is gone, and with it the last reference.
  virtual void dropped(Backing& backing) = 0;

 protected:
  ~MeaningSink() = default;
};

// A node *owns meaning*, or is *content only*:
//
//   owning        each slot is covered by a run, which then says what belongs there and limits the entry's rights, and
//   the
//                 child in it, if any, is content only; or is covered by none, and then is unmapped or has an owning
//                 child.
//   content only  it has no runs, nor has any node below: the run above that covers it all says what belongs here, and
//                 the entry that carries that run limits the rights of everything below.
//
// So a meaning stands once, at the highest level that it fills, however many tables hang below. An entry's own rights
// are never more than its content permits (a page: that it is exclusively the tree's; a table: that one path leads to
// it), and may be less: the next fault adds what is missing.
//
// A *large page* is a table of pages that need not be written down: all its frames are there and follow one another,
// with the same rights. The entry maps the first frame as a page of its level, and the node has no table, but in its
// place the frames, each held once by the node; it is shared and counted as tables are. The frame says which node it is
// (Tables::child), to who holds the lock of the node with the entry: whoever comes without goes no further than the
// entry. To look into it or to change a part, it is split (Tables::split) into a table, and stays one.
//
// Fields: L needs `lock`; A atomic; C constant after creation; S written under `lock`, read under it or under
// `sequence`; M written only while the tree is closed and nobody else reaches the node.
struct alignas(kCacheLine) Node : EpochEntry {
  static constexpr unsigned kInlineRuns = 3;

  Node(NodeStore& node_store, unsigned node_level, unsigned slots, Vpn first_page, Pfn table_frame, LockRank rank)
      : lock(rank),
        level(static_cast<std::uint8_t>(node_level)),
        slot_count(static_cast<std::uint16_t>(slots)),
        table(table_frame),
        base(first_page),
        store(&node_store) {}

  Spinlock lock;
  const std::uint8_t level;                            // C  1: its entries map pages
  std::atomic<bool> owning{false};                     // S  see above
  std::atomic<bool> stale{false};                      // S  no longer in any tree: whoever came here starts again
  bool object_owned = false;                           // C  part of an object's own tree, linked into spaces
  const std::uint16_t slot_count;                      // C  slots that belong to the tree; those above are the kernel's
  std::uint16_t live VELLUM_GUARDED_BY(lock) = 0;      // L  entries that are not empty, below slot_count
  std::uint16_t resident VELLUM_GUARDED_BY(lock) = 0;  // L  entries that name pages which count as resident
  std::uint16_t owning_children VELLUM_GUARDED_BY(lock) = 0;  // L
  std::uint8_t granted VELLUM_GUARDED_BY(lock) = 0;  // L  Prot bits that entries here may grant (an upper bound)
  bool large = false;                                // C  a large page, see below
  std::atomic<std::uint16_t> run_count{0};           // S
  std::atomic<std::uint16_t> occupied{0};            // A  sixteenths of the table that may have entries (upper bound)
  std::atomic<std::uint32_t> share{1};               // A  entries that name this node (a root: its holder)
  std::atomic<std::uint32_t> sequence{0};            // A  odd while runs change
  std::atomic<std::uint32_t> held{0};                // A  slots that a cursor holds from here; written under lock
  const Pfn table;                                   // C  the hardware's half
  Vpn base;                                          // M  the page of slot 0; of an object's tree: the page index
  NodeStore* const store;                            // C
  std::atomic<RunBlock*> spill{nullptr};             // S  in use instead of inline_runs
  Run inline_runs[kInlineRuns];                      // S

  // A cursor that covers slots from this node says so, and cursors further down wait for it (see cursor.hpp).
  void hold_slots(unsigned first, unsigned last) VELLUM_REQUIRES(lock) {
    held.store((first + 1U) | last << 16U, std::memory_order_relaxed);
  }
  void let_slots_go() VELLUM_REQUIRES(lock) { held.store(0, std::memory_order_relaxed); }
  [[nodiscard]] bool holds_slot(unsigned slot) const {
    const std::uint32_t slots = held.load(std::memory_order_relaxed);
    return slots != 0 && slot + 1U >= (slots & 0xFFFFU) && slot <= slots >> 16U;
  }

  // The run that covers a slot. Needs the lock.
  [[nodiscard]] std::optional<RunValue> run_at(unsigned slot) const VELLUM_REQUIRES(lock);
  // The meaning that this node's runs give to a slot. Needs the lock.
  [[nodiscard]] std::optional<Meaning> meaning_at(unsigned slot) const VELLUM_REQUIRES(lock);
  // The same without the lock, inside an epoch section: some state that was true during the call.
  [[nodiscard]] std::optional<Meaning> meaning_at_unlocked(unsigned slot) const;
  [[nodiscard]] unsigned runs() const { return run_count.load(std::memory_order_relaxed); }
  [[nodiscard]] const Run& run(unsigned index) const { return run_array()[index]; }
  // Index of the first run that ends at or after `slot`; runs() where there is none.
  [[nodiscard]] unsigned first_run_from(unsigned slot) const;
  // One run covers all slots.
  [[nodiscard]] bool is_uniform() const {
    return runs() == 1 && run(0).first() == 0 && run(0).last() == slot_count - 1U;
  }

  [[nodiscard]] bool has_room(unsigned extra) const VELLUM_REQUIRES(lock) { return runs() + extra <= run_capacity(); }
  // Makes room for `extra` more runs, so that the functions below cannot fail. Error: no_memory, nothing changed.
  [[nodiscard]] Result<void> reserve_runs(unsigned extra) VELLUM_REQUIRES(lock);
  // Gives slots first..last a meaning or, with null, none. Returns those that meant something before. Takes a
  // reference to the backing for each run that it makes, drops those of the runs that go. Joins neighbours that mean
  // the same. Needs room for two runs.
  MeaningSum assign(unsigned first, unsigned last, const Meaning* meaning, MeaningSink& sink) VELLUM_REQUIRES(lock);
  // Gives slots that mean nothing a value without a backing; `index` is that of the first run behind them. Needs room
  // for one run.
  void fill(unsigned index, RunValue value) VELLUM_REQUIRES(lock);
  // Changes what first..last mean, where they mean something. Needs room for two runs.
  void change(unsigned first, unsigned last, const MeaningChange& change, MeaningSink& sink) VELLUM_REQUIRES(lock);
  // Copies another node's runs into this node, which has none; takes references. Error: no_memory, nothing changed.
  [[nodiscard]] Result<void> copy_runs(const Node& from) VELLUM_REQUIRES(lock);

  // Panics where the runs are out of order or overlap. For tests.
  void check_runs() const VELLUM_REQUIRES(lock);

 private:
  [[nodiscard]] const Run* run_array() const {
    RunBlock* block = spill.load(std::memory_order_acquire);
    return block != nullptr ? block->runs() : inline_runs;
  }
  [[nodiscard]] Run* run_array() {
    RunBlock* block = spill.load(std::memory_order_acquire);
    return block != nullptr ? block->runs() : inline_runs;
  }
  [[nodiscard]] unsigned run_capacity() const {
    RunBlock* block = spill.load(std::memory_order_relaxed);
    return block != nullptr ? block->capacity : kInlineRuns;
  }
  MeaningSum assign_any(unsigned first, unsigned last, const Meaning* meaning, MeaningSink& sink) VELLUM_REQUIRES(lock);
  void open_gap(Run* array, unsigned index) VELLUM_REQUIRES(lock);
  void close_gap(Run* array, unsigned index) VELLUM_REQUIRES(lock);
  [[nodiscard]] unsigned cut(unsigned index, const RunValue& run, unsigned first, unsigned last) VELLUM_REQUIRES(lock);
  // Puts the first `made` of `values` in the place of the runs [from, to).
  void substitute(unsigned from, unsigned to, const RunValue* values, unsigned made, MeaningSink& sink)
      VELLUM_REQUIRES(lock);
};

static_assert(sizeof(Node) <= 128);

}  // namespace vellum
