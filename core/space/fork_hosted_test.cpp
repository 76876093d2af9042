// fork: everybody sees what was there, nobody what others write later; and what it costs.

#include <algorithm>

#include "../object/test/memory_pager.hpp"
#include "test/typed.hpp"

namespace vellum {
namespace {

using test::kRead;
using test::kReadWrite;
using test::Outcome;
using test::pages;
using test::Program;

template <class F>
class Forks : public ::testing::Test {
 protected:
  Forks() : space(system.create()) {}
  ~Forks() override {
    space.check_invariants();
    space.destroy();
  }
  void store(AddressSpace<F>& where, VirtAddr at, std::uint64_t value) {
    Program<F> program(where);
    ASSERT_EQ(program.store(at, value), Outcome::done);
  }
  [[nodiscard]] std::uint64_t at(AddressSpace<F>& where, VirtAddr address) {
    Program<F> program(where);
    return program.at(address);
  }
  [[nodiscard]] AddressSpace<F>& fork(AddressSpace<F>& parent) { return *parent.fork().value(); }

  test::SpaceSystem<F> system;
  AddressSpace<F>& space;
};
TYPED_TEST_SUITE(Forks, test::AllFormats);

TYPED_TEST(Forks, WhatHappensIsCounted) {
  const auto total = [this](MemoryEvent event) { return this->system.vm().nodes.events().total(event); };
  const VirtAddr at = this->space.map({.address = {}, .length = pages(4), .prot = kReadWrite}).value();
  this->store(this->space, at, 1);
  EXPECT_EQ(this->at(this->space, at + pages(1)), 0U);
  this->store(this->space, at + pages(1), 1);
  EXPECT_EQ(total(MemoryEvent::zero_filled), 2U);
  EXPECT_EQ(total(MemoryEvent::zero_shared), 1U);
  EXPECT_EQ(total(MemoryEvent::copied), 0U);
  const std::uint64_t tables = total(MemoryEvent::table_made);
  EXPECT_GT(tables, 0U);
  auto& child = this->fork(this->space);
  this->store(child, at, 2);
  EXPECT_EQ(total(MemoryEvent::copied), 1U);
  EXPECT_EQ(total(MemoryEvent::reused), 0U);
  EXPECT_GT(total(MemoryEvent::table_made), tables);
  this->store(this->space, at, 3);
  EXPECT_EQ(total(MemoryEvent::copied), 1U);
  EXPECT_EQ(total(MemoryEvent::reused), 1U);
  EXPECT_EQ(total(MemoryEvent::swapped_in), 0U);
  child.destroy();
}

TYPED_TEST(Forks, ThreeGenerationsKeepTheirWritesApart) {
  const VirtAddr at = this->space.map({.address = {}, .length = pages(20), .prot = kReadWrite}).value();
  for (std::uint64_t page = 0; page < 20; ++page) {
    this->store(this->space, at + pages(page), 100 + page);
  }
  auto& child = this->fork(this->space);
  this->store(child, at + pages(1), 1);
  auto& grandchild = this->fork(child);
  this->store(grandchild, at + pages(2), 2);
  this->store(child, at + pages(3), 3);
  this->store(this->space, at + pages(4), 4);
  auto& second = this->fork(this->space);
  this->store(second, at + pages(5), 5);
  AddressSpace<TypeParam>* const all[] = {&this->space, &child, &grandchild, &second};
  const auto expected = [](unsigned who, std::uint64_t page) -> std::uint64_t {
    const bool own = (page == 1 && (who == 1 || who == 2)) || (page == 2 && who == 2) || (page == 3 && who == 1) ||
                     (page == 4 && (who == 0 || who == 3)) || (page == 5 && who == 3);
    return own ? page : 100 + page;
  };
  for (unsigned who = 0; who < 4; ++who) {
    for (std::uint64_t page = 0; page < 20; ++page) {
      EXPECT_EQ(this->at(*all[who], at + pages(page)), expected(who, page));
    }
    all[who]->check_invariants();
  }
  child.destroy();
  for (const unsigned who : {0U, 2U, 3U}) {
    all[who]->check_invariants();
    for (std::uint64_t page = 0; page < 20; ++page) {
      EXPECT_EQ(this->at(*all[who], at + pages(page)), expected(who, page));
    }
  }
  grandchild.destroy();
  second.destroy();
  // Alone again: nothing is left to copy.
  const PageCount pages_now = this->space.residence().pages;
  for (std::uint64_t page = 0; page < 20; ++page) {
    this->store(this->space, at + pages(page), 7);
  }
  EXPECT_EQ(this->space.residence().pages, pages_now);
}

TYPED_TEST(Forks, AnyOrderOfExitFreesEverything) {
  using F = TypeParam;
  unsigned order[] = {0, 1, 2, 3};
  do {
    AddressSpace<F>* spaces[4] = {};
    spaces[0] = &this->system.create();
    const VirtAddr at = spaces[0]->map({.address = {}, .length = pages(6), .prot = kReadWrite}).value();
    for (unsigned i = 0; i < 4; ++i) {
      if (i > 0) {
        spaces[i] = &this->fork(*spaces[(i - 1) / 2]);
      }
      this->store(*spaces[i], at + pages(i), i + 1);
    }
    for (const unsigned who : order) {
      EXPECT_EQ(this->at(*spaces[who], at + pages(who)), who + 1);
      spaces[who]->destroy();
    }
  } while (std::next_permutation(std::begin(order), std::end(order)));
}

TYPED_TEST(Forks, SharedMemoryStaysShared) {
  const VirtAddr at =
      this->space.map({.address = {}, .length = pages(20), .prot = kReadWrite, .traits = Traits::shared()}).value();
  this->store(this->space, at, 1);
  auto& child = this->fork(this->space);
  this->store(child, at, 2);
  this->store(child, at + pages(19), 3);  // untouched before
  EXPECT_EQ(this->at(this->space, at), 2U);
  EXPECT_EQ(this->at(this->space, at + pages(19)), 3U);
  auto& grandchild = this->fork(child);
  this->store(this->space, at + pages(1), 4);
  EXPECT_EQ(this->at(grandchild, at + pages(1)), 4U);
  // Unmapping in one leaves the others theirs.
  ASSERT_TRUE(child.unmap(at, pages(2)).ok());
  EXPECT_EQ(this->at(this->space, at), 2U);
  this->store(grandchild, at, 9);
  EXPECT_EQ(this->at(this->space, at), 9U);
  child.check_invariants();
  child.destroy();
  grandchild.check_invariants();
  grandchild.destroy();
}

TYPED_TEST(Forks, ChangesOfMeaningStayInTheirSpace) {
  using F = TypeParam;
  const VirtAddr at = this->space.map({.address = {}, .length = pages(24), .prot = kReadWrite}).value();
  for (std::uint64_t page = 0; page < 24; ++page) {
    this->store(this->space, at + pages(page), page);
  }
  ASSERT_TRUE(this->space.unmap(at + pages(3), pages(4)).ok());
  ASSERT_TRUE(this->space.protect(at + pages(10), pages(3), kRead).ok());
  auto& child = this->fork(this->space);
  EXPECT_EQ(test::ranges(child), test::ranges(this->space));
  EXPECT_EQ(child.mapped(), this->space.mapped());
  ASSERT_TRUE(child.unmap(at + pages(12), pages(6)).ok());
  ASSERT_TRUE(child.protect(at, pages(2), Prot::none()).ok());
  ASSERT_TRUE(this->space.protect(at + pages(10), pages(3), kReadWrite).ok());
  {
    Program<F> program(this->space);
    for (std::uint64_t page = 0; page < 24; ++page) {
      const bool gone = page >= 3 && page < 7;
      EXPECT_EQ(program.store(at + pages(page), 200 + page), gone ? Outcome::no_mapping : Outcome::done);
    }
  }
  {
    Program<F> program(child);
    for (std::uint64_t page = 0; page < 24; ++page) {
      const bool gone = (page >= 3 && page < 7) || (page >= 12 && page < 18);
      const bool hidden = page < 2;
      std::uint64_t value = 0;
      EXPECT_EQ(program.load(at + pages(page), value),
                gone ? Outcome::no_mapping : (hidden ? Outcome::access_denied : Outcome::done));
      EXPECT_EQ(value, gone || hidden ? 0 : page);
    }
    EXPECT_EQ(program.store(at + pages(10), 1), Outcome::access_denied);
    EXPECT_EQ(program.store(at + pages(8), 1), Outcome::done);
  }
  child.check_invariants();
  child.destroy();
}

TYPED_TEST(Forks, TheParentsTranslationsForgetThatTheyMayWrite) {
  using F = TypeParam;
  const VirtAddr at = this->space.map({.address = {}, .length = pages(2), .prot = kReadWrite}).value();
  AddressSpace<F>* child = nullptr;
  {
    Program<F> program(this->space);
    EXPECT_EQ(program.store(at, 5), Outcome::done);
    child = &this->fork(this->space);
    EXPECT_EQ(program.store(at, 6), Outcome::done);  // with the TLB of before the fork
  }
  EXPECT_EQ(this->at(*child, at), 5U);
  child->destroy();
}

TYPED_TEST(Forks, OfAnEmptySpaceIsAnEmptySpace) {
  auto& child = this->fork(this->space);
  EXPECT_EQ(child.mapped(), PageCount(0));
  EXPECT_TRUE(test::ranges(child).empty());
  const VirtAddr at = child.map({.address = {}, .length = pages(1), .prot = kReadWrite}).value();
  this->store(child, at, 1);
  {
    Program<TypeParam> program(this->space);
    EXPECT_EQ(program.store(at, 1), Outcome::no_mapping);
  }
  child.destroy();
}

TYPED_TEST(Forks, PrivateFilePagesAreCopiedByWhoWrites) {
  using F = TypeParam;
  test::MemoryPager& pager = this->system.new_pager(pages(4));
  MemoryObject<F>& file = *this->system.vm().objects.create_file(pager, pages(4)).value();
  const VirtAddr at = this->space.map({.address = {}, .length = pages(4), .prot = kReadWrite, .object = &file}).value();
  this->store(this->space, at, 1);
  EXPECT_EQ(this->at(this->space, at + pages(1)), pager.first_word(PageIndex(1)));
  auto& child = this->fork(this->space);
  this->store(child, at, 2);
  this->store(child, at + pages(1), 3);
  EXPECT_EQ(this->at(this->space, at), 1U);
  EXPECT_EQ(this->at(this->space, at + pages(1)), pager.first_word(PageIndex(1)));
  EXPECT_EQ(this->at(child, at + pages(2)), pager.first_word(PageIndex(2)));
  EXPECT_EQ(file.dirty(), PageCount(0));
  child.destroy();
  file.release();
}

// Pages that fork allocates, with so many pages touched.
template <class F>
[[nodiscard]] std::uint64_t cost_of_fork(std::uint64_t touched) {
  test::SpaceSystem<F> system({.memory = ByteCount(std::uint64_t{3} << 30)});
  AddressSpace<F>& space = system.create();
  const MapRequest<F> request = {
      .address = {}, .length = pages(touched), .prot = kReadWrite, .traits = Traits::no_reserve()};
  const VirtAddr at = space.map(request).value();
  for (std::uint64_t page = 0; page < touched; ++page) {
    VELLUM_CHECK(space.fault(at + pages(page), Access::write) == FaultVerdict::resolved);
  }
  system.machine().failures().count();
  AddressSpace<F>& child = *space.fork().value();
  const std::uint64_t asked = system.machine().failures().asks();
  system.machine().failures().off();
  EXPECT_EQ(child.residence().pages, PageCount(touched));
  child.destroy();
  space.destroy();
  return asked;
}

TEST(ForkCost, DoesNotGrowWithTheMemoryThatIsTouched) {
  const std::uint64_t megabyte = cost_of_fork<Amd64>(256);
  EXPECT_GE(megabyte, 1U);
  EXPECT_EQ(cost_of_fork<Amd64>(std::uint64_t{1} << 18), megabyte);
  EXPECT_EQ(cost_of_fork<I386Pae>(256), cost_of_fork<I386Pae>(std::uint64_t{1} << 18));
}

}  // namespace
}  // namespace vellum
