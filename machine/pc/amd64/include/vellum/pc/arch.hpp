// The 64-bit processor: where the kernel lies, and what a trap leaves on the stack.
#pragma once

#include <cstdint>

#include <vellum/base/types.hpp>

namespace vellum::pc {

inline constexpr const char* kArchName = "amd64";

// Where the boot stub maps physical memory: SEGKPM_BASE on machines with up to 256 GB.
inline constexpr VirtAddr kBootDirectMap{0xFFFFFD0000000000};
// SEGKPM_BASE of this machine, from which on physical memory is mapped linearly. Set once, before anything keeps an
// address in it.
extern VirtAddr direct_map_base;
[[nodiscard]] inline VirtAddr direct_map() { return direct_map_base; }
// More than any layout has room for.
inline constexpr ByteCount kDirectMapSize{std::uint64_t{1} << 45};
// As far as the boot stub's tables map physical memory: until the kernel's own tables are on, nothing beyond is
// touched.
inline constexpr ByteCount kBootDirectMapSize{std::uint64_t{4} << 30};

// Entries of the root table that the processor reads only when CR3 is loaded.
inline constexpr unsigned kRootEntriesInRegisters = 0;

// Selectors of the global descriptor table. The order of the last three is what SYSRET expects [intel/vol2 SYSRET].
inline constexpr std::uint16_t kKernelCode = 0x08;
inline constexpr std::uint16_t kKernelData = 0x10;
inline constexpr std::uint16_t kUserData = 0x20 | 3;
inline constexpr std::uint16_t kUserCode = 0x28 | 3;

// The registers of interrupted code as trap.S pushes them, lowest address first.
struct TrapFrame {
  std::uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
  std::uint64_t rbp, rdi, rsi, rdx, rcx, rbx, rax;
  std::uint64_t vector, error_code;
  // Pushed by the processor [intel/vol3 6.14.2].
  std::uint64_t rip, cs, rflags, rsp, ss;

  [[nodiscard]] std::uint64_t instruction() const { return rip; }
  void set_instruction(VirtAddr address) { rip = static_cast<std::uint64_t>(address.value()); }
  [[nodiscard]] bool from_user() const { return (cs & 3) == 3; }
  [[nodiscard]] std::uint64_t result() const { return rax; }

  // Code that starts at `instruction` in user mode with two arguments in rdi and rsi and interrupts off.
  [[nodiscard]] static constexpr TrapFrame user(VirtAddr instruction, VirtAddr stack, std::uint64_t first,
                                                std::uint64_t second) {
    TrapFrame frame{};
    frame.rip = instruction.value();
    frame.rsp = stack.value();
    frame.rdi = first;
    frame.rsi = second;
    frame.cs = kUserCode;
    frame.ss = kUserData;
    frame.rflags = 2;
    return frame;
  }
};
static_assert(sizeof(TrapFrame) == 22 * 8);

}  // namespace vellum::pc
