// Traps: what the processor does when it cannot go on, and when user code calls.
#pragma once

#include <vellum/base/prot.hpp>
#include <vellum/pc/arch.hpp>

namespace vellum::pc {

inline constexpr unsigned kDoubleFaultVector = 8;
inline constexpr unsigned kGeneralProtectionVector = 13;
inline constexpr unsigned kPageFaultVector = 14;

// Of a page fault [intel/vol3 6.15, "Interrupt 14"].
struct PageFault {
  VirtAddr address;
  Access access;
  Privilege privilege;
};

// Reads CR2: call it before anything else can fault.
[[nodiscard]] PageFault page_fault(const TrapFrame& frame);

// Called for every trap, on the interrupted CPU, with interrupts off. Implemented once in each kernel. Where it
// returns, the interrupted code goes on with the registers in `frame`.
void on_trap(TrapFrame& frame);

void print_registers(const TrapFrame& frame);

// Prints the registers and panics: for traps that nobody expected.
[[noreturn]] void panic_on_trap(const TrapFrame& frame);
// Panics with a report about the code that the trap interrupted (panic.cpp).
[[noreturn]] void panic_on_trap(const TrapFrame& frame, const char* what);

// Runs user code with the registers of `frame` until a trap handler calls leave_user(), which makes this return; traps
// whose handlers return are resumed. On the stack of the caller, which no other user code may use meanwhile.
void run_user(const TrapFrame& frame);
[[noreturn]] void leave_user();

}  // namespace vellum::pc
