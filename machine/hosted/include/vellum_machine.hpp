// Names the machine of a hosted build (see <vellum/base/machine_port.hpp>).
#pragma once

#include <vellum/hosted/machine.hpp>

namespace vellum {
using Machine = hosted::Machine;
}

#define VELLUM_MACHINE_FORMATS(X) X(Amd64) X(I386Pae) X(ToyNarrow) X(ToyDeep)
