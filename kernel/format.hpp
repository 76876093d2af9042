// The page-table format of the processor that the kernel is built for.
#pragma once

#include <vellum/base/machine.hpp>
#include <vellum/pagetable/formats.hpp>

namespace vellum::kernel {

#define VELLUM_HARDWARE_FORMAT(F) using HardwareFormat = F;
VELLUM_MACHINE_FORMATS(VELLUM_HARDWARE_FORMAT)
#undef VELLUM_HARDWARE_FORMAT

}  // namespace vellum::kernel
