// Where traps go.
#include <vellum/pc/trap.hpp>

#include "probe.hpp"

namespace vellum::pc {

void on_trap(TrapFrame& frame) {
  if (kernel::end_probe(frame)) {
    return;
  }
  panic_on_trap(frame);
}

}  // namespace vellum::pc
