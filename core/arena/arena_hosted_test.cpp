// Several CPUs as threads, and misuse that must panic.

#include <barrier>
#include <cstring>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include <vellum/arena/cached_arena.hpp>
#include <vellum/arena/object_cache.hpp>
#include <vellum/arena/physical_page_source.hpp>
#include <vellum/test/system.hpp>
#include <vellum/test/test.hpp>

namespace vellum {
namespace {

using literals::operator""_B;
using literals::operator""_KiB;
using literals::operator""_MiB;
using literals::operator""_pages;

constexpr unsigned kCpus = 4;

// Runs work(cpu, random) on CPUs 1 .. kCpus of the system at once.
template <class Work>
void on_all_cpus(test::System& system, Work work) {
  std::barrier start(kCpus);
  std::vector<std::thread> threads;
  for (unsigned cpu = 1; cpu <= kCpus; ++cpu) {
    threads.emplace_back([&, cpu] {
      const hosted::CpuScope scope(system.machine(), CpuIndex(cpu));
      std::minstd_rand random(cpu);
      start.arrive_and_wait();
      work(random);
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

// What threads hand each other, so that what one CPU allocates another frees.
template <class T>
class Exchange {
 public:
  void put(T item) {
    const std::lock_guard guard(mutex_);
    items_.push_back(item);
  }
  [[nodiscard]] std::optional<T> take() {
    const std::lock_guard guard(mutex_);
    if (items_.empty()) {
      return std::nullopt;
    }
    const T item = items_.back();
    items_.pop_back();
    return item;
  }

 private:
  std::mutex mutex_;
  std::vector<T> items_;
};

TEST(ObjectCacheThreads, NoObjectIsHandedOutTwice) {
  test::System system({.memory = 64_MiB, .cpus = kCpus + 1});
  PhysicalPageSource source(system.memory());
  struct Object {
    std::atomic<bool> owned;
    char rest[120];
  };
  ObjectCache cache({.name = "objects", .object_size = ByteCount(sizeof(Object)), .alignment = 64_B}, source,
                    system.machine());
  Exchange<Object*> exchange;
  on_all_cpus(system, [&](std::minstd_rand& random) {
    std::vector<Object*> mine;
    for (unsigned i = 0; i < 20000; ++i) {
      const auto choice = random() % 100;
      if (choice < 50) {
        const Result<void*> memory = cache.allocate();
        ASSERT_TRUE(memory.ok());
        auto* const object = ::new (memory.value()) Object;
        object->owned.store(true, std::memory_order_relaxed);
        mine.push_back(object);
      } else if (choice < 75 && !mine.empty()) {
        exchange.put(mine.back());
        mine.pop_back();
      } else if (choice < 80) {
        cache.trim();
      } else {
        const std::optional<Object*> object = exchange.take();
        if (object) {
          ASSERT_TRUE((*object)->owned.exchange(false, std::memory_order_relaxed));
          cache.free(*object);
        }
      }
    }
    for (Object* const object : mine) {
      exchange.put(object);
    }
  });
  std::uint64_t left = 0;
  while (const std::optional<Object*> object = exchange.take()) {
    ASSERT_TRUE((*object)->owned.exchange(false, std::memory_order_relaxed));
    ++left;
    cache.free(*object);
  }
  EXPECT_GT(left, 0U);
  EXPECT_EQ(cache.objects_in_use(), 0U);
  cache.reap();
  EXPECT_EQ(cache.pages_held(), 0_pages);
}

TEST(ObjectCacheThreads, OneCpuMayFreeWhatAnotherAllocates) {
  test::System system({.memory = 64_MiB, .cpus = kCpus + 1});
  PhysicalPageSource source(system.memory());
  ObjectCache cache({.name = "objects", .object_size = 256_B, .alignment = 64_B}, source, system.machine());
  // One CPU only allocates and another only frees: the depot carries the objects back, memory does not grow.
  for (unsigned round = 0; round < 200; ++round) {
    std::vector<void*> objects;
    for (unsigned i = 0; i < 50; ++i) {
      objects.push_back(cache.allocate().value());
    }
    const hosted::CpuScope other(system.machine(), CpuIndex(1));
    for (void* const object : objects) {
      cache.free(object);
    }
  }
  EXPECT_LE(cache.pages_held().value(), 64U);
  EXPECT_EQ(cache.objects_in_use(), 0U);
}

TEST(CachedArenaThreads, NoRangeIsHandedOutTwice) {
  test::System system({.memory = 64_MiB, .cpus = kCpus + 1});
  PhysicalPageSource source(system.memory());
  ArenaMetadata metadata(source, system.machine());
  constexpr std::uint64_t kSpanPages = 4096;
  Arena parent({.name = "parent", .quantum = 4_KiB}, metadata);
  ASSERT_TRUE(parent.add_span(VirtRange::must(VirtAddr(0), bytes_of(PageCount(kSpanPages)))).ok());
  CachedArena arena({.name = "child", .quantum = 4_KiB, .source = &parent, .least_import = 256_KiB}, 32_KiB, metadata);
  std::vector<std::atomic<bool>> owned(kSpanPages);
  const auto set_owner = [&](VirtRange range, bool before) {
    for (std::uint64_t page = range.start().value() >> kPageShift; page <= range.last().value() >> kPageShift; ++page) {
      ASSERT_EQ(owned[page].exchange(!before, std::memory_order_relaxed), before);
    }
  };
  Exchange<VirtRange> exchange;
  on_all_cpus(system, [&](std::minstd_rand& random) {
    for (unsigned i = 0; i < 5000; ++i) {
      if (random() % 100 < 50) {
        const Result<VirtRange> range = arena.allocate(ByteCount(1 + random() % (48 << 10)));
        if (range.ok()) {
          set_owner(range.value(), false);
          exchange.put(range.value());
        }
      } else if (const std::optional<VirtRange> range = exchange.take()) {
        set_owner(*range, true);
        arena.free(*range);
      }
    }
  });
  arena.check_invariants();
  parent.check_invariants();
  while (const std::optional<VirtRange> range = exchange.take()) {
    set_owner(*range, true);
    arena.free(*range);
  }
  EXPECT_EQ(arena.in_use(), 0_B);
  arena.reap();
  EXPECT_EQ(arena.total(), 0_B);
  EXPECT_EQ(parent.in_use(), 0_B);
}

struct ArenaDeath : testing::Test {
  test::System system;
  PhysicalPageSource source{system.memory()};
  ArenaMetadata metadata{source, system.machine()};
  CachedArena cached{{.name = "cached", .quantum = 4_KiB}, 16_KiB, metadata};
  Arena plain{{.name = "plain", .quantum = 4_KiB}, metadata};

  void SetUp() override {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    ASSERT_TRUE(cached.add_span(VirtRange::must(VirtAddr(0x10000), 256_KiB)).ok());
    ASSERT_TRUE(plain.add_span(VirtRange::must(VirtAddr(0x10000), 256_KiB)).ok());
  }
};

TEST_F(ArenaDeath, FreeingWhatIsNotAllocatedPanics) {
  const VirtRange range = plain.allocate(8_KiB).value();
  EXPECT_DEATH(plain.free(VirtRange::must(range.start(), 4_KiB)), "arena plain: a range was freed that is not");
  EXPECT_DEATH(plain.free(VirtRange::must(range.start() + 4_KiB, 4_KiB)), "arena plain: a range was freed that is not");
  plain.free(range);
  EXPECT_DEATH(plain.free(range), "arena plain: a range was freed that is not");
}

TEST_F(ArenaDeath, DestroyingAnArenaInUsePanics) {
  EXPECT_DEATH(
      {
        Arena arena({.name = "short-lived", .quantum = 4_KiB, .source = &plain}, metadata);
        static_cast<void>(arena.allocate(4_KiB));
      },
      "arena short-lived: it is destroyed while ranges are in use");
}

#if VELLUM_DEBUG
TEST_F(ArenaDeath, FreeingACachedRangeTwicePanics) {
  const VirtRange range = cached.allocate(8_KiB).value();
  cached.free(range);
  EXPECT_DEATH(cached.free(range), "arena cached: a range was freed that is not");
}

struct ObjectCacheDeath : testing::Test {
  test::System system;
  PhysicalPageSource source{system.memory()};
  ObjectCache cache{{.name = "victims", .object_size = ByteCount(40)}, source, system.machine()};
  std::byte* first = nullptr;
  std::byte* second = nullptr;

  void SetUp() override {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    first = static_cast<std::byte*>(cache.allocate().value());
    second = static_cast<std::byte*>(cache.allocate().value());
  }
  void free_both() {
    cache.free(first);
    cache.free(second);
  }
};

TEST_F(ObjectCacheDeath, AWriteAfterFreeIsSeenAtTheNextAllocation) {
  cache.free(first);
  const std::byte before = std::exchange(first[17], std::byte{1});
  EXPECT_DEATH(static_cast<void>(cache.allocate()), "object cache victims: an object was written after it was freed");
  first[17] = before;
  cache.free(second);
}

TEST_F(ObjectCacheDeath, AnOverrunIsSeenAtTheFree) {
  const std::byte before = std::exchange(first[40], std::byte{1});
  EXPECT_DEATH(cache.free(first), "object cache victims: the bytes behind an object were written");
  first[40] = before;
  free_both();
}

TEST_F(ObjectCacheDeath, AnOverrunAfterFreeIsSeenAtTheNextAllocation) {
  cache.free(first);
  const std::byte before = std::exchange(first[41], std::byte{1});
  EXPECT_DEATH(static_cast<void>(cache.allocate()), "object cache victims: the bytes behind a free object were");
  first[41] = before;
  cache.free(second);
}

TEST_F(ObjectCacheDeath, ASecondFreePanics) {
  cache.free(first);
  EXPECT_DEATH(cache.free(first), "object cache victims: an object was freed twice");
  cache.free(second);
}

TEST_F(ObjectCacheDeath, FreeingAStrangeAddressPanics) {
  EXPECT_DEATH(cache.free(first + 8), "object cache victims: what was freed is no object of this cache");
  ObjectCache other({.name = "other", .object_size = ByteCount(40)}, source, system.machine());
  EXPECT_DEATH(other.free(first), "object cache other: what was freed is no object of this cache");
  free_both();
}

TEST_F(ObjectCacheDeath, DestroyingACacheInUsePanics) {
  EXPECT_DEATH(
      {
        ObjectCache other({.name = "other", .object_size = ByteCount(40)}, source, system.machine());
        static_cast<void>(other.allocate());
      },
      "object cache other: it is destroyed while objects are in use");
  free_both();
}
#endif

}  // namespace
}  // namespace vellum
