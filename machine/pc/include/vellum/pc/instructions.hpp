// The privileged instructions, one function each, under names that say what they do. What is the same on both
// processors is here; Word is a general register. [intel/vol2] describes each instruction.
#pragma once

#include <cstdint>

namespace vellum::pc {

using Word = std::uintptr_t;

inline void out8(std::uint16_t port, std::uint8_t value) { asm volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }
inline void out16(std::uint16_t port, std::uint16_t value) { asm volatile("outw %0, %1" : : "a"(value), "Nd"(port)); }
[[nodiscard]] inline std::uint8_t in8(std::uint16_t port) {
  std::uint8_t value;
  asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

// Control registers [intel/vol3 2.5].
namespace cr0 {
inline constexpr Word kMonitorCoprocessor = Word{1} << 1;
inline constexpr Word kEmulateCoprocessor = Word{1} << 2;
inline constexpr Word kNumericErrors = Word{1} << 5;
inline constexpr Word kWriteProtect = Word{1} << 16;
}  // namespace cr0
namespace cr4 {
inline constexpr Word kGlobalPages = Word{1} << 7;
inline constexpr Word kFxsave = Word{1} << 9;             // SSE, FXSAVE
inline constexpr Word kVectorExceptions = Word{1} << 10;  // #XM
inline constexpr Word kXsave = Word{1} << 18;
inline constexpr Word kUserInstructionPrevention = Word{1} << 11;
inline constexpr Word kSupervisorExecutionPrevention = Word{1} << 20;
inline constexpr Word kSupervisorAccessPrevention = Word{1} << 21;
}  // namespace cr4

#define VELLUM_CONTROL_REGISTER(name)                               \
  [[nodiscard]] inline Word read_##name() {                         \
    Word value;                                                     \
    asm volatile("mov %%" #name ", %0" : "=r"(value) : : "memory"); \
    return value;                                                   \
  }                                                                 \
  inline void write_##name(Word value) { asm volatile("mov %0, %%" #name : : "r"(value) : "memory"); }
VELLUM_CONTROL_REGISTER(cr0)
VELLUM_CONTROL_REGISTER(cr2)
VELLUM_CONTROL_REGISTER(cr3)
VELLUM_CONTROL_REGISTER(cr4)
#undef VELLUM_CONTROL_REGISTER

// Model-specific registers [intel/vol4].
namespace msr {
inline constexpr std::uint32_t kExtendedFeatures = 0xC0000080;  // IA32_EFER
inline constexpr std::uint64_t kEferSystemCall = 1;             // SYSCALL and SYSRET
inline constexpr std::uint64_t kEferNoExecute = std::uint64_t{1} << 11;
inline constexpr std::uint32_t kSystemCallSelectors = 0xC0000081;  // IA32_STAR
inline constexpr std::uint32_t kSystemCallEntry = 0xC0000082;      // IA32_LSTAR
inline constexpr std::uint32_t kSystemCallFlagMask = 0xC0000084;   // IA32_FMASK
inline constexpr std::uint32_t kFsBase = 0xC0000100;
inline constexpr std::uint32_t kGsBase = 0xC0000101;
inline constexpr std::uint32_t kOtherGsBase = 0xC0000102;  // what SWAPGS exchanges with it
inline constexpr std::uint32_t kLocalApicBase = 0x1B;
}  // namespace msr

[[nodiscard]] inline std::uint64_t read_msr(std::uint32_t number) {
  std::uint32_t low;
  std::uint32_t high;
  asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(number));
  return std::uint64_t{high} << 32 | low;
}
inline void write_msr(std::uint32_t number, std::uint64_t value) {
  asm volatile("wrmsr"
               :
               : "c"(number), "a"(static_cast<std::uint32_t>(value)), "d"(static_cast<std::uint32_t>(value >> 32)));
}

[[nodiscard]] inline std::uint64_t read_time_stamp() {
  std::uint32_t low;
  std::uint32_t high;
  asm volatile("rdtsc" : "=a"(low), "=d"(high));
  return std::uint64_t{high} << 32 | low;
}

struct CpuidLeaf {
  std::uint32_t eax, ebx, ecx, edx;
};
[[nodiscard]] inline CpuidLeaf cpuid(std::uint32_t leaf, std::uint32_t subleaf = 0) {
  CpuidLeaf answer;
  asm volatile("cpuid"
               : "=a"(answer.eax), "=b"(answer.ebx), "=c"(answer.ecx), "=d"(answer.edx)
               : "a"(leaf), "c"(subleaf));
  return answer;
}

inline void invalidate_page(Word address) { asm volatile("invlpg (%0)" : : "r"(address) : "memory"); }

inline void write_extended_control(std::uint32_t number, std::uint64_t value) {  // XCR0
  asm volatile("xsetbv"
               :
               : "c"(number), "a"(static_cast<std::uint32_t>(value)), "d"(static_cast<std::uint32_t>(value >> 32)));
}

// The registers of the descriptor tables [intel/vol2 SGDT, SIDT].
struct [[gnu::packed]] DescriptorTableRegister {
  std::uint16_t limit;
  Word base;
};
[[nodiscard]] inline DescriptorTableRegister read_global_table_register() {
  DescriptorTableRegister value;
  asm volatile("sgdt %0" : "=m"(value));
  return value;
}
[[nodiscard]] inline DescriptorTableRegister read_interrupt_table_register() {
  DescriptorTableRegister value;
  asm volatile("sidt %0" : "=m"(value));
  return value;
}

// The flags register.
inline constexpr Word kFlagReserved = Word{1} << 1;  // always set
inline constexpr Word kFlagInterrupts = Word{1} << 9;
[[nodiscard]] inline Word read_flags() {
  Word flags;
  asm volatile("pushf; pop %0" : "=r"(flags) : : "memory");
  return flags;
}
inline void disable_interrupts() { asm volatile("cli" : : : "memory"); }
inline void enable_interrupts() { asm volatile("sti" : : : "memory"); }
inline void wait_for_interrupt() { asm volatile("hlt" : : : "memory"); }
inline void pause() { asm volatile("pause"); }

// Opens and closes user memory to the kernel under SMAP: only where CpuFeatures::smap [intel/vol3 4.6.1].
inline void allow_user_access() { asm volatile("stac" : : : "memory"); }
inline void forbid_user_access() { asm volatile("clac" : : : "memory"); }

}  // namespace vellum::pc
