#include <cstring>

#include <vellum/arena/object_cache.hpp>
#include <vellum/test/system.hpp>
#include <vellum/test/test.hpp>

#include "array_pages.hpp"

namespace vellum {
namespace {

using literals::operator""_pages;
using literals::operator""_B;

constexpr std::size_t kSourcePages = 1024;
using Source = ArrayPages<kSourcePages>;

// Lives for good; too big for a kernel's stack and data.
Source& source() {
  static Source* const pages = new Source;
  return *pages;
}

ObjectCacheConfig config_of(std::uint64_t size, std::uint64_t alignment) {
  return {.name = "test", .object_size = ByteCount(size), .alignment = ByteCount(alignment)};
}

bool consists_of(const void* object, std::size_t size, unsigned char value) {
  const auto* const bytes = static_cast<const unsigned char*>(object);
  for (std::size_t i = 0; i < size; ++i) {
    if (bytes[i] != value) {
      return false;
    }
  }
  return true;
}

TEST(ObjectCache, ObjectsAreAlignedDisjointAndWholeForEverySize) {
  test::System system;
  for (const std::uint64_t size : {16U, 24U, 40U, 64U, 100U, 128U, 512U, 1000U, 2048U, 4096U, 5000U, 8192U}) {
    for (const std::uint64_t alignment : {8U, 16U, 64U, 4096U}) {
      ObjectCache cache(config_of(size, alignment), source(), system.machine());
      constexpr unsigned kObjects = 40;
      void* objects[kObjects];
      for (unsigned i = 0; i < kObjects; ++i) {
        objects[i] = cache.allocate().value();
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(objects[i]) % alignment, 0U);
        std::memset(objects[i], static_cast<int>(i + 1), size);
      }
      for (unsigned i = 0; i < kObjects; ++i) {
        EXPECT_TRUE(consists_of(objects[i], size, static_cast<unsigned char>(i + 1)));
      }
      for (void* const object : objects) {
        cache.free(object);
      }
    }
  }
  EXPECT_EQ(source().pages_out(), 0_pages);
}

TEST(ObjectCache, WastesAtMostAnEighthOfASlab) {
  for (std::uint64_t size = ObjectCache::kMinObject; size <= ObjectCache::kMaxObject; size += 8) {
    const SlabGeometry geometry = SlabGeometry::of(ByteCount(size), 8_B);
    const std::uint64_t bytes = kPageSize << geometry.order;
    EXPECT_LE(geometry.objects, SlabPool::kMaxObjects);
    EXPECT_LE(geometry.first + std::uint64_t{geometry.objects} * geometry.stride, bytes);
    EXPECT_LE((bytes - std::uint64_t{geometry.objects} * geometry.stride) * 8, bytes);
  }
}

TEST(ObjectCache, TakesNoMemoryBeforeTheFirstAllocation) {
  test::System system;
  const ObjectCache cache(config_of(128, 64), source(), system.machine());
  EXPECT_EQ(source().pages_out(), 0_pages);
  EXPECT_EQ(cache.pages_held(), 0_pages);
}

TEST(ObjectCache, CountsObjectsWhereverFreeOnesLie) {
  test::System system;
  ObjectCache cache(config_of(128, 64), source(), system.machine());
  void* objects[500];
  std::uint64_t in_use = 0;
  for (void*& object : objects) {
    object = cache.allocate().value();
    EXPECT_EQ(cache.objects_in_use(), ++in_use);
  }
  EXPECT_EQ(cache.pages_held(), source().pages_out());
  for (void* const object : objects) {
    cache.free(object);
    EXPECT_EQ(cache.objects_in_use(), --in_use);
  }
  EXPECT_EQ(cache.pages_held(), source().pages_out());
}

TEST(ObjectCache, ReapOfAnUnusedCacheReturnsEveryPage) {
  test::System system;
  ObjectCache cache(config_of(512, 64), source(), system.machine());
  void* objects[300];
  for (unsigned round = 0; round < 2; ++round) {
    for (void*& object : objects) {
      object = cache.allocate().value();
    }
    for (void* const object : objects) {
      cache.free(object);
    }
    cache.reap();
    EXPECT_EQ(source().pages_out(), 0_pages);
    EXPECT_EQ(cache.pages_held(), 0_pages);
  }
}

TEST(ObjectCache, ReapKeepsObjectsInUse) {
  test::System system;
  ObjectCache cache(config_of(64, 8), source(), system.machine());
  void* const kept = cache.allocate().value();
  std::memset(kept, 0x5a, 64);
  void* const freed = cache.allocate().value();
  cache.free(freed);
  cache.reap();
  EXPECT_EQ(cache.objects_in_use(), 1U);
  EXPECT_EQ(cache.pages_held(), 1_pages);
  EXPECT_TRUE(consists_of(kept, 64, 0x5a));
  cache.free(kept);
}

TEST(ObjectCache, TrimOnOneCpuLeavesOnlyMagazines) {
  test::System system;
  ObjectCache cache(config_of(2048, 64), source(), system.machine());
  void* objects[64];
  for (void*& object : objects) {
    object = cache.allocate().value();
  }
  const PageCount most = cache.pages_held();
  for (void* const object : objects) {
    cache.free(object);
  }
  cache.trim();
  // The CPUs' array and a page of empty magazines.
  EXPECT_LE(cache.pages_held(), 8_pages);
  EXPECT_LT(cache.pages_held(), most);
}

TEST(ObjectCache, IdleMemoryIsBounded) {
  test::System system;
  ObjectCache cache(config_of(64, 8), source(), system.machine());
  static void* objects[20000];
  for (void*& object : objects) {
    object = cache.allocate().value();
  }
  EXPECT_GE(cache.pages_held(), 312_pages);
  for (void* const object : objects) {
    cache.free(object);
  }
  // Two magazines of this CPU and the depot's share.
  EXPECT_LE(cache.pages_held(), PageCount(32 + 8 * system.machine().cpu_count()));
}

TEST(ObjectCache, EveryFailureOfTheSourceLeavesThingsAsTheyWere) {
  test::System system;
  for (std::uint64_t permitted = 0; permitted < 12; ++permitted) {
    ObjectCache cache(config_of(1024, 8), source(), system.machine());
    void* objects[64];
    unsigned count = 0;
    source().permit(permitted);
    while (count < 64) {
      const PageCount held = source().pages_out();
      const Result<void*> object = cache.allocate();
      if (!object.ok()) {
        EXPECT_EQ(object.error(), Errno::no_memory);
        EXPECT_EQ(source().pages_out(), held);
        break;
      }
      objects[count++] = object.value();
    }
    EXPECT_EQ(cache.objects_in_use(), count);
    EXPECT_TRUE(permitted != 0 || count == 0);
    source().permit_all();
    for (; count < 64; ++count) {
      objects[count] = cache.allocate().value();
    }
    for (void* const object : objects) {
      cache.free(object);
    }
  }
  EXPECT_EQ(source().pages_out(), 0_pages);
}

TEST(ObjectCache, FreeingNeedsNoMemory) {
  test::System system;
  ObjectCache cache(config_of(128, 64), source(), system.machine());
  static void* objects[1000];
  source().permit(0);
  EXPECT_EQ(cache.allocate().error(), Errno::no_memory);
  // One slab and nothing for magazines, then slabs as they are needed.
  source().permit(1);
  objects[0] = cache.allocate().value();
  source().permit_all();
  for (std::size_t i = 1; i < 1000; ++i) {
    objects[i] = cache.allocate().value();
  }
  source().permit(0);
  for (void* const object : objects) {
    cache.free(object);
  }
  EXPECT_EQ(cache.objects_in_use(), 0U);
  cache.reap();
  EXPECT_EQ(source().pages_out(), 0_pages);
  source().permit_all();
}

TEST(ObjectCache, WorksWithoutMemoryForMagazines) {
  test::System system;
  ObjectCache cache(config_of(128, 64), source(), system.machine());
  source().permit(1);
  void* const first = cache.allocate().value();
  void* const second = cache.allocate().value();
  EXPECT_NE(first, second);
  cache.free(first);
  EXPECT_EQ(cache.objects_in_use(), 1U);
  cache.free(second);
  // Without magazines the slab went back at once.
  EXPECT_EQ(source().pages_out(), 0_pages);
  source().permit_all();
}

TEST(TypedCache, ConstructsAndDestroys) {
  test::System system;
  struct Counted {
    Counted(int* alive, int with_value) : alive_count(alive), value(with_value) { ++*alive_count; }
    ~Counted() { --*alive_count; }
    int* alive_count;
    std::int64_t value;
  };
  int alive = 0;
  TypedCache<Counted> cache("counted", source(), system.machine());
  Counted* const object = cache.create(&alive, 7).value();
  EXPECT_EQ(alive, 1);
  EXPECT_EQ(object->value, 7);
  EXPECT_EQ(cache.objects_in_use(), 1U);
  cache.destroy(object);
  EXPECT_EQ(alive, 0);
  EXPECT_EQ(cache.objects_in_use(), 0U);
}

}  // namespace
}  // namespace vellum
