// Running user code in an address space, one piece of it at a time, and what its traps come to.
#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include <vellum/pc/trap.hpp>
#include <vellum/space/space.hpp>

#include "format.hpp"
#include "kernel.hpp"

namespace vellum::kernel {

using Space = AddressSpace<HardwareFormat>;

// Makes the CPU run `space`, or with null the kernel's tables alone.
void switch_to(Kernel& kernel, Space* space);

// How a piece of user code ended.
struct UserEnd {
  // The fault that nobody resolved; nothing where the code ended by calling the kernel.
  std::optional<pc::PageFault> fault;
  FaultVerdict verdict = FaultVerdict::resolved;
  // It ended by a general-protection fault: the address was none.
  bool non_canonical = false;
  // What the call passed.
  std::uint64_t result = 0;
  // Page faults on the way that were resolved.
  unsigned resolved = 0;
};

// Runs user code in the space that the CPU runs, until it calls the kernel or makes a fault that nobody resolves.
[[nodiscard]] UserEnd run_to_end(const pc::TrapFrame& frame);

// Copies to the space that the CPU runs, through its mappings. The program must have the right to write there.
void copy_to_user(const Kernel& kernel, VirtAddr to, std::span<const std::byte> from);

// For the trap handler.
//
// A page fault at a user address, of user code or of the kernel where it may touch user memory. True where it was
// resolved; does not return where it ended user code.
[[nodiscard]] bool resolve_fault(const pc::TrapFrame& frame, const pc::PageFault& fault);
// User code used what is no address: it ends. False where no such code runs.
[[nodiscard]] bool end_by_protection(const pc::TrapFrame& frame);
// User code calls the kernel: it ends.
[[noreturn]] void user_calls(const pc::TrapFrame& frame);

}  // namespace vellum::kernel
