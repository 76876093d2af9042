#include <vellum/hosted/mmu.hpp>

#include "test/world.hpp"

namespace vellum::test {

namespace {

using namespace literals;

constexpr ByteCount kPage{kPageSize};
constexpr WiredAttributes kData{.rights = {.write = true}};

VELLUM_TEST_BOTH_FORMATS(KernelSpace, MapsAndForgets) {
  HeapWorld<F> world;
  const VirtAddr address = world.region().start();
  const Pfn frame = world.memory().allocate(Contents::zeroed).value();
  EXPECT_FALSE(world.read(address));

  ASSERT_TRUE(world.space().map(VirtRange::must(address, kPage), address_of(frame), kData).ok());
  EXPECT_TRUE(world.writes(address, 7));
  EXPECT_EQ(world.read(address), 7U);
  EXPECT_FALSE(world.may(Access::execute, address));
  EXPECT_FALSE(world.may(Access::read, address, Privilege::user));
  EXPECT_EQ(world.space().find(address + ByteCount(5))->address, address_of(frame) + ByteCount(5));

  world.space().unmap(VirtRange::must(address, kPage));
  EXPECT_FALSE(world.read(address));
  EXPECT_FALSE(world.space().find(address));
  world.memory().free(frame);
}

VELLUM_TEST_BOTH_FORMATS(KernelSpace, ChangesRights) {
  HeapWorld<F> world;
  const VirtRange range = VirtRange::must(world.region().start(), kPage * 3);
  const Pfn frames = world.memory().allocate_block(Order(2), Contents::zeroed).value();
  ASSERT_TRUE(world.space().map(range, address_of(frames), kData).ok());
  const VirtAddr middle = range.start() + kPage;
  EXPECT_TRUE(world.writes(middle));

  ASSERT_TRUE(world.space().protect(VirtRange::must(middle, kPage), {.execute = true}).ok());
  EXPECT_FALSE(world.writes(middle));
  EXPECT_TRUE(world.may(Access::execute, middle));
  EXPECT_EQ(world.read(middle), 1U);
  EXPECT_TRUE(world.writes(range.start()));
  EXPECT_TRUE(world.writes(middle + kPage));

  world.space().unmap(range);
  world.memory().free_block(frames, Order(2));
}

// One page in the middle of a large one.
VELLUM_TEST_BOTH_FORMATS(KernelSpace, CutsLargePages) {
  HeapWorld<F> world;
  const VirtRange range = VirtRange::must(world.region().start(), 4_MiB);
  ASSERT_TRUE(world.space().map(range, PhysAddr((4_MiB).value()), kData).ok());
  EXPECT_EQ(world.space().find(range.start())->level, 2U);
  const VirtAddr page = range.start() + kPage * 5;
  EXPECT_TRUE(world.writes(page, 9));
  ASSERT_TRUE(world.space().protect(VirtRange::must(page, kPage), {}).ok());
  EXPECT_FALSE(world.writes(page));
  EXPECT_EQ(world.read(page), 9U);
  EXPECT_EQ(world.space().find(page)->level, 1U);
  for (const VirtAddr other : {range.start(), page - kPage, page + kPage, range.start() + 2_MiB - kPage}) {
    EXPECT_EQ(world.space().find(other)->address - PhysAddr((4_MiB).value()), other - range.start());
    EXPECT_TRUE(world.may(Access::write, other));
    EXPECT_FALSE(world.may(Access::execute, other));
  }
  EXPECT_EQ(world.space().find(range.start() + 2_MiB)->level, 2U);
  // A whole large page stays one.
  ASSERT_TRUE(world.space().protect(VirtRange::must(range.start() + 2_MiB, 2_MiB), {}).ok());
  EXPECT_EQ(world.space().find(range.start() + 2_MiB)->level, 2U);
  EXPECT_FALSE(world.may(Access::write, range.last().page()));
  world.space().unmap(range);
}

// The root's entries never change once they are made, for every space has a copy of them.
VELLUM_TEST_BOTH_FORMATS(KernelSpace, RootStaysAsItWasMade) {
  HeapWorld<F> world;
  const Tables<F> tables(world.store());
  std::vector<std::uint64_t> before;
  for (unsigned slot = 0; slot < entry_count<F>(F::kLevels); ++slot) {
    before.push_back(tables.load(world.space().root(), slot).bits);
  }
  EXPECT_EQ(before[0], 0U);
  EXPECT_NE(before[entry_count<F>(F::kLevels) - 1], 0U);

  const Pfn frame = world.memory().allocate(Contents::any).value();
  const VirtRange half = world.kernel_half();
  for (const VirtAddr address : {half.start(), half.start() + half.size() / 2, half.last().page()}) {
    ASSERT_TRUE(world.space().map(VirtRange::must(address, kPage), address_of(frame), kData).ok());
    world.space().unmap(VirtRange::must(address, kPage));
  }
  for (unsigned slot = 0; slot < entry_count<F>(F::kLevels); ++slot) {
    const std::uint64_t now = tables.load(world.space().root(), slot).bits;
    EXPECT_EQ(now & ~F::accessed_bit(F::kLevels), before[slot] & ~F::accessed_bit(F::kLevels));
  }
  world.memory().free(frame);
}

// Another processor has the translation; it runs another root with the same kernel half.
VELLUM_TEST_BOTH_FORMATS(KernelSpace, EveryProcessorForgets) {
  HeapWorld<F> world({.cpus = 2});
  const VirtAddr address = world.region().start();
  const Pfn frame = world.memory().allocate(Contents::zeroed).value();
  const Tables<F> tables(world.store());
  Node* const other = world.store().create(F::kLevels, entry_count<F>(F::kLevels), Vpn(0), LockRank::node).value();
  for (unsigned slot = 0; slot < entry_count<F>(F::kLevels); ++slot) {
    tables.set(*other, slot, tables.load(world.space().root(), slot));
  }
  ASSERT_TRUE(world.space().map(VirtRange::must(address, kPage), address_of(frame), kData).ok());
  {
    const hosted::CpuScope second(world.machine(), CpuIndex(1));
    world.machine().set_root(address_of(other->table));
    EXPECT_TRUE(world.writes(address, 3));
  }
  EXPECT_EQ(world.read(address), 3U);
  world.space().unmap(VirtRange::must(address, kPage));
  {
    const hosted::CpuScope second(world.machine(), CpuIndex(1));
    EXPECT_FALSE(world.read(address));
  }
  for (unsigned slot = 0; slot < entry_count<F>(F::kLevels); ++slot) {
    tables.set(*other, slot, {});
  }
  world.store().destroy(*other);
  world.memory().free(frame);
}

}  // namespace

}  // namespace vellum::test
