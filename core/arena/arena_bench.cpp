// What allocating and freeing costs: objects, ranges of any size with few and many live segments, cached ranges.

#include <benchmark/benchmark.h>

#include <memory>
#include <vector>

#include <vellum/arena/cached_arena.hpp>
#include <vellum/arena/object_cache.hpp>
#include <vellum/hosted/machine.hpp>

#include "host_pages.hpp"

namespace vellum {
namespace {

constexpr ByteCount kPage{kPageSize};

struct Fixture {
  std::unique_ptr<Machine> machine =
      hosted::Machine::create({.memory = ByteCount(kPageSize), .cpus = 2, .ranges = {}}).value();
  hosted::CpuScope cpu{*machine, CpuIndex(0)};
  HostPages pages;
};

// A free and an allocation of the common case.
void object_pair(benchmark::State& state) {
  Fixture fixture;
  ObjectCache cache({.name = "bench", .object_size = ByteCount(static_cast<std::uint64_t>(state.range(0)))},
                    fixture.pages, *fixture.machine);
  void* object = cache.allocate().value();
  for (auto _ : state) {
    cache.free(object);
    object = cache.allocate().value();
    benchmark::DoNotOptimize(object);
  }
  cache.free(object);
}
BENCHMARK(object_pair)->Arg(64)->Arg(128)->Arg(2048);

// Batches larger than the magazines hold: depot, slabs and source take their part.
void object_batch(benchmark::State& state) {
  Fixture fixture;
  ObjectCache cache({.name = "bench", .object_size = ByteCount(128), .alignment = ByteCount(64)}, fixture.pages,
                    *fixture.machine);
  std::vector<void*> objects(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) {
    for (void*& object : objects) {
      object = cache.allocate().value();
    }
    for (void* const object : objects) {
      cache.free(object);
    }
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(object_batch)->Arg(100)->Arg(10000);

// Any size, in an arena that holds so many live segments with holes of a few sizes between them.
void arena_any_size(benchmark::State& state) {
  Fixture fixture;
  ArenaMetadata metadata(fixture.pages, *fixture.machine);
  Arena arena({.name = "bench", .quantum = kPage}, metadata);
  const auto live = static_cast<std::size_t>(state.range(0));
  const VirtRange span = VirtRange::must(VirtAddr(std::uint64_t{1} << 46), kPage * (32 * std::uint64_t{live}));
  VELLUM_CHECK(arena.add_span(span).ok());
  std::vector<VirtRange> segments;
  std::vector<VirtRange> between;
  for (std::size_t i = 0; i < live; ++i) {
    segments.push_back(arena.allocate(kPage * (1 + i % 7)).value());
    between.push_back(arena.allocate(kPage * (1 + i % 13)).value());
  }
  for (const VirtRange& range : between) {
    arena.free(range);
  }
  // Frees and allocates by turns over the whole arena, so that holes join, split and move between size classes.
  std::size_t next = 0;
  for (auto _ : state) {
    VirtRange& range = segments[next];
    next = (next + 7919) % live;
    arena.free(range);
    range = arena.allocate(kPage * (1 + next % 11)).value();
  }
  for (const VirtRange& range : segments) {
    arena.free(range);
  }
}
BENCHMARK(arena_any_size)->Arg(1000)->Arg(30000)->Arg(1000000);

void arena_quantum_cached(benchmark::State& state) {
  Fixture fixture;
  ArenaMetadata metadata(fixture.pages, *fixture.machine);
  CachedArena arena({.name = "bench", .quantum = kPage}, kPage * 8, metadata);
  VELLUM_CHECK(arena.add_span(VirtRange::must(VirtAddr(std::uint64_t{1} << 46), kPage * 65536)).ok());
  VirtRange range = arena.allocate(kPage * 2).value();
  for (auto _ : state) {
    arena.free(range);
    range = arena.allocate(kPage * 2).value();
    benchmark::DoNotOptimize(range);
  }
  arena.free(range);
}
BENCHMARK(arena_quantum_cached);

}  // namespace
}  // namespace vellum
