// What one space, or one CPU, must never see of another: steps of several CPUs in the worst order.

#include <atomic>
#include <chrono>
#include <thread>

#include "test/typed.hpp"

namespace vellum {
namespace {

using test::kRead;
using test::kReadWrite;
using test::Outcome;
using test::pages;
using test::Program;

template <class F>
class Isolation : public ::testing::Test {};
TYPED_TEST_SUITE(Isolation, test::AllFormats);

template <class F>
Node* leaf_of(AddressSpace<F>& space, VirtAddr at) {
  const Tables<F> tables(space.system().nodes);
  Node* node = space.tree.root;
  while (node->level > 1) {
    const Entry entry = tables.load(*node, tables.slot_of(*node, vpn_of<F>(at)));
    if (entry.bits == 0) {
      return nullptr;
    }
    node = &tables.child(entry, *node);
  }
  return node;
}

// Writes through a private mapping must not reach the object.
TYPED_TEST(Isolation, PrivateCopyOfLinkedUpperTable) {
  using F = TypeParam;
  if (!F::restricts(3)) {
    return;  // no table above leaf tables can be linked
  }
  test::SpaceSystem<F> system{{.cpus = 2}};
  AddressSpace<F>& space = system.create();
  const std::uint64_t upper = entry_span<F>(3).value(), table = entry_span<F>(2).value();
  MemoryObject<F>& object = *system.vm().objects.create_anonymous(pages(upper), Promise::none).value();
  const VirtAddr shared(upper * kPageSize), priv(2 * upper * kPageSize);
  ASSERT_TRUE(space
                  .map({.address = shared,
                        .length = pages(upper),
                        .prot = kReadWrite,
                        .traits = Traits::shared(),
                        .placement = Placement::fixed,
                        .object = &object})
                  .ok());
  ASSERT_TRUE(space
                  .map({.address = priv,
                        .length = pages(upper),
                        .prot = kRead,
                        .traits = Traits::no_reserve(),
                        .placement = Placement::fixed,
                        .object = &object})
                  .ok());
  {
    Program<F> program(space);
    EXPECT_EQ(program.store(shared, 11), Outcome::done);
    EXPECT_EQ(program.store(shared + pages(table), 22), Outcome::done);
    EXPECT_EQ(program.at(priv), 11U);
    EXPECT_EQ(program.at(priv + pages(table)), 22U);
    ASSERT_TRUE(space.protect(priv, pages(upper), kReadWrite).ok());
    EXPECT_EQ(program.store(priv, 33), Outcome::done);
    EXPECT_EQ(program.store(priv + pages(table), 44), Outcome::done);
    EXPECT_EQ(program.at(shared), 11U);
    EXPECT_EQ(program.at(shared + pages(table)), 22U);
  }
  space.check_invariants();
  space.destroy();
  object.release();
}

// A frame that was let go of, but not flushed, must not become another space's to write.
TYPED_TEST(Isolation, FrameHeldUntilFlush) {
  using F = TypeParam;
  test::SpaceSystem<F> system{{.cpus = 3}};
  AddressSpace<F>& parent = system.create();
  const std::uint64_t table = entry_span<F>(2).value();
  const VirtAddr at(2 * table * kPageSize);
  ASSERT_TRUE(parent.map({.address = at, .length = pages(2), .prot = kReadWrite, .placement = Placement::fixed}).ok());
  AddressSpace<F>* child = nullptr;
  {
    Program<F> p0(parent);
    EXPECT_EQ(p0.store(at, 1), Outcome::done);
    EXPECT_EQ(p0.store(at + pages(1), 1), Outcome::done);
    child = parent.fork().value();
    EXPECT_EQ(p0.store(at + pages(1), 2), Outcome::done);
    const hosted::CpuScope two(system.machine(), CpuIndex(2));
    Program<F> c(*child);
    EXPECT_EQ(c.store(at + pages(1), 3), Outcome::done);
    const hosted::CpuScope one(system.machine(), CpuIndex(1));
    Program<F> p1(parent);
    EXPECT_EQ(p1.at(at), 1U);  // in CPU 1's TLB
    {
      const hosted::CpuScope zero(system.machine(), CpuIndex(0));
      TreeOperation<F> operation(parent.tree);
      {
        Cursor<F> cursor(parent.tree, operation.gather());
        const VpnRange range = VpnRange::must(vpn_of<F>(at), PageCount(1));
        cursor.lock(range);
        EXPECT_TRUE(cursor.prepare(range, Cursor<F>::Purpose::clear).ok());
        (void)cursor.replace(range, nullptr);
      }
      {
        const hosted::CpuScope again(system.machine(), CpuIndex(2));
        EXPECT_EQ(c.store(at, 0x5ec2e7), Outcome::done);
      }
      {
        const hosted::CpuScope again(system.machine(), CpuIndex(1));
        EXPECT_NE(p1.at(at), 0x5ec2e7U);
      }
      operation.gather().finish();
    }
  }
  child->destroy();
  parent.destroy();
}

// What lock() locked stays as it was looked at.
TYPED_TEST(Isolation, RangeStaysAsItWasSeen) {
  using F = TypeParam;
  test::SpaceSystem<F> system{{.cpus = 2}};
  AddressSpace<F>& space = system.create();
  const std::uint64_t table = entry_span<F>(2).value();
  const VirtAddr at(table * kPageSize);
  const VirtAddr middle = at + pages(table);
  const auto one = [&] {
    return space.map(
        {.address = middle, .length = pages(1), .prot = kReadWrite, .placement = Placement::fixed_no_replace});
  };
  ASSERT_TRUE(one().ok());
  ASSERT_TRUE(space.unmap(middle, pages(1)).ok());  // leaves an empty table
  std::atomic<int> outcome{0};
  std::thread other;
  {
    TreeOperation<F> operation(space.tree);
    {
      Cursor<F> cursor(space.tree, operation.gather());
      const VpnRange range = VpnRange::must(vpn_of<F>(at), PageCount(3 * table - 1));
      cursor.lock(range);
      EXPECT_TRUE(cursor.is_unmapped(range));
      other = std::thread([&] {
        const hosted::CpuScope scope(system.machine(), CpuIndex(1));
        outcome = one().ok() ? 1 : 2;
      });
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      EXPECT_TRUE(cursor.prepare(range, Cursor<F>::Purpose::fill).ok());
      const Meaning meaning = {.prot = kRead, .maximum = Prot::all(), .traits = {}};
      EXPECT_EQ(cursor.replace(range, &meaning), MeaningSum());
    }
    operation.gather().finish();
  }
  other.join();
  EXPECT_EQ(outcome.load(), 2);
  space.destroy();
}

// A fault that lost its way must not fill what only another space reaches with what this space means.
TYPED_TEST(Isolation, FaultFillsOnlyItsOwn) {
  using F = TypeParam;
  test::SpaceSystem<F> system{{.cpus = 3}};
  AddressSpace<F>& parent = system.create();
  const std::uint64_t table = entry_span<F>(2).value();
  const VirtAddr at(4 * table * kPageSize);
  MemoryObject<F>& secret = *system.vm().objects.create_anonymous(pages(table), Promise::none).value();
  std::uint64_t word = 0x5ec2e7;
  ASSERT_TRUE(secret.write(pages(1), std::as_bytes(std::span(&word, 1))).ok());
  ASSERT_TRUE(
      parent.map({.address = at, .length = pages(2 * table), .prot = kReadWrite, .placement = Placement::fixed}).ok());
  AddressSpace<F>* child = nullptr;
  {
    Program<F> p0(parent);
    EXPECT_EQ(p0.store(at, 1), Outcome::done);
    EXPECT_EQ(p0.store(at + pages(table), 1), Outcome::done);
    child = parent.fork().value();
    EXPECT_EQ(p0.store(at + pages(table), 2), Outcome::done);  // the way is the parent's own now, but not this leaf
  }
  Node* const leaf = leaf_of(parent, at);
  ASSERT_EQ(leaf, leaf_of(*child, at));
  leaf->lock.lock();
  std::thread faulting([&] {
    const hosted::CpuScope scope(system.machine(), CpuIndex(1));
    (void)parent.fault(at + pages(1), Access::read);
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  std::thread mapping([&] {
    const hosted::CpuScope scope(system.machine(), CpuIndex(2));
    // Not where the object's tables could be linked.
    VELLUM_CHECK(parent
                     .map({.address = at,
                           .length = pages(table),
                           .prot = kRead,
                           .placement = Placement::fixed,
                           .object = &secret})
                     .ok());
  });
  mapping.join();
  leaf->lock.unlock();
  faulting.join();
  {
    Program<F> c(*child);
    EXPECT_EQ(c.at(at + pages(1)), 0U);
  }
  child->destroy();
  parent.destroy();
  secret.release();
}
}  // namespace
}  // namespace vellum
