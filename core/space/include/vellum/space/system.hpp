// What all spaces of one system share.
#pragma once

#include <vellum/object/object.hpp>
#include <vellum/pagetable/cursor.hpp>
#include <vellum/space/family.hpp>

namespace vellum {

template <PageTableFormat F>
class AddressSpace;

// Where private anonymous memory comes in large pages (large_fault.cpp).
enum class LargePages : std::uint8_t {
  never,
  where_advised,   // what a program said it wants so (MADV_HUGEPAGE)
  where_they_pay,  // and what is filled in order, or wanted at once
  everywhere,      // whatever is written first where one fits: for tests
};

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
        per_cpu_({.name = "space, for each CPU",
                  .object_size = ByteCount(slot_count() * kSlotSize.value()),
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
  // How many pages a fault may fill where a program fills its memory in order. A power of two; 1: never more than one.
  unsigned most_in_order = 16;
  // Read at each fault that could make one.
  std::atomic<LargePages> large_pages{LargePages::where_they_pay};

  // Asked by operations that take long, between pieces of kPiece, with no lock held and outside of sections: who made
  // the system may let others go first. False: the operation is to end where it is. Null: nobody waits.
  bool (*may_go_on)() = nullptr;
  static constexpr PageCount kPiece{512};
  [[nodiscard]] bool go_on() const { return may_go_on == nullptr || may_go_on(); }

  // Gives back what the calling CPU's operations took out of trees, as far as nobody looks at it. With no node locked
  // and outside of sections: after operations that take out much, when memory is short, and now and then.
  void settle() {
    const CpuSection<Machine> section(memory.machine());
    epochs.settle(memory.machine().current_cpu());
  }

  // The page that reads of untouched anonymous memory share.
  [[nodiscard]] Pfn zero_frame() const { return zero_frame_; }
  // Slots of what a space has for each CPU; beyond so many, CPUs share them.
  static constexpr unsigned kMostSlots = 64;
  static constexpr ByteCount kSlotSize{(F::kLevels > 4 ? 3 : 2) * kCacheLine};
  [[nodiscard]] unsigned slot_count() const {
    const unsigned cpus = memory.machine().cpu_count();
    return cpus < kMostSlots ? cpus : kMostSlots;
  }

 private:
  friend class AddressSpace<F>;
  friend class Family<F>;

  Pfn zero_frame_{0};
  TypedCache<AddressSpace<F>> spaces_;
  TypedCache<Family<F>> families_;
  ObjectCache per_cpu_;
};

}  // namespace vellum
