// JSON, written front to back into bytes that the caller has. What does not fit makes is_cut() true; the caller then
// sends something shorter.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace vellum::kernel {

class JsonText {
 public:
  explicit JsonText(std::span<char> into) : into_(into) {}

  // Values; inside of an object each follows a key.
  JsonText& text(std::string_view value);
  JsonText& boolean(bool value);
  JsonText& number(std::uint64_t value);
  JsonText& signed_number(std::int64_t value);
  JsonText& hexadecimal(std::uint64_t value);         // as a text: "0x1f"
  JsonText& bytes(std::span<const std::byte> value);  // as a text: "48 89 07"
  JsonText& key(std::string_view name);

  JsonText& open_object() { return open('{'); }
  JsonText& close_object() { return close('}'); }
  JsonText& open_array() { return open('['); }
  JsonText& close_array() { return close(']'); }

  [[nodiscard]] std::string_view view() const { return {into_.data(), size_}; }
  [[nodiscard]] bool is_cut() const { return cut_; }
  [[nodiscard]] std::size_t room() const { return into_.size() - size_; }

 private:
  JsonText& open(char bracket);
  JsonText& close(char bracket);
  void begin_value();
  void put(char character);
  void put(std::string_view characters);
  void put_escaped(std::string_view value);
  void put_decimal(std::uint64_t value);
  void put_hexadecimal(std::uint64_t value, unsigned digits);

  std::span<char> into_;
  std::size_t size_ = 0;
  bool cut_ = false;
  bool needs_comma_ = false;
};

}  // namespace vellum::kernel
