// The start of a run as the kernel is told it.
#pragma once

#include <string>
#include <vector>

#include "run/options.hpp"

namespace vellum::tool {

// The content of the start frame. `path` is the program's file; the environment is whole.
[[nodiscard]] std::string start_texts(const RunOptions& options, const std::string& path,
                                      const std::vector<std::string>& environment);

}  // namespace vellum::tool
