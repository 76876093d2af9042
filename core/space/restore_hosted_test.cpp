// restore: the space is again what its snapshot is, whatever happened since, also under the feet of CPUs that run it;
// and it costs what was changed.

#include <atomic>
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
class Restores : public ::testing::Test {
 protected:
  Restores() : space(system.create()) {}
  ~Restores() override {
    space.check_invariants();
    space.destroy();
  }
  [[nodiscard]] VirtAddr map(std::uint64_t count, Prot prot = kReadWrite) {
    return space.map({.address = {}, .length = pages(count), .prot = prot}).value();
  }
  [[nodiscard]] std::uint64_t total(MemoryEvent event) { return system.vm().nodes.events().total(event); }

  test::SpaceSystem<F> system{{.memory = ByteCount(std::uint64_t{64} << 20), .cpus = 2}};
  AddressSpace<F>& space;
};
TYPED_TEST_SUITE(Restores, test::AllFormats);

TYPED_TEST(Restores, ContentMappingsAndRights) {
  using F = TypeParam;
  const VirtAddr at = this->map(8);
  const VirtAddr kept = this->map(2, kRead);
  Program<F> program(this->space);
  ASSERT_EQ(program.store(at, 1), Outcome::done);
  ASSERT_EQ(program.store(at + pages(1), 2), Outcome::done);
  const std::vector<VirtRange> before = test::ranges(this->space);
  AddressSpace<F>& snapshot = *this->space.fork().value();
  for (std::uint64_t round = 0; round < 3; ++round) {
    ASSERT_EQ(program.store(at, 10 + round), Outcome::done);
    ASSERT_EQ(program.store(at + pages(5), 11), Outcome::done);
    ASSERT_TRUE(this->space.unmap(at + pages(1), pages(2)).ok());
    ASSERT_TRUE(this->space.protect(at + pages(6), pages(1), kRead).ok());
    ASSERT_TRUE(this->space.protect(kept, pages(2), kReadWrite).ok());
    ASSERT_EQ(program.store(kept, 12), Outcome::done);
    static_cast<void>(this->map(3));
    ASSERT_TRUE(this->space.restore(snapshot).ok());
    this->space.check_invariants();
    EXPECT_EQ(test::ranges(this->space), before);
    EXPECT_EQ(program.at(at), 1U);
    EXPECT_EQ(program.at(at + pages(1)), 2U);
    EXPECT_EQ(program.at(at + pages(5)), 0U);
    EXPECT_EQ(program.at(kept), 0U);
    EXPECT_EQ(program.store(kept, 13), Outcome::access_denied);
    EXPECT_EQ(program.store(at + pages(6), 14), Outcome::done);
  }
  snapshot.check_invariants();
  snapshot.destroy();
  EXPECT_EQ(program.at(at), 1U);
  EXPECT_EQ(program.store(at, 3), Outcome::done);
  EXPECT_EQ(program.at(at + pages(1)), 2U);
}

TYPED_TEST(Restores, SharedMemoryStaysAsItIs) {
  using F = TypeParam;
  const VirtAddr at =
      this->space.map({.address = {}, .length = pages(2), .prot = kReadWrite, .traits = Traits::shared()}).value();
  Program<F> program(this->space);
  ASSERT_EQ(program.store(at, 1), Outcome::done);
  AddressSpace<F>& snapshot = *this->space.fork().value();
  ASSERT_EQ(program.store(at, 2), Outcome::done);
  ASSERT_TRUE(this->space.unmap(at + pages(1), pages(1)).ok());
  ASSERT_TRUE(this->space.restore(snapshot).ok());
  EXPECT_EQ(program.at(at), 2U);
  EXPECT_EQ(program.store(at + pages(1), 3), Outcome::done);
  snapshot.destroy();
}

TYPED_TEST(Restores, OnlyWhatIsOfTheFamily) {
  AddressSpace<TypeParam>& other = this->system.create();
  EXPECT_EQ(this->space.restore(other).error(), Errno::invalid);
  EXPECT_EQ(this->space.restore(this->space).error(), Errno::invalid);
  other.destroy();
}

TYPED_TEST(Restores, SnapshotOfASnapshotsChild) {
  using F = TypeParam;
  const VirtAddr at = this->map(2);
  Program<F> program(this->space);
  ASSERT_EQ(program.store(at, 1), Outcome::done);
  AddressSpace<F>& first = *this->space.fork().value();
  ASSERT_EQ(program.store(at, 2), Outcome::done);
  AddressSpace<F>& second = *this->space.fork().value();
  ASSERT_TRUE(this->space.restore(first).ok());
  EXPECT_EQ(program.at(at), 1U);
  ASSERT_TRUE(this->space.restore(second).ok());
  EXPECT_EQ(program.at(at), 2U);
  first.destroy();
  ASSERT_EQ(program.store(at, 3), Outcome::done);
  ASSERT_TRUE(this->space.restore(second).ok());
  EXPECT_EQ(program.at(at), 2U);
  second.destroy();
}

