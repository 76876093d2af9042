#include <vellum/host/fid_table.hpp>

#include <gtest/gtest.h>

#include "test/heap_source.hpp"

namespace vellum::host {
namespace {

TEST(FidTable, GivesTheLowestFreeOne) {
  HeapSource source;
  FidTable fids(source);
  for (std::uint32_t expected = 0; expected < 20000; ++expected) {  // more than a page holds
    ASSERT_EQ(fids.allocate().value(), expected);
  }
  fids.set_open(17);
  EXPECT_TRUE(fids.is_open(17));
  EXPECT_FALSE(fids.is_open(18));
  fids.free(19000);
  fids.free(17);
  EXPECT_EQ(fids.allocate().value(), 17U);
  EXPECT_FALSE(fids.is_open(17));
  EXPECT_EQ(fids.allocate().value(), 19000U);
  EXPECT_EQ(fids.allocate().value(), 20000U);
}

}  // namespace
}  // namespace vellum::host
