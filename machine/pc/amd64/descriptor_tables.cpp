// Formats: [intel/vol3 3.4.5] segment, [intel/vol3 7.2.3] 64-bit TSS descriptor, [intel/vol3 7.7] 64-bit TSS,
// [intel/vol3 6.14.1] 64-bit gate.
#include <cstddef>

#include <vellum/pc/arch.hpp>
#include <vellum/pc/descriptor_tables.hpp>
#include <vellum/pc/instructions.hpp>

namespace vellum::pc {

namespace {

struct [[gnu::packed]] TaskState {
  std::uint32_t reserved0;
  std::uint64_t kernel_stack;  // RSP0: where the stack pointer goes on a trap from user mode
  std::uint64_t unused_stacks[2];
  std::uint64_t reserved1;
  std::uint64_t interrupt_stacks[7];
  std::uint64_t reserved2;
  std::uint16_t reserved3;
  std::uint16_t io_map_offset;
};
static_assert(sizeof(TaskState) == 104 && offsetof(TaskState, interrupt_stacks) == 36);

struct Gate {
  std::uint16_t offset_low;
  std::uint16_t selector;
  std::uint8_t interrupt_stack;  // 0: none
  std::uint8_t type;
  std::uint16_t offset_middle;
  std::uint32_t offset_high;
  std::uint32_t reserved;
};
static_assert(sizeof(Gate) == 16);

struct [[gnu::packed]] TableRegister {
  std::uint16_t limit;
  std::uint64_t base;
};

constexpr std::uint16_t kTaskSelector = 0x30;
constexpr unsigned kDoubleFault = 8;
constexpr std::uint8_t kDoubleFaultStack = 1;
constexpr std::uint8_t kInterruptGate = 0x8E;
constexpr std::uint8_t kUserLevel = 3 << 5;

// Present, accessed, of the level and kind named.
constinit std::uint64_t global_table[] = {
    0,
    0x00209B0000000000,  // kernel code, 64-bit
    0x0000930000000000,  // kernel data
    0,                   // 32-bit user code
    0x0000F30000000000,  // user data
    0x0020FB0000000000,  // user code, 64-bit
    0,                   // task state, low half
    0,                   // task state, high half
};
constinit Gate gates[256] = {};
alignas(16) constinit std::byte double_fault_stack[8192] = {};

}  // namespace

// Named by user_mode.S too.
extern "C" {
constinit TaskState vellum_task_state{};
extern const char vellum_trap_stubs[];
}

namespace {

constexpr unsigned kTrapStubSize = 16;

void fill_task_state() {
  vellum_task_state.interrupt_stacks[kDoubleFaultStack - 1] =
      reinterpret_cast<std::uint64_t>(double_fault_stack + sizeof(double_fault_stack));
  vellum_task_state.io_map_offset = sizeof(TaskState);
  const auto base = reinterpret_cast<std::uint64_t>(&vellum_task_state);
  global_table[kTaskSelector / 8] =
      (sizeof(TaskState) - 1) | (base & 0xFFFFFF) << 16 | std::uint64_t{0x89} << 40 | (base >> 24 & 0xFF) << 56;
  global_table[kTaskSelector / 8 + 1] = base >> 32;
}

void fill_gates() {
  for (unsigned vector = 0; vector < 256; ++vector) {
    const auto stub = reinterpret_cast<std::uint64_t>(vellum_trap_stubs + vector * kTrapStubSize);
    gates[vector] = {
        .offset_low = static_cast<std::uint16_t>(stub),
        .selector = kKernelCode,
        .interrupt_stack = vector == kDoubleFault ? kDoubleFaultStack : std::uint8_t{0},
        .type = static_cast<std::uint8_t>(kInterruptGate | (vector == kUserCallVector ? kUserLevel : 0)),
        .offset_middle = static_cast<std::uint16_t>(stub >> 16),
        .offset_high = static_cast<std::uint32_t>(stub >> 32),
        .reserved = 0,
    };
  }
}

}  // namespace

void load_descriptor_tables() {
  fill_task_state();
  fill_gates();
  const TableRegister global{sizeof(global_table) - 1, reinterpret_cast<std::uint64_t>(global_table)};
  const TableRegister interrupts{sizeof(gates) - 1, reinterpret_cast<std::uint64_t>(gates)};
  asm volatile(
      "lgdt %0\n\t"
      "pushq %2\n\t"
      "leaq 1f(%%rip), %%rax\n\t"
      "pushq %%rax\n\t"
      "lretq\n"
      "1:\n\t"
      "movl %k3, %%eax\n\t"
      "movl %%eax, %%ds\n\t"
      "movl %%eax, %%es\n\t"
      "movl %%eax, %%ss\n\t"
      "xorl %%eax, %%eax\n\t"
      "movl %%eax, %%fs\n\t"
      "movl %%eax, %%gs\n\t"
      "ltr %4\n\t"
      "lidt %1"
      :
      : "m"(global), "m"(interrupts), "i"(kKernelCode), "i"(kKernelData), "r"(kTaskSelector)
      : "rax", "memory");
}

}  // namespace vellum::pc
