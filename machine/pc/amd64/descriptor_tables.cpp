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
constexpr std::uint16_t kLocalTableSelector = 0x40;
constexpr unsigned kDoubleFault = 8;
constexpr std::uint8_t kDoubleFaultStack = 1;
constexpr std::uint8_t kInterruptGate = 0x8E;
constexpr std::uint8_t kUserLevel = 3 << 5;
constexpr std::uint8_t kAvailableTask = 0x89;
constexpr std::uint8_t kLocalTable = 0x82;

// Present, accessed, of the level and kind named. In the image, this and the gates lie among the constants: they are
// filled while the boot stub's tables, which deny nothing, are on.
[[gnu::section(".tables")]] alignas(kPageSize) constinit std::uint64_t global_table[kPageSize / 8] = {
    0,
    0x00209B0000000000,  // kernel code, 64-bit
    0x0000930000000000,  // kernel data
    0,                   // 32-bit user code
    0x0000F30000000000,  // user data
    0x0020FB0000000000,  // user code, 64-bit
    0,                   // task state, low half
    0,                   // task state, high half
    0,                   // local table, low half
    0,                   // local table, high half
};
constexpr std::uint16_t kGlobalTableSize = 10 * 8;
[[gnu::section(".tables")]] alignas(kPageSize) constinit Gate gates[256] = {};
static_assert(sizeof(gates) == kPageSize);
alignas(16) constinit std::byte double_fault_stack[8192] = {};

}  // namespace

// Named by user_mode.S too.
extern "C" {
alignas(kPageSize) constinit TaskState vellum_task_state{};
extern const char vellum_trap_stubs[];
}

namespace {

constexpr unsigned kTrapStubSize = 16;

// A system segment's descriptor takes two entries [intel/vol3 7.2.3].
void describe(std::uint16_t selector, std::uint8_t type, std::uint64_t base, std::uint32_t limit) {
  global_table[selector / 8] = limit | (base & 0xFFFFFF) << 16 | std::uint64_t{type} << 40 | (base >> 24 & 0xFF) << 56;
  global_table[selector / 8 + 1] = base >> 32;
}

void fill_task_state() {
  vellum_task_state.interrupt_stacks[kDoubleFaultStack - 1] =
      reinterpret_cast<std::uint64_t>(double_fault_stack + sizeof(double_fault_stack));
  vellum_task_state.io_map_offset = sizeof(TaskState);
  describe(kTaskSelector, kAvailableTask, reinterpret_cast<std::uint64_t>(&vellum_task_state), sizeof(TaskState) - 1);
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
  const TableRegister global{kGlobalTableSize - 1, reinterpret_cast<std::uint64_t>(global_table)};
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

DescriptorPages descriptor_pages() {
  return {.global_table = VirtAddr(reinterpret_cast<std::uint64_t>(global_table)),
          .gates = VirtAddr(reinterpret_cast<std::uint64_t>(gates)),
          .task_state = VirtAddr(reinterpret_cast<std::uint64_t>(&vellum_task_state))};
}

void prepare_descriptor_tables_at(const DescriptorAddresses& addresses) {
  vellum_task_state.interrupt_stacks[kDoubleFaultStack - 1] = addresses.double_fault_stack_top.value();
  describe(kTaskSelector, kAvailableTask, addresses.task_state.value(), sizeof(TaskState) - 1);
  describe(kLocalTableSelector, kLocalTable, addresses.local_table.start().value(),
           static_cast<std::uint32_t>(addresses.local_table.size().value() - 1));
  // Marks the descriptor busy, for which the table must be writable; what it describes is not touched before a trap.
  asm volatile("ltr %0" : : "r"(kTaskSelector) : "memory");
}

void use_descriptor_tables_at(const DescriptorAddresses& addresses) {
  const TableRegister global{kGlobalTableSize - 1, addresses.global_table.value()};
  const TableRegister interrupts{sizeof(gates) - 1, addresses.gates.value()};
  asm volatile(
      "lgdt %0\n\t"
      "lidt %1\n\t"
      "lldt %2"
      :
      : "m"(global), "m"(interrupts), "r"(kLocalTableSelector)
      : "memory");
}

}  // namespace vellum::pc
