// An arena with quantum caches: per-CPU magazines of ranges of its smallest sizes, so that allocating and freeing those
// takes no lock [Bonwick & Adams 2001, section 4.4].
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include <vellum/arena/arena.hpp>
#include <vellum/arena/magazines.hpp>

namespace vellum {

// What lies in magazines is allocated as far as the arena knows, each range by itself, so any range of a cached size
// may be freed into them, wherever it came from. Where the arena has nothing left the magazines of the calling CPU and
// of the depots are emptied into it first; other CPUs may still hold a few free ranges of each size.
//
// In debug builds every cached range is marked in the arena, so that freeing it twice panics.
class CachedArena final : public RangeSource {
 public:
  static constexpr unsigned kMostSizes = 16;

  // Caches the sizes of 1 quantum up to `largest_cached`, at most kMostSizes quanta.
  CachedArena(const ArenaConfig& config, ByteCount largest_cached, ArenaMetadata& metadata);
  // Every range must have been freed. Reaps.
  ~CachedArena() { reap(); }
  CachedArena(const CachedArena&) = delete;
  CachedArena& operator=(const CachedArena&) = delete;

  [[nodiscard]] Result<void> add_span(VirtRange span) { return arena_.add_span(span); }

  // As Arena::allocate by instant fit.
  [[nodiscard]] Result<VirtRange> allocate(ByteCount size) {
    const std::uint64_t cache = (size.value() - 1) >> quantum_shift_;
    if (cache < sizes_) [[likely]] {
      if (const std::optional<Round> round = caches_[cache]->pop()) [[likely]] {
        return hand_out(*round, cache);
      }
    }
    return allocate_slow(size);
  }
  // As Arena::allocate; never from a magazine.
  [[nodiscard]] Result<VirtRange> allocate(ByteCount size, Fit fit, const RangeConstraints& constraints = {});
  // Takes back a range of either.
  void free(VirtRange range) {
    const std::uint64_t cache = (range.size().value() - 1) >> quantum_shift_;
    if (cache < sizes_) [[likely]] {
#if VELLUM_DEBUG
      arena_.note_cached(range);
#endif
      if (!caches_[cache]->push(range.start().value())) [[unlikely]] {
        free_slow(range, cache);
      }
      return;
    }
    arena_.free(range);
  }

  [[nodiscard]] Result<VirtRange> allocate_span(ByteCount size) override { return allocate(size); }
  void free_span(VirtRange span) override { free(span); }

  // Gives the ranges in this CPU's magazines and in the depots back to the arena; may run at any time.
  void trim();
  // Gives back all, and the magazines' memory. No CPU may use the arena meanwhile.
  void reap();

  // Bytes in use outside, without those in magazines. Exact while no CPU allocates or frees.
  [[nodiscard]] ByteCount in_use() const;
  [[nodiscard]] ByteCount total() const { return arena_.total(); }
  // For tests.
  void check_invariants() { arena_.check_invariants(); }

 private:
  [[nodiscard]] VirtRange range_of(Round round, std::uint64_t cache) const {
    return VirtRange::must(VirtAddr(round), ByteCount((cache + 1) << quantum_shift_));
  }
  [[nodiscard]] VirtRange hand_out(Round round, std::uint64_t cache) {
    const VirtRange range = range_of(round, cache);
#if VELLUM_DEBUG
    arena_.note_in_use(range);
#endif
    return range;
  }
  [[nodiscard]] Result<VirtRange> allocate_slow(ByteCount size);
  void free_slow(VirtRange range, std::uint64_t cache);
  void return_to_arena(std::span<const Round> rounds, std::uint64_t cache);

  Arena arena_;
  unsigned quantum_shift_;
  unsigned sizes_;
  std::optional<Magazines> caches_[kMostSizes];
};

}  // namespace vellum
