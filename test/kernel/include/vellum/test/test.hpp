// The macros that unit tests use, for tests that run inside a booted kernel (in a hosted build they are GoogleTest's).
// A test is a function and a descriptor in the image's section of tests; run_core_tests() calls all.
#pragma once

#include <cstdint>

#include <vellum/base/types.hpp>

#define VELLUM_TEST_IN_KERNEL 1

namespace vellum::test {

struct KernelTest {
  const char* suite;
  const char* name;
  void (*body)();
};

// Prints where and what, and makes the running test a failed one.
void expectation_failed(const char* file, unsigned line, const char* what);

}  // namespace vellum::test

#define TEST(suite, name)                                                                                       \
  static void suite##_##name##_body();                                                                          \
  [[gnu::section(".kernel_tests"),                                                                              \
    gnu::used]] static constinit const ::vellum::test::KernelTest suite##_##name##_test{#suite, #name,          \
                                                                                        suite##_##name##_body}; \
  static void suite##_##name##_body()

#define VELLUM_EXPECT(condition, text)                                   \
  do {                                                                   \
    if (!(condition)) {                                                  \
      ::vellum::test::expectation_failed(__FILE_NAME__, __LINE__, text); \
    }                                                                    \
  } while (false)
#define VELLUM_ASSERT_THAT(condition, text)                              \
  do {                                                                   \
    if (!(condition)) {                                                  \
      ::vellum::test::expectation_failed(__FILE_NAME__, __LINE__, text); \
      return;                                                            \
    }                                                                    \
  } while (false)

#define EXPECT_TRUE(value) VELLUM_EXPECT((value), #value)
#define EXPECT_FALSE(value) VELLUM_EXPECT(!(value), "not " #value)
#define EXPECT_EQ(left, right) VELLUM_EXPECT((left) == (right), #left " == " #right)
#define EXPECT_NE(left, right) VELLUM_EXPECT((left) != (right), #left " != " #right)
#define EXPECT_LT(left, right) VELLUM_EXPECT((left) < (right), #left " < " #right)
#define EXPECT_LE(left, right) VELLUM_EXPECT((left) <= (right), #left " <= " #right)
#define EXPECT_GT(left, right) VELLUM_EXPECT((left) > (right), #left " > " #right)
#define EXPECT_GE(left, right) VELLUM_EXPECT((left) >= (right), #left " >= " #right)
#define ASSERT_TRUE(value) VELLUM_ASSERT_THAT((value), #value)
#define ASSERT_FALSE(value) VELLUM_ASSERT_THAT(!(value), "not " #value)
#define ASSERT_EQ(left, right) VELLUM_ASSERT_THAT((left) == (right), #left " == " #right)
#define ASSERT_NE(left, right) VELLUM_ASSERT_THAT((left) != (right), #left " != " #right)
#define ASSERT_LT(left, right) VELLUM_ASSERT_THAT((left) < (right), #left " < " #right)
#define ASSERT_LE(left, right) VELLUM_ASSERT_THAT((left) <= (right), #left " <= " #right)
#define ASSERT_GT(left, right) VELLUM_ASSERT_THAT((left) > (right), #left " > " #right)
#define ASSERT_GE(left, right) VELLUM_ASSERT_THAT((left) >= (right), #left " >= " #right)
