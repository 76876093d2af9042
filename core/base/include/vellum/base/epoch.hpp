// Epoch-based reclamation [Fraser, "Practical lock-freedom", 2004, 5.2.3]: readers walk shared structures without locks
// and without writing a shared line; what a writer unlinks is reclaimed only when every reader that could still see it
// has left.
//
//   reader:  { EpochSection section(domain, machine);  ... follow pointers ... }
//   writer:  unlink(node);  domain.retire(cpu, node.epoch_entry);
//
// A CPU inside a section announces the global epoch that it saw on entry, on a line of its own. The global epoch
// advances when every CPU inside a section has announced the current one; so whatever was retired in epoch e is out of
// everybody's sight when the epoch is e + 2. Nobody ever waits: retired entries pile up on the retiring CPU's lists and
// are reclaimed by a later retire(), collect() or settle() of the same CPU.
//
// Besides, a section can be told from the next one of the same CPU (section_number), which lets a writer wait until
// everybody who might have missed a flag has left (wait_for_sections): that is how fork shuts a space's other
// operations out.
#pragma once

#include <atomic>
#include <cstdint>

#include <vellum/base/cpu.hpp>
#include <vellum/base/lock.hpp>
#include <vellum/base/machine_port.hpp>

namespace vellum {

// Stands inside what is retired.
struct EpochEntry {
  EpochEntry* next = nullptr;
  void (*reclaim)(EpochEntry& self) = nullptr;
};

class EpochDomain {
 public:
  explicit EpochDomain(unsigned cpu_count) : cpu_count_(cpu_count) {}
  ~EpochDomain() { VELLUM_ASSERT(retired() == 0); }
  EpochDomain(const EpochDomain&) = delete;
  EpochDomain& operator=(const EpochDomain&) = delete;

  // Entering and leaving a section on `cpu`; sections of one CPU nest. Use EpochSection.
  void enter(CpuIndex cpu) {
    Slot& slot = slots_[cpu.value()];
    if (slot.depth++ == 0) {
      slot.announced.store(epoch_.load(std::memory_order_relaxed) | kInside, std::memory_order_relaxed);
      // The announcement must be visible before anything is read: pairs with the fences in advance() and
      // wait_for_sections().
      std::atomic_thread_fence(std::memory_order_seq_cst);
    }
  }
  void leave(CpuIndex cpu) {
    Slot& slot = slots_[cpu.value()];
    VELLUM_ASSERT(slot.depth > 0);
    if (--slot.depth == 0) {
      slot.section_number.store(slot.section_number.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
      slot.announced.store(0, std::memory_order_release);
    }
  }

  // Hands over an unlinked entry: entry.reclaim(entry) is called once no section that was open now is still open, on
  // this CPU, from a later retire() or collect(), with whatever locks that caller holds. `cpu` is the calling CPU.
  void retire(CpuIndex cpu, EpochEntry& entry);
  // Reclaims what can be reclaimed on `cpu`, the calling CPU.
  void collect(CpuIndex cpu);
  // Reclaims all that waits on `cpu`, the calling CPU, if nobody is inside a section; where others are, what can be.
  // Outside of sections. For who retired much at once, which would wait for as many calls of retire().
  void settle(CpuIndex cpu);
  // Reclaims everything on all CPUs. Only when no CPU is inside a section or retires.
  void drain();
  // Entries handed over and not reclaimed yet. Exact when quiescent.
  [[nodiscard]] std::uint64_t retired() const;

  // Returns when every section that was open at the call, on any CPU but `cpu`, has been left. Not from inside a
  // section.
  void wait_for_sections(CpuIndex cpu) const;

 private:
  static constexpr std::uint64_t kInside = 1;
  static constexpr std::uint64_t kStep = 2;  // the epoch counts in the bits above kInside
  static constexpr unsigned kBuckets = 3;
  static constexpr unsigned kCollectEvery = 32;

  struct alignas(kCacheLine) Slot {
    std::atomic<std::uint64_t> announced{0};
    std::atomic<std::uint64_t> section_number{0};
    unsigned depth = 0;
    unsigned since_collect = 0;
    std::atomic<std::uint64_t> retired_count{0};
    EpochEntry* bucket[kBuckets] = {};
    std::uint64_t bucket_epoch[kBuckets] = {};
  };

  void advance();
  static void reclaim_bucket(Slot& slot, unsigned index);

  unsigned cpu_count_;
  alignas(kCacheLine) std::atomic<std::uint64_t> epoch_{3 * kStep};
  Slot slots_[kMaxCpus];
};

// Stays on its CPU and keeps everything reachable alive for its life.
template <class M>
class [[nodiscard]] EpochSection {
 public:
  EpochSection(EpochDomain& domain, M& machine) : domain_(domain), section_(machine), cpu_(machine.current_cpu()) {
    domain_.enter(cpu_);
  }
  ~EpochSection() { domain_.leave(cpu_); }
  EpochSection(const EpochSection&) = delete;
  EpochSection& operator=(const EpochSection&) = delete;

  [[nodiscard]] CpuIndex cpu() const { return cpu_; }

 private:
  EpochDomain& domain_;
  CpuSection<M> section_;
  CpuIndex cpu_;
};

}  // namespace vellum
