// The CPUs besides the one that boots, as the system sees them: where it says who may be in it, who is interrupted, and
// how they are started (<vellum/unix/system_lock.hpp>, <vellum/unix/processor.hpp>).
#pragma once

#include <vellum/pc/pvh.hpp>

namespace vellum::kernel {

// Finds the CPUs, and the page below 1 MB where others may begin: for good nobody else's. Before anything asks how many
// there are.
void find_other_cpus(const pc::StartInfo& start_info);

// Leaves the system to those who wait for it: returns when one of them entered, or soon if none did.
void hand_over_system();

}  // namespace vellum::kernel
