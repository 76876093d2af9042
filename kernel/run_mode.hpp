// The kernel as the engine of `vellum run`: it runs the one program that the host asks for.
#pragma once

#include "kernel.hpp"

namespace vellum::kernel {

// Whether the command line has this word.
[[nodiscard]] bool has_word(const char* command_line, const char* word);

// Waits for the host's request, runs the program, reports, and ends the machine.
[[noreturn]] void run_for_host(Kernel& kernel, const char* command_line);

}  // namespace vellum::kernel
