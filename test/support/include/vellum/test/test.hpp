// The macros that unit tests use. Here they are GoogleTest's; a kernel that runs the same tests brings this header with
// macros of its own. So a `*_test.cpp` of the core uses these only, and streams nothing into them:
//
//   TEST
//   EXPECT_TRUE EXPECT_FALSE EXPECT_EQ EXPECT_NE EXPECT_LT EXPECT_LE EXPECT_GT EXPECT_GE
//   ASSERT_TRUE ASSERT_FALSE ASSERT_EQ ASSERT_NE ASSERT_LT ASSERT_LE ASSERT_GT ASSERT_GE
//
// Tests that need the host, `*_hosted_test.cpp`, may use all of GoogleTest.
#pragma once

#include <gtest/gtest.h>
