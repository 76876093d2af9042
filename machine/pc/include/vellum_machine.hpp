// Names the machine that the core is compiled for in a kernel build: a PC.
#pragma once

#include <vellum/pc/machine.hpp>

namespace vellum {
using Machine = pc::Machine;
}

#if defined(__x86_64__)
#define VELLUM_MACHINE_FORMATS(X) X(Amd64)
#else
#define VELLUM_MACHINE_FORMATS(X) X(I386Pae)
#endif
