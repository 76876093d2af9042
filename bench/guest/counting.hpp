// Counting instructions. Under QEMU's -icount shift=0 the time-stamp counter advances by one an instruction, those of
// user mode, kernel and interrupts alike, and a run repeats exactly.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "system_calls.hpp"

namespace vellum::bench {

inline std::uint64_t ticks() {
  std::uint32_t low;
  std::uint32_t high;
  asm volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
  return std::uint64_t{high} << 32 | low;
}

// What two readings of the counter have between them when nothing stands there.
constexpr std::uint64_t kReading = 3;

template <typename Operation>
std::uint64_t count(Operation operation) {
  const auto begin = ticks();
  operation();
  const auto end = ticks();
  return end - begin - kReading;
}

// Leaves the metric, in a process of its own, for the reason given: the call that failed.
[[noreturn]] inline void give_up(const char* what, Word result) {
  std::printf("failed %s: error %lld\n", what, static_cast<long long>(-result));
  std::fflush(stdout);
  _Exit(1);
}

inline Word must(const char* what, Word result) {
  if (failed(result)) {
    give_up(what, result);
  }
  return result;
}

// Counts of one operation done again and again; each was spent on `units` units (pages, mostly).
class Samples {
 public:
  explicit Samples(std::size_t capacity, std::uint64_t units = 1) : units_{units} {
    values_.resize(capacity, 1);  // touched, so that adding faults on nothing
    values_.clear();
  }
  void add(std::uint64_t value) { values_.push_back(value); }

  void print(const char* name) {
    std::ranges::sort(values_);
    const auto at = [&](std::size_t percent) { return per_unit(values_[(values_.size() - 1) * percent / 100]); };
    std::printf("metric %s median %.3f min %.3f p90 %.3f max %.3f samples %zu\n", name, at(50), at(0), at(90), at(100),
                values_.size());
  }

 private:
  double per_unit(std::uint64_t value) const { return static_cast<double>(value) / static_cast<double>(units_); }
  std::uint64_t units_;
  std::vector<std::uint64_t> values_;
};

struct Metric {
  const char* name;
  Samples (*measure)();
};

}  // namespace vellum::bench
