// What Linux calls its system calls on x86-64, and errors.
#pragma once

#include <cstdint>

namespace vellum::unix {

// Null where there is no call of that number.
[[nodiscard]] const char* linux_call_name(std::uint64_t number);
// "ENOENT"; "?" for a number that is not an Errno.
[[nodiscard]] const char* errno_name(unsigned number);

}  // namespace vellum::unix
