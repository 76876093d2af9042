// The record of a run for machines: --report FILE.json (docs/run-records.md).
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "run/options.hpp"
#include "run/session.hpp"

namespace vellum::tool {

[[nodiscard]] nlohmann::ordered_json make_report(const RunOptions& options, const RunRecord& record,
                                                 const std::string& engine);

// False, and the reason on stderr, if the file could not be written.
bool write_report(const std::string& path, const nlohmann::ordered_json& report);

}  // namespace vellum::tool
