// What restoring a snapshot costs, by the size of the space and by what was changed since. All pages of the space are
// in memory. The time is that of restore() alone; `write_us` is what the writes before it took, with their faults and
// copies.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>

#include <vellum/vellum.hpp>

namespace libvellum {
namespace {

using Clock = std::chrono::steady_clock;

double microseconds(Clock::duration time) { return std::chrono::duration<double, std::micro>(time).count(); }

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

// Writes to pages that are spread evenly over the space, or that lie side by side.
void restore(benchmark::State& state, bool spread) {
  Setup setup(static_cast<std::uint64_t>(state.range(0)) << 20);
  const auto changed = static_cast<std::uint64_t>(state.range(1));
  const std::uint64_t step = spread ? setup.pages / changed : 1;
  const Snapshot snapshot = setup.space.snapshot().value();
  double writing = 0;
  const Counters before = setup.machine.counters().value();
  for (auto _ : state) {
    const Clock::time_point start = Clock::now();
    for (std::uint64_t page = 0; page < changed; ++page) {
      setup.space.store<std::uint64_t>(setup.at + page * step * kPageSize, 1).value();
    }
    const Clock::time_point written = Clock::now();
    setup.space.restore(snapshot).value();
    state.SetIterationTime(std::chrono::duration<double>(Clock::now() - written).count());
    writing += microseconds(written - start);
  }
  const Counters after = setup.machine.counters().value();
  const auto rounds = static_cast<double>(state.iterations());
  state.counters["write_us"] = writing / rounds;
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
  benchmark->ArgNames({"MB", "changed"})->UseManualTime()->Unit(benchmark::kMicrosecond)->MinTime(0.1);
}
BENCHMARK(restore_side_by_side)->Apply(sizes_and_changes);
BENCHMARK(restore_spread)->Apply(sizes_and_changes);

void take_a_snapshot(benchmark::State& state) {
  Setup setup(static_cast<std::uint64_t>(state.range(0)) << 20);
  for (auto _ : state) {
    benchmark::DoNotOptimize(setup.space.snapshot().value());
  }
}
BENCHMARK(take_a_snapshot)->ArgName("MB")->Arg(1)->Arg(64)->Arg(1024)->Unit(benchmark::kMicrosecond)->MinTime(0.1);

void load_and_store(benchmark::State& state) {
  Setup setup(std::uint64_t{1} << 20);
  std::uint64_t page = 0;
  for (auto _ : state) {
    const std::uint64_t address = setup.at + (page++ & 255) * kPageSize;
    setup.space.store<std::uint64_t>(address, setup.space.load<std::uint64_t>(address).value() + 1).value();
  }
}
BENCHMARK(load_and_store);

}  // namespace
}  // namespace libvellum
