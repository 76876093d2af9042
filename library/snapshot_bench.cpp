// What a round costs that writes to some pages and restores a snapshot, by the size of the space and by what is
// changed. All pages of the space are in memory. To be read: CPU, which is the whole round's, with its faults and
// copies; `tables` and `pages`, what the round compared and copied.
#include <benchmark/benchmark.h>

#include <map>
#include <memory>

#include <vellum/vellum.hpp>

namespace libvellum {
namespace {

struct Setup {
  explicit Setup(std::uint64_t size)
      : machine(Machine::create({.memory = size + size / 4 + (std::uint64_t{64} << 20)}).value()),
        space(machine.create_space().value()),
        at(space.map(size).value()),
        pages(size / kPageSize) {
    for (std::uint64_t page = 0; page < pages; ++page) {
      space.store<std::uint64_t>(at + page * kPageSize, page).value();
    }
  }

  Machine machine;
  Space space;
  std::uint64_t at;
  std::uint64_t pages;
};

// Made once for each size: to fill one takes longer than what is measured.
Setup& setup_of(std::int64_t megabytes) {
  static std::map<std::int64_t, std::unique_ptr<Setup>> setups;
  std::unique_ptr<Setup>& setup = setups[megabytes];
  if (setup == nullptr) {
    setup = std::make_unique<Setup>(static_cast<std::uint64_t>(megabytes) << 20);
  }
  return *setup;
}

// The pages are spread evenly over the space, or lie side by side.
void restore(benchmark::State& state, bool spread) {
  Setup& setup = setup_of(state.range(0));
  const auto changed = static_cast<std::uint64_t>(state.range(1));
  const std::uint64_t step = spread ? setup.pages / changed : 1;
  const Snapshot snapshot = setup.space.snapshot().value();
  const Counters before = setup.machine.counters().value();
  for (auto _ : state) {
    for (std::uint64_t page = 0; page < changed; ++page) {
      setup.space.store<std::uint64_t>(setup.at + page * step * kPageSize, 1).value();
    }
    setup.space.restore(snapshot).value();
  }
  const Counters after = setup.machine.counters().value();
  const auto rounds = static_cast<double>(state.iterations());
  state.counters["tables"] = static_cast<double>(after.tables_restored - before.tables_restored) / rounds;
  state.counters["pages"] = static_cast<double>(after.pages_copied - before.pages_copied) / rounds;
}

void restore_side_by_side(benchmark::State& state) { restore(state, false); }
void restore_spread(benchmark::State& state) { restore(state, true); }

void sizes_and_changes(benchmark::internal::Benchmark* benchmark) {
  for (const std::int64_t megabytes : {1, 64, 1024}) {
    for (const std::int64_t changed : {1, 16, 256, 4096}) {
      if (changed * static_cast<std::int64_t>(kPageSize) <= megabytes << 20) {
        benchmark->Args({megabytes, changed});
      }
    }
  }
  benchmark->ArgNames({"MB", "changed"})->Unit(benchmark::kMicrosecond)->MinTime(0.05);
}
BENCHMARK(restore_side_by_side)->Apply(sizes_and_changes);
BENCHMARK(restore_spread)->Apply(sizes_and_changes);

void take_a_snapshot(benchmark::State& state) {
  Setup& setup = setup_of(state.range(0));
  for (auto _ : state) {
    benchmark::DoNotOptimize(setup.space.snapshot().value());
  }
}
BENCHMARK(take_a_snapshot)->ArgName("MB")->Arg(1)->Arg(64)->Arg(1024)->Unit(benchmark::kMicrosecond)->MinTime(0.05);

void load_and_store(benchmark::State& state) {
  Setup& setup = setup_of(1);
  std::uint64_t page = 0;
  for (auto _ : state) {
    const std::uint64_t address = setup.at + (page++ & 255) * kPageSize;
    setup.space.store<std::uint64_t>(address, setup.space.load<std::uint64_t>(address).value() + 1).value();
  }
}
BENCHMARK(load_and_store)->MinTime(0.05);

}  // namespace
}  // namespace libvellum
