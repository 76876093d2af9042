// What programs run on: files, a terminal, processes. One for the life of the kernel.
#pragma once

#include <string_view>

#include <vellum/unix/process_system.hpp>
#include <vellum/unix/resolve.hpp>
#include <vellum/unix/standard_devices.hpp>

#include "guest_memory.hpp"
#include "kernel.hpp"
#include "segmap.hpp"

namespace vellum::kernel {

struct Programs {
  Programs(Kernel& kernel, unix::TerminalPort& port, unix::RunReporter& reporter, const unix::ProgramLayout& layout);
  Programs(const Programs&) = delete;
  Programs& operator=(const Programs&) = delete;

  // Makes all devices known, and the kernel's own files of /proc. Error: no_memory.
  [[nodiscard]] Result<void> add_devices();
  // With the root mounted and the devices known: adds /dev, /proc and /sys. Errors: no_memory, io_error.
  [[nodiscard]] Result<void> mount_usual();
  // The superuser, at the root.
  [[nodiscard]] unix::Resolution from_root();
  // Makes a directory and those above it, as far as they are missing. Errors: resolve()'s, no_memory.
  [[nodiscard]] Result<unix::Path> make_directories(std::string_view path);

  Segmap windows;
  unix::Files files;
  unix::Terminal terminal;
  unix::StandardDevices standard_devices;
  GuestMemoryDevice guest_memory;
  unix::ProcessSystem processes;
};

}  // namespace vellum::kernel
