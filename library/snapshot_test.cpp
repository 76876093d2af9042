// Snapshots: the space is again what it was; restoring costs what changed, not the size; nothing is left over.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include <vellum/vellum.hpp>

namespace libvellum {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;

#if __has_feature(thread_sanitizer)
constexpr std::uint64_t kManyRounds = 10'000;  // each takes thirty times as long
#else
constexpr std::uint64_t kManyRounds = 100'000;
#endif

TEST(Snapshots, BringBackMappingsAndMemory) {
  Machine machine = Machine::create().value();
  Space space = machine.create_space().value();
  const std::uint64_t at = space.map(kMiB).value();
  ASSERT_TRUE(space.store<std::uint32_t>(at, 1));
  const std::vector<Region> before = space.regions().value();
  const Snapshot first = space.snapshot().value();
  ASSERT_TRUE(space.store<std::uint32_t>(at, 2));
  ASSERT_TRUE(space.unmap(at + kPageSize, kPageSize));
  const Snapshot second = space.snapshot().value();
  ASSERT_TRUE(space.unmap(at, kMiB));
  ASSERT_TRUE(space.restore(first));
  EXPECT_EQ(space.load<std::uint32_t>(at).value(), 1U);
  EXPECT_EQ(space.regions().value(), before);
  ASSERT_TRUE(space.restore(second));
  EXPECT_EQ(space.load<std::uint32_t>(at).value(), 2U);
  EXPECT_EQ(space.load<std::uint8_t>(at + kPageSize).error().code, Errc::no_mapping);
}

TEST(Snapshots, OfAForkedChildToo) {
  Machine machine = Machine::create({.format = Format::i386_pae}).value();
  Space space = machine.create_space().value();
  const std::uint64_t at = space.map(kMiB).value();
  ASSERT_TRUE(space.store<std::uint32_t>(at, 1));
  const Snapshot snapshot = space.snapshot().value();
  Space child = space.fork().value();
  ASSERT_TRUE(child.store<std::uint32_t>(at, 2));
  space.close();
  ASSERT_TRUE(child.restore(snapshot));
  EXPECT_EQ(child.load<std::uint32_t>(at).value(), 1U);
}

TEST(Snapshots, KeepWhatForksWouldNotHave) {
  Machine machine = Machine::create().value();
  Space space = machine.create_space().value();
  const std::uint64_t at = space.map(3 * kPageSize).value();
  for (std::uint64_t page = 0; page < 3; ++page) {
    ASSERT_TRUE(space.store<std::uint32_t>(at + page * kPageSize, 1));
  }
  ASSERT_TRUE(space.advise(at, kPageSize, Advice::leave_out_of_forks));
  ASSERT_TRUE(space.advise(at + kPageSize, kPageSize, Advice::wipe_in_forks));
  ASSERT_TRUE(space.lock(at + 2 * kPageSize, kPageSize));
  const Snapshot snapshot = space.snapshot().value();
  ASSERT_TRUE(space.unmap(at, 3 * kPageSize));
  ASSERT_TRUE(space.restore(snapshot));
  for (std::uint64_t page = 0; page < 3; ++page) {
    EXPECT_EQ(space.load<std::uint32_t>(at + page * kPageSize).value(), 1U);
  }
  EXPECT_EQ(space.use().value().locked_pages, 1U);
  Space child = space.fork().value();
  EXPECT_EQ(child.load<std::uint32_t>(at).error().code, Errc::no_mapping);
  EXPECT_EQ(child.load<std::uint32_t>(at + kPageSize).value(), 0U);
  EXPECT_EQ(child.load<std::uint32_t>(at + 2 * kPageSize).value(), 1U);
  EXPECT_EQ(child.use().value().locked_pages, 0U);
}

TEST(Snapshots, ObjectsKeepWhatTheyContain) {
  Machine machine = Machine::create().value();
  Space space = machine.create_space().value();
  const Object object = machine.create_shared(kPageSize).value();
  const std::uint64_t at = space.map(kPageSize, {.shared = true, .object = &object}).value();
  const Snapshot snapshot = space.snapshot().value();
  ASSERT_TRUE(space.store<std::uint32_t>(at, 7));
  ASSERT_TRUE(space.unmap(at, kPageSize));
  ASSERT_TRUE(space.restore(snapshot));
  EXPECT_EQ(space.load<std::uint32_t>(at).value(), 7U);
}

// The tables that restoring compares after writing to `changed` pages, 64 pages apart, of a space of so many bytes. It
// makes and drops none.
std::uint64_t tables_of_a_restore(std::uint64_t size, std::uint64_t changed) {
  Machine machine = Machine::create({.memory = size + size / 8 + 64 * kMiB}).value();
  Space space = machine.create_space(UserLayout::linux_low).value();
  const std::uint64_t at = space.map(size, {.address = std::uint64_t{1} << 40, .placement = Placement::fixed}).value();
  for (std::uint64_t offset = 0; offset < size; offset += 64 * kPageSize) {
    EXPECT_TRUE(space.store<std::uint8_t>(at + offset, 1));
  }
  const Snapshot snapshot = space.snapshot().value();
  std::uint64_t restored = 0;
  for (unsigned round = 0; round < 3; ++round) {
    for (std::uint64_t page = 0; page < changed; ++page) {
      EXPECT_TRUE(space.store<std::uint8_t>(at + page * 64 * kPageSize % size, 2));
    }
    const Counters before = machine.counters().value();
    EXPECT_TRUE(space.restore(snapshot));
    const Counters after = machine.counters().value();
    restored = after.tables_restored - before.tables_restored;
    EXPECT_EQ(after.tables_made, before.tables_made);
    EXPECT_EQ(after.tables_dropped, before.tables_dropped);
    EXPECT_EQ(after.pages_copied, before.pages_copied);
    EXPECT_EQ(space.load<std::uint8_t>(at).value(), 1U);
  }
  return restored;
}

TEST(SnapshotCost, IsWhatWasChanged) {
  // One page: its table and the three above it. 16 pages lie in two tables of 2 MB each.
  EXPECT_EQ(tables_of_a_restore(64 * kMiB, 1), 4U);
  EXPECT_EQ(tables_of_a_restore(1024 * kMiB, 1), 4U);
  EXPECT_EQ(tables_of_a_restore(64 * kMiB, 16), 5U);
  EXPECT_EQ(tables_of_a_restore(1024 * kMiB, 16), 5U);
}

TEST(Snapshots, NothingIsLeftOfManyRounds) {
  Machine machine = Machine::create({.memory = 16 * kMiB}).value();
  const std::uint64_t before = machine.memory_use().value().free_pages;
  Space space = machine.create_space().value();
  const std::uint64_t at = space.map(4 * kMiB).value();
  ASSERT_TRUE(space.store<std::uint64_t>(at, 1));
  Snapshot snapshot = space.snapshot().value();
  for (std::uint64_t round = 0; round < kManyRounds; ++round) {
    ASSERT_TRUE(space.store<std::uint64_t>(at + round % 1024 * kPageSize, round));
    if (round % 64 == 0) {
      ASSERT_TRUE(space.unmap(at + kPageSize, 16 * kPageSize));
      ASSERT_TRUE(space.map(8 * kPageSize));
    }
    ASSERT_TRUE(space.restore(snapshot));
  }
  EXPECT_EQ(space.load<std::uint64_t>(at).value(), 1U);
  EXPECT_EQ(space.regions().value().size(), 1U);
  EXPECT_GT(machine.memory_use().value().free_pages, before - 40);
  space.close();
  snapshot.close();
  EXPECT_EQ(machine.memory_use().value().free_pages, before);
}

TEST(SnapshotThreads, RestoreWhileOthersWrite) {
  Machine machine = Machine::create({.memory = 16 * kMiB, .cpus = 2}).value();
  Space space = machine.create_space().value();
  const std::uint64_t at = space.map(16 * kPageSize).value();
  ASSERT_TRUE(space.store<std::uint64_t>(at, 0));
  const Snapshot snapshot = space.snapshot().value();
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    const Cpu cpu = machine.drive(1).value();
    for (std::uint64_t i = 1; !stop.load(); ++i) {
      ASSERT_TRUE(space.store<std::uint64_t>(at + i % 16 * kPageSize, i));
    }
  });
  for (unsigned round = 0; round < 200; ++round) {
    ASSERT_TRUE(space.restore(snapshot));
    std::this_thread::yield();
  }
  stop = true;
  writer.join();
  ASSERT_TRUE(space.restore(snapshot));
  for (std::uint64_t page = 0; page < 16; ++page) {
    EXPECT_EQ(space.load<std::uint64_t>(at + page * kPageSize).value(), 0U);
  }
}

}  // namespace
}  // namespace libvellum
