// The program as the one that a case runs by exec.
#pragma once

#include <cstdint>

namespace guest {

// Where threads of the program before wrote.
inline constexpr std::uintptr_t kExecPage = 0x7000'0000;

// Where the environment names a role, plays it and does not return.
//   after_exec: maps the page at kExecPage and ends with 0 if nobody writes to it
void play_role();
// Runs this program in the role, in place of the calling one.
[[noreturn]] void execute_role(const char* role);

}  // namespace guest
