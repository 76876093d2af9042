#include "kernel_context.hpp"

#include <vellum/pc/console.hpp>
#include <vellum/pc/descriptor_tables.hpp>
#include <vellum/pc/thread.hpp>

#include "layout.hpp"
#include "processor.hpp"

namespace vellum::kernel {

namespace {

struct ContextPart {
  VirtRange range;
  const char* reason;
};

constexpr unsigned kRootEntries = 512;
constexpr unsigned kRootShift = 39;
// Entries of the root for addresses below KERNELBASE: those of programs. The red zone has one, which is empty.
unsigned user_entries() {
  return static_cast<unsigned>(address_map().landmarks().kernelbase.value() >> kRootShift) % kRootEntries;
}

// Of each CPU.
constinit Node* user_roots[pc::kMostStartedCpus] = {};
Node& user_root() { return *user_roots[pc::this_cpu().index.value()]; }

VirtRange page_at(VirtAddr address) { return VirtRange::must(address.page(), ByteCount(kPageSize)); }

VirtAddr task_state_address() {
  constexpr unsigned kTaskDescriptor = 0x30 / 8;
  const auto* const table = reinterpret_cast<const std::uint64_t*>(pc::read_global_table_register().base);
  const std::uint64_t low = table[kTaskDescriptor];
  return VirtAddr((low >> 16 & 0xFFFFFF) | (low >> 56 & 0xFF) << 24 | table[kTaskDescriptor + 1] << 32);
}

// The boot CPU's; another has it among its trap stacks.
VirtRange double_fault_stack() {
  return &pc::this_cpu() == &pc::boot_cpu ? page_at(region(RegionId::double_fault_tss).start()) : VirtRange();
}

// What is mapped, and why; everything else of the kernel is not.
template <class Visitor>
void for_each_part(Visitor visit) {
  const ContextPart parts[] = {
      {pc::entry_text(), "the instructions that enter and leave the kernel, before and after the change of tables"},
      {page_at(VirtAddr(reinterpret_cast<std::uint64_t>(&pc::this_cpu()))),
       "this CPU's block: where those instructions find the kernel's tables and stack"},
      {page_at(VirtAddr(pc::this_cpu().entry_stack_top - 1)),
       "the entry stack, on which the processor pushes a program's state"},
      {pc::own_trap_stacks(), "the stacks of non-maskable interrupts, debug traps and machine checks"},
      {double_fault_stack(), "the stack of double faults"},
      {page_at(VirtAddr(pc::read_global_table_register().base)), "the global descriptor table, read with each segment"},
      {page_at(VirtAddr(pc::read_interrupt_table_register().base)), "the gates, read with each trap and interrupt"},
      {page_at(task_state_address()), "the task state, read for the stack of each trap"},
  };
  for (const ContextPart& part : parts) {
    visit(part);
  }
}

Result<void> map_part(Kernel& kernel, const Tables<HardwareFormat>& tables, const ContextPart& part) {
  for (VirtAddr page = part.range.start(); part.range.contains(page); page += ByteCount(kPageSize)) {
    const std::optional<WiredPage> found = find_wired(tables, kernel.tables.root(), page);
    VELLUM_CHECK(found.has_value());
    VELLUM_TRY(map_wired(
        tables, user_root(), page_at(page), found->address.page(),
        {.rights = found->rights, .caching = Caching::write_back, .lifetime = Lifetime::of_root, .largest_level = 1}));
  }
  return {};
}

std::uint64_t* root_table(PhysAddr root) { return pc::direct_mapped<std::uint64_t>(root); }

// Calls visit(address) for each page that a table below the user's root maps in the kernel's half.
template <class Visitor>
void for_each_mapped_page(const Tables<HardwareFormat>& tables, const Node& node, std::uint64_t base, Visitor visit) {
  for (unsigned slot = 0; slot < kRootEntries; ++slot) {
    if (node.level == HardwareFormat::kLevels && slot < user_entries()) {
      continue;
    }
    const Entry entry = tables.load(node, slot);
    if (!HardwareFormat::is_present(entry)) {
      continue;
    }
    std::uint64_t address = base | std::uint64_t{slot} << (kPageShift + 9 * (node.level - 1U));
    if (node.level == HardwareFormat::kLevels) {
      address |= 0xFFFF000000000000;
    }
    if (node.level == 1) {
      visit(VirtAddr(address));
    } else {
      for_each_mapped_page(tables, tables.child(entry, node), address, visit);
    }
  }
}

}  // namespace

Result<void> isolate_kernel_context(Kernel& kernel) {
  const Tables<HardwareFormat> tables(kernel.virtual_memory.nodes);
  Node* const root = VELLUM_TRY(tables.store().create(HardwareFormat::kLevels, kRootEntries, Vpn(0), LockRank::node));
  user_roots[pc::this_cpu().index.value()] = root;
  const PhysAddr address = address_of(root->table);
  pc::isolate_kernel(address);
  Result<void> mapped;
  for_each_part([&](const ContextPart& part) {
    if (mapped.ok()) {
      mapped = map_part(kernel, tables, part);
    }
  });
  return mapped;
}

void test_kernel_context(Kernel& kernel) {
  const Tables<HardwareFormat> tables(kernel.virtual_memory.nodes);
  unsigned expected = 0;
  for_each_part([&](const ContextPart& part) {
    pc::print_line("kernel context: ", part.range.start(), ", ", pages_for(part.range.size()), " pages: ", part.reason);
    expected += static_cast<unsigned>(pages_for(part.range.size()).value());
  });
  unsigned mapped = 0;
  for_each_mapped_page(tables, user_root(), 0, [&](VirtAddr page) {
    bool has_reason = false;
    for_each_part([&](const ContextPart& part) { has_reason = has_reason || part.range.contains(page); });
    if (!has_reason) {
      pc::print_line("kernel context: ", page, " is mapped without a reason");
      panic("the isolated tables map more of the kernel than entering it needs");
    }
    ++mapped;
  });
  if (mapped != expected) {
    panic("the isolated tables miss a page of the kernel context");
  }
  pc::print_line("kernel context: ", mapped, " pages, no others");
}

}  // namespace vellum::kernel

// Called by trap.S before each return to a program.
extern "C" void vellum_renew_user_root();
extern "C" void vellum_renew_user_root() {
  using namespace vellum::kernel;
  const std::uint64_t* const from = root_table(running_space()->root_address());
  std::uint64_t* const to = root_table(vellum::PhysAddr(vellum::pc::this_cpu().user_root));
  for (unsigned slot = 0; slot < user_entries(); ++slot) {
    if (to[slot] != from[slot]) {
      to[slot] = from[slot];
    }
  }
}
