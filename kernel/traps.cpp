// Where traps go.
#include <vellum/pc/descriptor_tables.hpp>
#include <vellum/pc/trap.hpp>

#include "debugger.hpp"
#include "probe.hpp"
#include "user.hpp"
#if defined(VELLUM_RUNS_PROGRAMS)
#include <vellum/pc/interrupts.hpp>

#include "processor.hpp"
#endif

namespace vellum::pc {

namespace {

// What programs under UNIX cause, and interrupts; the 32-bit kernel has neither yet.
bool serve_programs(TrapFrame& frame) {
#if defined(VELLUM_RUNS_PROGRAMS)
  return handle_interrupt(frame) || kernel::signal_program(frame);
#else
  (void)frame;
  return false;
#endif
}

bool resolve_program_fault(TrapFrame& frame, const PageFault& fault) {
#if defined(VELLUM_RUNS_PROGRAMS)
  return kernel::resolve_program_fault(frame, fault);
#else
  (void)frame;
  (void)fault;
  return false;
#endif
}

[[noreturn]] void fail(const TrapFrame& frame) {
#if defined(__x86_64__)
  if (const char* const overflow = kernel::stack_overflow(frame)) {
    panic_on_trap(frame, overflow);
  }
#endif
  panic_on_trap(frame);
}

}  // namespace

void on_trap(TrapFrame& frame) {
  if (frame.vector == kPageFaultVector) {
    const PageFault fault = page_fault(frame);
    if (kernel::end_probe(frame) || resolve_program_fault(frame, fault) || kernel::resolve_fault(frame, fault)) {
      return;
    }
  }
  if (kernel::end_probe(frame) || serve_programs(frame)) {
    return;
  }
  if (kernel::end_by_protection(frame)) {
    return;
  }
  if (frame.vector == kUserCallVector && frame.from_user()) {
    kernel::user_calls(frame);
  }
  fail(frame);
}

}  // namespace vellum::pc
