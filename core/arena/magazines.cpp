#include <algorithm>
#include <new>

#include <vellum/arena/magazines.hpp>

namespace vellum {
namespace {

// Full magazines that the depot keeps for each CPU: enough to carry an exchange between two CPUs, and a bound on the
// memory that lies idle.
constexpr unsigned kDepotShare = 2;
constexpr unsigned kDepotLeast = 4;

}  // namespace

Magazines::Magazines(unsigned capacity, PageSource& source, Machine& machine)
    : machine_(machine),
      source_(source),
      capacity_(capacity),
      depot_limit_(std::max(kDepotLeast, machine.cpu_count() * kDepotShare)),
      empty_(SlabGeometry::of(ByteCount(sizeof(Magazine)), ByteCount(alignof(Magazine)))) {
  VELLUM_CHECK(capacity >= 1 && capacity <= kMaxRounds);
}

Magazines::~Magazines() { VELLUM_ASSERT(count() == 0 && pages().is_zero()); }

unsigned Magazines::cpu_array_order() const {
  const std::uint64_t bytes = std::uint64_t{machine_.cpu_count()} * sizeof(CpuMagazines);
  unsigned order = 0;
  while ((kPageSize << order) < bytes) {
    ++order;
  }
  return order;
}

void Magazines::swap(CpuMagazines& mine) const {
  std::swap(mine.loaded, mine.previous);
  const std::uint32_t loaded = mine.loaded_count.load(std::memory_order_relaxed);
  mine.loaded_count.store(mine.previous_count.load(std::memory_order_relaxed), std::memory_order_relaxed);
  mine.previous_count.store(loaded, std::memory_order_relaxed);
  mine.limit = mine.loaded == nullptr ? 0 : capacity_;
}

std::optional<Round> Magazines::pop_slow() {
  const CpuSection section(machine_);
  CpuMagazines* const mine = of_this_cpu();
  if (mine == nullptr) {
    return std::nullopt;
  }
  if (mine->loaded_count.load(std::memory_order_relaxed) == 0) {
    if (mine->previous_count.load(std::memory_order_relaxed) == 0) {
      const LockGuard guard(depot_);
      if (full_ == nullptr) {
        return std::nullopt;
      }
      if (mine->previous != nullptr) {
        put_empty(mine->previous);
      }
      mine->previous = full_;
      mine->previous_count.store(capacity_, std::memory_order_relaxed);
      full_ = full_->next;
      --full_count_;
    }
    swap(*mine);
  }
  return pop_from(*mine);
}

bool Magazines::make_room(CpuMagazines& mine, Supply supply, Batch overflow, unsigned& overflowed) {
  overflowed = 0;
  const bool previous_full = mine.previous_count.load(std::memory_order_relaxed) != 0;
  if (mine.previous != nullptr && !previous_full) {
    swap(mine);
    return true;
  }
  {
    const LockGuard guard(depot_);
    Magazine* const empty = previous_full && full_count_ >= depot_limit_ ? nullptr : take_empty();
    if (empty != nullptr) {
      if (previous_full) {
        mine.previous->next = full_;
        full_ = mine.previous;
        ++full_count_;
      }
      mine.previous = empty;
      mine.previous_count.store(0, std::memory_order_relaxed);
      swap(mine);
      return true;
    }
    if (!previous_full || (supply == Supply::as_it_is && full_count_ < depot_limit_)) {
      return false;
    }
  }
  std::copy_n(mine.previous->rounds, capacity_, overflow.begin());
  overflowed = capacity_;
  mine.previous_count.store(0, std::memory_order_relaxed);
  swap(mine);
  return true;
}

unsigned Magazines::push_slow(Round round, Batch overflow) {
  for (const Supply supply : {Supply::as_it_is, Supply::replenished}) {
    if (supply == Supply::replenished) {
      replenish();
    }
    const CpuSection section(machine_);
    CpuMagazines* const mine = of_this_cpu();
    unsigned overflowed = 0;
    if (mine != nullptr &&
        (push_to(*mine, round) || (make_room(*mine, supply, overflow, overflowed) && push_to(*mine, round)))) {
      return overflowed;
    }
  }
  overflow.front() = round;
  return 1;
}

unsigned Magazines::stock(std::span<const Round> rounds) {
  for (const Supply supply : {Supply::as_it_is, Supply::replenished}) {
    if (supply == Supply::replenished) {
      replenish();
    }
    const CpuSection section(machine_);
    CpuMagazines* const mine = of_this_cpu();
    if (mine == nullptr) {
      continue;
    }
    if (mine->loaded == nullptr) {
      const LockGuard guard(depot_);
      mine->loaded = take_empty();
      mine->limit = mine->loaded == nullptr ? 0 : capacity_;
    }
    if (mine->loaded != nullptr) {
      unsigned stocked = 0;
      while (stocked < rounds.size() && push_to(*mine, rounds[rounds.size() - 1 - stocked])) {
        ++stocked;
      }
      return stocked;
    }
  }
  return 0;
}

void Magazines::replenish() {
  if (cpus_.load(std::memory_order_acquire) == nullptr) {
    Result<std::byte*> block = source_.allocate(cpu_array_order());
    if (!block.ok()) {
      return;
    }
    auto* const cpus = reinterpret_cast<CpuMagazines*>(*block);
    for (unsigned cpu = 0; cpu < machine_.cpu_count(); ++cpu) {
      ::new (cpus + cpu) CpuMagazines{};
    }
    CpuMagazines* expected = nullptr;
    if (!cpus_.compare_exchange_strong(expected, cpus, std::memory_order_acq_rel)) {
      source_.free(*block, cpu_array_order());
    }
  }
  {
    const CpuSection section(machine_);
    const LockGuard guard(depot_);
    if (Magazine* const magazine = take_empty(); magazine != nullptr) {
      put_empty(magazine);
      return;
    }
  }
  Result<std::byte*> block = source_.allocate(0);
  if (block.ok()) {
    const CpuSection section(machine_);
    const LockGuard guard(depot_);
    empty_.add_slab(*block);
  }
}

unsigned Magazines::unload_cpu(CpuMagazines& cpu, Batch out) const {
  if (cpu.loaded_count.load(std::memory_order_relaxed) == 0) {
    swap(cpu);
  }
  const std::uint32_t count = cpu.loaded_count.load(std::memory_order_relaxed);
  if (count != 0) {
    std::copy_n(cpu.loaded->rounds, count, out.begin());
    cpu.loaded_count.store(0, std::memory_order_relaxed);
  }
  return count;
}

unsigned Magazines::unload_depot(Batch out) {
  const CpuSection section(machine_);
  const LockGuard guard(depot_);
  Magazine* const magazine = full_;
  if (magazine == nullptr) {
    return 0;
  }
  full_ = magazine->next;
  --full_count_;
  std::copy_n(magazine->rounds, capacity_, out.begin());
  put_empty(magazine);
  return capacity_;
}

unsigned Magazines::unload_some(Batch out) {
  {
    const CpuSection section(machine_);
    CpuMagazines* const mine = of_this_cpu();
    if (mine != nullptr) {
      if (const unsigned unloaded = unload_cpu(*mine, out); unloaded != 0) {
        return unloaded;
      }
    }
  }
  return unload_depot(out);
}

unsigned Magazines::unload_all(Batch out) {
  CpuMagazines* const cpus = cpus_.load(std::memory_order_acquire);
  for (unsigned cpu = 0; cpus != nullptr && cpu < machine_.cpu_count(); ++cpu) {
    if (const unsigned unloaded = unload_cpu(cpus[cpu], out); unloaded != 0) {
      return unloaded;
    }
  }
  const unsigned unloaded = unload_depot(out);
  if (unloaded == 0) {
    release_memory();
  }
  return unloaded;
}

void Magazines::release_memory() {
  CpuMagazines* const cpus = cpus_.exchange(nullptr, std::memory_order_acq_rel);
  if (cpus != nullptr) {
    {
      const CpuSection section(machine_);
      const LockGuard guard(depot_);
      for (unsigned cpu = 0; cpu < machine_.cpu_count(); ++cpu) {
        for (Magazine* const magazine : {cpus[cpu].loaded, cpus[cpu].previous}) {
          if (magazine != nullptr) {
            put_empty(magazine);
          }
        }
      }
    }
    source_.free(reinterpret_cast<std::byte*>(cpus), cpu_array_order());
  }
  for (;;) {
    std::byte* block = nullptr;
    {
      const CpuSection section(machine_);
      const LockGuard guard(depot_);
      block = empty_.remove_empty_slab();
    }
    if (block == nullptr) {
      return;
    }
    source_.free(block, 0);
  }
}

std::uint64_t Magazines::count() const {
  const CpuMagazines* const cpus = cpus_.load(std::memory_order_acquire);
  std::uint64_t total = 0;
  for (unsigned cpu = 0; cpus != nullptr && cpu < machine_.cpu_count(); ++cpu) {
    total += cpus[cpu].loaded_count.load(std::memory_order_relaxed);
    total += cpus[cpu].previous_count.load(std::memory_order_relaxed);
  }
  const CpuSection section(machine_);
  const LockGuard guard(depot_);
  return total + full_count_ * capacity_;
}

PageCount Magazines::pages() const {
  const bool has_array = cpus_.load(std::memory_order_acquire) != nullptr;
  const CpuSection section(machine_);
  const LockGuard guard(depot_);
  return empty_.pages() + PageCount(has_array ? std::uint64_t{1} << cpu_array_order() : 0);
}

}  // namespace vellum
