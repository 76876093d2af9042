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
constexpr std::uint8_t kAvailableTask = 0x89;
constexpr std::uint8_t kLocalTable = 0x82;

// Traps that may come where the stack or GS are not the kernel's: each has a stack of its own (trap.S, careful_trap).
constexpr unsigned kOwnStacks = 4;
constexpr unsigned kDebug = 1;
constexpr unsigned kNonMaskable = 2;
constexpr unsigned kBreakpoint = 3;
constexpr unsigned kOverflow = 4;
constexpr unsigned kDoubleFault = 8;
constexpr unsigned kMachineCheck = 18;
constexpr std::uint8_t own_stack_of(unsigned vector) {  // 0: none
  return vector == kDoubleFault    ? 1
         : vector == kNonMaskable  ? 2
         : vector == kDebug        ? 3
         : vector == kMachineCheck ? 4
                                   : 0;
}
// Those that instructions raise which a program may use.
constexpr bool program_may_raise(unsigned vector) {
  return vector == kBreakpoint || vector == kOverflow || vector == kUserCallVector;
}
constexpr std::uint8_t kInterruptGate = 0x8E;
constexpr std::uint8_t kUserLevel = 3 << 5;

// Present, accessed, of the level and kind named.
// This table, the gates and the task state each have pages of their own, which the kernel shows at the layout's
// addresses too. In the image the first two lie among the constants: they are filled while the boot stub's tables,
// which deny nothing, are on.
constexpr unsigned kGlobalEntries = 10;
[[gnu::section(".tables")]] alignas(kPageSize) constinit std::uint64_t
    global_table[kPageSize / sizeof(std::uint64_t)] = {
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
[[gnu::section(".tables")]] alignas(kPageSize) constinit Gate gates[256] = {};
static_assert(sizeof(gates) == kPageSize);
alignas(kPageSize) constinit std::byte own_stacks[kOwnStacks][CpuBlock::kTrapStack] = {};
static_assert(sizeof(CpuBlock::trap_stacks) == sizeof(own_stacks));

}  // namespace

// Named by user_mode.S too.
extern "C" {
struct alignas(kPageSize) TaskPage {
  TaskState state;
};
constinit TaskPage vellum_task_state{};
extern const char vellum_trap_stubs[];
extern const char vellum_isolated_trap_stubs[];
}

namespace {

constexpr unsigned kTrapStubSize = 16;
constexpr std::uint16_t kGlobalTableLimit = kGlobalEntries * sizeof(std::uint64_t) - 1;

// Where the kernel's own tables show the gates.
constinit VirtAddr gates_in_use{0};

// A system descriptor of two entries.
void describe(std::uint64_t* table, std::uint16_t selector, std::uint8_t type, std::uint64_t base, std::uint64_t size) {
  const std::uint64_t limit = size - 1;
  table[selector / 8] = (limit & 0xFFFF) | (base & 0xFFFFFF) << 16 | std::uint64_t{type} << 40 |
                        (limit >> 16 & 0xF) << 48 | (base >> 24 & 0xFF) << 56;
  table[selector / 8 + 1] = base >> 32;
}

void fill_task_state(TaskState& state, std::byte (*stacks)[CpuBlock::kTrapStack]) {
  for (unsigned i = 0; i < kOwnStacks; ++i) {
    state.interrupt_stacks[i] = reinterpret_cast<std::uint64_t>(stacks[i] + CpuBlock::kTrapStack);
  }
  state.io_map_offset = sizeof(TaskState);
}

void load(const TableRegister& global, const TableRegister& interrupts) {
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
      "ltr %4\n\t"
      "lidt %1"
      :
      : "m"(global), "m"(interrupts), "i"(kKernelCode), "i"(kKernelData), "r"(kTaskSelector)
      : "rax", "memory");
}

void fill_gates(const char* stubs) {
  for (unsigned vector = 0; vector < 256; ++vector) {
    const auto stub = reinterpret_cast<std::uint64_t>(stubs + vector * kTrapStubSize);
    gates[vector] = {
        .offset_low = static_cast<std::uint16_t>(stub),
        .selector = kKernelCode,
        .interrupt_stack = own_stack_of(vector),
        .type = static_cast<std::uint8_t>(kInterruptGate | (program_may_raise(vector) ? kUserLevel : 0)),
        .offset_middle = static_cast<std::uint16_t>(stub >> 16),
        .offset_high = static_cast<std::uint32_t>(stub >> 32),
        .reserved = 0,
    };
  }
}

}  // namespace

void load_descriptor_tables() {
  fill_task_state(vellum_task_state.state, own_stacks);
  describe(global_table, kTaskSelector, kAvailableTask, reinterpret_cast<std::uint64_t>(&vellum_task_state),
           sizeof(TaskState));
  fill_gates(vellum_trap_stubs);
  boot_cpu.task_state = reinterpret_cast<std::byte*>(&vellum_task_state);
  load({kGlobalTableLimit, reinterpret_cast<std::uint64_t>(global_table)},
       {sizeof(gates) - 1, reinterpret_cast<std::uint64_t>(gates)});
}

void load_descriptor_tables(CpuBlock& block) {
  for (unsigned i = 0; i < kGlobalEntries; ++i) {
    block.global_table[i] = global_table[i];
  }
  fill_task_state(*reinterpret_cast<TaskState*>(block.task_state), block.trap_stacks);
  describe(block.global_table, kTaskSelector, kAvailableTask, reinterpret_cast<std::uint64_t>(block.task_state),
           sizeof(TaskState));
  load({kGlobalTableLimit, reinterpret_cast<std::uint64_t>(block.global_table)},
       {sizeof(gates) - 1, gates_in_use.value()});
  asm volatile("lldt %0" : : "r"(kLocalTableSelector) : "memory");
}

DescriptorTables descriptor_tables() {
  const auto address = [](const void* table) { return VirtAddr(reinterpret_cast<std::uint64_t>(table)); };
  return {.global = address(global_table), .interrupts = address(gates), .task_state = address(&vellum_task_state)};
}

VirtRange own_trap_stacks() {
  const auto& state = *reinterpret_cast<const TaskState*>(this_cpu().task_state);
  const VirtAddr end(state.interrupt_stacks[kOwnStacks - 1]);
  return VirtRange::must(end - ByteCount(sizeof(own_stacks)), ByteCount(sizeof(own_stacks)));
}

void use_isolated_gates() { fill_gates(vellum_isolated_trap_stubs); }

void prepare_descriptor_tables(const DescriptorTables& to, VirtRange local, VirtAddr double_fault_stack_top) {
  vellum_task_state.state.interrupt_stacks[own_stack_of(kDoubleFault) - 1] = double_fault_stack_top.value();
  describe(global_table, kTaskSelector, kAvailableTask, to.task_state.value(), sizeof(TaskState));
  describe(global_table, kLocalTableSelector, kLocalTable, local.start().value(), local.size().value());
  // Marks the descriptor busy, for which the table must be writable; what it describes is not touched before a trap.
  asm volatile("ltr %0" : : "r"(kTaskSelector) : "memory");
}

void use_descriptor_tables(const DescriptorTables& at) {
  gates_in_use = at.interrupts;
  const TableRegister global{kGlobalTableLimit, at.global.value()};
  const TableRegister interrupts{sizeof(gates) - 1, at.interrupts.value()};
  asm volatile("lgdt %0; lidt %1; lldt %2" : : "m"(global), "m"(interrupts), "r"(kLocalTableSelector) : "memory");
}

}  // namespace vellum::pc
