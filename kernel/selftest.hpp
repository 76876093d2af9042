// The self-test of a booted kernel: what the tables promise, tried on the processor.
#pragma once

#include "kernel.hpp"

namespace vellum::kernel {

// The parts of it. The kernel's tables deny what they should.
void test_kernel_tables();
// The 64-bit kernel's tables are those of the layout, row by row. With the kernel's tables on.
void test_layout(Kernel& kernel);
// User code in address spaces: faults resolved and refused, fork, growth of a stack; and then every page is free again.
void test_spaces(Kernel& kernel);

// Failures on purpose, for tests of what the kernel says of them.
[[noreturn]] void overflow_kernel_stack();
[[noreturn]] void stray_into_red_zone();

// Says on the console what it finds; panics at the first thing that is wrong.
void run_selftest(Kernel& kernel);

}  // namespace vellum::kernel
