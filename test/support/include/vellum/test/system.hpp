// A system to test on: a machine whose CPU 0 is the calling thread, and its physical memory.
#pragma once

#include <cstdio>
#include <memory>
#include <utility>

#include <vellum/base/machine.hpp>
#include <vellum/phys/physical_memory.hpp>

namespace vellum::test {

struct SystemSize {
  ByteCount memory = ByteCount(std::uint64_t{64} << 20);
  unsigned cpus = 1;
  Poison poison = Poison::off;
};

// At its end every page must be free again: panics where the free count, caches drained, is not that of the start.
// Needs no test framework, so fuzzers and benchmarks use it too. Panics where the host has no room for it.
class System {
 public:
  explicit System(const SystemSize& size = {})
      : machine_(must(hosted::Machine::create({.memory = size.memory, .cpus = size.cpus}))),
        cpu_(*machine_, CpuIndex(0)),
        map_(memory_map(*machine_)),
        area_(must(hosted::HostArea::create(PhysicalMemory::area_size(map_, size.cpus)))),
        memory_(*must(PhysicalMemory::create(*machine_, map_, {area_.data(), area_.size().value()},
                                             {.area = Contents::zeroed, .poison = size.poison}))),
        free_at_start_(memory_.free_count()) {}
  ~System() { check_all_free(); }
  System(const System&) = delete;
  System& operator=(const System&) = delete;

  [[nodiscard]] Machine& machine() { return *machine_; }
  [[nodiscard]] PhysicalMemory& memory() { return memory_; }

  // Panics where pages are missing. No other thread may be using the system.
  void check_all_free() {
    memory_.drain_caches();
    const PageCount now = memory_.free_count();
    if (now != free_at_start_) {
      std::fprintf(stderr, "%llu pages were free at the start, %llu are now\n",
                   static_cast<unsigned long long>(free_at_start_.value()),
                   static_cast<unsigned long long>(now.value()));
      panic("pages leaked, or were freed twice");
    }
  }

 private:
  template <class T>
  [[nodiscard]] static T must(Result<T> result) {
    VELLUM_CHECK(result.ok());
    return std::move(result).value();
  }
  [[nodiscard]] static MemoryMap memory_map(const hosted::Machine& machine) {
    RawMemoryEntry entries[hosted::Machine::kMaxRamRanges];
    std::size_t count = 0;
    for (const PhysRange& range : machine.ram_ranges()) {
      entries[count++] = {.base = range.start(), .size = range.size(), .kind = MemoryKind::usable};
    }
    return must(MemoryMap::from_firmware({entries, count}));
  }

  const std::unique_ptr<hosted::Machine> machine_;
  const hosted::CpuScope cpu_;
  const MemoryMap map_;
  const hosted::HostArea area_;
  PhysicalMemory& memory_;
  const PageCount free_at_start_;
};

}  // namespace vellum::test
