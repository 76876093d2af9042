// What a kernel says when it fails.
#pragma once

#include <source_location>

#include <vellum/pc/arch.hpp>
#include <vellum/pc/instructions.hpp>

namespace vellum::pc {

struct Failure {
  const char* what;
  std::source_location where;
  const TrapFrame* trap;  // the trap that nobody expected, or null
  Word stack_frame;       // where a chain of frame pointers begins: of the trap, or of who panicked
};

// Called once, with interrupts off, after the first line was printed. When it returns the machine stops.
using FailureReport = void (*)(const Failure& failure);

// Makes failures be reported so from now on, on a stack of its own that ends at `stack_top`; before, and on i386, the
// report is a list of return addresses.
void set_failure_report(FailureReport report, VirtAddr stack_top);

}  // namespace vellum::pc
