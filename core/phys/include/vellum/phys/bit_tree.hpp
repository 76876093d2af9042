// A set of small numbers as a tree of 64-bit words: a bit of an upper level says that the word below it is not zero. So
// the next member is found in a step for each level, of which 2^18 numbers need three.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include <vellum/base/panic.hpp>

namespace vellum {

// Numbers 0 .. size-1 over memory of the caller. Not synchronised.
class BitTree {
 public:
  // The words that a set of `size` numbers needs.
  [[nodiscard]] static constexpr std::size_t words_for(std::size_t size) {
    std::size_t total = 0;
    do {
      size = (size + 63) / 64;
      total += size;
    } while (size > 1);
    return total;
  }

  BitTree() = default;
  // An empty set. `words` are words_for(size) zero words that outlive it.
  BitTree(std::span<std::uint64_t> words, std::size_t size) : size_(size) {
    std::uint64_t* next = words.data();
    do {
      VELLUM_CHECK(levels_ < kMaxLevels);
      size = (size + 63) / 64;
      level_[levels_++] = next;
      next += size;
    } while (size > 1);
    VELLUM_ASSERT(next == words.data() + words.size());
  }

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool contains(std::size_t number) const { return (level_[0][number / 64] >> (number % 64) & 1U) != 0; }
  // Members 64*group .. 64*group+63 as bits.
  [[nodiscard]] std::uint64_t group(std::size_t group) const { return level_[0][group]; }

  void insert(std::size_t number) {
    VELLUM_ASSERT(number < size_);
    for (unsigned level = 0; level < levels_; ++level) {
      std::uint64_t& word = level_[level][number / 64];
      const std::uint64_t before = word;
      word |= std::uint64_t{1} << (number % 64);
      if (before != 0) {
        return;
      }
      number /= 64;
    }
  }
  void erase(std::size_t number) {
    VELLUM_ASSERT(number < size_);
    for (unsigned level = 0; level < levels_; ++level) {
      std::uint64_t& word = level_[level][number / 64];
      word &= ~(std::uint64_t{1} << (number % 64));
      if (word != 0) {
        return;
      }
      number /= 64;
    }
  }
  // Makes the members of first .. last members, both inclusive: a step for each 64.
  void insert_all(std::size_t first, std::size_t last) {
    VELLUM_ASSERT(first <= last && last < size_);
    for (unsigned level = 0; level < levels_; ++level) {
      for (std::size_t word = first / 64; word <= last / 64; ++word) {
        const std::uint64_t from = word == first / 64 ? ~std::uint64_t{0} << (first % 64) : ~std::uint64_t{0};
        const std::uint64_t to = word == last / 64 ? ~std::uint64_t{0} >> (63 - last % 64) : ~std::uint64_t{0};
        level_[level][word] |= from & to;
      }
      first /= 64;
      last /= 64;
    }
  }

  // The smallest member that is not below `from`.
  [[nodiscard]] std::optional<std::size_t> next(std::size_t from) const {
    if (from >= size_) {
      return std::nullopt;
    }
    for (unsigned level = 0; level < levels_; ++level) {
      const std::uint64_t rest = level_[level][from / 64] & (~std::uint64_t{0} << (from % 64));
      if (rest != 0) {
        std::size_t found = from / 64 * 64 + static_cast<unsigned>(std::countr_zero(rest));
        while (level-- > 0) {
          found = found * 64 + static_cast<unsigned>(std::countr_zero(level_[level][found]));
        }
        return found;
      }
      from = from / 64 + 1;
      if (level + 1 == levels_ || from >= size_at(level + 1)) {
        return std::nullopt;
      }
    }
    return std::nullopt;
  }
  // The same, but after the last number it goes on with the first.
  [[nodiscard]] std::optional<std::size_t> next_around(std::size_t from) const {
    const std::optional<std::size_t> found = next(from);
    return found ? found : next(0);
  }

 private:
  static constexpr unsigned kMaxLevels = 5;

  // The numbers that a level has.
  [[nodiscard]] std::size_t size_at(unsigned level) const {
    std::size_t size = size_;
    while (level-- > 0) {
      size = (size + 63) / 64;
    }
    return size;
  }

  std::uint64_t* level_[kMaxLevels] = {};
  unsigned levels_ = 0;
  std::size_t size_ = 0;
};

}  // namespace vellum
