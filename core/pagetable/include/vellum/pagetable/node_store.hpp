// Where nodes, their tables and their runs come from and go to.
#pragma once

#include <span>

#include <vellum/arena/object_cache.hpp>
#include <vellum/base/epoch.hpp>
#include <vellum/pagetable/entry.hpp>
#include <vellum/pagetable/events.hpp>
#include <vellum/pagetable/node.hpp>
#include <vellum/phys/physical_memory.hpp>

namespace vellum {

// What entries that name swap slots need of a swap device.
class SwapStore {
 public:
  // A slot is kept as long as entries name it; it counts them.
  virtual void retain(SwapSlot slot) = 0;
  virtual void release(SwapSlot slot) = 0;
  // Fills a page from a slot. Called with no lock held and outside of sections. Error: io_error.
  [[nodiscard]] virtual Result<void> read(SwapSlot slot, std::span<std::byte> page) = 0;

 protected:
  ~SwapStore() = default;
};

class NodeStore {
 public:
  NodeStore(PhysicalMemory& memory, PageSource& source, EpochDomain& epochs);
  // Every node must have been destroyed and the epoch domain drained.
  ~NodeStore() = default;
  NodeStore(const NodeStore&) = delete;
  NodeStore& operator=(const NodeStore&) = delete;

  [[nodiscard]] PhysicalMemory& memory() { return memory_; }
  [[nodiscard]] Machine& machine() { return memory_.machine(); }
  [[nodiscard]] EpochDomain& epochs() { return epochs_; }
  [[nodiscard]] PageSource& source() { return source_; }

  // A node with an empty table, held once. The table's frame finds its node (node_of).
  // Error: no_memory, nothing changed.
  [[nodiscard]] Result<Node*> create(unsigned level, unsigned slots, Vpn base, LockRank rank);
  // A node for a large page, of a block with nobody's descriptor but the first (PhysicalMemory::allocate_block), which
  // it makes into frames of their own and takes. Error: no_memory, nothing changed.
  [[nodiscard]] Result<Node*> create_large(unsigned slots, Vpn base, Pfn block);
  // Gives back a node that nobody can reach any more: has no runs, and all that its entries held has been released.
  void destroy(Node& node);
  // The same for a node that other CPUs may still be looking at: marks it stale and frees it when they are gone.
  // Needs the caller to be inside an epoch section, on `cpu`.
  void retire(Node& node, CpuIndex cpu);

  [[nodiscard]] Node& node_of(Pfn table) { return *memory_.frame(table).owner<Node>(); }

  [[nodiscard]] Result<RunBlock*> create_run_block(unsigned capacity);
  void destroy_run_block(RunBlock& block);

  // Whom to tell about entries that name swap slots; must be set before the first such entry.
  void set_swap(SwapStore& swap) { swap_ = &swap; }
  [[nodiscard]] SwapStore& swap() {
    VELLUM_CHECK(swap_ != nullptr);
    return *swap_;
  }

  // What happened in all the spaces of the system. On the calling CPU, if none is told.
  [[nodiscard]] const EventCounts& events() const { return events_; }
  void count(MemoryEvent event) { events_.count(machine().current_cpu(), event); }
  void count(CpuIndex cpu, MemoryEvent event) { events_.count(cpu, event); }

  // Nodes that exist, retired ones included. Exact when quiescent.
  [[nodiscard]] std::uint64_t node_count() const { return nodes_.objects_in_use(); }
  // Gives back cached memory. Only when quiescent.
  void reap();

 private:
  static constexpr unsigned kRunClasses = 3;  // larger blocks come from the source directly

  PhysicalMemory& memory_;
  PageSource& source_;
  EpochDomain& epochs_;
  SwapStore* swap_ = nullptr;
  ObjectCache nodes_;
  ObjectCache run_blocks_[kRunClasses];
  EventCounts events_;
};

}  // namespace vellum
