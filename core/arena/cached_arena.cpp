#include <bit>
#include <span>

#include <vellum/arena/cached_arena.hpp>

namespace vellum {
namespace {

constexpr unsigned kRounds = 15;

}  // namespace

CachedArena::CachedArena(const ArenaConfig& config, ByteCount largest_cached, ArenaMetadata& metadata)
    : arena_(config, metadata),
      quantum_shift_(static_cast<unsigned>(std::countr_zero(config.quantum.value()))),
      sizes_(static_cast<unsigned>(largest_cached.value() >> quantum_shift_)) {
  VELLUM_CHECK(sizes_ <= kMostSizes);
  for (unsigned cache = 0; cache < sizes_; ++cache) {
    caches_[cache].emplace(kRounds, metadata.pages, metadata.machine);
  }
}

Result<VirtRange> CachedArena::allocate_slow(ByteCount size) {
  const std::uint64_t cache = (size.value() - 1) >> quantum_shift_;
  if (cache < sizes_) {
    if (const std::optional<Round> round = caches_[cache]->pop_slow()) {
      return hand_out(*round, cache);
    }
  }
  const Result<VirtRange> range = arena_.allocate(size);
  if (range.ok() || range.error() != Errno::no_memory) {
    return range;
  }
  trim();
  return arena_.allocate(size);
}

Result<VirtRange> CachedArena::allocate(ByteCount size, Fit fit, const RangeConstraints& constraints) {
  const Result<VirtRange> range = arena_.allocate(size, fit, constraints);
  if (range.ok() || range.error() != Errno::no_memory) {
    return range;
  }
  trim();
  return arena_.allocate(size, fit, constraints);
}

void CachedArena::free_slow(VirtRange range, std::uint64_t cache) {
  Round overflow[Magazines::kMaxRounds];
  const unsigned count = caches_[cache]->push_slow(range.start().value(), overflow);
  return_to_arena(std::span<const Round>(overflow, count), cache);
}

void CachedArena::return_to_arena(std::span<const Round> rounds, std::uint64_t cache) {
  for (const Round round : rounds) {
    arena_.free(hand_out(round, cache));
  }
}

void CachedArena::trim() {
  Round batch[Magazines::kMaxRounds];
  for (unsigned cache = 0; cache < sizes_; ++cache) {
    while (const unsigned count = caches_[cache]->unload_some(batch)) {
      return_to_arena(std::span<const Round>(batch, count), cache);
    }
  }
}

void CachedArena::reap() {
  Round batch[Magazines::kMaxRounds];
  for (unsigned cache = 0; cache < sizes_; ++cache) {
    while (const unsigned count = caches_[cache]->unload_all(batch)) {
      return_to_arena(std::span<const Round>(batch, count), cache);
    }
  }
}

ByteCount CachedArena::in_use() const {
  ByteCount in_use = arena_.in_use();
  for (unsigned cache = 0; cache < sizes_; ++cache) {
    in_use -= ByteCount((std::uint64_t{cache} + 1) << quantum_shift_) * caches_[cache]->count();
  }
  return in_use;
}

}  // namespace vellum
