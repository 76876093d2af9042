// What the operations on a space cost. `instructions` is the exact count of one more operation in the steady state, the
// fault's handler alone or the call; a processor's trap and return are not in it. docs/performance.md explains.

#include <benchmark/benchmark.h>

#include <vellum/test/instruction_count.hpp>

#include "test/fixture.hpp"

namespace vellum {
namespace {

constexpr Prot kReadWrite = Prot::read() | Prot::write();
constexpr std::uint64_t kTiB = std::uint64_t{1} << 40;

template <class Work>
void report(benchmark::State& state, Work&& work) {
  state.counters["instructions"] = static_cast<double>(test::InstructionCounter::count(work));
}

template <class F>
VirtAddr map_fixed(AddressSpace<F>& space, VirtAddr at, std::uint64_t bytes, Traits traits = {}) {
  const Result<VirtAddr> mapped = space.map(
      {.address = at, .length = ByteCount(bytes), .prot = kReadWrite, .traits = traits, .placement = Placement::fixed});
  VELLUM_CHECK(mapped.ok());
  return mapped.value();
}

template <class F>
void must_fault(AddressSpace<F>& space, VirtAddr at, Access access) {
  if (space.fault(at, access) != FaultVerdict::resolved) [[unlikely]] {
    panic("a fault was not resolved");
  }
}

template <class F>
void touch(AddressSpace<F>& space, VirtAddr at, std::uint64_t bytes) {
  for (std::uint64_t offset = 0; offset < bytes; offset += kPageSize) {
    must_fault(space, at + ByteCount(offset), Access::write);
  }
}

void MapUnmapUntouched(benchmark::State& state) {
  test::SpaceSystem<Amd64> system;
  AddressSpace<Amd64>& space = system.create();
  const auto bytes = static_cast<std::uint64_t>(state.range(0)) * kPageSize;
  const auto once = [&] {
    const Result<VirtAddr> at = space.map({.address = {}, .length = ByteCount(bytes), .prot = kReadWrite});
    VELLUM_CHECK(space.unmap(at.value(), ByteCount(bytes)).ok());
  };
  for (auto _ : state) {
    once();
  }
  report(state, once);
  space.destroy();
}
BENCHMARK(MapUnmapUntouched)->Arg(1)->Arg(512);

void Map(benchmark::State& state) {
  test::SpaceSystem<Amd64> system;
  AddressSpace<Amd64>& space = system.create();
  const VirtAddr at(2 * kTiB);
  map_fixed(space, at + ByteCount(kPageSize), kPageSize);
  for (auto _ : state) {
    map_fixed(space, at, kPageSize);
    state.PauseTiming();
    VELLUM_CHECK(space.unmap(at, ByteCount(kPageSize)).ok());
    state.ResumeTiming();
  }
  report(state, [&] { map_fixed(space, at, kPageSize); });
  space.destroy();
}
BENCHMARK(Map)->Iterations(100000);

void FirstTouch(benchmark::State& state) {
  test::SpaceSystem<Amd64> system;
  AddressSpace<Amd64>& space = system.create();
  const VirtAddr at(2 * kTiB);
  const std::uint64_t bytes = 32 << 20;
  map_fixed(space, at, bytes);
  std::uint64_t offset = 0;
  for (auto _ : state) {
    must_fault(space, at + ByteCount(offset), Access::write);
    offset += kPageSize;
    if (offset == bytes) {
      state.PauseTiming();
      map_fixed(space, at, bytes);
      touch(space, at, kPageSize);
      offset = kPageSize;
      state.ResumeTiming();
    }
  }
  map_fixed(space, at, bytes);
  touch(space, at, kPageSize);
  report(state, [&] { must_fault(space, at + ByteCount(kPageSize), Access::write); });
  space.destroy();
}
BENCHMARK(FirstTouch);

void MapFaultUnmap(benchmark::State& state) {
  test::SpaceSystem<Amd64> system;
  AddressSpace<Amd64>& space = system.create();
  const auto bytes = static_cast<std::uint64_t>(state.range(0)) * kPageSize;
  const auto once = [&] {
    const VirtAddr at = space.map({.address = {}, .length = ByteCount(bytes), .prot = kReadWrite}).value();
    touch(space, at, bytes);
    VELLUM_CHECK(space.unmap(at, ByteCount(bytes)).ok());
  };
  for (auto _ : state) {
    once();
  }
  report(state, once);
  space.destroy();
}
BENCHMARK(MapFaultUnmap)->Arg(1)->Arg(512);

// A page that a forked child still shares: the table is the parent's own already, so this is the page's copy alone.
void CopyOnWrite(benchmark::State& state) {
  test::SpaceSystem<Amd64> system({.memory = ByteCount(256 << 20)});
  AddressSpace<Amd64>& space = system.create();
  const VirtAddr at(2 * kTiB);
  const std::uint64_t bytes = 2 << 20;
  map_fixed(space, at, bytes);
  touch(space, at, bytes);
  AddressSpace<Amd64>* child = space.fork().value();
  std::uint64_t offset = kPageSize;
  must_fault(space, at, Access::write);
  for (auto _ : state) {
    must_fault(space, at + ByteCount(offset), Access::write);
    offset += kPageSize;
    if (offset == bytes) {
      state.PauseTiming();
      child->destroy();
      child = space.fork().value();
      must_fault(space, at, Access::write);
      offset = kPageSize;
      state.ResumeTiming();
    }
  }
  child->destroy();
  child = space.fork().value();
  must_fault(space, at, Access::write);
  report(state, [&] { must_fault(space, at + ByteCount(kPageSize), Access::write); });
  child->destroy();
  space.destroy();
}
BENCHMARK(CopyOnWrite);

void ProtectOnePage(benchmark::State& state) {
  test::SpaceSystem<Amd64> system;
  AddressSpace<Amd64>& space = system.create();
  const VirtAddr at(2 * kTiB);
  map_fixed(space, at, 2 << 20);
  touch(space, at, 2 << 20);
  const VirtAddr page = at + ByteCount(100 * kPageSize);
  bool writable = true;
  const auto once = [&] {
    writable = !writable;
    VELLUM_CHECK(space.protect(page, ByteCount(kPageSize), writable ? kReadWrite : Prot::read()).ok());
  };
  for (auto _ : state) {
    once();
  }
  report(state, once);
  space.destroy();
}
BENCHMARK(ProtectOnePage);

// A mapping of so many megabytes, every page touched. Untouched frames of the simulated machine are zeros that cost the
// host nothing, so 64 GB need 400 MB.
template <class F>
struct Touched {
  explicit Touched(std::uint64_t megabytes, MeaningPlacement placement = MeaningPlacement::highest)
      : bytes(megabytes << 20),
        system({.memory = ByteCount(bytes + bytes / 32 + (64 << 20))}, placement),
        space(system.create()) {
    map_fixed(space, at, bytes);
    touch(space, at, bytes);
  }
  ~Touched() { space.destroy(); }

