// Wired mappings: pages that are simply there, for the kernel's own half: its text and data, the direct map of memory,
// device registers. No meaning stands behind them, no reference is counted, no fault is expected.
#pragma once

#include <vellum/pagetable/tables.hpp>

namespace vellum {

enum class Caching : std::uint8_t { write_back, uncached };
// Global translations survive a change of the root [intel/vol3 4.10.2.4].
enum class Lifetime : std::uint8_t { of_root, global };

struct WiredAttributes {
  EntryRights rights;
  Caching caching = Caching::write_back;
  Lifetime lifetime = Lifetime::of_root;
  // Pages are as large as alignment and this level allow: 1 maps 4 KB pages only.
  unsigned largest_level = 3;
};

// Maps [start, start + size) to physical memory from `target` on, in a tree of wired mappings only. All page-aligned;
// the range must be unmapped. Tables grant everything; what the pages do not grant is denied in their own entries.
// Errors: no_memory, invalid (not aligned, beyond the format's addresses); nothing was mapped.
// Several CPUs may change disjoint ranges of one tree at once.
template <PageTableFormat F>
[[nodiscard]] Result<void> map_wired(const Tables<F>& tables, Node& root, VirtRange range, PhysAddr target,
                                     const WiredAttributes& attributes);

// Takes wired mappings out; tables stay until the tree ends. The range begins and ends at bounds of the pages that map
// it. The caller flushes.
template <PageTableFormat F>
void unmap_wired(const Tables<F>& tables, Node& root, VirtRange range);

// Gives wired mappings other rights. Every page of the range is mapped; large pages that it cuts are split. The caller
// flushes. Error: no_memory, with no rights changed.
template <PageTableFormat F>
[[nodiscard]] Result<void> protect_wired(const Tables<F>& tables, Node& root, VirtRange range, EntryRights rights);

// The pieces of which these are made. The entry of a page of `level`:
template <PageTableFormat F>
[[nodiscard]] Entry wired_entry(Pfn frame, unsigned level, const WiredAttributes& attributes);
// The table whose entries map pages of `level` around an address, made where it is missing. Error: no_memory.
template <PageTableFormat F>
[[nodiscard]] Result<Node*> wired_table(const Tables<F>& tables, Node& root, VirtAddr address, unsigned level);

// Where a wired page leads, and what its entry grants; nothing where none is.
struct WiredPage {
  PhysAddr address;
  unsigned level;
  EntryRights rights;
};
template <PageTableFormat F>
[[nodiscard]] std::optional<WiredPage> find_wired(const Tables<F>& tables, Node& root, VirtAddr address);

}  // namespace vellum
