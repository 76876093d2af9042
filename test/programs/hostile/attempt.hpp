// What an attempt at something forbidden came to.
#pragma once

#include <string>

#include "../support/fault.hpp"
#include "../support/process.hpp"
#include "../support/test.hpp"

namespace guest {

// Addresses that no program may use, each wrong in its own way.
struct WildPointer {
  const char* name;
  std::uintptr_t address;
};
inline constexpr std::uintptr_t kUserLimit = 0xFFFF'FC7F'FFE0'0000;
// Null, small numbers, unmapped, the hole and its edges, the kernel's first and last byte, addresses that wrap around.
// Where `bytes` follow, an address near the end of what is mapped is among them too.
const std::vector<WildPointer>& wild_pointers();

// "SIGSEGV" for a signal, "nothing" for 0.
std::string name_of(const Fault& fault);
// The same for how a child ended: "exit 0", "SIGSEGV".
std::string name_of_end(int status);

// How a child ends that does this; the child has no handlers, and a time.
template <class Body>
int end_of(Body body) {
  return status_of(start_child([&] {
    for (const int signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP}) {
      std::signal(signal, SIG_DFL);
    }
    alarm(10);
    body();
    return 0;
  }));
}

// A system call as the processor sees it: the result, or minus the error.
long raw_call(long number, std::uintptr_t a = 0, std::uintptr_t b = 0, std::uintptr_t c = 0, std::uintptr_t d = 0,
              std::uintptr_t e = 0, std::uintptr_t f = 0);

// The name of what a raw call returned: "EFAULT", or the number.
std::string name_of_result(long result);

}  // namespace guest
