// Formats: [intel/vol3 3.4.5] segment, [intel/vol3 7.2.1] TSS, [intel/vol3 6.11] gate.
#include <cstddef>

#include <vellum/pc/arch.hpp>
#include <vellum/pc/descriptor_tables.hpp>
#include <vellum/pc/instructions.hpp>

namespace vellum::pc {

namespace {

struct TaskState {
  std::uint32_t previous_task;
  std::uint32_t kernel_stack;  // ESP0: where the stack pointer goes on a trap from user mode
  std::uint32_t kernel_stack_segment;
  std::uint32_t unused[22];  // what a task switch would save
  std::uint16_t trap;
  std::uint16_t io_map_offset;
};
static_assert(sizeof(TaskState) == 104);

struct Gate {
  std::uint16_t offset_low;
  std::uint16_t selector;
  std::uint8_t reserved;
  std::uint8_t type;
  std::uint16_t offset_high;
};
static_assert(sizeof(Gate) == 8);

struct [[gnu::packed]] TableRegister {
  std::uint16_t limit;
  std::uint32_t base;
};

constexpr std::uint16_t kTaskSelector = 0x28;
constexpr std::uint8_t kInterruptGate = 0x8E;
constexpr std::uint8_t kUserLevel = 3 << 5;

// Present, accessed, flat 4 GB, of the level and kind named.
constinit std::uint64_t global_table[] = {
    0,
    0x00CF9B000000FFFF,  // kernel code
    0x00CF93000000FFFF,  // kernel data
    0x00CFFB000000FFFF,  // user code
    0x00CFF3000000FFFF,  // user data
    0,                   // task state
};
constinit Gate gates[256] = {};

}  // namespace

// Named by user_mode.S too.
extern "C" {
constinit TaskState vellum_task_state{};
extern const char vellum_trap_stubs[];
}

namespace {

constexpr unsigned kTrapStubSize = 16;

void fill_task_state() {
  vellum_task_state.kernel_stack_segment = kKernelData;
  vellum_task_state.io_map_offset = sizeof(TaskState);
  const std::uint64_t base = reinterpret_cast<std::uintptr_t>(&vellum_task_state);
  global_table[kTaskSelector / 8] =
      (sizeof(TaskState) - 1) | (base & 0xFFFFFF) << 16 | std::uint64_t{0x89} << 40 | (base >> 24) << 56;
}

void fill_gates() {
  for (unsigned vector = 0; vector < 256; ++vector) {
    const auto stub = reinterpret_cast<std::uintptr_t>(vellum_trap_stubs + vector * kTrapStubSize);
    gates[vector] = {
        .offset_low = static_cast<std::uint16_t>(stub),
        .selector = kKernelCode,
        .reserved = 0,
        .type = static_cast<std::uint8_t>(kInterruptGate | (vector == kUserCallVector ? kUserLevel : 0)),
        .offset_high = static_cast<std::uint16_t>(stub >> 16),
    };
  }
}

}  // namespace

void load_descriptor_tables() {
  fill_task_state();
  fill_gates();
  const TableRegister global{sizeof(global_table) - 1, reinterpret_cast<std::uintptr_t>(global_table)};
  const TableRegister interrupts{sizeof(gates) - 1, reinterpret_cast<std::uintptr_t>(gates)};
  asm volatile(
      "lgdt %0\n\t"
      "ljmp %2, $1f\n"
      "1:\n\t"
      "movl %3, %%eax\n\t"
      "movl %%eax, %%ds\n\t"
      "movl %%eax, %%es\n\t"
      "movl %%eax, %%fs\n\t"
      "movl %%eax, %%gs\n\t"
      "movl %%eax, %%ss\n\t"
      "ltr %4\n\t"
      "lidt %1"
      :
      : "m"(global), "m"(interrupts), "i"(kKernelCode), "i"(kKernelData), "r"(kTaskSelector)
      : "eax", "memory");
}

}  // namespace vellum::pc
