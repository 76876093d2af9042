// Four CPUs at once on one space, and on spaces related by fork. Each test runs for a fixed short time; what a program
// reads is checked against what can have been written, and at the end every page must be free again.
#include <atomic>
#include <barrier>
#include <chrono>
#include <map>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include <vellum/test/test.hpp>

#include "test/fixture.hpp"

namespace vellum {
namespace {

using test::Outcome;

constexpr unsigned kThreads = 4;
constexpr Prot kReadWrite = Prot::read() | Prot::write();
constexpr auto kDuration = std::chrono::milliseconds(400);

[[nodiscard]] constexpr ByteCount pages(std::uint64_t count) { return ByteCount(count * kPageSize); }

// CPU 0 is the test's own; threads drive those behind it.
template <PageTableFormat F>
class SpaceThreads : public ::testing::Test {
 protected:
  SpaceThreads() { system.vm().large_pages = LargePages::everywhere; }  // the toys' windows have room for some

  // Pages on both sides of a boundary between tables of all levels that the format has below its root.
  static constexpr std::uint64_t kPages = 24;
  static constexpr VirtAddr kBase =
      VirtAddr((F::kVirtualBits > 24 ? std::uint64_t{1} << 30 : std::uint64_t{1} << 18) - kPages / 2 * kPageSize);
  [[nodiscard]] static VirtAddr page(std::uint64_t number) { return kBase + pages(number); }

  struct Worker {
    unsigned number;
    std::mt19937_64 random;
    std::chrono::steady_clock::time_point end;

    [[nodiscard]] bool goes_on() const { return std::chrono::steady_clock::now() < end; }
    [[nodiscard]] std::uint64_t below(std::uint64_t limit) { return random() % limit; }
  };

