// A PC made of a host process: RAM is a sparse mapping, CPUs are threads, and each CPU has an MMU in software whose TLB
// really keeps what it was not told to forget. It fills the port of <vellum/base/machine_port.hpp>, so the core that
// runs on it is the core that runs on hardware; several machines may live in one process.
//
//   Machine     RAM, failure injection, the CPUs, flushes (this file)
//   CpuScope    binds the calling thread to a CPU (this file)
//   Cpu         control state, statistics (cpu.hpp)
//   Tlb         translations and table pointers that a CPU remembers (tlb.hpp)
//   Mmu<F>      loads, stores and fetches at virtual addresses of a format (mmu.hpp)
//   AccessGate  makes an access and a remote flush exclude each other (access_gate.hpp)
//
// A thread drives a CPU while a CpuScope of it lives; a CPU has one driver at a time. Scopes nest, also over several
// machines, so that one thread can drive several CPUs in turn: the innermost scope of a machine says which CPU of that
// machine the thread is.
//
// Remote flushes take effect at once, as if the target's interrupt were never late: when flush_remote returns, none of
// the targets that run the space holds the translations, and no access that used one is still under way. An access is
// the translation and the touch of RAM together.
//
// Memory: simulated RAM is touched by simulated accesses with relaxed atomics, page-table entries are read with acquire
// and changed with compare-exchange; a flush synchronises with the accesses before and after it.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include <vellum/base/machine_port.hpp>
#include <vellum/hosted/cpu.hpp>
#include <vellum/hosted/failure_injector.hpp>
#include <vellum/hosted/host_area.hpp>

namespace vellum::hosted {

enum class RamLayout : std::uint8_t {
  flat,  // from address 0 without holes
  pc,    // holes from 640 KB to 1 MB and from 3 GB to 4 GB; what lies in the latter continues at 4 GB
};

struct MachineConfig {
  ByteCount memory = ByteCount(std::uint64_t{64} << 20);  // a multiple of the page size
  unsigned cpus = 1;                                      // 1 .. kMaxCpus
  RamLayout layout = RamLayout::flat;
  // Where not empty, RAM is exactly this instead: page-aligned, ascending, disjoint; at most Machine::kMaxRamRanges.
  std::span<const PhysRange> ranges{};
};

class CpuScope;

class Machine {
 public:
  static constexpr std::size_t kMaxRamRanges = 16;

  // Errors: invalid for a configuration that breaks the rules above, no_memory where the host has no room.
  [[nodiscard]] static Result<std::unique_ptr<Machine>> create(const MachineConfig& config);
  // No thread may be bound to one of its CPUs.
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  // The port; see MachinePort for what each means.

  class Window {
   public:
    explicit Window(std::byte* bytes) : bytes_(bytes) {}
    [[nodiscard]] std::byte* data() const { return bytes_; }

   private:
    std::byte* bytes_;
  };
  [[nodiscard]] Window window(Pfn frame) const {
    VELLUM_ASSERT(address_of(frame).value() < ram_.size().value());
    return Window(ram_.data() + address_of(frame).value());
  }
  void clear_page(std::byte* page) { __builtin_memset(page, 0, kPageSize); }
  [[nodiscard]] inline CpuIndex current_cpu() const;
  [[nodiscard]] unsigned cpu_count() const { return cpu_count_; }
  void enter_section() {
#if VELLUM_DEBUG
    ++current().section_depth_;
#endif
  }
  void leave_section() {
#if VELLUM_DEBUG
    VELLUM_CHECK(current().section_depth_-- != 0);
#endif
  }
  void flush_local(const TlbFlush& flush);
  void flush_remote(const CpuSet& cpus, PhysAddr root, const TlbFlush& flush);
  void flush_everywhere(const TlbFlush& flush);
  [[nodiscard]] bool allocation_permitted() { return failures_.permits(); }
  [[nodiscard]] bool memory_starts_zeroed() const { return true; }

  // Besides the port.

  // Makes the calling CPU use the tables below `root`, and forget all translations, as loading CR3 does.
  void set_root(PhysAddr root);
  [[nodiscard]] Cpu& cpu(CpuIndex index) {
    VELLUM_ASSERT(index.value() < cpu_count_);
    return cpus_[index.value()];
  }
  // The calling CPU.
  [[nodiscard]] Cpu& current() { return cpus_[current_cpu().value()]; }
  [[nodiscard]] FailureInjector& failures() { return failures_; }

  // Where RAM is: ascending and disjoint.
  [[nodiscard]] std::span<const PhysRange> ram_ranges() const { return {ranges_, range_count_}; }
  // One past the highest byte of RAM.
  [[nodiscard]] PhysAddr ram_end() const { return PhysAddr(ram_.size().value()); }
  // The host's address of physical address 0. Holes trap.
  [[nodiscard]] std::byte* ram() const { return ram_.data(); }

  // The sum over all CPUs.
  [[nodiscard]] Statistics statistics() const;

 private:
  Machine(HostArea ram, std::span<const PhysRange> ranges, unsigned cpu_count);

  // Flushes those of `cpus` for which `concerns` holds while their gates are shut.
  template <class Predicate>
  void flush_others(const CpuSet& cpus, const TlbFlush& flush, Predicate concerns);
  // The caller is inside the CPU's gate, or has shut it.
  void apply(Cpu& cpu, const TlbFlush& flush) const;
  void load_root_entries(Cpu& cpu) const;

  HostArea ram_;
  const std::unique_ptr<Cpu[]> cpus_;
  const unsigned cpu_count_;
  std::size_t range_count_;
  PhysRange ranges_[kMaxRamRanges];
  FailureInjector failures_;
};

// Binds the calling thread to a CPU for as long as it lives. Lives on the thread's stack; scopes end in reverse order.
// Panics where another thread drives the CPU.
class CpuScope {
 public:
  CpuScope(Machine& machine, CpuIndex cpu);
  ~CpuScope();
  CpuScope(const CpuScope&) = delete;
  CpuScope& operator=(const CpuScope&) = delete;

  // The CPU of `machine` that the calling thread drives. Panics where there is none.
  [[nodiscard]] static CpuIndex current(const Machine& machine) {
    const CpuScope* scope = innermost_;
    while (scope == nullptr || scope->machine_ != &machine) [[unlikely]] {
      if (scope == nullptr) {
        panic("the thread drives no CPU of this machine: a CpuScope is missing");
      }
      scope = scope->outer_;
    }
    return scope->cpu_;
  }
  // The innermost scope's CPU, of whatever machine, and whether there is one.
  [[nodiscard]] static const CpuScope* innermost() { return innermost_; }
  [[nodiscard]] CpuIndex cpu() const { return cpu_; }

 private:
  inline static constinit thread_local CpuScope* innermost_ = nullptr;

  Machine* const machine_;
  const CpuIndex cpu_;
  CpuScope* const outer_;
  const bool became_driver_;
};

inline CpuIndex Machine::current_cpu() const { return CpuScope::current(*this); }

}  // namespace vellum::hosted
