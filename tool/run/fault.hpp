// A fatal fault in words: what the program did, where, what lies there, and why it could not be.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "run/options.hpp"

namespace vellum::tool {

// Several lines, the first of which names the program. `fault` is a record of the kernel's.
[[nodiscard]] std::string explain_fault(const nlohmann::ordered_json& fault, const RunOptions& options);

}  // namespace vellum::tool
