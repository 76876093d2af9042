// What stateful fuzzers share: reading operations out of bytes, and counting them.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

// The operations that this process has done: a fuzzer adds to it, the random driver stops by it and reports it.
extern "C" inline std::uint64_t vellum_fuzz_operations = 0;

namespace vellum {

// Decodes a fuzzer's input. Past its end everything reads as zero, so that each prefix of a program is a program.
class FuzzInput {
 public:
  FuzzInput(const std::uint8_t* data, std::size_t size) : rest_(data, size) {}

  [[nodiscard]] bool empty() const { return rest_.empty(); }

  [[nodiscard]] std::uint8_t take_u8() {
    if (rest_.empty()) {
      return 0;
    }
    const std::uint8_t byte = rest_.front();
    rest_ = rest_.subspan(1);
    return byte;
  }
  [[nodiscard]] std::uint16_t take_u16() { return take<std::uint16_t>(); }
  [[nodiscard]] std::uint32_t take_u32() { return take<std::uint32_t>(); }
  [[nodiscard]] std::uint64_t take_u64() { return take<std::uint64_t>(); }
  [[nodiscard]] bool take_bool() { return (take_u8() & 1U) != 0; }
  // A number in first .. last, both inclusive. Takes as few bytes as the width of the range needs.
  [[nodiscard]] std::uint64_t take_in_range(std::uint64_t first, std::uint64_t last) {
    const std::uint64_t width = last - first;
    std::uint64_t number = 0;
    for (std::uint64_t rest = width; rest != 0; rest >>= 8) {
      number = number << 8 | take_u8();
    }
    return width == UINT64_MAX ? number : first + number % (width + 1);
  }

 private:
  template <std::unsigned_integral T>
  [[nodiscard]] T take() {
    std::uint64_t number = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      number = number << 8 | take_u8();
    }
    return static_cast<T>(number);
  }

  std::span<const std::uint8_t> rest_;
};

}  // namespace vellum
