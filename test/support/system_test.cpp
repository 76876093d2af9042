#include <gtest/gtest.h>

#include <vellum/test/system.hpp>

namespace vellum::test {
namespace {

using namespace literals;

TEST(SystemTest, EndsQuietlyWhenAllIsFree) {
  System system({.memory = 1_TiB, .cpus = 2});
  const Pfn frame = system.memory().allocate(Contents::zeroed).value();
  EXPECT_EQ(std::byte{0}, system.machine().window(frame).data()[0]);
  system.memory().free(frame);
}

TEST(SystemDeathTest, ALostPageIsAPanic) {
  EXPECT_DEATH(
      {
        System system;
        static_cast<void>(system.memory().allocate(Contents::any).value());
      },
      "leaked");
}

TEST(SystemTest, AllocationsFailWhereTheTestSaysSo) {
  System system;
  system.machine().failures().fail_nth(2);
  const Result<Pfn> first = system.memory().allocate(Contents::any);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(Errno::no_memory, system.memory().allocate(Contents::any).error());
  EXPECT_EQ(1U, system.machine().failures().failures());
  system.machine().failures().off();
  system.memory().free(*first);
}

}  // namespace
}  // namespace vellum::test