  // Runs body(Worker&) on every CPU but 0 at once.
  template <class Body>
  void run(Body body) {
    std::barrier start(kThreads);
    std::vector<std::thread> threads;
    for (unsigned number = 0; number < kThreads; ++number) {
      threads.emplace_back([&, number] {
        const hosted::CpuScope scope(system.machine(), CpuIndex(number + 1));
        start.arrive_and_wait();
        Worker worker = {.number = number,
                         .random = std::mt19937_64(kSeed + number),
                         .end = std::chrono::steady_clock::now() + kDuration};
        body(worker);
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
  }
  // Gives the pages of the window a mapping.
  void map(AddressSpace<F>& space, std::uint64_t first, std::uint64_t count, Prot prot = kReadWrite, Traits traits = {},
           MemoryObject<F>* object = nullptr) {
    const Result<VirtAddr> at = space.map({.address = page(first),
                                           .length = pages(count),
                                           .prot = prot,
                                           .traits = traits,
                                           .placement = Placement::fixed,
                                           .object = object,
                                           .offset = ByteCount(object != nullptr ? first * kPageSize : 0)});
    EXPECT_TRUE(at.ok());
  }

  static constexpr std::uint64_t kSeed = 20;
  test::SpaceSystem<F> system{{.memory = ByteCount(std::uint64_t{128} << 20), .cpus = kThreads + 1}};
};

using Formats = ::testing::Types<Amd64, I386Pae, ToyNarrow, ToyDeep>;
TYPED_TEST_SUITE(SpaceThreads, Formats);

// Every thread has pages of its own, but they lie in common tables.
TYPED_TEST(SpaceThreads, DisjointPagesDoNotDisturbEachOther) {
  using F = TypeParam;
  AddressSpace<F>& space = this->system.create();
  this->run([&](auto& worker) {
    test::Program<F> program(space);
    constexpr std::uint64_t kOwn = TestFixture::kPages / kThreads;
    const std::uint64_t first = worker.number * kOwn;
    for (std::uint64_t round = 1; worker.goes_on(); ++round) {
      const std::uint64_t start = first + worker.below(kOwn);
      const std::uint64_t count = 1 + worker.below(first + kOwn - start);
      this->map(space, start, count);
      for (std::uint64_t page = start; page < start + count; ++page) {
        if (worker.below(2) == 0) {
          EXPECT_EQ(program.at(this->page(page)), 0U);
        }
        EXPECT_EQ(program.store(this->page(page), round), Outcome::done);
      }
      EXPECT_TRUE(space.protect(this->page(start), pages(count), Prot::read()).ok());
      for (std::uint64_t page = start; page < start + count; ++page) {
        EXPECT_EQ(program.at(this->page(page)), round);
        EXPECT_EQ(program.store(this->page(page), 1), Outcome::access_denied);
      }
      EXPECT_TRUE(space.protect(this->page(start), pages(count), kReadWrite).ok());
      EXPECT_EQ(program.store(this->page(start), round + 1), Outcome::done);
      EXPECT_EQ(program.at(this->page(start)), round + 1);
      EXPECT_TRUE(space.unmap(this->page(start), pages(count)).ok());
      EXPECT_EQ(program.store(this->page(start), 1), Outcome::no_mapping);
    }
  });
  space.check_invariants();
  EXPECT_EQ(space.mapped(), PageCount(0));
  space.destroy();
}

// All threads change the same pages: a page holds zeros or what somebody wrote to that page.
TYPED_TEST(SpaceThreads, CommonPagesHoldWhatWasWrittenToThem) {
  using F = TypeParam;
  AddressSpace<F>& space = this->system.create();
  this->run([&](auto& worker) {
    test::Program<F> program(space);
    while (worker.goes_on()) {
      const std::uint64_t page = worker.below(TestFixture::kPages);
      const std::uint64_t count = 1 + worker.below(TestFixture::kPages - page);
      switch (worker.below(16)) {
        case 0:
          this->map(space, page, count);
          break;
        case 9: {
          const VirtRange range = VirtRange::must(this->page(page), pages(count));
          const Result<void> result = worker.below(2) == 0
                                          ? space.discard(range, Discard::own_memory)
                                          : space.mark(range, {.add = Traits::wiped_by_forks(), .drop = {}});
          EXPECT_TRUE(result.ok() || result.error() == Errno::no_memory);
          break;
        }
        case 1:
          EXPECT_TRUE(space.unmap(this->page(page), pages(count)).ok());
          break;
        case 2:
        case 3: {
          const Result<void> result =
              space.protect(this->page(page), pages(count), worker.below(2) == 0 ? Prot::read() : kReadWrite);
          EXPECT_TRUE(result.ok() || result.error() == Errno::no_memory);
          break;
        }
        case 4:
        case 5:
        case 6:
        case 7:
        case 8: {
          const Outcome outcome = program.store(this->page(page), page << 32 | worker.below(1000) << 1 | 1U);
          EXPECT_TRUE(outcome == Outcome::done || outcome == Outcome::no_mapping || outcome == Outcome::access_denied);
          break;
        }
        default: {
          std::uint64_t value = 0;
          const Outcome outcome = program.load(this->page(page), value);
          EXPECT_TRUE(outcome == Outcome::done || outcome == Outcome::no_mapping);
          EXPECT_TRUE(value == 0 || value >> 32 == page);
          break;
        }
      }
    }
  });
  space.check_invariants();
  space.destroy();
}

// Two CPUs move their pages to and fro, while a third touches all places and a fourth forks: what a CPU wrote it finds
// again where it moved it.
TYPED_TEST(SpaceThreads, MovedPagesKeepWhatTheyHold) {
  using F = TypeParam;
  AddressSpace<F>& space = this->system.create();
  constexpr std::uint64_t kOwn = TestFixture::kPages / 2;
  this->map(space, 0, TestFixture::kPages);
  this->run([&](auto& worker) {
    test::Program<F> program(space);
    const std::uint64_t here = worker.number % 2 * kOwn;
    const std::uint64_t there = here + TestFixture::kPages + 8;
    for (std::uint64_t round = 1; worker.goes_on(); ++round) {
      if (worker.number == 2) {
        std::uint64_t value = 0;
        const Outcome outcome = program.load(this->page(worker.below(2 * TestFixture::kPages + 8)), value);
        EXPECT_TRUE(outcome == Outcome::done || outcome == Outcome::no_mapping);
        continue;
      }
      if (worker.number == 3) {
        const Result<AddressSpace<F>*> child = space.fork();
        EXPECT_TRUE(child.ok());
        child.value()->check_invariants();
        child.value()->destroy();
        continue;
      }
      const std::uint64_t page = worker.below(kOwn);
      EXPECT_EQ(program.store(this->page(here + page), round), Outcome::done);
      for (const bool away : {true, false}) {
        const VirtAddr to = this->page(away ? there : here);
        const Result<VirtAddr> moved = space.remap({.address = this->page(away ? here : there),
                                                    .old_length = pages(kOwn),
                                                    .new_length = pages(kOwn),
                                                    .move = Remap::Move::to_target,
                                                    .target = to});
        EXPECT_TRUE(moved.ok());
        EXPECT_EQ(program.at(to + pages(page)), round);
      }
    }
  });
  space.check_invariants();
  EXPECT_EQ(space.mapped(), PageCount(TestFixture::kPages));
  space.destroy();
}

// Two CPUs write pages of the parent in a fixed order, round after round; so in whatever child the other two make
// meanwhile, no page may be ahead of one before it.
TYPED_TEST(SpaceThreads, AChildIsAPictureOfOneMoment) {
  using F = TypeParam;
  AddressSpace<F>& parent = this->system.create();
  this->map(parent, 0, TestFixture::kPages);
  this->run([&](auto& worker) {
    const std::uint64_t half = TestFixture::kPages / 2;
    if (worker.number < 2) {
      test::Program<F> program(parent);
      const std::uint64_t first = worker.number * half;
      for (std::uint64_t round = 1; worker.goes_on(); ++round) {
        for (std::uint64_t page = first; page < first + half; ++page) {
          EXPECT_EQ(program.at(this->page(page)), round - 1);
          EXPECT_EQ(program.store(this->page(page), round), Outcome::done);
        }
      }
      return;
    }
    while (worker.goes_on()) {
      const Result<AddressSpace<F>*> forked = parent.fork();
      ASSERT_TRUE(forked.ok());
      AddressSpace<F>& child = *forked.value();
      {
        test::Program<F> program(child);
        for (std::uint64_t first = 0; first < TestFixture::kPages; first += half) {
          const std::uint64_t newest = program.at(this->page(first));
          std::uint64_t before = newest;
          for (std::uint64_t page = first + 1; page < first + half; ++page) {
            const std::uint64_t value = program.at(this->page(page));
            EXPECT_TRUE(value <= before && value + 1 >= newest);
            before = value;
          }
        }
        const std::uint64_t page = worker.below(TestFixture::kPages);
        EXPECT_EQ(program.store(this->page(page), 1U << 30), Outcome::done);
        EXPECT_EQ(program.at(this->page(page)), 1U << 30);
      }
      child.destroy();
    }
  });
  parent.check_invariants();
  parent.destroy();
}

// Every thread forks the parent, works in the child and in a grandchild, and ends them in either order, while the
// others do so with what they share.
TYPED_TEST(SpaceThreads, RelativesDoNotSeeEachOther) {
  using F = TypeParam;
  AddressSpace<F>& parent = this->system.create();
  this->map(parent, 0, TestFixture::kPages);
  {
    test::Program<F> program(parent);
    for (std::uint64_t page = 0; page < TestFixture::kPages; page += 2) {
      EXPECT_EQ(program.store(this->page(page), page + 1), Outcome::done);
    }
  }
  this->run([&](auto& worker) {
    const auto work = [&](AddressSpace<F>& space, std::vector<std::uint64_t>& expected) {
      test::Program<F> program(space);
      for (unsigned step = 0; step < 20; ++step) {
        const std::uint64_t page = worker.below(TestFixture::kPages);
        EXPECT_EQ(program.at(this->page(page)), expected[page]);
        if (worker.below(2) == 0) {
          expected[page] = worker.random();
          EXPECT_EQ(program.store(this->page(page), expected[page]), Outcome::done);
        } else if (worker.below(4) == 0) {
          this->map(space, page, 1);
          expected[page] = 0;
        }
      }
    };
    std::vector<std::uint64_t> pattern(TestFixture::kPages, 0);
    for (std::uint64_t page = 0; page < TestFixture::kPages; page += 2) {
      pattern[page] = page + 1;
    }
    while (worker.goes_on()) {
      AddressSpace<F>* child = parent.fork().value();
      std::vector<std::uint64_t> in_child = pattern;
      work(*child, in_child);
      AddressSpace<F>* grandchild = child->fork().value();
      std::vector<std::uint64_t> in_grandchild = in_child;
      work(*grandchild, in_grandchild);
      work(*child, in_child);
      if (worker.below(2) == 0) {
        std::swap(child, grandchild);
        std::swap(in_child, in_grandchild);
      }
      child->destroy();
      work(*grandchild, in_grandchild);
      grandchild->destroy();
    }
  });
  {
    test::Program<F> program(parent);
    for (std::uint64_t page = 0; page < TestFixture::kPages; ++page) {
      EXPECT_EQ(program.at(this->page(page)), page % 2 == 0 ? page + 1 : 0);
    }
  }
  parent.check_invariants();
  parent.destroy();
}

// A file's first words.
class WordPager final : public Pager {
 public:
  Result<void> read(PageIndex index, std::span<std::byte> page) override {
    const std::lock_guard guard(mutex_);
    const std::uint64_t word = words_[index.value()];
    __builtin_memset(page.data(), 0, page.size());
    __builtin_memcpy(page.data(), &word, sizeof word);
    return {};
  }
  Result<void> write(PageIndex index, std::span<const std::byte> page) override {
    std::uint64_t word = 0;
    hosted::copy_from_ram(reinterpret_cast<std::byte*>(&word), const_cast<std::byte*>(page.data()), sizeof word);
    const std::lock_guard guard(mutex_);
    words_[index.value()] = word;
    return {};
  }
  void cut(std::uint64_t keep) {
    const std::lock_guard guard(mutex_);
    words_.erase(words_.lower_bound(keep), words_.end());
  }
  [[nodiscard]] std::uint64_t word(std::uint64_t index) {
    const std::lock_guard guard(mutex_);
    return words_[index];
  }

 private:
  std::mutex mutex_;
  std::map<std::uint64_t, std::uint64_t> words_;
};

// One CPU cuts a file, lets it grow and writes it back, while a parent and its child write it through shared mappings
// and keep private copies of it.
TYPED_TEST(SpaceThreads, AFileIsCutWhileItIsUsed) {
  using F = TypeParam;
  constexpr std::uint64_t kShown = TestFixture::kPages / 2;
  WordPager pager;
  MemoryObject<F>& file = *this->system.vm().objects.create_file(pager, pages(kShown)).value();
  AddressSpace<F>& parent = this->system.create();
  this->map(parent, 0, kShown, kReadWrite, Traits::shared(), &file);
  EXPECT_TRUE(parent
                  .map({.address = this->page(kShown),
                        .length = pages(kShown),
                        .prot = kReadWrite,
                        .placement = Placement::fixed,
                        .object = &file})
                  .ok());
  AddressSpace<F>& child = *parent.fork().value();
  this->run([&](auto& worker) {
    if (worker.number == 0) {
      while (worker.goes_on()) {
        const std::uint64_t keep = worker.below(kShown + 1);
        if (worker.below(2) == 0) {
          file.resize(pages(keep));
          pager.cut(keep);
          file.resize(pages(kShown));
        } else {
          EXPECT_TRUE(file.write_back(IndexRange::must(PageIndex(keep), PageCount(4))).ok());
        }
      }
      return;
    }
    test::Program<F> program(worker.number == 1 ? parent : child);
    while (worker.goes_on()) {
      const std::uint64_t page = worker.below(TestFixture::kPages);
      std::uint64_t value = 0;
      const Outcome outcome = worker.below(2) == 0
                                  ? program.load(this->page(page), value)
                                  : program.store(this->page(page), (page % kShown) << 32 | worker.below(99) << 1 | 1U);
      EXPECT_TRUE(outcome == Outcome::done || outcome == Outcome::bus_error);
      EXPECT_TRUE(value == 0 || value >> 32 == page % kShown);
    }
  });
  EXPECT_TRUE(file.write_back(IndexRange::must(PageIndex(0), PageCount(kShown))).ok());
  EXPECT_EQ(file.dirty(), PageCount(0));
  {
    test::Program<F> program(parent);
    for (std::uint64_t page = 0; page < kShown; ++page) {
      EXPECT_EQ(program.at(this->page(page)), pager.word(page));
    }
  }
  parent.check_invariants();
  child.check_invariants();
  parent.destroy();
  child.destroy();
  file.release();
}

// Mappings without an address never overlap, whoever asks.
TYPED_TEST(SpaceThreads, PlacesAreGivenOnce) {
  using F = TypeParam;
  AddressSpace<F>& space = this->system.create();
  this->run([&](auto& worker) {
    test::Program<F> program(space);
    while (worker.goes_on()) {
      const std::uint64_t count = 1 + worker.below(6);
      const Result<VirtAddr> at =
          space.map({.address = {}, .length = pages(count), .prot = kReadWrite, .populate = Populate::now});
      ASSERT_TRUE(at.ok());
      const std::uint64_t tag = worker.random();
      for (std::uint64_t page = 0; page < count; ++page) {
        EXPECT_EQ(program.at(at.value() + pages(page)), 0U);
        EXPECT_EQ(program.store(at.value() + pages(page), tag), Outcome::done);
      }
      for (std::uint64_t page = 0; page < count; ++page) {
        EXPECT_EQ(program.at(at.value() + pages(page)), tag);
      }
      EXPECT_TRUE(space.unmap(at.value(), pages(count)).ok());
    }
  });
  space.check_invariants();
  EXPECT_EQ(space.mapped(), PageCount(0));
  space.destroy();
}

// All CPUs touch the same untouched pages at once: each page appears once, and no write is lost.
TYPED_TEST(SpaceThreads, TheFirstTouchOfAPageIsTheOnly) {
  using F = TypeParam;
  AddressSpace<F>& space = this->system.create();
  std::barrier round_barrier(kThreads);
  std::atomic<bool> stop{false};
  this->run([&](auto& worker) {
    test::Program<F> program(space);
    while (!stop.load()) {
      if (worker.number == 0) {
        this->map(space, 0, TestFixture::kPages);
      }
      round_barrier.arrive_and_wait();
      for (std::uint64_t page = 0; page < TestFixture::kPages; ++page) {
        const VirtAddr own = this->page(page) + ByteCount(8 * worker.number);
        EXPECT_EQ(program.at(own), 0U);
        EXPECT_EQ(program.store(own, page + 1), Outcome::done);
      }
      round_barrier.arrive_and_wait();
      for (std::uint64_t page = 0; page < TestFixture::kPages; ++page) {
        EXPECT_EQ(program.at(this->page(page) + ByteCount(8 * worker.number)), page + 1);
      }
      if (worker.number == 0 && !worker.goes_on()) {
        stop.store(true);
      }
      round_barrier.arrive_and_wait();
    }
  });
  space.check_invariants();
  EXPECT_EQ(space.residence().pages, PageCount(TestFixture::kPages));
  space.destroy();
}

}  // namespace
}  // namespace vellum