TYPED_TEST(Restores, OutOfMemoryChangesNothing) {
  using F = TypeParam;
  const VirtAddr at = this->map(2);
  Program<F> program(this->space);
  ASSERT_EQ(program.store(at, 1), Outcome::done);
  AddressSpace<F>& snapshot = *this->space.fork().value();
  ASSERT_EQ(program.store(at, 2), Outcome::done);
  this->system.machine().failures().fail_nth(1);
  const Result<void> result = this->space.restore(snapshot);
  this->system.machine().failures().off();
  EXPECT_EQ(program.at(at), result.ok() ? 1U : 2U);
  this->space.check_invariants();
  snapshot.destroy();
}

// The tables that are made, looked at and dropped for a round of the same four writes.
struct RestoreWork {
  std::uint64_t made = 0;
  std::uint64_t restored = 0;
  std::uint64_t dropped = 0;
  constexpr bool operator==(const RestoreWork&) const = default;
};

void do_rounds(std::uint64_t size_in_pages, RestoreWork (&work)[3]) {
  test::SpaceSystem<Amd64> system({.memory = ByteCount(std::uint64_t{64} << 20), .cpus = 1});
  AddressSpace<Amd64>& space = system.create();
  const VirtAddr at(std::uint64_t{1} << 30);
  ASSERT_TRUE(space
                  .map({.address = at,
                        .length = pages(size_in_pages),
                        .prot = kReadWrite,
                        .traits = Traits::no_reserve(),
                        .placement = Placement::fixed})
                  .ok());
  const EventCounts& events = system.vm().nodes.events();
  {
    Program<Amd64> program(space);
    for (std::uint64_t page = 0; page < size_in_pages; page += 64) {
      EXPECT_EQ(program.store(at + pages(page), page), Outcome::done);
    }
    AddressSpace<Amd64>& snapshot = *space.fork().value();
    for (RestoreWork& round : work) {
      const RestoreWork before = {.made = events.total(MemoryEvent::table_made),
                                  .restored = events.total(MemoryEvent::table_restored),
                                  .dropped = events.total(MemoryEvent::table_dropped)};
      if (&round != &work[2]) {
        for (std::uint64_t page = 0; page < 1024; page += 256) {
          EXPECT_EQ(program.store(at + pages(page), 1), Outcome::done);
        }
      }
      EXPECT_TRUE(space.restore(snapshot).ok());
      round = {.made = events.total(MemoryEvent::table_made) - before.made,
               .restored = events.total(MemoryEvent::table_restored) - before.restored,
               .dropped = events.total(MemoryEvent::table_dropped) - before.dropped};
    }
    snapshot.destroy();
  }
  space.destroy();
}

TEST(RestoreCost, DoesNotDependOnTheSize) {
  for (const std::uint64_t size_in_pages : {std::uint64_t{1024}, std::uint64_t{262144}}) {
    RestoreWork rounds[3];
    do_rounds(size_in_pages, rounds);
    // Two leaves, the two tables above them, the root. The last round writes nothing, so the copies go.
    EXPECT_EQ(rounds[0], (RestoreWork{.made = 4, .restored = 5, .dropped = 0}));
    EXPECT_EQ(rounds[1], (RestoreWork{.made = 0, .restored = 5, .dropped = 0}));
    EXPECT_EQ(rounds[2], (RestoreWork{.made = 0, .restored = 5, .dropped = 4}));
  }
}

TEST(RestoreThreads, WhileAnotherCpuWrites) {
  test::SpaceSystem<Amd64> system({.memory = ByteCount(std::uint64_t{64} << 20), .cpus = 2});
  AddressSpace<Amd64>& space = system.create();
  const VirtAddr at = space.map({.address = {}, .length = pages(16), .prot = kReadWrite}).value();
  {
    Program<Amd64> program(space);
    ASSERT_EQ(program.store(at, 0), Outcome::done);
  }
  AddressSpace<Amd64>& snapshot = *space.fork().value();
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    const hosted::CpuScope scope(system.machine(), CpuIndex(1));
    Program<Amd64> program(space);
    for (std::uint64_t i = 1; !stop.load(); ++i) {
      EXPECT_EQ(program.store(at + pages(i % 16), i), Outcome::done);
    }
  });
  for (unsigned round = 0; round < 300; ++round) {
    EXPECT_TRUE(space.restore(snapshot).ok());
    std::this_thread::yield();
  }
  stop = true;
  writer.join();
  EXPECT_TRUE(space.restore(snapshot).ok());
  {
    Program<Amd64> program(space);
    for (std::uint64_t page = 0; page < 16; ++page) {
      EXPECT_EQ(program.at(at + pages(page)), 0U);
    }
  }
  space.check_invariants();
  snapshot.destroy();
  space.destroy();
}

}  // namespace
}  // namespace vellum
