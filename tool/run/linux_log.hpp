// The line that Linux would write to its log.
#pragma once

#include <string>

#include "run/fault_record.hpp"

namespace vellum::tool {

// In the words of Linux 6.1 on x86-64; empty for what it does not log.
[[nodiscard]] std::string linux_log_line(const FaultRecord& fault);

}  // namespace vellum::tool
