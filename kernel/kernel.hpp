// The running kernel: the core's parts, put together on this machine.
#pragma once

#include <vellum/arena/physical_page_source.hpp>
#include <vellum/base/machine.hpp>
#include <vellum/pc/cpu_features.hpp>
#include <vellum/phys/physical_memory.hpp>
#include <vellum/space/space.hpp>

#include "kernel_tables.hpp"

namespace vellum::kernel {

struct Kernel {
  Kernel(Machine& its_machine, const pc::CpuFeatures& its_features, PhysicalMemory& its_memory)
      : machine(its_machine),
        features(its_features),
        memory(its_memory),
        source(its_memory),
        virtual_memory(its_memory, source, MeaningPlacement::highest),
        tables(virtual_memory.nodes) {}

  Machine& machine;
  const pc::CpuFeatures features;
  PhysicalMemory& memory;
  PhysicalPageSource source;
  VirtualMemory<HardwareFormat> virtual_memory;
  KernelTables tables;
};

}  // namespace vellum::kernel
