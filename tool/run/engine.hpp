// Whether QEMU emulates the processor or KVM runs on the host's.
#pragma once

#include <string>

#include "run/options.hpp"

namespace vellum::tool {

[[nodiscard]] Engine choose_engine(Engine wanted, const std::string& kernel);

}  // namespace vellum::tool
