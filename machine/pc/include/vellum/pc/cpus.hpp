// The CPUs besides the one that the firmware starts: finding, starting, interrupting them. 64-bit only.
//
// Concepts. A CPU is found in the firmware's table, gets a CpuBlock and is started: the processor begins in real mode
// in a page below 1 MB, takes the boot stub's tables for the way to 64-bit mode, then the kernel's, and takes over the
// control registers of the CPU that starts it. From then on it is online.
//
// Dropping translations. Who wants others to drop some sets its bit in PerCpu::flushes_asked of each, interrupts those
// that had none set, and waits. Asked CPUs answer in the interrupt, or, where interrupts are off because they wait for
// something themselves, in relax(): so two CPUs that wait for each other, or one that waits for a lock of the other's,
// do not wait for ever.
//
// A CPU that rests, because it sleeps or waits for a lock with interrupts off and touches nothing meanwhile whose
// translation can change, is not asked: it drops all when it wakes.
//
// Never: a CPU that was found is counted out again. One that does not answer when started stays offline.
#pragma once

#include <cstddef>

#include <vellum/base/machine_port.hpp>
#include <vellum/pc/per_cpu.hpp>

namespace vellum::pc {

// Looks for the table of the MultiProcessor Specification [intel/MP 1.4, 4] and counts the CPUs that it calls enabled,
// the calling one first; without a table there is that one. Once, before anything asks for their number.
void find_cpus();

// What a CPU has of its own. Zeroed by who allocates it, page-aligned, and at an address from 2^64 - 4 GB on, by which
// trap.S knows that GS is the kernel's.
struct CpuBlock {
  static constexpr std::size_t kTrapStack = 8192;

  PerCpu cpu;  // first: a CPU that begins finds the block by it
  alignas(kPageSize) std::byte entry_stack[kPageSize];
  alignas(kPageSize) std::uint64_t global_table[kPageSize / sizeof(std::uint64_t)];
  alignas(kPageSize) std::byte task_state[kPageSize];
  alignas(kPageSize) std::byte trap_stacks[4][kTrapStack];
};

// Starts the CPU `index` by way of the page at `start_page`, which is memory below 1 MB that nobody else uses
// from now on. It runs main(), the same for all, on the stack that ends at `stack_top`, in the kernel's tables, with
// interrupts off. False where it does not answer within a second; it may still do so later, and then runs on what it
// was given. By the boot CPU, whose clock runs.
[[nodiscard]] bool start_cpu(CpuIndex index, CpuBlock& block, VirtAddr stack_top, PhysAddr start_page, void (*main)());
[[nodiscard]] bool is_online(CpuIndex cpu);

// Interrupts another CPU, which is online: it calls the handler of set_call_handler().
void call_cpu(CpuIndex cpu);
void set_call_handler(void (*handler)());

// See Machine::flush_remote(), flush_everywhere().
void flush_cpus(const CpuSet& cpus, const TlbFlush& flush);
void flush_other_cpus(const TlbFlush& flush);
// Drops what the calling CPU was asked to.
void answer_flushes();
// For loops that wait with interrupts off.
inline void answer_if_asked() {
  if (this_cpu().flushes_asked.load(std::memory_order_relaxed) != 0) {
    answer_flushes();
  }
}

// From here to wake_up() the calling CPU rests.
void begin_rest();
// Also the first that the handler of an interrupt does.
void wake_up();
// Lets interrupts in and rests until one came.
void rest();
// Interrupts that flushes took, since boot.
[[nodiscard]] std::uint64_t flush_interrupts();
// How often a CPU made others drop translations, however many they were, and did so for others. One that rests is not
// asked, and does not count.
struct FlushCounts {
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
};
[[nodiscard]] FlushCounts flush_counts(CpuIndex cpu);

// Makes all other CPUs stop for good, whatever they do.
void stop_other_cpus();
// For the handler of non-maskable interrupts: does not return where that was it.
void stop_if_told();

}  // namespace vellum::pc
