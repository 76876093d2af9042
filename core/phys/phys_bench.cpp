// What the allocator costs: CPU time on the host, hosted machine, memory touched before.
#include <benchmark/benchmark.h>

#include <memory>
#include <vector>

#include <vellum/test/system.hpp>

namespace vellum {
namespace {

using namespace literals;

test::System& the_system() {
  static test::System system({.memory = 2_GiB, .cpus = 4});
  return system;
}

void page_pair(benchmark::State& state) {
  PhysicalMemory& memory = the_system().memory();
  const hosted::CpuScope scope(the_system().machine(), CpuIndex(static_cast<unsigned>(state.thread_index()) + 1));
  for (auto _ : state) {
    const Pfn pfn = memory.allocate(Contents::any).value();
    benchmark::DoNotOptimize(pfn);
    memory.free(pfn);
  }
}

// A batch is far larger than a CPU's cache, so that refills and drains are in it.
void page_batch(benchmark::State& state) {
  PhysicalMemory& memory = the_system().memory();
  const hosted::CpuScope scope(the_system().machine(), CpuIndex(static_cast<unsigned>(state.thread_index()) + 1));
  const auto contents = static_cast<Contents>(state.range(0));
  std::vector<Pfn> held(1000);
  for (auto _ : state) {
    for (Pfn& pfn : held) {
      pfn = memory.allocate(contents).value();
    }
    for (const Pfn pfn : held) {
      memory.free(pfn);
    }
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(held.size()));
}

void block_pair(benchmark::State& state) {
  PhysicalMemory& memory = the_system().memory();
  const hosted::CpuScope scope(the_system().machine(), CpuIndex(1));
  const Order order(static_cast<unsigned>(state.range(0)));
  for (auto _ : state) {
    const Pfn pfn = memory.allocate_block(order, Contents::any).value();
    benchmark::DoNotOptimize(pfn);
    memory.free_block(pfn, order);
  }
}

void zero_page(benchmark::State& state) {
  PhysicalMemory& memory = the_system().memory();
  const hosted::CpuScope scope(the_system().machine(), CpuIndex(1));
  for (auto _ : state) {
    const Pfn pfn = memory.allocate(Contents::zeroed).value();
    benchmark::DoNotOptimize(pfn);
    memory.free(pfn);
  }
}

void create_16_tib(benchmark::State& state) {
  hosted::MachineConfig config;
  config.memory = 16_TiB;
  const std::unique_ptr<Machine> machine = std::move(hosted::Machine::create(config)).value();
  const RawMemoryEntry entry{PhysAddr(0), 16_TiB, MemoryKind::usable};
  const MemoryMap map = MemoryMap::from_firmware({&entry, 1}).value();
  hosted::HostArea area = std::move(hosted::HostArea::create(PhysicalMemory::area_size(map, 1))).value();
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        PhysicalMemory::create(*machine, map, {area.data(), area.size().value()}, {.area = Contents::zeroed}));
    state.PauseTiming();
    area.discard();
    state.ResumeTiming();
  }
}

BENCHMARK(page_pair)->Threads(1)->Threads(2);
BENCHMARK(page_batch)->Arg(0)->Arg(1)->Threads(1)->Threads(2);
BENCHMARK(zero_page);
BENCHMARK(block_pair)->Arg(3)->Arg(9)->Arg(15)->Arg(18);
BENCHMARK(create_16_tib);

}  // namespace
}  // namespace vellum
