#include "json_text.hpp"

#include <bit>

namespace vellum::kernel {

void JsonText::put(char character) {
  if (size_ == into_.size()) {
    cut_ = true;
    return;
  }
  into_[size_++] = character;
}

void JsonText::put(std::string_view characters) {
  for (const char character : characters) {
    put(character);
  }
}

void JsonText::begin_value() {
  if (needs_comma_) {
    put(',');
  }
  needs_comma_ = true;
}

JsonText& JsonText::open(char bracket) {
  begin_value();
  put(bracket);
  needs_comma_ = false;
  return *this;
}

JsonText& JsonText::close(char bracket) {
  put(bracket);
  needs_comma_ = true;
  return *this;
}

JsonText& JsonText::key(std::string_view name) {
  text(name);
  put(':');
  needs_comma_ = false;
  return *this;
}

// Bytes beyond ASCII may be no UTF-8, which JSON must be: each becomes the character with its number.
void JsonText::put_escaped(std::string_view value) {
  for (const char character : value) {
    const auto byte = static_cast<unsigned char>(character);
    if (byte == '"' || byte == '\\') {
      put('\\');
      put(character);
    } else if (byte == '\n') {
      put("\\n");
    } else if (byte < 0x20 || byte >= 0x7F) {
      put("\\u00");
      put_hexadecimal(byte, 2);
    } else {
      put(character);
    }
  }
}

void JsonText::put_decimal(std::uint64_t value) {
  char digits[20];
  std::size_t count = 0;
  do {
    digits[count++] = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value != 0);
  while (count != 0) {
    put(digits[--count]);
  }
}

void JsonText::put_hexadecimal(std::uint64_t value, unsigned digits) {
  while (digits != 0) {
    --digits;
    put("0123456789abcdef"[value >> (4 * digits) & 0xF]);
  }
}

JsonText& JsonText::text(std::string_view value) {
  begin_value();
  put('"');
  put_escaped(value);
  put('"');
  return *this;
}

JsonText& JsonText::boolean(bool value) {
  begin_value();
  put(value ? "true" : "false");
  return *this;
}

JsonText& JsonText::number(std::uint64_t value) {
  begin_value();
  put_decimal(value);
  return *this;
}

JsonText& JsonText::signed_number(std::int64_t value) {
  begin_value();
  if (value < 0) {
    put('-');
    put_decimal(0 - static_cast<std::uint64_t>(value));
  } else {
    put_decimal(static_cast<std::uint64_t>(value));
  }
  return *this;
}

JsonText& JsonText::hexadecimal(std::uint64_t value) {
  begin_value();
  put("\"0x");
  put_hexadecimal(value, value == 0 ? 1 : (static_cast<unsigned>(std::bit_width(value)) + 3) / 4);
  put('"');
  return *this;
}

JsonText& JsonText::bytes(std::span<const std::byte> value) {
  begin_value();
  put('"');
  for (std::size_t i = 0; i < value.size(); ++i) {
    if (i != 0) {
      put(' ');
    }
    put_hexadecimal(static_cast<std::uint64_t>(value[i]), 2);
  }
  put('"');
  return *this;
}

}  // namespace vellum::kernel
