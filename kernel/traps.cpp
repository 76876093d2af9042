// Where traps go.
#include <vellum/pc/descriptor_tables.hpp>
#include <vellum/pc/trap.hpp>

#include "probe.hpp"
#include "user.hpp"

namespace vellum::pc {

void on_trap(TrapFrame& frame) {
  if (frame.vector == kPageFaultVector) {
    const PageFault fault = page_fault(frame);
    if (kernel::end_probe(frame) || kernel::resolve_fault(frame, fault)) {
      return;
    }
  }
  if (frame.vector == kUserCallVector && frame.from_user()) {
    kernel::user_calls(frame);
  }
  panic_on_trap(frame);
}

}  // namespace vellum::pc
