// What is refused for being too much, and what is brought in at once.

#include "../object/test/memory_pager.hpp"

#include "test/typed.hpp"

namespace vellum {
namespace {

using test::kRead;
using test::kReadWrite;
using test::Outcome;
using test::pages;
using test::Program;

// Heuristic overcommit: only what could never be had is refused.
template <class F>
void try_commit() {
  test::SpaceSystem<F> system({.memory = ByteCount(std::uint64_t{4} << 20)});
  AddressSpace<F>& space = system.create();
  const PageCount total = system.memory().total_count();
  const ByteCount all = bytes_of(total);
  const ByteCount more = bytes_of(total + PageCount(1));
  const auto map = [&](ByteCount length, Prot prot, Traits traits) {
    const Result<VirtAddr> at = space.map({.address = {}, .length = length, .prot = prot, .traits = traits});
    return at.ok() ? Errno{} : at.error();
  };
  EXPECT_EQ(map(more, kReadWrite, {}), Errno::no_memory);
  EXPECT_EQ(map(more, kRead, Traits::shared()), Errno::no_memory);
  EXPECT_EQ(space.mapped(), PageCount(0));
  EXPECT_EQ(map(all, kReadWrite, {}), Errno{});
  EXPECT_EQ(map(all, kReadWrite, {}), Errno{});
  EXPECT_EQ(map(more, kRead, {}), Errno{});
  EXPECT_EQ(map(more, Prot::none(), {}), Errno{});
  EXPECT_EQ(map(more, kReadWrite, Traits::no_reserve()), Errno{});
  EXPECT_EQ(map(more, kReadWrite, Traits::shared() | Traits::no_reserve()), Errno{});
  // What was not promised when it was mapped is when it becomes writable.
  const VirtAddr readable = space.map({.address = {}, .length = more, .prot = kRead}).value();
  EXPECT_EQ(space.protect(readable, more, kReadWrite).error(), Errno::no_memory);
  EXPECT_TRUE(space.protect(readable, all, kReadWrite).ok());
  const VirtAddr unreserved =
      space.map({.address = {}, .length = more, .prot = kRead, .traits = Traits::no_reserve()}).value();
  EXPECT_TRUE(space.protect(unreserved, more, kReadWrite).ok());
  space.check_invariants();
  space.destroy();
}

TEST(CommitLimit, RefusesOnlyWhatCouldNeverBeHad) {
  try_commit<Amd64>();
  try_commit<I386Pae>();
}

// A system in which no more than some pages may be promised altogether.
template <class F>
class PromiseLimit : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kMost = 100;
  PromiseLimit() : space(system.create(test::inner_layout<F>())) { commitment().set_budget(PageCount(kMost)); }
  ~PromiseLimit() override {
    space.check_invariants();
    space.destroy();
    EXPECT_TRUE(commitment().committed().is_zero());
  }
  [[nodiscard]] Commitment& commitment() { return system.vm().objects.commitment(); }
  [[nodiscard]] std::uint64_t promised() { return commitment().committed().value(); }
  [[nodiscard]] VirtAddr map(std::uint64_t count, Prot prot = kReadWrite, Traits traits = {}) {
    return space.map({.address = {}, .length = pages(count), .prot = prot, .traits = traits}).value();
  }
  [[nodiscard]] Errno error_of(std::uint64_t count, Prot prot = kReadWrite, Traits traits = {}) {
    const Result<VirtAddr> at = space.map({.address = {}, .length = pages(count), .prot = prot, .traits = traits});
    return at.ok() ? Errno{} : at.error();
  }
  test::SpaceSystem<F> system;
  AddressSpace<F>& space;
};
using WideFormats = ::testing::Types<Amd64, I386Pae>;
TYPED_TEST_SUITE(PromiseLimit, WideFormats);

TYPED_TEST(PromiseLimit, CountsWhatMayComeToNeedMemory) {
  (void)this->map(10);
  (void)this->map(30, kRead);
  (void)this->map(30, Prot::none());
  EXPECT_EQ(this->promised(), 10U);
  (void)this->map(10, kRead, Traits::shared());
  EXPECT_EQ(this->promised(), 20U);
  (void)this->map(10, kReadWrite, Traits::no_reserve());  // means nothing where the sum is limited
  EXPECT_EQ(this->promised(), 30U);
  EXPECT_EQ(this->error_of(71), Errno::no_memory);
  EXPECT_EQ(this->error_of(71, kRead, Traits::shared()), Errno::no_memory);
  EXPECT_EQ(this->promised(), 30U);
  EXPECT_EQ(this->error_of(70), Errno{});
}

TYPED_TEST(PromiseLimit, OfWhatBecomesWritableLasts) {
  const VirtAddr at = this->map(60, kRead);
  const VirtAddr other = this->map(50, kRead);
  ASSERT_TRUE(this->space.protect(at, pages(60), kReadWrite).ok());
  EXPECT_EQ(this->promised(), 60U);
  EXPECT_EQ(this->space.protect(other, pages(50), kReadWrite).error(), Errno::no_memory);
  EXPECT_EQ(this->promised(), 60U);
  ASSERT_TRUE(this->space.protect(other + pages(10), pages(40), kReadWrite).ok());
  ASSERT_TRUE(this->space.protect(at, pages(60), kRead).ok());
  EXPECT_EQ(this->promised(), 100U);
  ASSERT_TRUE(this->space.protect(at, pages(60), kReadWrite).ok());
  ASSERT_TRUE(this->space.unmap(at, pages(20)).ok());
  EXPECT_EQ(this->promised(), 80U);
}

TYPED_TEST(PromiseLimit, LetsAReplacementTakeWhatWasThere) {
  VirtAddr place = this->map(80);
  const auto replace = [&](std::uint64_t count) {
    return this->space.map(
        {.address = place, .length = pages(count), .prot = kReadWrite, .placement = Placement::fixed});
  };
  EXPECT_TRUE(replace(80).ok());
  EXPECT_TRUE(replace(30).ok());
  EXPECT_EQ(this->promised(), 80U);
  ASSERT_TRUE(this->space.unmap(place, pages(80)).ok());
  place = this->map(50) - pages(60);
  EXPECT_EQ(replace(51).error(), Errno::no_memory);
  EXPECT_TRUE(replace(50).ok());
  EXPECT_EQ(this->promised(), 100U);
}

TYPED_TEST(PromiseLimit, MovesWithAMapping) {
  const VirtAddr at = this->map(60);
  const VirtAddr moved =
      this->space
          .remap({.address = at, .old_length = pages(60), .new_length = pages(90), .move = Remap::Move::anywhere})
          .value();
  EXPECT_EQ(this->promised(), 90U);
  EXPECT_FALSE(
      this->space
          .remap({.address = moved, .old_length = pages(90), .new_length = pages(101), .move = Remap::Move::anywhere})
          .ok());
  EXPECT_EQ(this->space
                .remap({.address = moved,
                        .old_length = pages(20),
                        .new_length = pages(20),
                        .move = Remap::Move::anywhere,
                        .keeps_source = true})
                .error(),
            Errno::no_memory);
  EXPECT_EQ(this->promised(), 90U);
}

TYPED_TEST(PromiseLimit, IsForAllProcessesTogether) {
  using F = TypeParam;
  const VirtAddr at = this->map(60);
  EXPECT_EQ(this->space.fork().error(), Errno::no_memory);
  EXPECT_EQ(this->promised(), 60U);
  ASSERT_TRUE(this->space.mark(VirtRange::must(at, pages(30)), {.add = Traits::left_out_of_forks(), .drop = {}}).ok());
  AddressSpace<F>& child = *this->space.fork().value();
  EXPECT_EQ(child.reserved(), PageCount(30));
  EXPECT_EQ(this->promised(), 90U);
  ASSERT_TRUE(child.unmap(at + pages(30), pages(10)).ok());
  EXPECT_EQ(this->promised(), 80U);
  child.destroy();
  EXPECT_EQ(this->promised(), 60U);
}

TYPED_TEST(PromiseLimit, EndsAStackAndAHeap) {
  using F = TypeParam;
  const VirtAddr low = this->space.layout().user[0].start();
  this->space.set_break_start(low, pages(200));
  EXPECT_EQ(this->space.set_break(low + pages(40)), low + pages(40));
  EXPECT_EQ(this->space.set_break(low + pages(120)), low + pages(40));
  const VirtAddr stack = this->map(50, kReadWrite, Traits::grows_down());
  Program<F> program(this->space);
  EXPECT_EQ(program.store(stack - pages(10), 1), Outcome::done);
  EXPECT_EQ(program.store(stack - pages(11), 1), Outcome::no_mapping);
  EXPECT_EQ(this->promised(), 100U);
}

TYPED_TEST(PromiseLimit, IsKeptByObjects) {
  auto& objects = this->system.vm().objects;
  auto& whole = *objects.create_anonymous(pages(60)).value();
  EXPECT_EQ(objects.create_anonymous(pages(41)).error(), Errno::no_memory);
  auto& by_page = *objects.create_anonymous(pages(101), Promise::by_page).value();
  EXPECT_EQ(this->promised(), 60U);
  std::byte byte{1};
  for (std::uint64_t page = 0; page < 40; ++page) {
    ASSERT_TRUE(by_page.write(pages(page), std::span(&byte, 1)).ok());
  }
  EXPECT_EQ(by_page.write(pages(40), std::span(&byte, 1)).error(), Errno::no_space);
  ASSERT_TRUE(by_page.punch(IndexRange::must(PageIndex(0), PageCount(10))).ok());
  EXPECT_EQ(this->promised(), 90U);
  by_page.resize(pages(20));
  EXPECT_EQ(by_page.promised(), PageCount(10));
  whole.release();
  EXPECT_EQ(this->promised(), 10U);
  by_page.release();
}

template <class F>
class SizeLimit : public ::testing::Test {
 protected:
  SizeLimit() : space(system.create(limited())) {}
  ~SizeLimit() override {
    space.check_invariants();
    space.destroy();
  }
  static SpaceLayout limited() {
    SpaceLayout layout = test::inner_layout<F>();
    layout.size_limit = pages(20);
    return layout;
  }
  [[nodiscard]] bool maps(const MapRequest<F>& request) {
    const Result<VirtAddr> at = space.map(request);
    EXPECT_TRUE(at.ok() || at.error() == Errno::no_memory);
    return at.ok();
  }
  test::SpaceSystem<F> system;
  AddressSpace<F>& space;
};
TYPED_TEST_SUITE(SizeLimit, test::AllFormats);

TYPED_TEST(SizeLimit, CountsAllThatIsMapped) {
  const VirtAddr at = this->space.layout().user[0].start() + pages(8);
  ASSERT_TRUE(this->maps({.address = at, .length = pages(15), .prot = Prot::none(), .placement = Placement::fixed}));
  EXPECT_FALSE(this->maps({.address = {}, .length = pages(6), .prot = kRead}));
  EXPECT_TRUE(this->maps({.address = {}, .length = pages(5), .prot = kRead}));
  EXPECT_FALSE(this->maps({.address = {}, .length = pages(1), .prot = kRead}));
  ASSERT_TRUE(this->space.unmap(at, pages(1)).ok());
  EXPECT_TRUE(this->maps({.address = {}, .length = pages(1), .prot = kRead}));
}

TYPED_TEST(SizeLimit, DoesNotCountWhatIsReplaced) {
  const VirtAddr at = this->space.layout().user[0].start() + pages(8);
  ASSERT_TRUE(this->maps({.address = at, .length = pages(20), .prot = kRead, .placement = Placement::fixed}));
  EXPECT_TRUE(this->maps({.address = at, .length = pages(20), .prot = kReadWrite, .placement = Placement::fixed}));
  EXPECT_TRUE(this->maps({.address = at + pages(7), .length = pages(3), .prot = kRead, .placement = Placement::fixed}));
  EXPECT_FALSE(
      this->maps({.address = at + pages(7), .length = pages(14), .prot = kRead, .placement = Placement::fixed}));
  EXPECT_EQ(this->space.mapped(), PageCount(20));
  EXPECT_EQ(
      this->space.map({.address = at, .length = pages(1), .prot = kRead, .placement = Placement::fixed_no_replace})
          .error(),
      Errno::exists);
}

template <class F>
class Population : public ::testing::Test {
 protected:
  Population() : space(system.create()) {}
  ~Population() override {
    space.check_invariants();
    space.destroy();
  }
  test::SpaceSystem<F> system;
  AddressSpace<F>& space;
};
TYPED_TEST_SUITE(Population, test::AllFormats);

TYPED_TEST(Population, LeavesNoFaultToThePrivateMemory) {
  using F = TypeParam;
  const VirtAddr at =
      this->space.map({.address = {}, .length = pages(12), .prot = kReadWrite, .populate = Populate::now}).value();
  EXPECT_EQ(this->space.residence().pages, PageCount(12));
  Program<F> program(this->space);
  for (std::uint64_t page = 0; page < 12; ++page) {
    EXPECT_EQ(program.store(at + pages(page), page), Outcome::done);
  }
  EXPECT_EQ(program.faults(), 0U);
}

TYPED_TEST(Population, OfReadableMemoryTakesNoPages) {
  using F = TypeParam;
  const VirtAddr at =
      this->space.map({.address = {}, .length = pages(12), .prot = kRead, .populate = Populate::now}).value();
  const VirtAddr hidden =
      this->space.map({.address = {}, .length = pages(2), .prot = Prot::none(), .populate = Populate::now}).value();
  EXPECT_EQ(this->space.residence().pages, PageCount(0));
  Program<F> program(this->space);
  EXPECT_EQ(program.at(at + pages(11)), 0U);
  EXPECT_EQ(program.faults(), 0U);
  std::uint64_t value = 0;
  EXPECT_EQ(program.load(hidden, value), Outcome::access_denied);
}

TYPED_TEST(Population, OfASharedFileMakesNothingDirty) {
  using F = TypeParam;
  test::MemoryPager& pager = this->system.new_pager(pages(12));
  MemoryObject<F>& file = *this->system.vm().objects.create_file(pager, pages(12)).value();
  const VirtAddr at = this->space
                          .map({.address = {},
                                .length = pages(12),
                                .prot = kReadWrite,
                                .traits = Traits::shared(),
                                .populate = Populate::now,
                                .object = &file})
                          .value();
  EXPECT_EQ(file.resident(), PageCount(12));
  EXPECT_EQ(file.dirty(), PageCount(0));
  {
    Program<F> program(this->space);
    EXPECT_EQ(program.at(at + pages(11)), test::MemoryPager::first_word(PageIndex(11)));
    EXPECT_EQ(program.faults(), 0U);
  }
  // Beyond the end there is nothing to bring in, and that is no error.
  EXPECT_TRUE(this->space
                  .map({.address = {},
                        .length = pages(4),
                        .prot = kRead,
                        .populate = Populate::now,
                        .object = &file,
                        .offset = pages(10)})
                  .ok());
  file.release();
}

TYPED_TEST(Population, StopsWhereMemoryEnds) {
  using F = TypeParam;
  this->system.machine().failures().fail_randomly(1, 4, 7);
  const Result<VirtAddr> at =
      this->space.map({.address = {}, .length = pages(40), .prot = kReadWrite, .populate = Populate::now});
  this->system.machine().failures().off();
  if (at.ok()) {
    EXPECT_LT(this->space.residence().pages, PageCount(40));
    Program<F> program(this->space);
    EXPECT_EQ(program.store(at.value() + pages(39), 1), Outcome::done);
  }
  this->space.check_invariants();
}

}  // namespace
}  // namespace vellum
