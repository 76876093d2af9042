// What each CPU has for itself.
#pragma once

#include <cstddef>

#include <vellum/base/cpu.hpp>
#include <vellum/base/lock.hpp>
#include <vellum/pc/arch.hpp>
#include <vellum/pc/instructions.hpp>

namespace vellum::pc {

enum class Interrupts : std::uint8_t { disabled, enabled };

struct alignas(kCacheLine) PerCpu {
  // Used by amd64/trap.S, at these offsets.
  PerCpu* self = nullptr;
  Word kernel_stack_top = 0;  // where a system call's frame ends: of the thread that runs
  Word user_stack_pointer = 0;
  // What runs is not to return to user mode before vellum_on_attention() was called.
  bool attention = false;

  CpuIndex index{};
  unsigned section_depth = 0;
  // What leaving the outermost section brings back.
  Interrupts outside_section = Interrupts::disabled;
  HeldLocks held_locks{};
  // What the processor keeps of the root table, where it keeps any.
  std::uint64_t root_entries[kRootEntriesInRegisters + 1] = {};
};

static_assert(offsetof(PerCpu, self) == 0);
#if defined(__x86_64__)
static_assert(offsetof(PerCpu, kernel_stack_top) == 8 && offsetof(PerCpu, user_stack_pointer) == 16 &&
              offsetof(PerCpu, attention) == 24);
#endif

// Of the CPU that the firmware starts; the only one that runs so far.
extern PerCpu boot_cpu;

// The block of the CPU that executes the call.
[[nodiscard]] inline PerCpu& this_cpu() {
#if defined(__x86_64__)
  PerCpu* self;
  asm("movq %%gs:0, %0" : "=r"(self));
  return *self;
#else
  return boot_cpu;
#endif
}

}  // namespace vellum::pc
