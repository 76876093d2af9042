// The table of system calls, for docs/system-calls.md.
#pragma once

namespace vellum::kernel {

// A line for each call: its number, its name and how many arguments it has; then one for each argument whose values
// have names, `  argument N`, and one for each value, `    NAME VALUE remark`.
void list_system_calls();

}  // namespace vellum::kernel
