// What an access through the software MMU costs.
#include <benchmark/benchmark.h>

#include <atomic>
#include <thread>

#include <vellum/hosted/mmu.hpp>

#include "table_builder.hpp"

namespace vellum::hosted {
namespace {

constexpr std::uint64_t kPages = 4096;  // four times the TLB

template <class F>
struct Setup {
  explicit Setup(std::uint64_t pages) {
    machine->set_root(tables.root());
    for (std::uint64_t i = 0; i < pages; ++i) {
      tables.map(VirtAddr(i * kPageSize), Pfn(i));
    }
  }

  std::unique_ptr<Machine> machine = Machine::create({.cpus = 2}).value();
  CpuScope cpu{*machine, CpuIndex(0)};
  TableBuilder<F> tables{*machine, Pfn(2 * kPages)};
  Mmu<F> mmu{*machine};
};

// Over so many pages: more than some dozens also miss the host's own TLB.
void load_hit(benchmark::State& state) {
  const auto pages = static_cast<std::uint64_t>(state.range(0));
  Setup<Amd64> setup(pages);
  std::uint64_t address = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(setup.mmu.load<std::uint64_t>(VirtAddr(address), Privilege::user));
    address = (address + kPageSize + 64) & (pages * kPageSize - 1);
  }
}
BENCHMARK(load_hit)->Arg(4)->Arg(512);

void store_hit(benchmark::State& state) {
  const auto pages = static_cast<std::uint64_t>(state.range(0));
  Setup<Amd64> setup(pages);
  std::uint64_t address = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(setup.mmu.store<std::uint64_t>(VirtAddr(address), address, Privilege::user));
    address = (address + kPageSize + 64) & (pages * kPageSize - 1);
  }
}
BENCHMARK(store_hit)->Arg(4)->Arg(512);

// Every access misses the TLB and finds the leaf table in the paging-structure cache.
void load_miss(benchmark::State& state) {
  Setup<Amd64> setup(kPages);
  std::uint64_t address = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(setup.mmu.load<std::uint64_t>(VirtAddr(address), Privilege::user));
    address = (address + kPageSize) % (kPages * kPageSize);
  }
  const Statistics statistics = setup.machine->statistics();
  state.counters["entries/miss"] =
      static_cast<double>(statistics.entries_walked) / static_cast<double>(statistics.tlb_misses);
}
BENCHMARK(load_miss);

// Every access walks from the root.
template <class F>
void load_cold(benchmark::State& state) {
  Setup<F> setup(1);
  for (auto _ : state) {
    setup.machine->flush_local(flush_of_everything());
    benchmark::DoNotOptimize(setup.mmu.template load<std::uint64_t>(VirtAddr(8), Privilege::user));
  }
}
BENCHMARK(load_cold<Amd64>);
BENCHMARK(load_cold<I386Pae>);

void flush_one_page(benchmark::State& state) {
  Setup<Amd64> setup(1);
  for (auto _ : state) {
    setup.machine->flush_local(flush_of(VirtAddr(0)));
  }
}
BENCHMARK(flush_one_page);

// A shootdown of a CPU that no other thread drives, and of one that is busy with loads.
void shootdown_of_idle(benchmark::State& state) {
  Setup<Amd64> setup(1);
  CpuSet other;
  other.add(CpuIndex(1));
  for (auto _ : state) {
    setup.machine->flush_remote(other, setup.tables.root(), flush_of(VirtAddr(0)));
  }
}
BENCHMARK(shootdown_of_idle);

void shootdown_of_busy(benchmark::State& state) {
  Setup<Amd64> setup(1);
  std::atomic<bool> stop{false};
  std::atomic<bool> running{false};
  std::jthread reader([&] {
    const CpuScope cpu(*setup.machine, CpuIndex(1));
    setup.machine->set_root(setup.tables.root());
    Mmu<Amd64> mmu(*setup.machine);
    running = true;
    while (!stop.load(std::memory_order_relaxed)) {
      benchmark::DoNotOptimize(mmu.load<std::uint64_t>(VirtAddr(0), Privilege::user));
    }
  });
  while (!running) {
    std::this_thread::yield();
  }
  CpuSet other;
  other.add(CpuIndex(1));
  for (auto _ : state) {
    setup.machine->flush_remote(other, setup.tables.root(), flush_of(VirtAddr(0)));
  }
  stop = true;
}
BENCHMARK(shootdown_of_busy)->UseRealTime();

}  // namespace
}  // namespace vellum::hosted
