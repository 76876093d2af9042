// What a signal handler finds on its stack: Linux's rt_sigframe for x86-64, and above it the image of the vector
// registers.
#pragma once

#include <cstdint>

#include <vellum/unix/signal.hpp>
#include <vellum/unix/thread.hpp>

namespace vellum::unix {

// struct sigcontext.
struct SignalContext {
  std::uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
  std::uint64_t rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip;
  std::uint64_t rflags;
  std::uint16_t cs, gs, fs, ss;
  std::uint64_t error_code, trap, old_mask, fault_address;
  std::uint64_t vector_state;
  std::uint64_t reserved[8];
};
static_assert(sizeof(SignalContext) == 256);

struct SignalFrame {
  std::uint64_t return_address;
  // struct ucontext.
  std::uint64_t flags;
  std::uint64_t link;
  AlternateStack stack;
  SignalContext context;
  SignalSet mask;

  SignalInfo info;
};
static_assert(offsetof(SignalFrame, context) == 48 && offsetof(SignalFrame, mask) == 304 &&
              offsetof(SignalFrame, info) == 312 && sizeof(SignalFrame) == 440);

// How much of a stack the delivery of one signal takes at most (AT_MINSIGSTKSZ).
[[nodiscard]] std::uint64_t least_signal_stack();

}  // namespace vellum::unix
