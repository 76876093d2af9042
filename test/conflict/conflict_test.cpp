// Two CPUs that work on addresses 2 TB apart in one space must not write a cache line in common, nor one write what the
// other reads: then neither slows the other down, however many there are.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <iterator>
#include <semaphore>
#include <thread>
#include <vector>

#include "../../core/space/test/fixture.hpp"
#include "write_trace.hpp"

namespace vellum {
namespace {

constexpr Prot kReadWrite = Prot::read() | Prot::write();
constexpr std::uint64_t kTiB = std::uint64_t{1} << 40;
constexpr VirtAddr kAreas[2] = {VirtAddr(2 * kTiB), VirtAddr(4 * kTiB)};
// Allocators refill and epochs turn now and then, under shared locks: a round in which neither happens is what counts,
// so the best of many is taken, and how many had more is shown.
constexpr int kRounds = 64;

std::size_t common(const test::LineSet& a, const test::LineSet& b) {
  std::vector<std::uintptr_t> both;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(both));
  return both.size();
}

struct Conflicts {
  std::size_t written_by_both;
  std::size_t written_and_read;
  bool operator<(const Conflicts& other) const {
    return written_by_both + written_and_read < other.written_by_both + other.written_and_read;
  }
};

// A CPU with a thread, and so a stack, of its own for all its life. One CPU works at a time.
class Worker {
 public:
  Worker(Machine& machine, CpuIndex cpu) : thread_([this, &machine, cpu] { run(machine, cpu); }) {}
  ~Worker() {
    hand_over(nullptr);
    thread_.join();
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void work(const std::function<void()>& work) { hand_over(&work); }

 private:
  void hand_over(const std::function<void()>* work) {
    work_ = work;
    go_.release();
    done_.acquire();
  }
  void run(Machine& machine, CpuIndex cpu) {
    const hosted::CpuScope scope(machine, cpu);
    for (;;) {
      go_.acquire();
      const std::function<void()>* const work = work_;
      if (work != nullptr) {
        (*work)();
      }
      done_.release();
      if (work == nullptr) {
        return;
      }
    }
  }

  const std::function<void()>* work_ = nullptr;
  std::binary_semaphore go_{0};
  std::binary_semaphore done_{0};
  std::thread thread_;
};

class ConflictTest : public ::testing::Test {
 protected:
  using Operation = std::function<void(AddressSpace<Amd64>&, VirtAddr)>;

  // The fewest conflicts of `operation` between two CPUs; `before` prepares each round untraced.
  Conflicts fewest(const Operation& before, const Operation& operation) {
    Conflicts best{.written_by_both = ~std::size_t{0} / 4, .written_and_read = 0};
    int rounds_with_more = 0;
    for (int round = 0; round < kRounds; ++round) {
      test::LineTrace traces[2];
      for (unsigned cpu = 0; cpu < 2; ++cpu) {
        workers_[cpu].work([&] {
          before(space_, kAreas[cpu]);
          traces[cpu] = test::trace_lines([&] { operation(space_, kAreas[cpu]); });
        });
      }
      const Conflicts found = {
          .written_by_both = common(traces[0].written, traces[1].written),
          .written_and_read = common(traces[0].written, traces[1].read) + common(traces[0].read, traces[1].written)};
      rounds_with_more += found.written_by_both + found.written_and_read > 0 ? 1 : 0;
      best = std::min(best, found);
    }
    std::printf("lines written by both: %zu; written by one, read by the other: %zu; rounds with any: %d of %d\n",
                best.written_by_both, best.written_and_read, rounds_with_more, kRounds);
    return best;
  }

  void expect_none(const Operation& before, const Operation& operation) {
    const Conflicts conflicts = fewest(before, operation);
    EXPECT_EQ(conflicts.written_by_both, 0U);
    EXPECT_EQ(conflicts.written_and_read, 0U);
  }

  void TearDown() override { space_.destroy(); }

  test::SpaceSystem<Amd64> system_{{.memory = ByteCount(std::uint64_t{256} << 20), .cpus = 3}};
  AddressSpace<Amd64>& space_ = system_.create();
  Worker workers_[2]{{system_.machine(), CpuIndex(1)}, {system_.machine(), CpuIndex(2)}};
};

void map(AddressSpace<Amd64>& space, VirtAddr at, std::uint64_t pages) {
  VELLUM_CHECK(space
                   .map({.address = at,
                         .length = ByteCount(pages * kPageSize),
                         .prot = kReadWrite,
                         .traits = Traits::no_reserve(),
                         .placement = Placement::fixed})
                   .ok());
}

void touch(AddressSpace<Amd64>& space, VirtAddr at) {
  VELLUM_CHECK(space.fault(at, Access::write) == FaultVerdict::resolved);
}

void nothing(AddressSpace<Amd64>& /*space*/, VirtAddr /*at*/) {}

TEST_F(ConflictTest, Fault) {
  expect_none([](auto& space, VirtAddr at) { map(space, at, 16); }, [](auto& space, VirtAddr at) { touch(space, at); });
}

TEST_F(ConflictTest, FaultInOneLargeMapping) {
  map(space_, VirtAddr(kTiB), (4 * kTiB) / kPageSize);
  std::uint64_t next = 0;
  expect_none([&](auto&, VirtAddr) { next += kPageSize; },
              [&](auto& space, VirtAddr at) { touch(space, at + ByteCount(next)); });
}

TEST_F(ConflictTest, Map) {
  expect_none([](auto& space, VirtAddr at) { VELLUM_CHECK(space.unmap(at, ByteCount(kPageSize)).ok()); },
              [](auto& space, VirtAddr at) { map(space, at, 1); });
}

TEST_F(ConflictTest, UnmapUntouched) {
  expect_none([](auto& space, VirtAddr at) { map(space, at, 1); },
              [](auto& space, VirtAddr at) { VELLUM_CHECK(space.unmap(at, ByteCount(kPageSize)).ok()); });
}

TEST_F(ConflictTest, UnmapTouched) {
  expect_none(
      [](auto& space, VirtAddr at) {
        map(space, at, 1);
        touch(space, at);
      },
      [](auto& space, VirtAddr at) { VELLUM_CHECK(space.unmap(at, ByteCount(kPageSize)).ok()); });
}

TEST_F(ConflictTest, Protect) {
  expect_none(
      [](auto& space, VirtAddr at) {
        map(space, at, 16);
        touch(space, at + ByteCount(kPageSize));
      },
      [](auto& space, VirtAddr at) {
        VELLUM_CHECK(space.protect(at + ByteCount(kPageSize), ByteCount(kPageSize), Prot::read()).ok());
      });
}

// The measure itself: two faults in one table do meet.
TEST_F(ConflictTest, NeighboursMeet) {
  map(space_, kAreas[0], 512);
  std::uint64_t next = 0;
  const Conflicts conflicts = fewest(nothing, [&](auto& space, VirtAddr) {
    touch(space, kAreas[0] + ByteCount(next));
    next += kPageSize;
  });
  EXPECT_GT(conflicts.written_by_both, 0U);
}

}  // namespace
}  // namespace vellum
