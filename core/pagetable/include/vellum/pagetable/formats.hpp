// The formats that Vellum knows.
#pragma once

#include <array>

#include <vellum/pagetable/format.hpp>

namespace vellum {

namespace format_bits {
inline constexpr std::array<unsigned, 4> kAmd64 = {9, 9, 9, 9};
inline constexpr std::array<unsigned, 3> kI386Pae = {9, 9, 2};
inline constexpr std::array<unsigned, 3> kToyNarrow = {3, 2, 2};
inline constexpr std::array<unsigned, 5> kToyDeep = {2, 1, 2, 1, 2};
}  // namespace format_bits

// 64-bit, four levels, 48-bit addresses, pages of 4 KB, 2 MB and 1 GB [intel/vol3 4.5].
struct Amd64 : UniformFormat<format_bits::kAmd64, 3> {
  static constexpr const char* kName = "amd64";
  static constexpr bool kSignExtended = true;
};

// 32-bit with physical address extension and NX, pages of 4 KB and 2 MB; the four entries of the root cannot deny
// anything [intel/vol3 4.4].
struct I386Pae : UnrestrictedRoot<UniformFormat<format_bits::kI386Pae, 2>> {
  static constexpr const char* kName = "i386-pae";
  static constexpr bool kSignExtended = false;
};

// Formats of no machine, small enough that a random test meets every boundary. Narrow: 512 KB of addresses and a root
// without rights. Deep: five levels of uneven width over 1 MB.
struct ToyNarrow : UnrestrictedRoot<UniformFormat<format_bits::kToyNarrow, 2>> {
  static constexpr const char* kName = "toy-narrow";
  static constexpr bool kSignExtended = false;
};
struct ToyDeep : UniformFormat<format_bits::kToyDeep, 3> {
  static constexpr const char* kName = "toy-deep";
  static constexpr bool kSignExtended = false;
};

static_assert(PageTableFormat<Amd64> && Amd64::kVirtualBits == 48);
static_assert(PageTableFormat<I386Pae> && I386Pae::kVirtualBits == 32);
static_assert(PageTableFormat<ToyNarrow> && ToyNarrow::kVirtualBits == 19);
static_assert(PageTableFormat<ToyDeep> && ToyDeep::kVirtualBits == 20);

}  // namespace vellum
