// The kernel as the engine of `vellum run`: it runs the one program that the host asks for.
#pragma once

#include "kernel.hpp"

namespace vellum::kernel {

// Waits for the host's request, runs the program, reports, and ends the machine.
[[noreturn]] void run_for_host(Kernel& kernel, const char* command_line);

}  // namespace vellum::kernel
