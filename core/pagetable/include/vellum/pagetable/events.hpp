// How often what happened in the spaces of a system: for reports, not for decisions.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include <vellum/base/cpu.hpp>

namespace vellum {

enum class MemoryEvent : std::uint8_t {
  zero_filled,    // a page of anonymous memory was written for the first time
  zero_shared,    // one was read before that: it shows the page of zeros
  object_mapped,  // a page of a file, or of another object, was put into a table
  copied,         // a page was copied for who writes it, and no longer shared (COW)
  reused,         // a write to a page that nobody shares any more, or that was clean
  swapped_in,
  table_made,
  table_dropped,
  large_made,      // a large page was filled; all of it is one zero_filled
  large_split,     // one became a table
  large_dropped,   // one is no more: it was split, or nobody mapped it any longer
  table_restored,  // its entries were compared with those of a snapshot
  flushed,         // the CPU that changed a table flushed its own TLB
  shot_down,       // and interrupted others, for theirs
  kCount,
};

// Each CPU counts by itself, so that none waits for another.
class EventCounts {
 public:
  void count(CpuIndex cpu, MemoryEvent event) {
    slots_[cpu.value() % kSlots].counts[std::to_underlying(event)].fetch_add(1, std::memory_order_relaxed);
  }
  // Exact when quiescent.
  [[nodiscard]] std::uint64_t total(MemoryEvent event) const {
    std::uint64_t sum = 0;
    for (const Slot& slot : slots_) {
      sum += slot.counts[std::to_underlying(event)].load(std::memory_order_relaxed);
    }
    return sum;
  }

 private:
  static constexpr unsigned kSlots = 64;
  struct alignas(kCacheLine) Slot {
    std::atomic<std::uint64_t> counts[std::to_underlying(MemoryEvent::kCount)] = {};
  };

  Slot slots_[kSlots];
};

}  // namespace vellum