  const VirtAddr at{F::kVirtualBits > 40 ? 2 * kTiB : std::uint64_t{1} << 30};
  const std::uint64_t bytes;
  test::SpaceSystem<F> system;
  AddressSpace<F>& space;
};

void ProtectTouched(benchmark::State& state) {
  Touched<Amd64> touched(static_cast<std::uint64_t>(state.range(0)),
                         state.range(1) == 0 ? MeaningPlacement::highest : MeaningPlacement::deepest);
  bool writable = true;
  const auto once = [&] {
    writable = !writable;
    VELLUM_CHECK(
        touched.space.protect(touched.at, ByteCount(touched.bytes), writable ? kReadWrite : Prot::read()).ok());
  };
  once();
  for (auto _ : state) {
    once();
  }
  if (state.range(1) == 0) {  // the other way has too many to step through
    report(state, once);
  }
}
BENCHMARK(ProtectTouched)
    ->ArgNames({"MB", "deepest"})
    ->Args({64, 0})
    ->Args({64, 1})
    ->Args({65536, 0})
    ->Args({65536, 1});

void UnmapTouched(benchmark::State& state) {
  for (auto _ : state) {
    state.PauseTiming();
    auto touched = std::make_unique<Touched<Amd64>>(static_cast<std::uint64_t>(state.range(0)));
    state.ResumeTiming();
    VELLUM_CHECK(touched->space.unmap(touched->at, ByteCount(touched->bytes)).ok());
    state.PauseTiming();
    touched.reset();
    state.ResumeTiming();
  }
  state.counters["time/page"] =
      benchmark::Counter(static_cast<double>(state.range(0)) * 256,
                         benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}
BENCHMARK(UnmapTouched)->ArgName("MB")->Arg(64)->Arg(65536)->Iterations(1);

template <class F>
void Fork(benchmark::State& state) {
  Touched<F> touched(static_cast<std::uint64_t>(state.range(0)));
  for (auto _ : state) {
    AddressSpace<F>* const child = touched.space.fork().value();
    state.PauseTiming();
    child->destroy();
    state.ResumeTiming();
  }
  // Every page written again, so that what the last fork denied has been granted again.
  touch(touched.space, touched.at, touched.bytes);
  AddressSpace<F>* child = nullptr;
  report(state, [&] { child = touched.space.fork().value(); });
  child->destroy();
}
BENCHMARK(Fork<Amd64>)->ArgName("MB")->Arg(1)->Arg(64)->Arg(1024)->Arg(65536)->Iterations(1000);
BENCHMARK(Fork<I386Pae>)->ArgName("MB")->Arg(1)->Arg(64)->Arg(1024)->Arg(2048)->Iterations(1000);

// The bill after a fork: parent and child each write the same part of 1 GB, spread evenly.
void WriteAfterFork(benchmark::State& state) {
  const std::uint64_t bytes = std::uint64_t{1} << 30;
  for (auto _ : state) {
    state.PauseTiming();
    test::SpaceSystem<Amd64> system({.memory = ByteCount(3 * bytes)});
    AddressSpace<Amd64>& parent = system.create();
    const VirtAddr at(2 * kTiB);
    map_fixed(parent, at, bytes);
    touch(parent, at, bytes);
    AddressSpace<Amd64>& child = *parent.fork().value();
    const std::uint64_t step = kPageSize * 100 / static_cast<std::uint64_t>(state.range(0));
    state.ResumeTiming();
    for (AddressSpace<Amd64>* space : {&parent, &child}) {
      for (std::uint64_t offset = 0; offset < bytes; offset += step) {
        must_fault(*space, (at + ByteCount(offset)).page(), Access::write);
      }
    }
    state.PauseTiming();
    child.destroy();
    parent.destroy();
    state.ResumeTiming();
  }
  const double writes = 2.0 * (1 << 18) * static_cast<double>(state.range(0)) / 100;
  state.counters["time/write"] =
      benchmark::Counter(writes, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}
BENCHMARK(WriteAfterFork)->ArgName("percent")->Arg(1)->Arg(10)->Arg(100)->Iterations(1)->Unit(benchmark::kMillisecond);

void ReserveTerabyte(benchmark::State& state) {
  test::SpaceSystem<Amd64> system;
  AddressSpace<Amd64>& space = system.create();
  const auto once = [&] {
    map_fixed(space, VirtAddr(2 * kTiB + kPageSize), kTiB, Traits::no_reserve());
    VELLUM_CHECK(space.unmap(VirtAddr(2 * kTiB + kPageSize), ByteCount(kTiB)).ok());
  };
  for (auto _ : state) {
    once();
  }
  report(state, once);
  const PageCount before = space.residence().tables;
  map_fixed(space, VirtAddr(2 * kTiB + kPageSize), kTiB, Traits::no_reserve());
  state.counters["table_KB"] = static_cast<double>((space.residence().tables - before).value() * 4);
  space.destroy();
}
BENCHMARK(ReserveTerabyte);

// A mapping without an address among so many others, with as many holes.
void PlaceAmong(benchmark::State& state) {
  test::SpaceSystem<Amd64> system;
  AddressSpace<Amd64>& space = system.create();
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    map_fixed(space, VirtAddr(2 * kTiB + static_cast<std::uint64_t>(i) * 2 * kPageSize), kPageSize);
  }
  const auto once = [&] {
    const Result<VirtAddr> at = space.map({.address = {}, .length = ByteCount(kPageSize), .prot = kReadWrite});
    VELLUM_CHECK(space.unmap(at.value(), ByteCount(kPageSize)).ok());
  };
  for (auto _ : state) {
    once();
  }
  report(state, once);
  space.destroy();
}
BENCHMARK(PlaceAmong)->ArgName("regions")->Arg(1)->Arg(512)->Arg(32768);

}  // namespace
}  // namespace vellum
