#include <vellum/pc/cpus.hpp>

#include <bit>

#include <vellum/base/machine.hpp>
#include <vellum/pc/clock.hpp>
#include <vellum/pc/descriptor_tables.hpp>
#include <vellum/pc/interrupts.hpp>
#include <vellum/pc/thread.hpp>

// Of start_cpu.S.
extern "C" {
extern const char vellum_cpu_start[], vellum_cpu_start_end[];
// By the numbers of their local APICs: each finds its own, however late it begins.
constinit vellum::pc::PerCpu* vellum_cpus_by_number[256] = {};
constinit vellum::pc::Word vellum_starting_root = 0;
void vellum_other_cpu();
}

namespace vellum::pc {

namespace {

// One CPU's wish that others drop translations.
struct alignas(kCacheLine) FlushRequest {
  const TlbFlush* flush = nullptr;
  std::atomic<unsigned> unanswered{0};
};

// The registers that make a CPU like the first one.
struct Controls {
  Word cr0 = 0;
  Word cr4 = 0;
  std::uint64_t features = 0;
};

constinit FlushRequest requests[kMostStartedCpus];
constinit PerCpu* blocks[kMostStartedCpus] = {&boot_cpu};
constinit std::atomic<std::uint32_t> online{1};
constinit std::atomic<std::uint64_t> interrupts_for_flushes{0};
constinit std::atomic<bool> stopping{false};
constinit Controls controls;
constinit void (*main_of_started)() = nullptr;

std::uint32_t bit_of(CpuIndex cpu) { return std::uint32_t{1} << cpu.value(); }

void wait(std::uint64_t nanoseconds) {
  const std::uint64_t end = nanoseconds_since_boot() + nanoseconds;
  for (unsigned rounds = 0; nanoseconds_since_boot() < end; ++rounds) {
    relax(rounds);
  }
}

void flush_mask(std::uint32_t targets, const TlbFlush& flush) {
  PerCpu& self = this_cpu();
  self.flushes_sent.fetch_add(1, std::memory_order_relaxed);
  FlushRequest& request = requests[self.index.value()];
  request.flush = &flush;
  request.unanswered.store(static_cast<unsigned>(std::popcount(targets)), std::memory_order_relaxed);
  for (std::uint32_t rest = targets; rest != 0; rest &= rest - 1) {
    PerCpu& target = *blocks[std::countr_zero(rest)];
    if (target.flushes_asked.fetch_or(bit_of(self.index), std::memory_order_seq_cst) == 0) {
      send_interrupt(target.apic_id, Message::flush);
      interrupts_for_flushes.fetch_add(1, std::memory_order_relaxed);
    }
  }
  for (unsigned rounds = 0; request.unanswered.load(std::memory_order_acquire) != 0; ++rounds) {
    relax(rounds);
  }
}

// Those that rest drop everything when they wake.
void flush_awake(std::uint32_t targets, const TlbFlush& flush) {
  std::uint32_t awake = 0;
  for (std::uint32_t rest = targets; rest != 0; rest &= rest - 1) {
    PerCpu& target = *blocks[std::countr_zero(rest)];
    target.stale.store(true, std::memory_order_seq_cst);
    if (!target.rests.load(std::memory_order_seq_cst)) {
      awake |= bit_of(target.index);
    }
  }
  if (awake != 0) {
    flush_mask(awake, flush);
  }
}

void fill(CpuBlock& block, CpuIndex index, VirtAddr stack_top) {
  PerCpu& cpu = *::new (&block.cpu) PerCpu;
  cpu.self = &cpu;
  cpu.index = index;
  cpu.apic_id = apic_id_of(index);
  cpu.kernel_stack_top = static_cast<Word>(stack_top.value());
  cpu.kernel_root = boot_cpu.kernel_root;
  cpu.entry_stack_top = reinterpret_cast<Word>(block.entry_stack + sizeof(block.entry_stack));
  cpu.task_state = block.task_state;
  cpu.system_call = boot_cpu.system_call;
}

}  // namespace

bool start_cpu(CpuIndex index, CpuBlock& block, VirtAddr stack_top, PhysAddr start_page, void (*main)()) {
  constexpr std::uint64_t kMillisecond = 1'000'000;
  constexpr unsigned kPatience = 1000;
  fill(block, index, stack_top);
  blocks[index.value()] = &block.cpu;
  main_of_started = main;
  controls = {.cr0 = read_cr0(), .cr4 = read_cr4(), .features = read_msr(msr::kExtendedFeatures)};
  vellum_cpus_by_number[block.cpu.apic_id] = &block.cpu;
  vellum_starting_root = boot_cpu.kernel_root;
  __builtin_memcpy(direct_mapped<std::byte>(start_page), vellum_cpu_start,
                   static_cast<std::size_t>(vellum_cpu_start_end - vellum_cpu_start));
  // [intel/MP 1.4, B.4]
  send_interrupt(block.cpu.apic_id, Message::reset);
  wait(10 * kMillisecond);
  for (unsigned tries = 0; tries < 2 && !is_online(index); ++tries) {
    send_start(block.cpu.apic_id, start_page);
    wait(kMillisecond / 5);
  }
  for (unsigned waited = 0; !is_online(index); ++waited) {
    if (waited == kPatience) {
      return false;
    }
    wait(kMillisecond);
  }
  return true;
}

bool is_online(CpuIndex cpu) { return (online.load(std::memory_order_acquire) & bit_of(cpu)) != 0; }

void call_cpu(CpuIndex cpu) { send_interrupt(blocks[cpu.value()]->apic_id, Message::call); }

void flush_cpus(const CpuSet& cpus, const TlbFlush& flush) {
  std::uint32_t targets = 0;
  cpus.for_each([&](CpuIndex cpu) { targets |= bit_of(cpu); });
  flush_awake(targets, flush);
}

void flush_other_cpus(const TlbFlush& flush) {
  flush_awake(online.load(std::memory_order_acquire) & ~bit_of(this_cpu().index), flush);
}

void begin_rest() { this_cpu().rests.store(true, std::memory_order_seq_cst); }

void rest() {
  if (cpu_total > 1) {
    begin_rest();
  }
  // An interrupt is let in only after the instruction that follows STI, so none comes before the CPU waits.
  asm volatile("sti; hlt; cli" : : : "memory");
  wake_up();
}

void wake_up() {
  PerCpu& cpu = this_cpu();
  if (!cpu.rests.load(std::memory_order_relaxed)) {
    return;
  }
  cpu.rests.store(false, std::memory_order_seq_cst);
  if (cpu.stale.exchange(false, std::memory_order_seq_cst)) {
    drop_translations();
  }
}

void answer_flushes() {
  std::uint32_t asked = this_cpu().flushes_asked.exchange(0, std::memory_order_seq_cst);
  for (; asked != 0; asked &= asked - 1) {
    FlushRequest& request = requests[std::countr_zero(asked)];
    Machine().flush_local(*request.flush);
    this_cpu().flushes_received.fetch_add(1, std::memory_order_relaxed);
    request.unanswered.fetch_sub(1, std::memory_order_release);
  }
}

std::uint64_t flush_interrupts() { return interrupts_for_flushes.load(std::memory_order_relaxed); }

FlushCounts flush_counts(CpuIndex cpu) {
  const PerCpu* const block = blocks[cpu.value()];
  return block == nullptr ? FlushCounts{}
                          : FlushCounts{.sent = block->flushes_sent.load(std::memory_order_relaxed),
                                        .received = block->flushes_received.load(std::memory_order_relaxed)};
}

void stop_other_cpus() {
  const std::uint32_t self = bit_of(this_cpu().index);
  if (stopping.exchange(true)) {
    return;
  }
  for (std::uint32_t rest = online.load() & ~self; rest != 0; rest &= rest - 1) {
    send_interrupt(blocks[std::countr_zero(rest)]->apic_id, Message::non_maskable);
  }
}

void stop_if_told() {
  while (stopping.load()) {
    disable_interrupts();
    wait_for_interrupt();
  }
}

}  // namespace vellum::pc

// The first that a started CPU calls, with its GS and the kernel's tables loaded.
void vellum_other_cpu() {
  using namespace vellum::pc;
  write_cr0(controls.cr0);
  write_cr4(controls.cr4);
  write_msr(msr::kExtendedFeatures, controls.features);
  load_descriptor_tables(reinterpret_cast<CpuBlock&>(this_cpu()));
  enable_system_calls();
  enable_vector_registers_likewise();
  enable_local_apic();
  void (*const main)() = main_of_started;
  online.fetch_or(bit_of(this_cpu().index), std::memory_order_release);
  main();
}
