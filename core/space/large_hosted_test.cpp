// Large pages: made where they pay, whole as long as whoever changes something changes all of it, and otherwise nothing
// that anybody could tell.

#include <functional>

#include <vellum/space/path.hpp>
#include <vellum/space/survey.hpp>

#include "test/stores.hpp"
#include "test/typed.hpp"

namespace vellum {
namespace {

using test::kRead;
using test::kReadWrite;
using test::Outcome;
using test::pages;
using test::Program;

template <class F>
class Large : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kSpan = entry_span<F>(2).value();
  static constexpr std::uint64_t kTables = 3;

  Large() : space(system.create()), at(bytes_at(4)) {
    system.vm().nodes.set_swap(swap);
    system.vm().large_pages = LargePages::everywhere;
  }
  ~Large() override {
    space.check_invariants();
    space.destroy();
  }
  [[nodiscard]] static VirtAddr bytes_at(std::uint64_t table) { return VirtAddr(table * kSpan * kPageSize); }
  [[nodiscard]] std::uint64_t total(MemoryEvent event) { return system.vm().nodes.events().total(event); }
  // Large pages that there are.
  [[nodiscard]] std::uint64_t large() { return total(MemoryEvent::large_made) - total(MemoryEvent::large_dropped); }

  void map(std::uint64_t tables = kTables) {
    VELLUM_CHECK(
        space.map({.address = at, .length = pages(tables * kSpan), .prot = kReadWrite, .placement = Placement::fixed})
            .ok());
  }
  // Maps three tables and writes the number of each page into it.
  void build() {
    map();
    Program<F> program(space);
    for (std::uint64_t page = 0; page < kTables * kSpan; ++page) {
      ASSERT_EQ(program.store(at + pages(page), 100 + page), Outcome::done);
    }
    ASSERT_EQ(large(), kTables);
  }
  void expect_contents(AddressSpace<F>& where, const std::function<bool(std::uint64_t)>& is_gone = {}) {
    Program<F> program(where);
    for (std::uint64_t page = 0; page < kTables * kSpan; ++page) {
      if (!is_gone || !is_gone(page)) {
        ASSERT_EQ(program.at(at + pages(page)), 100 + page) << page;
      }
    }
    where.check_invariants();
  }

