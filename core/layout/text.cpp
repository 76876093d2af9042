#include <vellum/layout/text.hpp>

#include <iterator>

namespace vellum {

namespace {

constexpr const char* kUnits[] = {" KiB", " MiB", " GiB", " TiB", " PiB", " EiB"};
constexpr char kLower[] = "0123456789abcdef";
constexpr char kUpper[] = "0123456789ABCDEF";

}  // namespace

TextBuffer::TextBuffer(std::span<char> buffer) : buffer_(buffer) {
  VELLUM_CHECK(!buffer.empty());
  buffer_[0] = '\0';
}

void TextBuffer::put(char character) {
  if (length_ + 1 < buffer_.size()) {
    buffer_[length_++] = character;
    buffer_[length_] = '\0';
  }
}

TextBuffer& TextBuffer::text(const char* words) {
  for (; *words != '\0'; ++words) {
    put(*words);
  }
  return *this;
}

TextBuffer& TextBuffer::decimal(std::uint64_t value) {
  char digits[20];
  std::size_t count = 0;
  do {
    digits[count++] = kLower[value % 10];
    value /= 10;
  } while (value != 0);
  while (count > 0) {
    put(digits[--count]);
  }
  return *this;
}

TextBuffer& TextBuffer::hex(std::uint64_t value) {
  text("0x");
  unsigned shift = 60;
  while (shift > 0 && (value >> shift) == 0) {
    shift -= 4;
  }
  for (;; shift -= 4) {
    put(kLower[(value >> shift) & 15]);
    if (shift == 0) {
      return *this;
    }
  }
}

TextBuffer& TextBuffer::address(VirtAddr address, Arch arch) {
  text("0x");
  // The end of the 32-bit space has nine digits.
  const bool wide = arch == Arch::amd64;
  for (unsigned shift = wide ? 64 : address.value() >> 32 != 0 ? 36 : 32; shift > 0;) {
    shift -= 4;
    put(kUpper[(address.value() >> shift) & 15]);
    if (wide && shift == 32) {
      put('.');
    }
  }
  return *this;
}

TextBuffer& TextBuffer::size(ByteCount size) {
  const std::uint64_t value = size.value();
  if (value < 1024) {
    return decimal(value).text(value == 1 ? " byte" : " bytes");
  }
  unsigned unit = 0;
  while (unit + 1 < std::size(kUnits) && value >> (10 * (unit + 2)) != 0) {
    ++unit;
  }
  const unsigned shift = 10 * (unit + 1);
  std::uint64_t whole = value >> shift;
  const std::uint64_t rest_bits = value - (whole << shift);
  std::uint64_t tenths = ((rest_bits >> (shift - 10)) * 10 + 512) / 1024;
  whole += tenths / 10;
  tenths %= 10;
  decimal(whole);
  if (rest_bits != 0) {
    text(".").decimal(tenths);
  }
  return text(kUnits[unit]);
}

}  // namespace vellum
