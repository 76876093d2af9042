// Catches the signals that an access causes, and tells what they said.
#pragma once

#include <csetjmp>
#include <csignal>
#include <cstdint>

namespace guest {

struct Fault {
  int signal = 0;  // 0: the access went well
  int code = 0;
  std::uintptr_t address = 0;      // si_addr
  std::uintptr_t instruction = 0;  // where it happened
  std::uintptr_t error = 0;        // the processor's error code
  std::uintptr_t trap = 0;         // and the number of the exception
};

namespace fault_detail {
extern thread_local sigjmp_buf point;
extern thread_local volatile bool armed;
extern thread_local Fault last;
void prepare();
}  // namespace fault_detail

// Runs `access` and catches SIGSEGV, SIGBUS, SIGILL, SIGFPE and SIGTRAP. The handlers run on a stack of their own.
template <class Access>
[[nodiscard]] Fault fault_of(Access access) {
  fault_detail::prepare();
  fault_detail::last = {};
  if (sigsetjmp(fault_detail::point, 1) == 0) {
    fault_detail::armed = true;
    access();
  }
  fault_detail::armed = false;
  return fault_detail::last;
}

[[nodiscard]] Fault read_fault(std::uintptr_t address);
[[nodiscard]] Fault write_fault(std::uintptr_t address);
[[nodiscard]] Fault execute_fault(std::uintptr_t address);

template <class T>
[[nodiscard]] Fault read_fault(T* address) {
  return read_fault(reinterpret_cast<std::uintptr_t>(address));
}
template <class T>
[[nodiscard]] Fault write_fault(T* address) {
  return write_fault(reinterpret_cast<std::uintptr_t>(address));
}
template <class T>
[[nodiscard]] Fault execute_fault(T* address) {
  return execute_fault(reinterpret_cast<std::uintptr_t>(address));
}

[[nodiscard]] inline std::uintptr_t address_of(std::uintptr_t address) { return address; }
[[nodiscard]] inline std::uintptr_t address_of(const void* address) {
  return reinterpret_cast<std::uintptr_t>(address);
}
void expect_fault(const Fault& got, int signal, int code, std::uintptr_t address, const char* text, const char* file,
                  int line);

}  // namespace guest

// The access fails with the signal, its code, and exactly that address.
#define EXPECT_FAULT(got, signal, code, address) \
  guest::expect_fault((got), (signal), (code), guest::address_of(address), #got, __FILE__, __LINE__)
