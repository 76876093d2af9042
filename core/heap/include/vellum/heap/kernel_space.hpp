// The kernel's own address space: what every space shows above its user half.
//
// Concepts. The *kernel half* is cut into regions by core/layout. What lies in them is wired: a page is there from the
// moment that it is allocated until it is freed, and an access to any other is a bug. So the kernel half needs no
// meanings and no faults, only entries (core/pagetable/wired.hpp), and arenas that say who has which addresses.
//
//   KernelSpace      the tables: one root, of which every space holds a copy of the upper entries (this file)
//   BackedArena      addresses of a region, backed by pages of memory: kernel heap, segzio, segkvmm, core heap
//   KernelStacks     segkp: stacks with a red zone below, a few of them kept ready
//   DeviceMappings   addresses of the device region, backed by registers of devices
//   FileWindows      segmap: windows of 8 KB onto pages of files, kept for the next who asks
//   HeapPages        a PageSource over a BackedArena, for object caches
//
// Implementation. The root's entries for the kernel half are made once, before the first space copies them, and never
// change again (start()); below, tables appear as they are needed and stay. So a mapping made in the shared tables is
// seen by every space at once, without a word to any of them. What is unmapped is flushed on every CPU, whichever space
// it runs, before its memory or its addresses are given to anybody else.
//
// Locks. Mapping and unmapping take the locks of the nodes on the way (rank node), one at a time: any number of CPUs
// may change disjoint ranges at once. Arenas have their own (rank arena), never held together with a node's. So callers
// hold no lock of rank `node` or later.
//
// What it never does: page anything out, change a mapping under its user, fail while freeing.
#pragma once

#include <vellum/pagetable/wired.hpp>

namespace vellum {

template <PageTableFormat F>
class KernelSpace {
 public:
  explicit KernelSpace(NodeStore& nodes) : tables_(nodes) {}
  // end() must have been called.
  ~KernelSpace() { VELLUM_ASSERT(root_ == nullptr); }
  KernelSpace(const KernelSpace&) = delete;
  KernelSpace& operator=(const KernelSpace&) = delete;

  // Makes the root and its entries for all of `ranges`: nothing will be mapped elsewhere. Error: no_memory; then end().
  [[nodiscard]] Result<void> start(std::span<const VirtRange> ranges);
  // Takes all tables apart. No CPU may run them, nor any space share them.
  void end();

  [[nodiscard]] Node& root() { return *root_; }
  [[nodiscard]] PhysAddr root_address() const { return address_of(root_->table); }
  [[nodiscard]] PhysicalMemory& memory() const { return tables_.memory(); }

  // Maps a range that is unmapped to physical memory from `target` on. Errors: no_memory, with nothing mapped; invalid
  // where something is not aligned.
  [[nodiscard]] Result<void> map(VirtRange range, PhysAddr target, const WiredAttributes& attributes);
  // Unmaps a range, which begins and ends at bounds of the pages that map it, and makes every CPU forget it.
  void unmap(VirtRange range);
  // Gives a mapped range other rights, and makes every CPU forget those that it had. Large pages that it cuts are
  // split. Error: no_memory, with no rights changed.
  [[nodiscard]] Result<void> protect(VirtRange range, EntryRights rights);
  // Where an address leads.
  [[nodiscard]] std::optional<WiredPage> find(VirtAddr address) { return find_wired(tables_, *root_, address); }

  // For who maps single pages of a range that nobody else maps anything in, without a walk for each:
  //
  // The table whose entries map 4 KB pages around an address. Error: no_memory.
  [[nodiscard]] Result<Node*> leaf_table(VirtAddr address);
  // Stores an entry of it; what it said before must then be flushed.
  void set_page(Node& table, VirtAddr address, Pfn frame, EntryRights rights);
  void clear_page(Node& table, VirtAddr address);
  // Makes every CPU forget a range.
  void flush(VirtRange range);

 private:
  void take_apart(Node& node);

  Tables<F> tables_;
  Node* root_ = nullptr;
};

}  // namespace vellum
