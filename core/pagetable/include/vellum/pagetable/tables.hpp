// Entries and subtrees of one format: the steps of which every operation is made.
#pragma once

#include <cstdint>
#include <optional>

#include <vellum/pagetable/entry.hpp>
#include <vellum/pagetable/node.hpp>
#include <vellum/pagetable/node_store.hpp>

namespace vellum {

template <PageTableFormat F>
class TlbGather;

// Stateless but for where the store is; a copy is as good as the original.
template <PageTableFormat F>
class Tables {
 public:
  using Codec = EntryCodec<F>;

  explicit Tables(NodeStore& store) : store_(&store), memory_(&store.memory()), machine_(&store.machine()) {}

  [[nodiscard]] NodeStore& store() const { return *store_; }
  [[nodiscard]] PhysicalMemory& memory() const { return *memory_; }
  [[nodiscard]] Machine& machine() const { return *machine_; }

  // --- entries: every access is atomic, for the hardware and other CPUs read and mark them at any time
  // -----------------

  [[nodiscard]] Entry load(const Node& node, unsigned slot) const {
    const auto window = machine().window(node.table);
    return {__atomic_load_n(entries(window.data()) + slot, __ATOMIC_ACQUIRE)};
  }
  void set(Node& node, unsigned slot, Entry entry) const {
    const auto window = machine().window(node.table);
    __atomic_store_n(entries(window.data()) + slot, entry.bits, __ATOMIC_RELEASE);
    if (entry.bits != 0) {
      const auto part = static_cast<std::uint16_t>(1U << part_of(node, slot));
      node.occupied.store(node.occupied.load(std::memory_order_relaxed) | part, std::memory_order_relaxed);
    }
  }
  // The first slot from `from` to `last` whose entry is not empty; last + 1 where there is none. Under the node's lock.
  [[nodiscard]] unsigned next_entry(const Node& node, unsigned from, unsigned last) const {
    return from <= last && load(node, from).bits != 0 ? from : search_entry(node, from, last);
  }
  // The entry that was there, with what the hardware marked up to the last moment.
  Entry exchange(Node& node, unsigned slot, Entry entry) const {
    const auto window = machine().window(node.table);
    return {__atomic_exchange_n(entries(window.data()) + slot, entry.bits, __ATOMIC_ACQ_REL)};
  }
  // Replaces `expected`; where it changed meanwhile (the hardware marked it), gives what is there now, and false.
  [[nodiscard]] bool replace(Node& node, unsigned slot, Entry& expected, Entry entry) const {
    const auto window = machine().window(node.table);
    return __atomic_compare_exchange_n(entries(window.data()) + slot, &expected.bits, entry.bits, false,
                                       __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
  }
  // Takes the right to write out of an entry; what the hardware marks meanwhile is not lost.
  void deny_write(Node& node, unsigned slot) const {
    const auto window = machine().window(node.table);
    __atomic_fetch_and(entries(window.data()) + slot, ~X86EntryBits::kWrite, __ATOMIC_ACQ_REL);
  }

  [[nodiscard]] static EntryState state(Entry entry, const Node& node) { return Codec::state(entry, node.level); }
  // Whether an entry maps a large page (node.hpp). Page entries above the leaves have the bit, present or denied.
  [[nodiscard]] static bool is_large(Entry entry, const Node& node) {
    return node.level > 1 && (entry.bits & X86EntryBits::kPageSize) != 0;
  }
  // Whether an entry above the leaves names a table.
  [[nodiscard]] static bool leads_on(Entry entry) {
    return entry.bits != 0 && (entry.bits & X86EntryBits::kPageSize) == 0;
  }
  // Whether there are large pages where an entry of a level is.
  [[nodiscard]] static constexpr bool has_large(unsigned level) {
    return level == 2 && F::maps_pages(2) && F::restricts(2);
  }
  static constexpr unsigned kLargeOrder = F::index_bits(1);
  // The node that an entry of a table, or of a large page under the lock of `node`, names.
  [[nodiscard]] Node& child(Entry entry, const Node& node) const {
    return *memory().frame(Codec::frame(entry, node.level)).template owner<Node>();
  }
  // The node that an entry of `level` names, where it is plain that only this entry names it, or that it is an
  // object's: the hardware writes through it. Null for all other entries.
  [[nodiscard]] Node* own_child(Entry entry, unsigned level) const {
    if (!F::restricts(level)) {
      Node* const node = Codec::state(entry, level) == EntryState::table
                             ? memory().frame(F::frame(entry, level)).template owner<Node>()
                             : nullptr;
      return node != nullptr && node->share.load(std::memory_order_acquire) == 1 ? node : nullptr;
    }
    constexpr std::uint64_t kLooked = X86EntryBits::kPresent | X86EntryBits::kWrite | X86EntryBits::kPageSize;
    if ((entry.bits & kLooked) != (X86EntryBits::kPresent | X86EntryBits::kWrite)) {
      return nullptr;
    }
    return memory().frame(F::frame(entry, level)).template owner<Node>();
  }

  // --- positions
  // ------------------------------------------------------------------------------------------------------

  [[nodiscard]] static PageCount span(const Node& node) { return entry_span<F>(node.level); }
  [[nodiscard]] static unsigned slot_of(const Node& node, Vpn page) { return entry_index<F>(page, node.level); }
  [[nodiscard]] static Vpn page_of(const Node& node, unsigned slot) { return node.base + span(node) * slot; }
  [[nodiscard]] static VpnRange range_of(const Node& node, unsigned slot) {
    return VpnRange::must(page_of(node, slot), span(node));
  }

  // --- rights
  // ---------------------------------------------------------------------------------------------------------

  // The most that an entry may grant under a meaning.
  [[nodiscard]] static constexpr EntryRights allowed(Prot prot) {
    return {.write = prot.can_write(), .execute = prot.can_execute(), .user = true};
  }
  [[nodiscard]] static constexpr std::uint8_t grant_bits(EntryRights rights) {
    return static_cast<std::uint8_t>((rights.write ? Prot::write().bits() : 0) |
                                     (rights.execute ? Prot::execute().bits() : 0));
  }
  // Takes from an entry what `prot` does not allow, gives it back presence and execution where it does, never writing.
  // True where a translation made from the old entry could do what the new one forbids.
  bool limit(Node& node, unsigned slot, Prot prot) const VELLUM_REQUIRES(node.lock);

  // --- pages of a leaf
  // -----------------------------------------------------------------------------------------------------------

  // Takes the pages and swap slots out of first..last.
  void clear_pages(Node& leaf, unsigned first, unsigned last, TlbGather<F>& gather) const VELLUM_REQUIRES(leaf.lock);
  // limit() for all entries of first..last.
  void limit_pages(Node& leaf, unsigned first, unsigned last, Prot prot, TlbGather<F>& gather) const
      VELLUM_REQUIRES(leaf.lock);

  // --- nodes
  // ----------------------------------------------------------------------------------------------------------

  // A node for a slot of `parent`: empty, held once, not yet entered.
  [[nodiscard]] Result<Node*> create_child(const Node& parent, unsigned slot) const;
  // Enters a child into an empty slot.
  void link(Node& parent, unsigned slot, Node& child, EntryRights rights, bool present) const
      VELLUM_REQUIRES(parent.lock);
  // A copy of a node that more than one path leads to: both then name the same children, frames and swap slots, counted
  // once more, and neither can write them (an object's table: the copy cannot). `base` is the copy's first page, which
  // for an object's table is not the original's. Error: no_memory, nothing changed.
  [[nodiscard]] Result<Node*> clone(Node& original, Vpn base) const VELLUM_REQUIRES(original.lock);
  // The child in a slot as one to which only this tree comes: where more do, a copy takes its place, and that of a
  // large page a table. The entry lets through what it may. Error: no_memory, nothing changed.
  [[nodiscard]] Result<Node*> exclusive_child(Node& node, unsigned slot, TlbGather<F>& gather) const
      VELLUM_REQUIRES(node.lock);
  // Enters a block as a large page into an empty slot, and takes it. Error: no_memory, nothing changed.
  [[nodiscard]] Result<void> enter_large(Node& node, unsigned slot, Pfn block, EntryRights rights) const
      VELLUM_REQUIRES(node.lock);
  // Whether nothing else maps any part of the large page in a slot.
  [[nodiscard]] bool is_large_alone(const Node& node, unsigned slot) const VELLUM_REQUIRES(node.lock);
  // Puts a table in the place of the large page in a slot, which maps the same. Nothing changes for whoever reaches it.
  // Error: no_memory, nothing changed.
  [[nodiscard]] Result<Node*> split(Node& node, unsigned slot, TlbGather<F>& gather) const VELLUM_REQUIRES(node.lock);
  // Takes the right to write out of all entries that name tables or frames.
  void deny_writes(Node& node) const VELLUM_REQUIRES(node.lock);
  // Makes a content-only child own the meaning that the slot above it has. Both exclusive.
  // Needs room for two runs in `parent`.
  void push_down(Node& parent, unsigned slot, Node& child, const Meaning& meaning, MeaningSink& sink) const
      VELLUM_REQUIRES(parent.lock, child.lock);
  // Drops one reference to a node; with the last one all that it holds goes, once nobody can see it any more. No
  // translation that led through the reference may be left in any TLB.
  void release(Node& node, TlbGather<F>& gather) const;

 private:
  // On i386 a plain 64-bit number is aligned to 4 bytes only.
  using AlignedWord [[gnu::aligned(8)]] = std::uint64_t;
  // Of the sixteen parts of a table that Node::occupied tells apart.
  [[nodiscard]] static unsigned part_shift(const Node& node) {
    return F::index_bits(node.level) > 4 ? F::index_bits(node.level) - 4 : 0;
  }
  [[nodiscard]] static unsigned part_of(const Node& node, unsigned slot) { return slot >> part_shift(node); }
  [[nodiscard]] static AlignedWord* entries(std::byte* table) { return reinterpret_cast<AlignedWord*>(table); }
  void tear_down(Node& node, TlbGather<F>& gather) const;
  void release_pages(const Node& large, TlbGather<F>& gather) const;
  template <bool is_leaf>
  void release_entries(Node& node, TlbGather<F>& gather) const VELLUM_REQUIRES(node.lock);
  void fill_with_pages(Node& table, Entry first) const;
  [[nodiscard]] unsigned search_entry(const Node& node, unsigned from, unsigned last) const;

  NodeStore* store_;
  PhysicalMemory* memory_;  // the store's, at hand for every step
  Machine* machine_;
};

}  // namespace vellum
