// The global descriptor table, the task-state segment and the interrupt descriptor table of the boot CPU.
#pragma once

#include <vellum/base/range.hpp>

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

// In the image's data.
[[nodiscard]] DescriptorTables descriptor_tables();

// Makes the CPU use the same pages at other addresses, which may be read-only but for the task state; and a local
// descriptor table (of zeros, or filled later) of a whole number of pages.
void move_descriptor_tables(const DescriptorTables& to, VirtRange local);
#endif

}  // namespace vellum::pc
