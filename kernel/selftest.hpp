// The self-test of a booted kernel: what the tables promise, tried on the processor.
#pragma once

#include "kernel.hpp"

namespace vellum::kernel {

// Says on the console what it finds; panics at the first thing that is wrong.
void run_selftest(Kernel& kernel);

}  // namespace vellum::kernel
