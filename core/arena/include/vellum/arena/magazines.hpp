// The magazine layer: per-CPU stacks of ready objects, and a depot where CPUs exchange whole stacks
// [Bonwick & Adams 2001, "Magazines and Vmem", section 3].
//
// Each CPU has two magazines. It pops from and pushes to the loaded one; when that is empty (or full) and the previous
// one is full (or empty) the two change places; else one of them is exchanged at the depot. So at least a magazine's
// worth of operations lies between two visits to the depot, whatever the pattern, and the common case writes nothing
// that another CPU reads. A round is any 64-bit word: the address of an object or of a range.
//
// What the owner does with rounds when magazines run out or over, it does in batches: see ObjectCache and Arena.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include <vellum/arena/page_source.hpp>
#include <vellum/arena/slab_pool.hpp>
#include <vellum/base/lock.hpp>
#include <vellum/base/machine.hpp>

namespace vellum {

using Round = std::uint64_t;

class Magazines {
 public:
  static constexpr unsigned kMaxRounds = 31;
  // Room for the rounds of one magazine.
  using Batch = std::span<Round, kMaxRounds>;

  // Magazines of `capacity` rounds, 1 .. kMaxRounds. Takes no memory before the first push; where there is none for
  // magazines every push and pop just fails.
  Magazines(unsigned capacity, PageSource& source, Machine& machine);
  // All must have been drained.
  ~Magazines();
  Magazines(const Magazines&) = delete;
  Magazines& operator=(const Magazines&) = delete;

  // The common case, constant time. Empty: pop_slow() is next.
  [[nodiscard]] std::optional<Round> pop() {
    const CpuSection section(machine_);
    CpuMagazines* const mine = of_this_cpu();
    return mine == nullptr ? std::nullopt : pop_from(*mine);
  }
  // False: push_slow() is next.
  [[nodiscard]] bool push(Round round) {
    const CpuSection section(machine_);
    CpuMagazines* const mine = of_this_cpu();
    return mine != nullptr && push_to(*mine, round);
  }

  // Pops from the previous magazine or a full one of the depot; empty when there is neither.
  [[nodiscard]] std::optional<Round> pop_slow();
  // Pushes into another magazine. Returns how many rounds the owner has to dispose of, now in `overflow`: none, `round`
  // itself (no memory for a magazine), or a magazine's worth (the depot holds its share).
  [[nodiscard]] unsigned push_slow(Round round, Batch overflow);
  // Lays rounds into this CPU's loaded magazine, last ones first; returns how many found room.
  [[nodiscard]] unsigned stock(std::span<const Round> rounds);

  // Takes the rounds of one magazine of this CPU or of the depot; returns how many, 0 when they have none. May run at
  // any time.
  [[nodiscard]] unsigned unload_some(Batch out) VELLUM_EXCLUDES(depot_);
  // The same for all CPUs; the last call, which returns 0, gives the memory back. No CPU may use the magazines
  // meanwhile.
  [[nodiscard]] unsigned unload_all(Batch out) VELLUM_EXCLUDES(depot_);

  // Rounds held; exact while no CPU pops or pushes.
  [[nodiscard]] std::uint64_t count() const;
  [[nodiscard]] PageCount pages() const;
  [[nodiscard]] unsigned capacity() const { return capacity_; }

 private:
  struct Magazine {
    Magazine* next;
    Round rounds[kMaxRounds];
  };
  // One CPU's. `previous` is full or empty. Counts are atomic only so that count() may read them from outside.
  struct alignas(kCacheLine) CpuMagazines {
    std::atomic<std::uint32_t> loaded_count;
    std::uint32_t limit;  // the capacity, or 0 while nothing is loaded
    Magazine* loaded;
    Magazine* previous;
    std::atomic<std::uint32_t> previous_count;
  };

  [[nodiscard]] CpuMagazines* of_this_cpu() const {
    CpuMagazines* const all = cpus_.load(std::memory_order_acquire);
    return all == nullptr ? nullptr : all + machine_.current_cpu().value();
  }
  [[nodiscard]] static std::optional<Round> pop_from(CpuMagazines& mine) {
    const std::uint32_t count = mine.loaded_count.load(std::memory_order_relaxed);
    if (count == 0) [[unlikely]] {
      return std::nullopt;
    }
    mine.loaded_count.store(count - 1, std::memory_order_relaxed);
    return mine.loaded->rounds[count - 1];
  }
  [[nodiscard]] static bool push_to(CpuMagazines& mine, Round round) {
    const std::uint32_t count = mine.loaded_count.load(std::memory_order_relaxed);
    if (count == mine.limit) [[unlikely]] {
      return false;
    }
    mine.loaded->rounds[count] = round;
    mine.loaded_count.store(count + 1, std::memory_order_relaxed);
    return true;
  }

  // Whether memory was asked for since the magazines were last found wanting.
  enum class Supply : std::uint8_t { as_it_is, replenished };

  [[nodiscard]] unsigned cpu_array_order() const;
  void swap(CpuMagazines& mine) const;
  [[nodiscard]] unsigned unload_cpu(CpuMagazines& cpu, Batch out) const;
  [[nodiscard]] unsigned unload_depot(Batch out) VELLUM_EXCLUDES(depot_);
  // Exchanges the loaded magazine for one with room; empties the previous one into `overflow` where the depot is full
  // or has no magazine left. False: nothing was done.
  [[nodiscard]] bool make_room(CpuMagazines& mine, Supply supply, Batch overflow, unsigned& overflowed)
      VELLUM_EXCLUDES(depot_);
  // Asks the source for whatever is missing of the CPUs' array and an empty magazine; may get nothing.
  void replenish() VELLUM_EXCLUDES(depot_);
  [[nodiscard]] Magazine* take_empty() VELLUM_REQUIRES(depot_) { return reinterpret_cast<Magazine*>(empty_.take()); }
  void put_empty(Magazine* magazine) VELLUM_REQUIRES(depot_) { empty_.put(reinterpret_cast<std::byte*>(magazine)); }
  void release_memory() VELLUM_EXCLUDES(depot_);

  Machine& machine_;
  std::atomic<CpuMagazines*> cpus_{nullptr};
  PageSource& source_;
  unsigned capacity_;
  unsigned depot_limit_;
  mutable Spinlock depot_{LockRank::cache};
  Magazine* full_ VELLUM_GUARDED_BY(depot_) = nullptr;
  std::uint64_t full_count_ VELLUM_GUARDED_BY(depot_) = 0;
  SlabPool empty_ VELLUM_GUARDED_BY(depot_);  // what is not taken from it is an empty magazine
};

}  // namespace vellum
