#include "attempt.hpp"

#include <cstring>
#include <vector>

#include "../support/memory.hpp"

namespace guest {

const std::vector<WildPointer>& wild_pointers() {
  static const std::vector<WildPointer> all = [] {
    // Kept free by a mapping that nothing may use, then given back.
    char* pages = map(4 * kPage);
    munmap(pages + 2 * kPage, kPage);
    mprotect(pages, 2 * kPage, PROT_NONE);
    return std::vector<WildPointer>{
        {"null", 0},
        {"1", 1},
        {"a small number", 0x1000},
        {"unmapped", value_of(pages) + 2 * kPage},
        {"without rights", value_of(pages) + kPage},
        {"last byte below the hole", 0x0000'7FFF'FFFF'FFFF},
        {"first byte of the hole", 0x0000'8000'0000'0000},
        {"within the hole", 0x1234'5678'9ABC'DEF0},
        {"last byte of the hole", 0xFFFF'7FFF'FFFF'FFFF},
        {"USERLIMIT", kUserLimit},
        {"red zone", 0xFFFF'FC80'0000'0000},
        {"direct map", 0xFFFF'FD00'0010'0000},
        {"page descriptors", 0xFFFF'FE00'0000'0000},
        {"kernel heap", 0xFFFF'FFFF'8000'0000},
        {"kernel text", 0xFFFF'FFFF'FB80'0000},
        {"kernel data", 0xFFFF'FFFF'FBC0'0000},
        {"last page", 0xFFFF'FFFF'FFFF'F000},
        {"last word", 0xFFFF'FFFF'FFFF'FFF8},
        {"last byte", 0xFFFF'FFFF'FFFF'FFFF},
    };
  }();
  return all;
}

namespace {

std::string name_of_signal(int signal) {
  const char* name = sigabbrev_np(signal);
  return name != nullptr ? std::string("SIG") + name : "signal " + std::to_string(signal);
}

}  // namespace

std::string name_of(const Fault& fault) { return fault.signal == 0 ? "nothing" : name_of_signal(fault.signal); }

std::string name_of_end(int status) {
  return WIFSIGNALED(status) ? name_of_signal(WTERMSIG(status)) : "exit " + std::to_string(WEXITSTATUS(status));
}

long raw_call(long number, std::uintptr_t a, std::uintptr_t b, std::uintptr_t c, std::uintptr_t d, std::uintptr_t e,
              std::uintptr_t f) {
  long result = number;
  register std::uintptr_t r10 asm("r10") = d;
  register std::uintptr_t r8 asm("r8") = e;
  register std::uintptr_t r9 asm("r9") = f;
  asm volatile("syscall" : "+a"(result) : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
  return result;
}

std::string name_of_result(long result) {
  if (result >= 0 || result < -4095) {
    return std::to_string(result);
  }
  const char* name = strerrorname_np(static_cast<int>(-result));
  return name != nullptr ? name : std::to_string(result);
}

}  // namespace guest
