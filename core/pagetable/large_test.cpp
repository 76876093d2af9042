// Large pages: entered, split, shared and let go.

#include "test/world.hpp"

namespace vellum {
namespace {

using test::page_range;
using test::TreeWorld;

constexpr Prot kReadWrite = Prot::read() | Prot::write();
constexpr Meaning kWritable = {.backing = nullptr, .prot = kReadWrite, .maximum = Prot::all(), .traits = {}};
constexpr EntryRights kUserWrite = {.write = true, .execute = false, .user = true};

// A tree in which the first slot of a node above the leaves is a large page.
template <class F>
struct LargeWorld : TreeWorld<F> {
  static constexpr std::uint64_t kLeaf = TreeWorld<F>::kLeaf;
  LargeWorld() {
    // What begins in the middle of a table makes the way down to the node above the leaves.
    VELLUM_CHECK(this->replace(page_range(0, kLeaf), &kWritable).ok());
    VELLUM_CHECK(this->replace(page_range(kLeaf + 1, 1), &kWritable).ok());
    above = this->tree().root;
    const Tables<F> tables = this->tables();
    while (above->level > 2) {
      above = &tables.child(tables.load(*above, 0), *above);
    }
    block = this->memory().allocate_block(Order(Tables<F>::kLargeOrder), Contents::zeroed).value();
    const LockGuard guard(above->lock);
    VELLUM_CHECK(tables.enter_large(*above, 0, block, kUserWrite).ok());
  }
  [[nodiscard]] Entry entry() { return this->tables().load(*above, 0); }
  [[nodiscard]] std::uint64_t count(MemoryEvent event) { return this->store().events().total(event); }

  Node* above = nullptr;
  Pfn block;
};

VELLUM_TEST_EACH_FORMAT(LargePage, IsOneEntryAndManyFrames) {
  LargeWorld<F> world;
  const Tables<F> tables = world.tables();
  EXPECT_TRUE(tables.is_large(world.entry(), *world.above));
  EXPECT_TRUE(F::is_page(world.entry(), 2));
  EXPECT_EQ(F::frame(world.entry(), 2), world.block);
  const LockGuard guard(world.above->lock);
  Node& large = tables.child(world.entry(), *world.above);
  EXPECT_TRUE(large.large);
  EXPECT_EQ(large.table, world.block);
  EXPECT_TRUE(tables.is_large_alone(*world.above, 0));
  for (unsigned i = 0; i < large.slot_count; ++i) {
    EXPECT_EQ(world.memory().frame(world.block + PageCount(i)).share(), 1U);
  }
}

VELLUM_TEST_EACH_FORMAT(LargePage, SplitsIntoATableThatMapsTheSame) {
  LargeWorld<F> world;
  const Tables<F> tables = world.tables();
  ASSERT_TRUE(world.protect(page_range(1, 1), Prot::read()).ok());
  EXPECT_FALSE(tables.is_large(world.entry(), *world.above));
  EXPECT_EQ(world.count(MemoryEvent::large_split), 1U);
  EXPECT_EQ(world.count(MemoryEvent::large_dropped), 1U);
  const Node& leaf = tables.child(world.entry(), *world.above);
  for (unsigned slot = 0; slot < leaf.slot_count; ++slot) {
    const Entry page = tables.load(leaf, slot);
    EXPECT_EQ(F::frame(page, 1), world.block + PageCount(slot));
    EXPECT_EQ(F::rights(page, 1).write, slot != 1);
    EXPECT_EQ(world.memory().frame(world.block + PageCount(slot)).share(), 1U);
  }
}

VELLUM_TEST_EACH_FORMAT(LargePage, GoesAsABlock) {
  LargeWorld<F> world;
  const PageCount free = world.memory().free_count();
  ASSERT_TRUE(world.replace(page_range(0, TreeWorld<F>::kLeaf), nullptr).ok());
  EXPECT_EQ(world.entry().bits, 0U);
  EXPECT_EQ(world.count(MemoryEvent::large_dropped), 1U);
  EXPECT_EQ(world.memory().free_count(), free + PageCount(TreeWorld<F>::kLeaf));
  world.memory().check_invariants();
}

VELLUM_TEST_EACH_FORMAT(LargePage, IsHeldByAllWhoNameItAndByTheirTables) {
  LargeWorld<F> world;
  Tree& tree = world.tree();
  const Tables<F> tables = world.tables();
  TreeOperation<F> operation(tree);
  TlbGather<F>& gather = operation.gather();
  Node* copy = nullptr;
  {
    const LockGuard guard(world.above->lock);
    copy = tables.clone(*world.above, world.above->base).value();
    EXPECT_FALSE(F::rights(world.entry(), 2).write);
    EXPECT_FALSE(tables.is_large_alone(*world.above, 0));
    Node& leaf = *tables.split(*world.above, 0, gather).value();
    EXPECT_FALSE(F::rights(tables.load(leaf, 0), 1).write);
  }
  gather.finish();
  {
    const LockGuard guard(copy->lock);
    EXPECT_TRUE(tables.is_large(tables.load(*copy, 0), *copy));
    EXPECT_FALSE(tables.is_large_alone(*copy, 0));  // the table holds the frames as well
  }
  EXPECT_EQ(world.memory().frame(world.block).share(), 2U);
  gather.release_table(*copy);
  gather.finish();
  EXPECT_EQ(world.memory().frame(world.block).share(), 1U);
  EXPECT_EQ(world.count(MemoryEvent::large_dropped), 1U);
}

}  // namespace
}  // namespace vellum
