// What all spaces of one system share.
#pragma once

#include <vellum/object/object.hpp>
#include <vellum/pagetable/cursor.hpp>
#include <vellum/space/family.hpp>

namespace vellum {

template <PageTableFormat F>
class AddressSpace;

// Several systems live in one process, on machines of their own. Large (an epoch slot for each CPU): not for the stack.
template <PageTableFormat F>
class VirtualMemory {
 public:
  VirtualMemory(PhysicalMemory& physical_memory, PageSource& source, MeaningPlacement placement)
      : memory(physical_memory),
        epochs(physical_memory.machine().cpu_count()),
        nodes(physical_memory, source, epochs),
        objects(nodes),
        meaning_placement(placement),
        spaces_("address space", source, physical_memory.machine()),
        families_("fork family", source, physical_memory.machine()),
        counters_({.name = "space counters",
                   .object_size = ByteCount(counter_slots() * kCacheLine),
                   .alignment = ByteCount(kCacheLine)},
                  source, physical_memory.machine()) {}
  VirtualMemory(const VirtualMemory&) = delete;
  VirtualMemory& operator=(const VirtualMemory&) = delete;

  // Must succeed before anything else is done. Error: no_memory.
  [[nodiscard]] Result<void> start();
  // Gives everything back. All spaces and objects must be gone.
  void stop();
  // Gives back what caches hold. Only when quiescent.
  void reap();

  PhysicalMemory& memory;
  EpochDomain epochs;
  NodeStore nodes;
  ObjectStore<F> objects;
  const MeaningPlacement meaning_placement;

  // The page that reads of untouched anonymous memory share.
  [[nodiscard]] Pfn zero_frame() const { return zero_frame_; }
  [[nodiscard]] unsigned counter_slots() const {
    const unsigned cpus = memory.machine().cpu_count();
    return cpus < kMaxCounterSlots ? cpus : kMaxCounterSlots;
  }

 private:
  friend class AddressSpace<F>;
  friend class Family<F>;
  static constexpr unsigned kMaxCounterSlots = 64;

  Pfn zero_frame_{0};
  TypedCache<AddressSpace<F>> spaces_;
  TypedCache<Family<F>> families_;
  ObjectCache counters_;
};

}  // namespace vellum
