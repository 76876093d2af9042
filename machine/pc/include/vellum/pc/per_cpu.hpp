// What each CPU has for itself.
#pragma once

#include <vellum/base/cpu.hpp>
#include <vellum/base/lock.hpp>
#include <vellum/pc/arch.hpp>

namespace vellum::pc {

enum class Interrupts : std::uint8_t { disabled, enabled };

struct alignas(kCacheLine) PerCpu {
  CpuIndex index;
  unsigned section_depth = 0;
  // What leaving the outermost section brings back.
  Interrupts outside_section = Interrupts::disabled;
  HeldLocks held_locks;
  // What the processor keeps of the root table, where it keeps any.
  std::uint64_t root_entries[kRootEntriesInRegisters + 1] = {};
};

// The block of the CPU that executes the call. The boot CPU is the only one that runs so far.
[[nodiscard]] inline PerCpu& this_cpu() {
  extern PerCpu boot_cpu;
  return boot_cpu;
}

}  // namespace vellum::pc
