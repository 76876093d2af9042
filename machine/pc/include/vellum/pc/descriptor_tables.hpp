// The global descriptor table, the task-state segment and the interrupt descriptor table of the boot CPU.
#pragma once

namespace vellum::pc {

// Loads all three: flat segments for kernel and user, a gate for each of the 256 vectors (trap.S), of which user code
// may raise only kUserCallVector. Double faults get a stack of their own on amd64.
void load_descriptor_tables();

// The vector that user code may raise by INT.
inline constexpr unsigned kUserCallVector = 0x80;

}  // namespace vellum::pc
