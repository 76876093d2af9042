#include <vellum/heap/kernel_stacks.hpp>
#include <vellum/hosted/mmu.hpp>

#include "test/world.hpp"

namespace vellum::test {

namespace {

using namespace literals;

template <class F>
struct StackWorld : HeapWorld<F> {
  StackWorld() : stacks(this->space(), this->metadata()) { VELLUM_CHECK(stacks.add_span(this->region()).ok()); }
  ~StackWorld() { stacks.reap(); }

  KernelStacks<F> stacks;
};

VELLUM_TEST_BOTH_FORMATS(KernelStacks, HaveARedZoneBelow) {
  StackWorld<F> world;
  const VirtRange first = world.stacks.allocate().value();
  const VirtRange second = world.stacks.allocate().value();
  for (const VirtRange& stack : {first, second}) {
    EXPECT_EQ(stack.size(), 20_KiB);
    EXPECT_TRUE(world.writes(stack.end() - 8_B));
    EXPECT_TRUE(world.writes(stack.start()));
    EXPECT_FALSE(world.writes(stack.start() - 8_B));
    EXPECT_FALSE(world.may(Access::execute, stack.start()));
  }
  EXPECT_FALSE(first.overlaps(second));
  world.stacks.free(first);
  world.stacks.free(second);
}

VELLUM_TEST_BOTH_FORMATS(KernelStacks, TheLastFreedIsTheNext) {
  StackWorld<F> world;
  const VirtRange stack = world.stacks.allocate().value();
  world.stacks.free(stack);
  const std::uint64_t flushes = world.machine().statistics().local_flushes;
  EXPECT_EQ(world.stacks.allocate().value(), stack);
  world.stacks.free(stack);
  EXPECT_EQ(world.machine().statistics().local_flushes, flushes);
}

VELLUM_TEST_BOTH_FORMATS(KernelStacks, ManyComeAndGo) {
  StackWorld<F> world;
  std::vector<VirtRange> stacks;
  for (unsigned i = 0; i < 3 * KernelStacks<F>::kMostIdle; ++i) {
    stacks.push_back(world.stacks.allocate().value());
    EXPECT_TRUE(world.writes(stacks.back().start(), i));
  }
  for (unsigned i = 0; i < stacks.size(); ++i) {
    EXPECT_EQ(world.read(stacks[i].start()), i);
    world.stacks.free(stacks[i]);
  }
  EXPECT_EQ(world.stacks.in_use(), 24_KiB * KernelStacks<F>::kMostIdle);
  world.stacks.trim();
  EXPECT_EQ(world.stacks.in_use(), 0_B);
  for (const VirtRange& stack : stacks) {
    EXPECT_FALSE(world.read(stack.start()));
  }
}

}  // namespace

}  // namespace vellum::test
