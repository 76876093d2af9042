// CPUs by number, and sets of them.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include <vellum/base/panic.hpp>

namespace vellum {

// As many as illumos's NCPU on amd64; a machine may have fewer.
inline constexpr unsigned kMaxCpus = 256;
inline constexpr std::size_t kCacheLine = 64;

class CpuIndex {
 public:
  constexpr CpuIndex() = default;
  constexpr explicit CpuIndex(unsigned value) : value_(value) { VELLUM_ASSERT(value < kMaxCpus); }
  [[nodiscard]] constexpr unsigned value() const { return value_; }
  constexpr auto operator<=>(const CpuIndex&) const = default;

 private:
  unsigned value_ = 0;
};

// A plain set of CPUs: a snapshot, or the target of a shootdown.
class CpuSet {
 public:
  constexpr void add(CpuIndex cpu) { words_[cpu.value() / 64] |= bit(cpu); }
  constexpr void remove(CpuIndex cpu) { words_[cpu.value() / 64] &= ~bit(cpu); }
  [[nodiscard]] constexpr bool contains(CpuIndex cpu) const { return (words_[cpu.value() / 64] & bit(cpu)) != 0; }
  [[nodiscard]] constexpr bool empty() const {
    for (const std::uint64_t word : words_) {
      if (word != 0) {
        return false;
      }
    }
    return true;
  }
  [[nodiscard]] constexpr unsigned count() const {
    unsigned total = 0;
    for (const std::uint64_t word : words_) {
      total += static_cast<unsigned>(std::popcount(word));
    }
    return total;
  }
  constexpr CpuSet& operator|=(const CpuSet& other) {
    for (std::size_t i = 0; i < kWords; ++i) {
      words_[i] |= other.words_[i];
    }
    return *this;
  }
  // Calls visit(CpuIndex) for each member in ascending order.
  template <class Visitor>
  constexpr void for_each(Visitor visit) const {
    for (std::size_t i = 0; i < kWords; ++i) {
      for (std::uint64_t rest = words_[i]; rest != 0; rest &= rest - 1) {
        visit(CpuIndex(static_cast<unsigned>(i * 64) + static_cast<unsigned>(std::countr_zero(rest))));
      }
    }
  }

 private:
  friend class AtomicCpuSet;
  static constexpr std::size_t kWords = kMaxCpus / 64;
  static constexpr std::uint64_t bit(CpuIndex cpu) { return std::uint64_t{1} << (cpu.value() % 64); }

  std::uint64_t words_[kWords] = {};
};

// A set that CPUs enter and leave by themselves while others read it. All operations are sequentially consistent: a CPU
// that loads a page-table root after add() is seen by whoever changes an entry and then takes a snapshot().
class AtomicCpuSet {
 public:
  void add(CpuIndex cpu) { words_[cpu.value() / 64].fetch_or(CpuSet::bit(cpu)); }
  void remove(CpuIndex cpu) { words_[cpu.value() / 64].fetch_and(~CpuSet::bit(cpu)); }
  [[nodiscard]] bool contains(CpuIndex cpu) const { return (words_[cpu.value() / 64].load() & CpuSet::bit(cpu)) != 0; }
  // Whether nobody but `cpu` is in it.
  [[nodiscard]] bool none_but(CpuIndex cpu) const {
    for (std::size_t i = 0; i < CpuSet::kWords; ++i) {
      const std::uint64_t own = i == cpu.value() / 64 ? CpuSet::bit(cpu) : 0;
      if ((words_[i].load() & ~own) != 0) {
        return false;
      }
    }
    return true;
  }
  [[nodiscard]] CpuSet snapshot() const {
    CpuSet set;
    for (std::size_t i = 0; i < CpuSet::kWords; ++i) {
      set.words_[i] = words_[i].load();
    }
    return set;
  }

 private:
  std::atomic<std::uint64_t> words_[CpuSet::kWords] = {};
};

}  // namespace vellum
