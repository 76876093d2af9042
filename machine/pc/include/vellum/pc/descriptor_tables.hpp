// The global descriptor table, the task-state segment and the interrupt descriptor table: the boot CPU's, and those of
// the others, which have all but the last for themselves.
#pragma once

#include <vellum/base/range.hpp>
#include <vellum/pc/cpus.hpp>

namespace vellum::pc {

// Loads all three: flat segments for kernel and user, a gate for each of the 256 vectors (trap.S), of which user code
// may raise only kUserCallVector. Double faults get a stack of their own on amd64.
void load_descriptor_tables();

// The vector that user code may raise by INT.
inline constexpr unsigned kUserCallVector = 0x80;

#if defined(__x86_64__)
// Where the tables lie, each in a page of its own.
struct DescriptorTables {
  VirtAddr global;
  VirtAddr interrupts;
  VirtAddr task_state;
};

// In the image.
[[nodiscard]] DescriptorTables descriptor_tables();

// The kernel shows the same pages at other addresses, and a local descriptor table (of zeros, or filled later) of a
// whole number of pages. First the tables are made to say where they will be: while they can be written, with
// interrupts off, and no trap that changes the stack may come before they are there.
void prepare_descriptor_tables(const DescriptorTables& to, VirtRange local, VirtAddr double_fault_stack_top);
// Then, once they are mapped there, read-only but for the task state and the local table, the CPU uses them.
void use_descriptor_tables(const DescriptorTables& at);

// Makes the calling CPU, which is not the boot CPU, use the tables in its block. Once the boot CPU uses its own.
void load_descriptor_tables(CpuBlock& block);

// The calling CPU's stacks of the traps that do not use the thread's; the boot CPU's double fault has another.
[[nodiscard]] VirtRange own_trap_stacks();
// Lets traps in by the isolated entries (trap.S); while the gates can be written.
void use_isolated_gates();
#endif

}  // namespace vellum::pc
