#include <vellum/heap/backed_arena.hpp>
#include <vellum/hosted/mmu.hpp>

#include "test/world.hpp"

namespace vellum::test {

namespace {

using namespace literals;

constexpr ByteCount kPage{kPageSize};

template <class F>
struct ArenaWorld : HeapWorld<F> {
  explicit ArenaWorld(const SystemSize& size = {}, const BackedArenaConfig& config = {.name = "test"})
      : HeapWorld<F>(size), arena(config, this->space(), this->metadata()) {
    VELLUM_CHECK(arena.add_span(this->region()).ok());
  }
  ~ArenaWorld() { arena.reap(); }

  [[nodiscard]] PageCount free_pages() {
    arena.reap();
    this->metadata().tags.reap();
    this->memory().drain_caches();
    return this->memory().free_count();
  }

  BackedArena<F> arena;
};

VELLUM_TEST_BOTH_FORMATS(BackedArena, MemoryIsThereWhileItIsAllocated) {
  ArenaWorld<F> world;
  const VirtRange range = world.arena.allocate(10'000_B, Contents::zeroed).value();
  EXPECT_EQ(range.size(), kPage * 3);
  EXPECT_TRUE(world.region().contains(range));
  for (VirtAddr at = range.start(); at != range.end(); at += kPage) {
    EXPECT_EQ(world.read(at), 0U);
    EXPECT_TRUE(world.writes(at, at.value()));
    EXPECT_FALSE(world.may(Access::execute, at));
    EXPECT_FALSE(world.may(Access::write, at, Privilege::user));
  }
  EXPECT_EQ(world.arena.in_use(), range.size());
  world.arena.free(range);
  for (VirtAddr at = range.start(); at != range.end(); at += kPage) {
    EXPECT_FALSE(world.read(at));
  }
  EXPECT_EQ(world.arena.in_use(), 0_B);
}

VELLUM_TEST_BOTH_FORMATS(BackedArena, AlignsAndKeepsItsQuantum) {
  ArenaWorld<F> world({}, {.name = "test", .quantum = 1_MiB, .largest_cached = 4_MiB});
  const VirtRange one = world.arena.allocate(1_B).value();
  EXPECT_EQ(one.size(), 1_MiB);
  EXPECT_TRUE(one.start().is_aligned(1_MiB));
  const VirtRange two = world.arena.allocate(1_B, Contents::any, 4_MiB).value();
  EXPECT_TRUE(two.start().is_aligned(4_MiB));
  EXPECT_TRUE(world.writes(two.last().align_down(8_B)));
  world.arena.free(one);
  world.arena.free(two);
}

VELLUM_TEST_BOTH_FORMATS(BackedArena, RedZoneIsNeverMapped) {
  ArenaWorld<F> world;
  const VirtRange below = world.arena.allocate(1_B).value();
  const VirtRange range = world.arena.allocate_above_red_zone(kPage * 2).value();
  EXPECT_FALSE(world.writes(range.start() - 8_B));
  EXPECT_TRUE(world.writes(range.start()));
  EXPECT_TRUE(world.writes(range.end() - 8_B));
  EXPECT_FALSE(below.overlaps(VirtRange::must(range.start() - kPage, kPage)));
  world.arena.free_above_red_zone(range);
  world.arena.free(below);
}

// Whatever allocation fails, nothing is left behind, and the next try succeeds.
VELLUM_TEST_BOTH_FORMATS(BackedArena, FailsWithoutATrace) {
  ArenaWorld<F> world;
  world.arena.free(world.arena.allocate(kPage * 5).value());  // tables stay, once they are there
  const PageCount before = world.free_pages();
  bool failed = true;
  for (std::uint64_t ask = 1; failed; ++ask) {
    world.machine().failures().fail_nth(ask);
    const Result<VirtRange> range = world.arena.allocate(kPage * 5);
    world.machine().failures().off();
    failed = !range.ok();
    if (failed) {
      EXPECT_EQ(range.error(), Errno::no_memory);
    } else {
      world.arena.free(range.value());
    }
    EXPECT_EQ(world.arena.in_use(), 0_B);
    EXPECT_EQ(world.free_pages(), before);
  }
}

VELLUM_TEST_BOTH_FORMATS(HeapPages, KeepAFewPages) {
  ArenaWorld<F> world;
  HeapPages<F> pages(world.arena);
  std::vector<std::byte*> held;
  for (unsigned i = 0; i < 2 * HeapPages<F>::kMostIdle; ++i) {
    held.push_back(pages.allocate(0).value());
  }
  std::byte* const block = pages.allocate(2).value();
  EXPECT_TRUE(VirtAddr(reinterpret_cast<std::uintptr_t>(block)).is_aligned(16_KiB));
  for (std::byte* const page : held) {
    EXPECT_TRUE(world.writes(VirtAddr(reinterpret_cast<std::uintptr_t>(page))));
    pages.free(page, 0);
  }
  pages.free(block, 2);
  EXPECT_EQ(world.arena.in_use(), kPage * HeapPages<F>::kMostIdle);
  EXPECT_EQ(pages.allocate(0).value(), held[HeapPages<F>::kMostIdle - 1]);
  pages.free(held[HeapPages<F>::kMostIdle - 1], 0);
  pages.trim();
  EXPECT_EQ(world.arena.in_use(), 0_B);
}

VELLUM_TEST_BOTH_FORMATS(BackedArena, RunsOutOfMemoryAndRecovers) {
  ArenaWorld<F> world({.memory = 8_MiB});
  std::vector<VirtRange> held;
  for (;;) {
    const Result<VirtRange> range = world.arena.allocate(64_KiB);
    if (!range.ok()) {
      EXPECT_EQ(range.error(), Errno::no_memory);
      break;
    }
    held.push_back(range.value());
  }
  EXPECT_GT(held.size(), 64U);
  for (const VirtRange& range : held) {
    world.arena.free(range);
  }
  const VirtRange again = world.arena.allocate(64_KiB).value();
  world.arena.free(again);
}

}  // namespace

}  // namespace vellum::test
