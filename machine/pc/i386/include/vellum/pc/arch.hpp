// The 32-bit processor: where the kernel lies, and what a trap leaves on the stack.
#pragma once

#include <cstdint>

#include <vellum/base/types.hpp>

namespace vellum::pc {

inline constexpr const char* kArchName = "i386";

// Physical memory is mapped linearly in the kernel heap's range; memory beyond is left out.
inline constexpr VirtAddr kBootDirectMap{0xD0000000};
[[nodiscard]] constexpr VirtAddr direct_map() { return kBootDirectMap; }
inline constexpr ByteCount kDirectMapSize{std::uint64_t{512} << 20};
inline constexpr ByteCount kBootDirectMapSize = kDirectMapSize;

// Entries of the root table that the processor reads only when CR3 is loaded.
inline constexpr unsigned kRootEntriesInRegisters = 4;

// Selectors of the global descriptor table.
inline constexpr std::uint16_t kKernelCode = 0x08;
inline constexpr std::uint16_t kKernelData = 0x10;
inline constexpr std::uint16_t kUserCode = 0x18 | 3;
inline constexpr std::uint16_t kUserData = 0x20 | 3;

// The registers of interrupted code as trap.S pushes them, lowest address first.
struct TrapFrame {
  std::uint32_t gs, fs, es, ds;
  std::uint32_t edi, esi, ebp, unused_esp, ebx, edx, ecx, eax;  // PUSHA
  std::uint32_t vector, error_code;
  // Pushed by the processor; the last two only where the privilege changed [intel/vol3 6.12.1].
  std::uint32_t eip, cs, eflags, esp, ss;

  [[nodiscard]] std::uint64_t instruction() const { return eip; }
  void set_instruction(VirtAddr address) { eip = static_cast<std::uint32_t>(address.value()); }
  [[nodiscard]] bool from_user() const { return (cs & 3) == 3; }
  [[nodiscard]] std::uint64_t result() const { return eax; }

  // Code that starts at `instruction` in user mode with two arguments in edi and esi and interrupts off.
  [[nodiscard]] static constexpr TrapFrame user(VirtAddr instruction, VirtAddr stack, std::uint64_t first,
                                                std::uint64_t second) {
    TrapFrame frame{};
    frame.eip = static_cast<std::uint32_t>(instruction.value());
    frame.esp = static_cast<std::uint32_t>(stack.value());
    frame.edi = static_cast<std::uint32_t>(first);
    frame.esi = static_cast<std::uint32_t>(second);
    frame.cs = kUserCode;
    frame.ss = kUserData;
    frame.ds = frame.es = frame.fs = frame.gs = kUserData;
    frame.eflags = 2;
    return frame;
  }
};
static_assert(sizeof(TrapFrame) == 19 * 4);

}  // namespace vellum::pc
