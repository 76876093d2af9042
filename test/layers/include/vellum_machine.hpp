// The machine against which each layer is compiled alone (cmake/VellumLayers.cmake): the porting example, so that the
// core needs no more of a machine than the port says.
#pragma once

#include <vellum/base/example_machine.hpp>

namespace vellum {
using Machine = example::Machine;
}

#define VELLUM_MACHINE_FORMATS(X) X(Amd64) X(I386Pae)
