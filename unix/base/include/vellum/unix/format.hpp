// The page-table format of the processor that programs run on: that of the machine, of which a kernel has one.
#pragma once

#include <vellum/pagetable/formats.hpp>

namespace vellum::unix {

#if defined(__i386__)
using Format = I386Pae;
#else
using Format = Amd64;
#endif

}  // namespace vellum::unix
