// Compiles a template for every format of this build's machine, in the one .cpp file that defines it:
//
//   #define VELLUM_COMPILE(F) template class Cursor<F>;
//   VELLUM_FOR_EACH_FORMAT(VELLUM_COMPILE)
#pragma once

#include <vellum/base/machine.hpp>
#include <vellum/pagetable/formats.hpp>

#define VELLUM_FOR_EACH_FORMAT(X) VELLUM_MACHINE_FORMATS(X)
