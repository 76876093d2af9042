// What each CPU has for itself.
#pragma once

#include <cstddef>

#include <atomic>

#include <vellum/base/cpu.hpp>
#include <vellum/base/lock.hpp>
#include <vellum/pc/arch.hpp>
#include <vellum/pc/instructions.hpp>

namespace vellum::pc {

enum class Interrupts : std::uint8_t { disabled, enabled };

// As many CPUs as are started; others that there are stay asleep.
inline constexpr unsigned kMostStartedCpus = 16;

struct alignas(kPageSize) PerCpu {
  // Used by amd64/trap.S, at these offsets.
  PerCpu* self = nullptr;
  Word kernel_stack_top = 0;  // where a system call's frame ends: of the thread that runs
  Word user_stack_pointer = 0;
  // Not zero: a return to user mode takes the long way. kAttention: vellum_on_attention() must be called first;
  // kIsolated: programs run on tables of their own (see isolate_kernel()), which must be loaded.
  std::uint8_t user_return = 0;
  static constexpr std::uint8_t kAttention = 1;
  static constexpr std::uint8_t kIsolated = 2;
  // Of isolated programs.
  Word kernel_root = 0;      // for CR3 in the kernel
  Word user_root = 0;        // for CR3 in user mode
  Word entry_stack_top = 0;  // where traps of programs push
  Word scratch = 0;
  // What a system call calls.
  void (*system_call)(TrapFrame&) = nullptr;

  CpuIndex index{};
  std::uint8_t apic_id = 0;
  // Where trap.S does not reach: the processor's task state, and what the kernel runs here (kernel/processor.hpp).
  std::byte* task_state = nullptr;
  void* thread = nullptr;
  void* context = nullptr;
  void* space = nullptr;
  bool in_system = false;
  // The CPUs that wait for this one to drop translations, a bit each (cpus.hpp).
  std::atomic<std::uint32_t> flushes_asked{0};
  // It rests (cpus.hpp), and drops all translations when it wakes if `stale` says so.
  std::atomic<bool> rests{false};
  std::atomic<bool> stale{false};
  // Since boot: how often it made others drop translations, by interrupts; and how often it did so for others.
  std::atomic<std::uint64_t> flushes_sent{0};
  std::atomic<std::uint64_t> flushes_received{0};

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
              offsetof(PerCpu, user_return) == 24 && offsetof(PerCpu, kernel_root) == 32 &&
              offsetof(PerCpu, user_root) == 40 && offsetof(PerCpu, entry_stack_top) == 48 &&
              offsetof(PerCpu, scratch) == 56 && offsetof(PerCpu, system_call) == 64);
static_assert(sizeof(PerCpu) == kPageSize);
#endif

// Of the CPU that the firmware starts.
extern PerCpu boot_cpu;
// CPUs of the machine, as far as they are used (cpus.hpp).
extern unsigned cpu_total;

// The block of the CPU that executes the call. A thread that sleeps may wake on another one: the compiler must read it
// again after each call that it does not see through, as it does with memory (here what lies at the base of GS).
[[nodiscard]] inline PerCpu& this_cpu() {
#if defined(__x86_64__)
  using AtGs = PerCpu* [[clang::address_space(256)]];
  return **reinterpret_cast<AtGs*>(offsetof(PerCpu, self));
#else
  return boot_cpu;
#endif
}

}  // namespace vellum::pc
