// The core's unit tests inside a booted kernel: the same sources as in the hosted builds, on the real machine.
#pragma once

#include <vellum/phys/physical_memory.hpp>

namespace vellum::test {

// Runs all of them, each on memory cut out of `memory`; says on the console which fail, and at the end how many passed
// and failed. True where none failed.
[[nodiscard]] bool run_core_tests(PhysicalMemory& memory);

// Where the standard library's memory comes from meanwhile (library.cpp).
extern PhysicalMemory* library_memory;

}  // namespace vellum::test
