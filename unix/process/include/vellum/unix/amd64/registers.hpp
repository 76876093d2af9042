// The registers of a 64-bit program while the kernel works for it, as the kernel's entry code leaves them on the
// thread's kernel stack (lowest address first).
#pragma once

#include <cstdint>

namespace vellum::unix {

struct UserRegisters {
  std::uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
  std::uint64_t rbp, rdi, rsi, rdx, rcx, rbx, rax;
  // Why the kernel was entered: a trap's vector and error code; or kSystemCall and the call's number, which a restart
  // of the call puts back into rax.
  std::uint64_t vector, error_code;
  std::uint64_t rip, cs, rflags, rsp, ss;

  static constexpr std::uint64_t kSystemCall = 256;
  // What user mode has.
  static constexpr std::uint64_t kCodeSelector = 0x2B;
  static constexpr std::uint64_t kDataSelector = 0x23;
  static constexpr std::uint64_t kInitialFlags = 0x202;  // interrupts on
  [[nodiscard]] bool in_system_call() const { return vector == kSystemCall; }
};
static_assert(sizeof(UserRegisters) == 22 * 8);

}  // namespace vellum::unix
