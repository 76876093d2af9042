// The global descriptor table, the task-state segment and the interrupt descriptor table of the boot CPU.
#pragma once

#include <vellum/base/range.hpp>

namespace vellum::pc {

// Loads all three: flat segments for kernel and user, a gate for each of the 256 vectors (trap.S), of which user code
// may raise only kUserCallVector. Double faults get a stack of their own on amd64.
void load_descriptor_tables();

// The 64-bit kernel shows its tables at the addresses of its layout, each in pages of its own.

// Where the image has them.
struct DescriptorPages {
  VirtAddr global_table;
  VirtAddr gates;
  VirtAddr task_state;
};
[[nodiscard]] DescriptorPages descriptor_pages();

struct DescriptorAddresses {
  VirtAddr global_table;
  VirtAddr gates;
  VirtAddr task_state;
  VirtRange local_table;
  VirtAddr double_fault_stack_top;
};
// Makes the tables say where they will be. While they can be written, with interrupts off; after this a trap that
// changes the stack must not come before the tables are there.
void prepare_descriptor_tables_at(const DescriptorAddresses& addresses);
// Uses them there. Once they are mapped.
void use_descriptor_tables_at(const DescriptorAddresses& addresses);

// The vector that user code may raise by INT.
inline constexpr unsigned kUserCallVector = 0x80;

}  // namespace vellum::pc
