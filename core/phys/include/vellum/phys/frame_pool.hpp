// Which frames are free: the shared part of the allocator.
//
// Everything goes by powers of 64. A bit says that a frame is free. 64 bits are a word (256 KB), 8 words an area (2 MB,
// one cache line), 64 areas a region (128 MB). A region knows, in a word each, which of its areas have some but not all
// frames free (partial) and which are wholly free; three bit trees know which regions have such areas and which regions
// are wholly free. So a free frame, a free 2 MB and a free 128 MB are each found in a few steps, whatever the size of
// memory; nothing is ever split or merged, as in a buddy system's lists, for a block is free when its bits are.
// The bit fields for 2 MB and the counters above them are those of LLFree [Wrenger et al., ATC 2023]; its lock-free
// updates are not needed here, because the caller takes the lock once for some 64 frames.
//
// A region that lies wholly inside usable memory is set up when it is first used; until then it costs three bits.
//
// Memory that was zero when the machine started and has not been handed out since is *fresh*; that is known for each
// word. Taking part of a word makes the rest of it stale.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include <vellum/base/types.hpp>
#include <vellum/phys/bit_tree.hpp>
#include <vellum/phys/frame.hpp>
#include <vellum/phys/memory_map.hpp>

namespace vellum {

// What a page holds, or what the caller of an allocation needs it to hold.
enum class Contents : std::uint8_t { any, zeroed };

// Not synchronised, but free_counter() may be read at any time.
class FramePool {
 public:
  static constexpr unsigned kWordOrder = 6;
  static constexpr unsigned kAreaOrder = 9;
  static constexpr unsigned kRegionOrder = 15;
  static constexpr std::uint64_t kAreaPages = std::uint64_t{1} << kAreaOrder;
  static constexpr std::uint64_t kRegionPages = std::uint64_t{1} << kRegionOrder;

  // What set_up() tells: the frames of a region are about to be used for the first time.
  using RegionHook = void (*)(void* context, FrameRange frames);

  struct alignas(64) Region {
    std::uint64_t words[512];
    std::uint64_t partial;
    std::uint64_t whole;
    std::uint16_t free[64];
    std::uint8_t fresh[64];  // a bit for each word of an area
  };

  // Some frames of one word: frame `first` + i is taken where bit i is set.
  struct Taken {
    Pfn first;
    std::uint64_t bits;
    Contents contents;
  };

  // The regions that frames below `end` need.
  [[nodiscard]] static constexpr std::size_t regions_for(Pfn end) {
    return static_cast<std::size_t>((end.value() + kRegionPages - 1) >> kRegionOrder);
  }
  // Words of zeroed memory that the pool needs beside its regions.
  [[nodiscard]] static constexpr std::size_t tree_words_for(std::size_t regions) {
    return 4 * BitTree::words_for(regions);
  }

  // `map` and the memory outlive the pool. `tree_words` are zero; `regions` may hold anything. `starts` says what
  // frames hold that were never taken. `hook` may be null.
  FramePool(const MemoryMap& map, std::span<std::uint64_t> tree_words, Region* regions, Contents starts,
            RegionHook hook, void* hook_context);
  FramePool(const FramePool&) = delete;
  FramePool& operator=(const FramePool&) = delete;

  [[nodiscard]] PageCount free_count() const { return PageCount(free_.load(std::memory_order_relaxed)); }
  [[nodiscard]] const std::atomic<std::uint64_t>& free_counter() const { return free_; }

  // Takes up to `wanted` (1..64) frames of one word, near `near` if it can; whole 2 MB areas are broken only where no
  // broken one is left. Nothing where no frame is free.
  [[nodiscard]] std::optional<Taken> take(Pfn near, unsigned wanted);
  // Frames in any order; neighbours cost least.
  void give(std::span<const Pfn> frames);

  // An aligned block, from memory that is already broken up where that is quickly found.
  [[nodiscard]] std::optional<Pfn> take_block(Order order);
  void give_block(Pfn first, Order order);
  // To be called once for each area, or part of an area, of a block that was taken: whether it is fresh. From now on
  // it is not. `order` is at most that of an area.
  [[nodiscard]] Contents begin_use(Pfn first, Order order);

  [[nodiscard]] bool is_free(Pfn frame) const;
  // Panics where counters, masks, trees and bits contradict each other. Time grows with the memory in use.
  void check_invariants() const;

 private:
  struct Position {
    std::size_t region;
    unsigned area;
  };

  [[nodiscard]] static Pfn frame_at(std::size_t region, unsigned area, unsigned word = 0) {
    return Pfn((static_cast<std::uint64_t>(region) << kRegionOrder) + (std::uint64_t{area} << kAreaOrder) +
               (std::uint64_t{word} << kWordOrder));
  }
  [[nodiscard]] static Position position_of(Pfn frame);

  Region& set_up(std::size_t index);
  static void set_usable_bits(Region& region, FrameRange frames);
  // These two say whether the area changed between free, broken and taken.
  static bool count_area(Region& region, unsigned area, unsigned free);
  bool give_bits(std::size_t index, std::size_t word, std::uint64_t bits, unsigned count);
  void reclassify(std::size_t index);
  void add_free(std::uint64_t change) {
    free_.store(free_.load(std::memory_order_relaxed) + change, std::memory_order_relaxed);
  }

  [[nodiscard]] std::optional<Position> find_free(Pfn near);
  [[nodiscard]] std::optional<Pfn> find_block(Order order);
  [[nodiscard]] std::optional<Pfn> find_in_partial(Order order, std::size_t regions_tried);
  [[nodiscard]] std::optional<Pfn> find_whole_areas(Order order);
  [[nodiscard]] std::optional<Pfn> find_whole_regions(Order order);
  void check_region(std::size_t index) const;

  const MemoryMap& map_;
  Region* regions_;
  Contents starts_;
  RegionHook hook_;
  void* hook_context_;
  BitTree known_;    // regions that are set up
  BitTree partial_;  // regions with a partial area
  BitTree areas_;    // regions with a whole area that are not whole themselves
  BitTree whole_;    // regions that are wholly free
  std::atomic<std::uint64_t> free_{0};
};

}  // namespace vellum
