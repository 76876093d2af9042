#include "user.hpp"

#include <vellum/pc/instructions.hpp>

namespace vellum::kernel {

namespace {

// What the one CPU runs.
constinit Space* running_space = nullptr;
constinit UserEnd running_end;
// Whether the kernel means it when it touches user memory.
constinit bool user_access_allowed = false;

}  // namespace

void switch_to(Kernel& kernel, Space* space) {
  const CpuIndex cpu = kernel.machine.current_cpu();
  if (space != nullptr) {
    space->activate(cpu);
  }
  kernel.machine.set_root(space != nullptr ? space->root_address() : kernel.tables.root_address());
  if (running_space != nullptr && running_space != space) {
    running_space->deactivate(cpu);
  }
  running_space = space;
}

UserEnd run_to_end(const pc::TrapFrame& frame) {
  running_end = {};
  pc::run_user(frame);
  return running_end;
}

void copy_to_user(const Kernel& kernel, VirtAddr to, std::span<const std::byte> from) {
  user_access_allowed = true;
  if (kernel.features.smap) {
    pc::allow_user_access();
  }
  __builtin_memcpy(reinterpret_cast<void*>(static_cast<pc::Word>(to.value())), from.data(), from.size());
  if (kernel.features.smap) {
    pc::forbid_user_access();
  }
  user_access_allowed = false;
}

bool resolve_fault(const pc::TrapFrame& frame, const pc::PageFault& fault) {
  if (running_space == nullptr) {
    return false;
  }
  if (fault.privilege == Privilege::kernel && !user_access_allowed) {
    return false;
  }
  const FaultVerdict verdict = running_space->fault(fault.address, fault.access);
  if (verdict == FaultVerdict::resolved) {
    ++running_end.resolved;
    const Machine& machine = running_space->system().memory.machine();
    if (!machine.root_is_current()) {
      // A processor that keeps the root's entries would make the same fault again; QEMU's emulation does not.
      VELLUM_CHECK(running_space->fault(fault.address, fault.access) == FaultVerdict::resolved);
      VELLUM_CHECK(machine.root_is_current());
    }
    return true;
  }
  if (!frame.from_user()) {
    return false;
  }
  running_end.fault = fault;
  running_end.verdict = verdict;
  pc::leave_user();
}

bool end_by_protection(const pc::TrapFrame& frame) {
  if (frame.vector != pc::kGeneralProtectionVector || !frame.from_user() || running_space == nullptr) {
    return false;
  }
  running_end.non_canonical = true;
  pc::leave_user();
}

void user_calls(const pc::TrapFrame& frame) {
  running_end.result = frame.result();
  pc::leave_user();
}

}  // namespace vellum::kernel
