// Random numbers that a seed repeats.
#pragma once

#include <cstddef>
#include <cstdint>

namespace guest {

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed * 0x9E37'79B9'7F4A'7C15ULL + 1) {}

  std::uint64_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_ * 0x2545'F491'4F6C'DD1DULL;
  }
  std::uint64_t below(std::uint64_t bound) { return (next() >> 11) % bound; }
  bool one_in(std::uint64_t n) { return below(n) == 0; }
  template <class T, std::size_t N>
  const T& of(const T (&all)[N]) {
    return all[below(N)];
  }

 private:
  std::uint64_t state_;
};

}  // namespace guest
