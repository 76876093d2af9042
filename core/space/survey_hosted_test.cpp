// What the tables of a space name, and how many reach it.

#include <vellum/space/survey.hpp>

#include <map>

#include "test/typed.hpp"

namespace vellum {
namespace {

using test::kReadWrite;
using test::pages;

class Collected final : public PageVisitor {
 public:
  void visit(const PageUse& use) override { uses[use.page.value()] = use; }
  std::map<std::uint64_t, PageUse> uses;
};

template <class F>
class Survey : public ::testing::Test {
 protected:
  Survey() : space(system.create()) { at = space.layout().user[0].start() + pages(7); }
  ~Survey() override { space.destroy(); }

  void map(AddressSpace<F>& where, ByteCount length, MemoryObject<F>* object = nullptr) {
    VELLUM_CHECK(where
                     .map({.address = at,
                           .length = length,
                           .prot = kReadWrite,
                           .traits = object != nullptr ? Traits::shared() : Traits{},
                           .placement = Placement::fixed,
                           .object = object})
                     .ok());
  }
  void store(AddressSpace<F>& where, unsigned first, unsigned count) {
    test::Program<F> program(where);
    for (unsigned i = 0; i < count; ++i) {
      VELLUM_CHECK(program.store(at + pages(first + i), i) == test::Outcome::done);
    }
  }
  // By the page's place behind `at`.
  [[nodiscard]] std::map<std::uint64_t, PageUse> uses(AddressSpace<F>& where, unsigned first, unsigned count) {
    Collected collected;
    survey<F>(where, VpnRange::must(vpn_of<F>(at) + PageCount(first), PageCount(count)), collected);
    std::map<std::uint64_t, PageUse> by_place;
    for (const auto& [page, use] : collected.uses) {
      by_place[page - vpn_of<F>(at).value()] = use;
    }
    return by_place;
  }

  test::SpaceSystem<F> system;
  AddressSpace<F>& space;
  VirtAddr at;
};
TYPED_TEST_SUITE(Survey, test::AllFormats);

TYPED_TEST(Survey, ShowsWhatWasTouchedAndHow) {
  this->map(this->space, pages(20));
  this->store(this->space, 3, 2);
  {
    test::Program<TypeParam> program(this->space);
    EXPECT_EQ(program.at(this->at + pages(10)), 0U);
  }
  const auto uses = this->uses(this->space, 0, 20);
  ASSERT_TRUE(uses.contains(3) && uses.contains(4) && uses.contains(10));
  EXPECT_EQ(uses.at(3).kind, FrameKind::anonymous);
  EXPECT_TRUE(uses.at(3).dirty && uses.at(3).accessed);
  EXPECT_EQ(uses.at(3).users, 1U);
  EXPECT_EQ(uses.at(10).kind, FrameKind::zero_page);
  EXPECT_FALSE(uses.at(10).dirty);
  EXPECT_FALSE(uses.contains(0) || uses.contains(11));
}

TYPED_TEST(Survey, KeepsToItsRange) {
  this->map(this->space, pages(20));
  this->store(this->space, 0, 20);
  const auto uses = this->uses(this->space, 5, 3);
  EXPECT_EQ(uses.size(), 3U);
  EXPECT_TRUE(uses.contains(5) && uses.contains(7));
  EXPECT_TRUE(this->uses(this->space, 5, 0).empty());
}

TYPED_TEST(Survey, CountsWhoSharesAfterForks) {
  this->map(this->space, pages(8));
  this->store(this->space, 0, 8);
  AddressSpace<TypeParam>& child = *this->space.fork().value();
  for (const auto& [page, use] : this->uses(this->space, 0, 8)) {
    EXPECT_EQ(use.users, 2U) << page;
  }
  this->store(child, 2, 1);
  for (AddressSpace<TypeParam>* const one : {&this->space, &child}) {
    const auto uses = this->uses(*one, 0, 8);
    EXPECT_EQ(uses.size(), 8U);
    EXPECT_EQ(uses.at(2).users, 1U);
    EXPECT_EQ(uses.at(3).users, 2U);
  }
  child.destroy();
  EXPECT_EQ(this->uses(this->space, 0, 8).at(3).users, 1U);
}

TYPED_TEST(Survey, CountsWhoMapsAnObject) {
  // Less than a table of any format: the spaces do not share one.
  MemoryObject<TypeParam>& object = *this->system.vm().objects.create_anonymous(pages(3)).value();
  AddressSpace<TypeParam>& other = this->system.create();
  this->map(this->space, pages(3), &object);
  this->map(other, pages(3), &object);
  object.release();
  this->store(this->space, 0, 2);
  EXPECT_EQ(this->uses(this->space, 0, 3).at(0).users, 1U);
  this->store(other, 0, 1);
  EXPECT_EQ(this->uses(this->space, 0, 3).at(0).users, 2U);
  EXPECT_EQ(this->uses(this->space, 0, 3).at(0).kind, FrameKind::object);
  EXPECT_EQ(this->uses(this->space, 0, 3).at(1).users, 1U);
  other.destroy();
}

TYPED_TEST(Survey, SeesThroughTheTablesOfAnObject) {
  const PageCount table = entry_span<TypeParam>(2);
  this->at = VirtAddr(4 * bytes_of(table).value());
  MemoryObject<TypeParam>& object = *this->system.vm().objects.create_anonymous(bytes_of(table)).value();
  AddressSpace<TypeParam>& other = this->system.create();
  this->map(this->space, bytes_of(table), &object);
  this->map(other, bytes_of(table), &object);
  object.release();
  this->store(this->space, 1, 1);
  EXPECT_EQ(this->uses(this->space, 0, 4).at(1).users, 1U);
  this->store(other, 1, 1);
  const auto uses = this->uses(other, 1, 1);
  EXPECT_EQ(uses.at(1).users, 2U);
  EXPECT_EQ(uses.at(1).frame, this->uses(this->space, 0, 4).at(1).frame);
  other.destroy();
}

}  // namespace
}  // namespace vellum
