// What programs run on: files, a terminal, processes. One for the life of the kernel.
#pragma once

#include <string_view>

#include <vellum/unix/process_system.hpp>
#include <vellum/unix/resolve.hpp>
#include <vellum/unix/standard_devices.hpp>

#include "kernel.hpp"

namespace vellum::kernel {

struct Programs {
  Programs(Kernel& kernel, unix::TerminalPort& port, unix::RunReporter& reporter, const unix::ProgramLayout& layout);
  Programs(const Programs&) = delete;
  Programs& operator=(const Programs&) = delete;

  // With the root mounted: adds /dev, /proc and /sys. Errors: no_memory, io_error.
  [[nodiscard]] Result<void> mount_usual();
  // The superuser, at the root.
  [[nodiscard]] unix::Resolution from_root();
  // Makes a directory and those above it, as far as they are missing. Errors: resolve()'s, no_memory.
  [[nodiscard]] Result<unix::Path> make_directories(std::string_view path);

  unix::LinearWindows windows;
  unix::Files files;
  unix::Terminal terminal;
  unix::StandardDevices devices;
  unix::ProcessSystem processes;
};

}  // namespace vellum::kernel
