// Layouts in words, for a command's output and a kernel's console alike: no allocation, no C library.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <vellum/layout/address_map.hpp>
#include <vellum/layout/explain.hpp>

namespace vellum {

// Text in a buffer that somebody else owns; what does not fit is cut off. Always ends in a zero byte.
class TextBuffer {
 public:
  // `buffer` holds at least one byte and outlives this.
  explicit TextBuffer(std::span<char> buffer);

  TextBuffer& text(const char* words);
  TextBuffer& decimal(std::uint64_t value);
  TextBuffer& hex(std::uint64_t value);  // 0x2a: lower case, no leading zeros
  // As in the tables: 0xFFFFFFFF.FBC00000, or 0xFE800000 on i386.
  TextBuffer& address(VirtAddr address, Arch arch);
  // 64 KiB, 951.9 MiB, 1 byte: in the largest unit that is not above it; with a decimal only if it was rounded, so that
  // 2 TiB is exact and 2.0 TiB is not.
  TextBuffer& size(ByteCount size);

  [[nodiscard]] const char* c_str() const { return buffer_.data(); }
  // Characters before the zero byte.
  [[nodiscard]] std::size_t length() const { return length_; }

 private:
  void put(char character);

  std::span<char> buffer_;
  std::size_t length_ = 0;
};

// Short names, as options and JSON spell them.
[[nodiscard]] const char* name_of(Arch arch);
[[nodiscard]] const char* name_of(UserModel model);
[[nodiscard]] const char* name_of(RegionPlacement placement);
[[nodiscard]] const char* name_of(Growth growth);
[[nodiscard]] const char* name_of(Accessor accessor);
[[nodiscard]] const char* name_of(StrayAccess stray);
[[nodiscard]] const char* name_of(Clue clue);
[[nodiscard]] const char* name_of(Outcome outcome);
[[nodiscard]] const char* name_of(LayoutRule rule);

// What a stray access means in such a region, a clause.
[[nodiscard]] const char* describe(StrayAccess stray);
// What happens, a clause: "SIGSEGV (SEGV_MAPERR): nothing is mapped there".
[[nodiscard]] const char* describe(Outcome outcome);
// One sentence about what the address itself gives away; nothing for Clue::none.
void describe(TextBuffer& out, const AddressMap& map, const Explanation& explanation);
// One sentence: which rule, and by how much.
void describe(TextBuffer& out, const LayoutProblem& problem);

}  // namespace vellum
