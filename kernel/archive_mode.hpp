// The kernel by itself, started as Linux is: it unpacks the initial archive into its RAM file system and runs /init.
#pragma once

#include <vellum/pc/pvh.hpp>

#include "kernel.hpp"

namespace vellum::kernel {

// Never returns: the machine is turned off when the first process ends or calls reboot(2).
[[noreturn]] void run_archive(Kernel& kernel, const pc::StartInfo& start_info);

}  // namespace vellum::kernel
