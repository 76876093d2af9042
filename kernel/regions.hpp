// The regions of the 64-bit layout whose contents come and go: who gives out their addresses.
#pragma once

#include <vellum/arena/physical_page_source.hpp>
#include <vellum/heap/backed_arena.hpp>
#include <vellum/heap/device_mappings.hpp>
#include <vellum/heap/file_windows.hpp>
#include <vellum/heap/kernel_stacks.hpp>

#include "format.hpp"

namespace vellum::kernel {

struct Regions {
  using Format = HardwareFormat;

  Regions(KernelSpace<Format>& kernel_space, PageSource& pages, Machine& machine);
  Regions(const Regions&) = delete;
  Regions& operator=(const Regions&) = delete;

  // Gives each its row of the layout. Errors: no_memory.
  [[nodiscard]] Result<void> start(PhysicalMemory& memory);

  KernelSpace<Format>& space;
  ArenaMetadata metadata;
  BackedArena<Format> kernel_heap;
  HeapPages<Format> heap_pages;  // object caches of the kernel's own parts
  KernelStacks<Format> kernel_stacks;
  DeviceMappings<Format> devices;
  BackedArena<Format> arguments;     // ARGSBASE
  HeapPages<Format> argument_pages;  // what exec gathers arguments in
  FileWindows<Format> file_windows;  // segmap
  Arena io_addresses;                // segzio: see io_buffers.hpp
  Arena guest_addresses;             // segkvmm: see guest_memory.hpp
  BackedArena<Format> core_heap;
  BackedArena<Format> heap_text;  // written by whoever loads a module, then executable instead
};

// Those of the running kernel.
[[nodiscard]] Regions& regions();

}  // namespace vellum::kernel