  test::SwapDevice swap;
  test::SpaceSystem<F> system;
  AddressSpace<F>& space;
  const VirtAddr at;
};
TYPED_TEST_SUITE(Large, test::AllFormats);

TYPED_TEST(Large, OneFaultFillsAll) {
  using F = TypeParam;
  this->map();
  Program<F> program(this->space);
  ASSERT_EQ(program.store(this->at + pages(1), 7), Outcome::done);
  EXPECT_EQ(program.faults(), 1U);
  for (std::uint64_t page = 0; page < this->kSpan; ++page) {
    EXPECT_EQ(program.at(this->at + pages(page)), page == 1 ? 7U : 0U);
    EXPECT_EQ(program.store(this->at + pages(page) + ByteCount(8), page), Outcome::done);
    EXPECT_TRUE(this->space.is_resident(this->at + pages(page)));
  }
  EXPECT_EQ(program.faults(), 1U);
  EXPECT_EQ(this->large(), 1U);
  EXPECT_EQ(this->space.residence().pages, PageCount(this->kSpan));
  EXPECT_FALSE(this->space.is_resident(this->at + pages(this->kSpan)));
}

TYPED_TEST(Large, WhatChangesAPartSplits) {
  using F = TypeParam;
  struct Change {
    std::function<bool(AddressSpace<F>&, VirtAddr)> make;
    bool pages_go;
  };
  const std::uint64_t first = this->kSpan + 1;
  const std::uint64_t last = this->kSpan + 2;
  const std::vector<Change> changes = {
      {[](auto& space, VirtAddr from) { return space.unmap(from, pages(2)).ok(); }, true},
      {[](auto& space, VirtAddr from) { return space.protect(from, pages(2), kRead).ok(); }, false},
      {[](auto& space, VirtAddr from) { return space.protect(from, pages(2), kReadWrite | Prot::execute()).ok(); },
       false},
      {[](auto& space, VirtAddr from) {
         return space.discard(VirtRange::must(from, pages(2)), Discard::unlocked).ok();
       },
       true},
      {[](auto& space, VirtAddr from) {
         return space.mark(VirtRange::must(from, pages(2)), {.add = Traits::left_out_of_forks(), .drop = {}}).ok();
       },
       false},
      {[](auto& space, VirtAddr from) {
         return space.map({.address = from, .length = pages(2), .prot = kRead, .placement = Placement::fixed}).ok();
       },
       true},
      {[](auto& space, VirtAddr from) {
         return space
             .remap({.address = from,
                     .old_length = pages(2),
                     .new_length = pages(2),
                     .move = Remap::Move::to_target,
                     .target = from + pages(8 * Large<F>::kSpan + 1)})
             .ok();
       },
       true},
      {[this](auto& space, VirtAddr from) {
         return swap_out<F>(space, vpn_of<F>(from), this->swap, [&] {
           TlbFlush flush;
           flush.everything = true;
           this->system.machine().flush_local(flush);
         });
       },
       false},
  };
  for (const Change& change : changes) {
    for (const bool forked : {false, true}) {
      this->build();
      AddressSpace<F>* const child = forked ? this->space.fork().value() : nullptr;
      const std::uint64_t split = this->total(MemoryEvent::large_split);
      const bool done = change.make(this->space, this->at + pages(first));
      EXPECT_TRUE(done || forked);  // what relatives share cannot go to swap
      EXPECT_LE(this->total(MemoryEvent::large_split), split + 1);
      this->expect_contents(this->space,
                            [&](std::uint64_t page) { return change.pages_go && page >= first && page <= last; });
      if (child != nullptr) {
        this->expect_contents(*child);
        child->destroy();
        this->expect_contents(this->space,
                              [&](std::uint64_t page) { return change.pages_go && page >= first && page <= last; });
      }
      ASSERT_TRUE(this->space.unmap(this->at, pages(11 * this->kSpan)).ok());
      EXPECT_EQ(this->space.residence().pages, PageCount(0));
      EXPECT_EQ(this->large(), 0U);
    }
  }
}

TYPED_TEST(Large, WhatChangesAllLeavesItWhole) {
  using F = TypeParam;
  this->build();
  const ByteCount size = pages(this->kSpan);
  Program<F> program(this->space);
  ASSERT_TRUE(this->space.protect(this->at, size, kRead).ok());
  EXPECT_EQ(program.store(this->at, 1), Outcome::access_denied);
  EXPECT_EQ(program.at(this->at), 100U);
  ASSERT_TRUE(this->space.protect(this->at, size, Prot::none()).ok());
  std::uint64_t value = 0;
  EXPECT_EQ(program.load(this->at, value), Outcome::access_denied);
  this->space.check_invariants();
  ASSERT_TRUE(this->space.protect(this->at, size, kReadWrite).ok());
  EXPECT_EQ(program.store(this->at, 100), Outcome::done);
  EXPECT_EQ(program.at(this->at + pages(1)), 101U);
  this->space.check_invariants();
  EXPECT_EQ(this->large(), 3U);
  // As far away as tables are.
  const VirtAddr target = this->at + pages(4 * this->kSpan);
  ASSERT_TRUE(this->space
                  .remap({.address = this->at,
                          .old_length = size,
                          .new_length = size,
                          .move = Remap::Move::to_target,
                          .target = target})
                  .ok());
  EXPECT_EQ(program.at(this->at), ~std::uint64_t{0});
  EXPECT_EQ(program.at(target + pages(1)), 101U);
  EXPECT_EQ(program.store(target, 5), Outcome::done);
  EXPECT_EQ(this->large(), 3U);
  ASSERT_TRUE(this->space.discard(VirtRange::must(target, size), Discard::unlocked).ok());
  EXPECT_EQ(program.at(target + pages(1)), 0U);
  EXPECT_EQ(this->large(), 2U);
  EXPECT_EQ(this->total(MemoryEvent::large_split), 0U);
  ASSERT_TRUE(this->space.unmap(this->at, pages(8 * this->kSpan)).ok());
  EXPECT_EQ(this->large(), 0U);
  EXPECT_EQ(this->space.residence().pages, PageCount(0));
}

TYPED_TEST(Large, RelativesShareItUntilOneWrites) {
  using F = TypeParam;
  this->build();
  AddressSpace<F>& child = *this->space.fork().value();
  this->expect_contents(child);
  EXPECT_EQ(this->total(MemoryEvent::large_split), 0U);
  const std::uint64_t copied = this->total(MemoryEvent::copied);
  {
    Program<F> program(child);
    ASSERT_EQ(program.store(this->at + pages(1), 1), Outcome::done);
    EXPECT_EQ(program.at(this->at + pages(1)), 1U);
    EXPECT_EQ(program.at(this->at + pages(2)), 102U);
  }
  EXPECT_EQ(this->total(MemoryEvent::copied), copied + 1);
  EXPECT_EQ(this->total(MemoryEvent::large_split), 1U);
  this->expect_contents(this->space);
  {
    Program<F> program(this->space);
    ASSERT_EQ(program.store(this->at + pages(2), 2), Outcome::done);
    EXPECT_EQ(program.at(this->at + pages(1)), 101U);
  }
  {
    Program<F> program(child);
    EXPECT_EQ(program.at(this->at + pages(2)), 102U);
  }
  child.check_invariants();
  child.destroy();
  // What the child did not write is whole, and the parent's alone again.
  const std::uint64_t split = this->total(MemoryEvent::large_split);
  Program<F> program(this->space);
  ASSERT_EQ(program.store(this->at + pages(2 * this->kSpan), 9), Outcome::done);
  ASSERT_EQ(program.store(this->at + pages(2 * this->kSpan + 1), 9), Outcome::done);
  EXPECT_EQ(this->total(MemoryEvent::large_split), split);
}

TYPED_TEST(Large, TheParentMayEndFirst) {
  using F = TypeParam;
  AddressSpace<F>& parent = this->system.create();
  ASSERT_TRUE(
      parent.map({.address = this->at, .length = pages(this->kSpan), .prot = kReadWrite, .placement = Placement::fixed})
          .ok());
  {
    Program<F> program(parent);
    ASSERT_EQ(program.store(this->at + pages(1), 1), Outcome::done);
  }
  AddressSpace<F>& child = *parent.fork().value();
  AddressSpace<F>& grandchild = *child.fork().value();
  parent.destroy();
  {
    Program<F> program(child);
    ASSERT_EQ(program.store(this->at + pages(2), 2), Outcome::done);
  }
  child.destroy();
  {
    Program<F> program(grandchild);
    EXPECT_EQ(program.at(this->at + pages(1)), 1U);
    EXPECT_EQ(program.at(this->at + pages(2)), 0U);
    ASSERT_EQ(program.store(this->at + pages(2), 3), Outcome::done);
  }
  grandchild.check_invariants();
  grandchild.destroy();
}

TYPED_TEST(Large, ASnapshotBringsBackWhatWasThere) {
  using F = TypeParam;
  this->build();
  AddressSpace<F>& snapshot = *this->space.fork().value();
  for (int round = 0; round < 3; ++round) {
    {
      Program<F> program(this->space);
      ASSERT_EQ(program.store(this->at + pages(1), 1), Outcome::done);
      ASSERT_EQ(program.store(this->at + pages(this->kSpan), 1), Outcome::done);
    }
    if (round == 1) {
      ASSERT_TRUE(this->space.unmap(this->at + pages(2), pages(this->kSpan)).ok());
    }
    ASSERT_TRUE(this->space.restore(snapshot).ok());
    this->expect_contents(this->space);
  }
  this->expect_contents(snapshot);
  snapshot.destroy();
  this->expect_contents(this->space);
}

TYPED_TEST(Large, ComesWhereMemoryIsFilledInOrder) {
  using F = TypeParam;
  this->system.vm().large_pages = LargePages::where_they_pay;
  this->map();
  Program<F> program(this->space);
  for (std::uint64_t page = 0; page < this->kSpan; ++page) {
    ASSERT_EQ(program.store(this->at + pages(page), 1), Outcome::done);
  }
  EXPECT_EQ(this->large(), 0U);
  ASSERT_EQ(program.store(this->at + pages(2 * this->kSpan), 1), Outcome::done);
  EXPECT_EQ(this->large(), 0U);
  ASSERT_EQ(program.store(this->at + pages(this->kSpan), 1), Outcome::done);
  EXPECT_EQ(this->large(), 1U);
}

TYPED_TEST(Large, ComesWhereAllIsWantedAtOnce) {
  this->system.vm().large_pages = LargePages::where_they_pay;
  ASSERT_TRUE(this->space
                  .map({.address = this->at,
                        .length = pages(2 * this->kSpan + 1),
                        .prot = kReadWrite,
                        .placement = Placement::fixed,
                        .populate = Populate::now})
                  .ok());
  EXPECT_EQ(this->large(), 2U);
  EXPECT_EQ(this->space.residence().pages, PageCount(2 * this->kSpan + 1));
  ASSERT_TRUE(this->space.unmap(this->at, pages(3 * this->kSpan)).ok());
  this->map();
  ASSERT_TRUE(
      this->space.lock_memory(VirtRange::must(this->at + pages(1), pages(2 * this->kSpan)), LockMemory::now).ok());
  EXPECT_EQ(this->large(), 1U);
  EXPECT_EQ(this->space.residence().pages, PageCount(2 * this->kSpan));
}

TYPED_TEST(Large, FollowsAdvice) {
  using F = TypeParam;
  const VirtRange all = VirtRange::must(this->at, pages(this->kSpan));
  Program<F> program(this->space);
  const auto comes = [&](LargePages policy, const Marking& marking) {
    this->system.vm().large_pages = policy;
    this->map();
    EXPECT_TRUE(this->space.mark(all, marking).ok());
    EXPECT_EQ(program.store(this->at, 1), Outcome::done);
    const bool is_large = this->large() != 0;
    EXPECT_TRUE(this->space.unmap(this->at, pages(3 * this->kSpan)).ok());
    return is_large;
  };
  const Marking wants = {.add = Traits::wants_large(), .drop = {}};
  EXPECT_TRUE(comes(LargePages::where_they_pay, wants));
  EXPECT_TRUE(comes(LargePages::where_advised, wants));
  EXPECT_FALSE(comes(LargePages::never, wants));
  EXPECT_FALSE(comes(LargePages::everywhere, {.add = Traits::refuses_large(), .drop = {}}));
  this->space.set_large_pages_permitted(false);
  EXPECT_FALSE(comes(LargePages::everywhere, wants));
}

TYPED_TEST(Large, NeedsTheWholeSlotAndAWrite) {
  using F = TypeParam;
  Program<F> program(this->space);
  ASSERT_TRUE(this->space
                  .map({.address = this->at + pages(1),
                        .length = pages(this->kSpan - 1),
                        .prot = kReadWrite,
                        .placement = Placement::fixed})
                  .ok());
  ASSERT_EQ(program.store(this->at + pages(1), 1), Outcome::done);
  EXPECT_EQ(this->large(), 0U);
  this->map();
  EXPECT_EQ(program.at(this->at), 0U);
  ASSERT_EQ(program.store(this->at, 1), Outcome::done);
  EXPECT_EQ(this->large(), 0U);
}

TYPED_TEST(Large, IsSeenPageByPage) {
  using F = TypeParam;
  this->build();
  class Visitor final : public PageVisitor {
   public:
    void visit(const PageUse& use) override {
      EXPECT_TRUE(use.large && use.dirty && use.users == 1 && use.kind == FrameKind::anonymous);
      EXPECT_EQ(use.page, next);
      next += PageCount(1);
    }
    Vpn next;
  } visitor;
  const Vpn first = vpn_of<F>(this->at) + PageCount(1);
  visitor.next = first;
  survey(this->space, VpnRange::must(first, PageCount(this->kSpan)), visitor);
  EXPECT_EQ(visitor.next, first + PageCount(this->kSpan));
  const SpacePath<F> path = path_to(this->space, this->at + pages(1));
  const PathStep<F>& last = path.steps[path.count - 1];
  EXPECT_EQ(last.level, 2U);
  EXPECT_TRUE(F::is_page(last.entry, 2));
  EXPECT_EQ(path.frame_share, 1U);
}

TYPED_TEST(Large, ShortageLeavesWhatWasThere) {
  using F = TypeParam;
  using Operation = std::function<bool(AddressSpace<F>&, VirtAddr)>;
  const std::uint64_t span = this->kSpan;
  const std::vector<Operation> operations = {
      [](auto& space, VirtAddr at) { return space.unmap(at + pages(1), pages(1)).ok(); },
      [](auto& space, VirtAddr at) { return space.protect(at + pages(1), pages(2), kRead).ok(); },
      [span](auto& space, VirtAddr at) {
        return space.discard(VirtRange::must(at + pages(2), pages(span)), Discard::unlocked).ok();
      },
      [span](auto& space, VirtAddr at) {
        return space
            .remap({.address = at + pages(1),
                    .old_length = pages(span),
                    .new_length = pages(span),
                    .move = Remap::Move::to_target,
                    .target = at + pages(5 * span)})
            .ok();
      },
      [](auto& space, VirtAddr at) { return space.fault(at + pages(1), Access::write) == FaultVerdict::resolved; },
  };
  for (const Operation& operation : operations) {
    for (const bool forked : {false, true}) {
      bool failed = true;
      for (std::uint64_t n = 1; failed; ++n) {
        ASSERT_LT(n, 100U);
        this->build();
        AddressSpace<F>* const child = forked ? this->space.fork().value() : nullptr;
        this->system.machine().failures().fail_nth(n);
        const bool succeeded = operation(this->space, this->at);
        failed = this->system.machine().failures().failures() > 0;
        this->system.machine().failures().off();
        EXPECT_TRUE(succeeded || failed);
        this->space.check_invariants();
        if (!succeeded) {
          this->expect_contents(this->space);
        }
        if (child != nullptr) {
          this->expect_contents(*child);
          child->destroy();
        }
        ASSERT_TRUE(this->space.unmap(this->at, pages(8 * span)).ok());
      }
    }
  }
}

TYPED_TEST(Large, ShortageMeansSmallPages) {
  using F = TypeParam;
  for (std::uint64_t n = 1; n < 6; ++n) {
    this->map();
    this->system.machine().failures().fail_nth(n);
    const FaultVerdict verdict = this->space.fault(this->at, Access::write);
    this->system.machine().failures().off();
    EXPECT_TRUE(verdict == FaultVerdict::resolved || verdict == FaultVerdict::out_of_memory);
    Program<F> program(this->space);
    EXPECT_EQ(program.store(this->at, 1), Outcome::done);
    this->space.check_invariants();
    ASSERT_TRUE(this->space.unmap(this->at, pages(3 * this->kSpan)).ok());
  }
}

}  // namespace
}  // namespace vellum
