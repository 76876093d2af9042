// Where programs may have what: the rows of the user table, as processes want them.
#pragma once

#include <vellum/layout/region.hpp>
#include <vellum/unix/process_system.hpp>

namespace vellum::kernel {

// `model` is illumos or linux_low.
[[nodiscard]] unix::ProgramLayout program_layout(UserModel model);

}  // namespace vellum::kernel
