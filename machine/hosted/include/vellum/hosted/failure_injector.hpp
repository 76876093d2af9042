// Decides which allocations of a simulated machine fail.
#pragma once

#include <atomic>
#include <cstdint>

namespace vellum::hosted {

// Every allocation of a page asks permits(). To try each failure of an operation in turn:
//
//   for (std::uint64_t n = 1;; ++n) {
//     injector.fail_nth(n);
//     ... the operation ...
//     if (injector.failures() == 0) { break; }   // it asked fewer than n times
//     ... it must have failed cleanly ...
//   }
//   injector.off();
//
// The modes are switched while nobody asks; asking is free for all CPUs. While off, asking writes no memory and asks
// are not counted, so that the counter is no line that CPUs share where that is measured.
class FailureInjector {
 public:
  [[nodiscard]] bool permits() { return mode_.load(std::memory_order_relaxed) == Mode::off || decide(); }

  void off() { begin(Mode::off); }
  // Fails nothing and counts.
  void count() { begin(Mode::count); }
  // Fails the n-th ask from now, n >= 1, and no other.
  void fail_nth(std::uint64_t n) {
    nth_ = n;
    begin(Mode::nth);
  }
  // Fails about `numerator` in `denominator` asks; which ones is a function of the seed alone.
  void fail_randomly(std::uint32_t numerator, std::uint32_t denominator, std::uint64_t seed) {
    numerator_ = numerator;
    denominator_ = denominator;
    seed_ = seed;
    begin(Mode::random);
  }

  // Since the mode was last set.
  [[nodiscard]] std::uint64_t asks() const { return asks_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t failures() const { return failures_.load(std::memory_order_relaxed); }

 private:
  enum class Mode : std::uint8_t { off, count, nth, random };

  void begin(Mode mode) {
    asks_.store(0, std::memory_order_relaxed);
    failures_.store(0, std::memory_order_relaxed);
    mode_.store(mode, std::memory_order_release);
  }
  [[nodiscard]] bool decide();

  std::atomic<Mode> mode_{Mode::off};
  std::uint64_t nth_ = 0;
  std::uint32_t numerator_ = 0;
  std::uint32_t denominator_ = 1;
  std::uint64_t seed_ = 0;
  std::atomic<std::uint64_t> asks_{0};
  std::atomic<std::uint64_t> failures_{0};
};

}  // namespace vellum::hosted
