#include "other_cpus.hpp"

#include <algorithm>

#include <vellum/pc/console.hpp>
#include <vellum/pc/cpus.hpp>
#include <vellum/pc/machine.hpp>
#include <vellum/unix/processor.hpp>
#include <vellum/unix/system_lock.hpp>

#include "kernel_context.hpp"
#include "processor.hpp"
#include "regions.hpp"

namespace vellum::kernel {

namespace {

using namespace literals;

static_assert(pc::kMostStartedCpus == unix::kMostCpus);

// Below it are the firmware's and, perhaps, the loader's own tables.
constexpr PhysAddr kFirstStartPage{0x8000};
constexpr PhysAddr kStartPagesEnd{0x9F000};

constinit PhysAddr start_page{0};
constinit std::atomic<bool> system_is_entered{false};
constinit std::atomic<unsigned> waiting_for_system{0};
// How often it was entered by who had to wait.
constinit std::atomic<std::uint32_t> entries_after_wait{0};
constinit void (*main_of_others)() = nullptr;

bool is_free_memory(const pc::StartInfo& start_info, PhysRange page) {
  bool is_ram = false;
  start_info.for_each_memory_row([&](const pc::MemoryRow& row) {
    is_ram =
        is_ram || (row.is_ram() && row.start <= page.start().value() && page.end().value() <= row.start + row.size);
  });
  bool is_used = false;
  start_info.for_each_loader_range([&](PhysRange range) { is_used = is_used || range.overlaps(page); });
  return is_ram && !is_used;
}

void run_other_cpu() {
  if ((pc::boot_cpu.user_return & pc::PerCpu::kIsolated) != 0 && !isolate_kernel_context(*processor().kernel).ok()) {
    panic("no memory for the tables of the kernel context");
  }
  main_of_others();
}

Result<void> start(CpuIndex index) {
  Regions& all = regions();
  const VirtRange memory = VELLUM_TRY(all.core_heap.allocate(ByteCount(sizeof(pc::CpuBlock)), Contents::zeroed));
  const VirtRange stack = VELLUM_TRY(all.kernel_stacks.allocate());
  auto& block = *reinterpret_cast<pc::CpuBlock*>(memory.start().value());
  if (!pc::start_cpu(index, block, stack.end(), start_page, run_other_cpu)) {
    pc::print_line("CPU ", index.value(), " does not start");
  }
  return {};
}

// A short time answering what others ask; if it takes longer, outside of the program's space, where nobody asks.
void wait_for_system() {
  constexpr unsigned kShortWait = 512;
  waiting_for_system.fetch_add(1, std::memory_order_relaxed);
  AddressSpace<HardwareFormat>* const space = running_space();
  unsigned rounds = 0;
  do {
    while (system_is_entered.load(std::memory_order_relaxed)) {
      relax(rounds++);
      if (rounds == kShortWait) {
        run_space(nullptr);
        pc::begin_rest();
      }
    }
  } while (system_is_entered.exchange(true, std::memory_order_acquire));
  if (rounds >= kShortWait) {
    pc::wake_up();
    run_space(space);
  }
  waiting_for_system.fetch_sub(1, std::memory_order_relaxed);
  entries_after_wait.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

void hand_over_system() {
  constexpr unsigned kPatience = 10'000;
  const std::uint32_t before = entries_after_wait.load(std::memory_order_relaxed);
  unix::leave_system();
  for (unsigned rounds = 0; rounds < kPatience && waiting_for_system.load(std::memory_order_relaxed) != 0 &&
                            entries_after_wait.load(std::memory_order_relaxed) == before;
       ++rounds) {
    relax(rounds);
  }
}

void find_other_cpus(const pc::StartInfo& start_info) {
  for (PhysAddr at = kFirstStartPage; at < kStartPagesEnd; at += ByteCount(kPageSize)) {
    if (is_free_memory(start_info, PhysRange::must(at, ByteCount(kPageSize)))) {
      start_page = at;
      pc::find_cpus();
      return;
    }
  }
}

}  // namespace vellum::kernel

namespace vellum::unix {

using namespace kernel;

bool enter_system() {
  if (pc::cpu_total == 1) {
    return false;
  }
  pc::PerCpu& cpu = pc::this_cpu();
  if (cpu.in_system) {
    return false;
  }
#if VELLUM_DEBUG
  VELLUM_ASSERT(held_locks().none());
#endif
  if (system_is_entered.exchange(true, std::memory_order_acquire)) {
    wait_for_system();
  }
  cpu.in_system = true;
  return true;
}

void leave_system() {
  if (pc::cpu_total == 1) {
    return;
  }
  pc::PerCpu& cpu = pc::this_cpu();
  VELLUM_ASSERT(cpu.in_system);
  cpu.in_system = false;
  system_is_entered.store(false, std::memory_order_release);
}

Result<void> start_other_cpus(void (*run)()) {
  main_of_others = run;
  pc::set_call_handler(on_call);
  for (unsigned i = 1; i < pc::cpu_total; ++i) {
    VELLUM_TRY(start(CpuIndex(i)));
  }
  return {};
}

FlushCounts flush_counts(unsigned cpu) {
  const pc::FlushCounts counts = pc::flush_counts(CpuIndex(cpu));
  return {.sent = counts.sent, .received = counts.received};
}

void call_cpu(unsigned cpu) { pc::call_cpu(CpuIndex(cpu)); }

}  // namespace vellum::unix
