#include <vellum/arena/object_cache.hpp>
#include <vellum/arena/physical_page_source.hpp>
#include <vellum/test/system.hpp>
#include <vellum/test/test.hpp>

namespace vellum {
namespace {

using literals::operator""_pages;

TEST(PhysicalPageSource, GivesAlignedBlocksAndTakesThemBack) {
  test::System system;
  PhysicalPageSource source(system.memory());
  const PageCount before = system.memory().free_count();
  for (unsigned order = 0; order <= SlabPool::kMaxOrder; ++order) {
    std::byte* const block = source.allocate(order).value();
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block) % (kPageSize << order), 0U);
    EXPECT_EQ(system.memory().free_count(), before - 1_pages * (std::uint64_t{1} << order));
    block[0] = std::byte{1};
    block[(kPageSize << order) - 1] = std::byte{2};
    source.free(block, order);
    EXPECT_EQ(system.memory().free_count(), before);
  }
}

TEST(PhysicalPageSource, CarriesCachesToTheEndOfMemory) {
  test::System system({.memory = ByteCount(std::uint64_t{4} << 20)});
  PhysicalPageSource source(system.memory());
  ObjectCache cache({.name = "nodes", .object_size = ByteCount(128), .alignment = ByteCount(64)}, source,
                    system.machine());
  struct Link {
    Link* next;
  };
  Link* chain = nullptr;
  std::uint64_t count = 0;
  for (;;) {
    const Result<void*> object = cache.allocate();
    if (!object.ok()) {
      EXPECT_EQ(object.error(), Errno::no_memory);
      break;
    }
    chain = ::new (object.value()) Link{chain};
    ++count;
  }
  EXPECT_EQ(cache.objects_in_use(), count);
  EXPECT_GT(count, std::uint64_t{10000});
  while (chain != nullptr) {
    cache.free(std::exchange(chain, chain->next));
  }
  cache.reap();
  EXPECT_EQ(cache.pages_held(), 0_pages);
}

}  // namespace
}  // namespace vellum
