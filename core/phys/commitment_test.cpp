#include <vellum/phys/commitment.hpp>
#include <vellum/test/test.hpp>

namespace vellum {
namespace {

constexpr CpuIndex kCpu{0};
constexpr CpuIndex kOther{70};  // shares a line with another

PageCount mapped_nothing() { return PageCount(0); }
bool is_administrator() { return true; }

TEST(Commitment, AddsUpWhatAllCpusCount) {
  Commitment commitment(PageCount(1000));
  EXPECT_TRUE(commitment.charge(kCpu, PageCount(700)));
  EXPECT_TRUE(commitment.charge(kOther, PageCount(700)));
  EXPECT_EQ(commitment.committed(), PageCount(1400));
  commitment.uncharge(kOther, PageCount(1300));
  EXPECT_EQ(commitment.committed(), PageCount(100));
}

TEST(Commitment, RefusesByItselfWhatIsMoreThanAllMemory) {
  Commitment commitment(PageCount(1000));
  EXPECT_FALSE(commitment.charge(kCpu, PageCount(1001)));
  EXPECT_TRUE(commitment.refuses(PageCount(1001)));
  EXPECT_TRUE(commitment.committed().is_zero());
  EXPECT_TRUE(commitment.charge_again(kCpu, PageCount(1001), PageCount(0)));
  commitment.uncharge(kCpu, PageCount(1001));
  commitment.set_mode(Overcommit::always);
  EXPECT_FALSE(commitment.refuses(PageCount(1001)));
  EXPECT_TRUE(commitment.charge(kCpu, PageCount(100'000)));
}

TEST(Commitment, NeverPromisesMoreThanTheLimit) {
  Commitment commitment(PageCount(1000));
  commitment.set_mode(Overcommit::never);
  commitment.user_reserve = 0;
  commitment.administrator_reserve = 40;  // KiB
  EXPECT_EQ(commitment.limit(), PageCount(500));
  EXPECT_TRUE(commitment.is_strict());
  EXPECT_FALSE(commitment.charge(kCpu, PageCount(490)));  // the sum must stay below
  EXPECT_TRUE(commitment.charge(kCpu, PageCount(489)));
  EXPECT_FALSE(commitment.charge(kCpu, PageCount(1)));
  commitment.is_administrator = is_administrator;
  EXPECT_TRUE(commitment.charge(kCpu, PageCount(10)));
  EXPECT_FALSE(commitment.charge(kCpu, PageCount(1)));
  EXPECT_EQ(commitment.committed(), PageCount(499));
  EXPECT_FALSE(commitment.charge_again(kCpu, PageCount(1), PageCount(0)));
}

TEST(Commitment, HoldsSomethingBackFromLargeProcesses) {
  Commitment commitment(PageCount(1000));
  commitment.set_mode(Overcommit::never);
  commitment.administrator_reserve = 0;
  commitment.user_reserve = 400;
  EXPECT_FALSE(commitment.charge(kCpu, PageCount(490), [] { return PageCount(320); }));
  EXPECT_TRUE(commitment.charge(kCpu, PageCount(489), [] { return PageCount(320); }));
  EXPECT_TRUE(commitment.charge(kCpu, PageCount(10), mapped_nothing));
  commitment.uncharge(kCpu, PageCount(499));
  EXPECT_FALSE(commitment.charge(kCpu, PageCount(400), [] { return PageCount(32'000); }));
  EXPECT_TRUE(commitment.charge(kCpu, PageCount(399), [] { return PageCount(32'000); }));
}

TEST(Commitment, HasTheLimitThatWasSetLast) {
  Commitment commitment(PageCount(1000));
  commitment.set_kilobytes(84);
  EXPECT_EQ(commitment.limit(), PageCount(21));
  EXPECT_EQ(commitment.ratio(), 0);
  commitment.set_ratio(70);
  EXPECT_EQ(commitment.limit(), PageCount(700));
  EXPECT_EQ(commitment.kilobytes(), 0U);
}

TEST(Commitment, KeepsABudgetInEveryMode) {
  Commitment commitment(PageCount(1000));
  commitment.set_budget(PageCount(100));
  commitment.set_budget(PageCount(5000));
  EXPECT_FALSE(commitment.charge(kCpu, PageCount(1001)));
  EXPECT_TRUE(commitment.charge_again(kCpu, PageCount(1001), PageCount(0)));
  commitment.uncharge(kCpu, PageCount(1001));
  commitment.set_budget(PageCount(100));
  for (const Overcommit mode : {Overcommit::heuristic, Overcommit::always, Overcommit::never}) {
    commitment.set_mode(mode);
    EXPECT_TRUE(commitment.is_strict());
    EXPECT_TRUE(commitment.charge(kCpu, PageCount(60)));
    EXPECT_FALSE(commitment.charge(kCpu, PageCount(41)));
    EXPECT_TRUE(commitment.charge(kCpu, PageCount(40)));
    EXPECT_FALSE(commitment.charge_again(kCpu, PageCount(1), PageCount(0)));
    commitment.uncharge(kCpu, PageCount(100));
  }
}

}  // namespace
}  // namespace vellum
