#include "probe.hpp"

#include <vellum/pc/instructions.hpp>

extern "C" {
unsigned probe_read(vellum::pc::Word address);
unsigned probe_write(vellum::pc::Word address);
unsigned probe_execute(vellum::pc::Word address);
extern const char probe_faulted[];
}

namespace vellum::kernel {

namespace {

constinit bool armed = false;

}  // namespace

ProbeOutcome probe(Access access, VirtAddr address) {
  const auto at = static_cast<pc::Word>(address.value());
  armed = true;
  unsigned faulted = 0;
  switch (access) {
    case Access::read:
      faulted = probe_read(at);
      break;
    case Access::write:
      faulted = probe_write(at);
      break;
    case Access::execute:
      faulted = probe_execute(at);
      break;
  }
  armed = false;
  return faulted != 0 ? ProbeOutcome::faulted : ProbeOutcome::done;
}

bool end_probe(pc::TrapFrame& frame) {
  if (!armed || frame.from_user() ||
      (frame.vector != pc::kPageFaultVector && frame.vector != pc::kGeneralProtectionVector)) {
    return false;
  }
  armed = false;
  frame.set_instruction(VirtAddr(reinterpret_cast<pc::Word>(probe_faulted)));
  return true;
}

}  // namespace vellum::kernel
