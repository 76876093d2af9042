#include <vellum/base/panic.hpp>
#include <vellum/pc/console.hpp>
#include <vellum/pc/cpus.hpp>
#include <vellum/pc/failure.hpp>
#include <vellum/pc/instructions.hpp>
#include <vellum/pc/power.hpp>
#include <vellum/pc/trap.hpp>

namespace vellum {

namespace {

constexpr unsigned kMaxFrames = 32;

constinit pc::FailureReport the_report = nullptr;
constinit VirtAddr report_stack_top;
constinit const pc::TrapFrame* unexpected_trap = nullptr;
constinit std::atomic<unsigned> failing{0};  // one more than the number of the CPU that reports a failure

// What a function with a frame pointer leaves on the stack.
struct StackFrame {
  const StackFrame* caller;
  pc::Word return_address;
};

// Follows the frame pointers upwards; a chain that does not rise, or that leaves the page next to the last frame by
// far, is broken and ends.
void print_backtrace(const StackFrame* frame) {
  constexpr pc::Word kLargestFrame = 16384;
  for (unsigned depth = 0; frame != nullptr && depth < kMaxFrames; ++depth) {
    pc::print_line("  from ", pc::Hex{frame->return_address});
    const auto distance = reinterpret_cast<pc::Word>(frame->caller) - reinterpret_cast<pc::Word>(frame);
    if (distance == 0 || distance > kLargestFrame) {
      return;
    }
    frame = frame->caller;
  }
}

[[noreturn]] void report_and_stop(const pc::Failure* failure) {
  the_report(*failure);
  pc::stop(pc::Outcome::failure);
}

// The stack that the failure happened on may be the reason for it.
[[noreturn]] void report_on_own_stack(const pc::Failure& failure) {
#if defined(__x86_64__)
  asm volatile(
      "movq %0, %%rsp\n\t"
      "xorl %%ebp, %%ebp\n\t"
      "callq *%1"
      :
      : "r"(report_stack_top.value()), "r"(report_and_stop), "D"(&failure)
      : "memory");
  __builtin_unreachable();
#else
  report_and_stop(&failure);
#endif
}

}  // namespace

namespace pc {

void set_failure_report(FailureReport report, VirtAddr stack_top) {
  the_report = report;
  report_stack_top = stack_top;
}

void panic_on_trap(const TrapFrame& frame, const char* what) {
  unexpected_trap = &frame;
  panic(what);
}

}  // namespace pc

void panic(const char* what, std::source_location where) {
  pc::disable_interrupts();
  const unsigned cpu = pc::this_cpu().index.value();
  unsigned reports = 0;
  const bool again = !failing.compare_exchange_strong(reports, cpu + 1);
#if defined(__x86_64__)
  while (again && reports != cpu + 1) {
    pc::stop_if_told();  // another CPU reports, and is about to say so
  }
  pc::stop_other_cpus();
#endif
  if (pc::cpu_total > 1) {
    pc::print_line("panic: ", what, " (CPU ", cpu, " of ", pc::cpu_total, ")");
  } else {
    pc::print_line("panic: ", what);
  }
  if (again) {
    pc::print_line("  while the failure before was reported");
    pc::stop(pc::Outcome::failure);
  }
  const pc::Failure failure{.what = what,
                            .where = where,
                            .trap = unexpected_trap,
                            .stack_frame = reinterpret_cast<pc::Word>(__builtin_frame_address(0))};
  if (unexpected_trap == nullptr) {
    pc::print_line("  at ", where.file_name(), ":", where.line(), ", ", where.function_name());
  }
  if (the_report != nullptr) {
    report_on_own_stack(failure);
  }
  print_backtrace(static_cast<const StackFrame*>(__builtin_frame_address(0)));
  pc::stop(pc::Outcome::failure);
}

}  // namespace vellum
