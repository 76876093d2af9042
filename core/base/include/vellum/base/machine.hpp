// The machine that this build of the core is compiled for: `Machine`, which fills the port of machine_port.hpp.
#pragma once

#include <vellum/base/machine_port.hpp>
#include <vellum_machine.hpp>

static_assert(vellum::MachinePort<vellum::Machine>);
