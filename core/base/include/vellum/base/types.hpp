// The vocabulary of addresses and amounts. Each is a class of its own, so that a physical address is never taken for a
// virtual one nor a page count for a byte count. All are 64 bits wide on every machine: PAE reaches 64 GB of physical
// memory from a 32-bit processor, and the simulated machine runs 64-bit formats wherever it is built.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>

#include <vellum/base/panic.hpp>

namespace vellum {

inline constexpr unsigned kPageShift = 12;
inline constexpr std::uint64_t kPageSize = std::uint64_t{1} << kPageShift;

[[nodiscard]] constexpr bool is_power_of_two(std::uint64_t value) { return value != 0 && (value & (value - 1)) == 0; }
[[nodiscard]] constexpr std::uint64_t round_down(std::uint64_t value, std::uint64_t power_of_two) {
  return value & ~(power_of_two - 1);
}
// Wraps to 0 where the result would be 2^64: callers that take sizes from outside check first.
[[nodiscard]] constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t power_of_two) {
  return (value + power_of_two - 1) & ~(power_of_two - 1);
}

// An amount of something: adds, subtracts, compares, scales; never mixes with an amount of something else.
template <class Unit>
class Amount {
 public:
  constexpr Amount() = default;
  constexpr explicit Amount(std::uint64_t value) : value_(value) {}

  [[nodiscard]] constexpr std::uint64_t value() const { return value_; }
  [[nodiscard]] constexpr bool is_zero() const { return value_ == 0; }

  constexpr auto operator<=>(const Amount&) const = default;
  constexpr Amount operator+(Amount other) const { return Amount(value_ + other.value_); }
  constexpr Amount operator-(Amount other) const { return Amount(value_ - other.value_); }
  constexpr Amount operator*(std::uint64_t factor) const { return Amount(value_ * factor); }
  constexpr Amount operator/(std::uint64_t divisor) const { return Amount(value_ / divisor); }
  constexpr Amount& operator+=(Amount other) { return *this = *this + other; }
  constexpr Amount& operator-=(Amount other) { return *this = *this - other; }

 private:
  std::uint64_t value_ = 0;
};

using ByteCount = Amount<struct ByteUnit>;
using PageCount = Amount<struct PageUnit>;

[[nodiscard]] constexpr ByteCount bytes_of(PageCount pages) { return ByteCount(pages.value() << kPageShift); }
// Rounds down: the whole pages in so many bytes.
[[nodiscard]] constexpr PageCount whole_pages(ByteCount bytes) { return PageCount(bytes.value() >> kPageShift); }
// Rounds up: the pages that so many bytes need. Never wraps.
[[nodiscard]] constexpr PageCount pages_for(ByteCount bytes) {
  return PageCount((bytes.value() >> kPageShift) + ((bytes.value() & (kPageSize - 1)) != 0 ? 1 : 0));
}

namespace literals {
constexpr ByteCount operator""_B(unsigned long long n) { return ByteCount(n); }
constexpr ByteCount operator""_KiB(unsigned long long n) { return ByteCount(n << 10); }
constexpr ByteCount operator""_MiB(unsigned long long n) { return ByteCount(n << 20); }
constexpr ByteCount operator""_GiB(unsigned long long n) { return ByteCount(n << 30); }
constexpr ByteCount operator""_TiB(unsigned long long n) { return ByteCount(n << 40); }
constexpr PageCount operator""_pages(unsigned long long n) { return PageCount(n); }
}  // namespace literals

// A byte address in one address space: virtual or physical. Arithmetic wraps modulo 2^64 like the hardware's; ranges
// from outside are checked when a Range is made.
template <class Space>
class Address {
 public:
  constexpr Address() = default;
  constexpr explicit Address(std::uint64_t value) : value_(value) {}

  [[nodiscard]] constexpr std::uint64_t value() const { return value_; }

  constexpr auto operator<=>(const Address&) const = default;
  constexpr Address operator+(ByteCount bytes) const { return Address(value_ + bytes.value()); }
  constexpr Address operator-(ByteCount bytes) const { return Address(value_ - bytes.value()); }
  constexpr ByteCount operator-(Address other) const { return ByteCount(value_ - other.value_); }
  constexpr Address& operator+=(ByteCount bytes) { return *this = *this + bytes; }
  constexpr Address& operator-=(ByteCount bytes) { return *this = *this - bytes; }

  [[nodiscard]] constexpr bool is_aligned(ByteCount power_of_two) const {
    return (value_ & (power_of_two.value() - 1)) == 0;
  }
  [[nodiscard]] constexpr Address align_down(ByteCount power_of_two) const {
    return Address(round_down(value_, power_of_two.value()));
  }
  [[nodiscard]] constexpr Address align_up(ByteCount power_of_two) const {
    return Address(round_up(value_, power_of_two.value()));
  }
  [[nodiscard]] constexpr bool is_page_aligned() const { return is_aligned(ByteCount(kPageSize)); }
  [[nodiscard]] constexpr Address page() const { return align_down(ByteCount(kPageSize)); }
  [[nodiscard]] constexpr ByteCount offset_in_page() const { return ByteCount(value_ & (kPageSize - 1)); }

 private:
  std::uint64_t value_ = 0;
};

using VirtAddr = Address<struct VirtualSpace>;
using PhysAddr = Address<struct PhysicalSpace>;

// The number of a page in a sequence of pages: of physical memory (Pfn) or of an object (PageIndex).
template <class Sequence>
class PageNumber {
 public:
  constexpr PageNumber() = default;
  constexpr explicit PageNumber(std::uint64_t value) : value_(value) {}

  [[nodiscard]] constexpr std::uint64_t value() const { return value_; }

  constexpr auto operator<=>(const PageNumber&) const = default;
  constexpr PageNumber operator+(PageCount pages) const { return PageNumber(value_ + pages.value()); }
  constexpr PageNumber operator-(PageCount pages) const { return PageNumber(value_ - pages.value()); }
  constexpr PageCount operator-(PageNumber other) const { return PageCount(value_ - other.value_); }
  constexpr PageNumber& operator+=(PageCount pages) { return *this = *this + pages; }

 private:
  std::uint64_t value_ = 0;
};

using Pfn = PageNumber<struct PhysicalSpace>;      // page frame number
using PageIndex = PageNumber<struct ObjectSpace>;  // page of a memory object, from 0

[[nodiscard]] constexpr PhysAddr address_of(Pfn frame) { return PhysAddr(frame.value() << kPageShift); }
[[nodiscard]] constexpr Pfn frame_of(PhysAddr address) { return Pfn(address.value() >> kPageShift); }

}  // namespace vellum
