#include "parse.hpp"

#include <algorithm>
#include <charconv>
#include <string>

namespace vellum::tool {

namespace {

constexpr std::size_t kLowDigits = 8;
constexpr std::size_t kMaxDigits = 16;

std::string lower_case(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return result;
}

bool is_hex_digit(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

// The power of two that a unit stands for.
std::optional<unsigned> shift_of(std::string_view unit) {
  if (unit.empty() || unit == "b") {
    return 0;
  }
  const std::size_t index = std::string_view("kmgtpe").find(unit[0]);
  const std::string_view rest = unit.substr(1);
  if (index == std::string_view::npos || !(rest.empty() || rest == "b" || rest == "ib")) {
    return std::nullopt;
  }
  return static_cast<unsigned>(10 * (index + 1));
}

}  // namespace

std::optional<ByteCount> parse_size(std::string_view text) {
  const std::string lower = lower_case(text);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(lower.data(), lower.data() + lower.size(), value);
  if (error != std::errc{}) {
    return std::nullopt;
  }
  const std::optional<unsigned> shift =
      shift_of(std::string_view(lower).substr(static_cast<std::size_t>(end - lower.data())));
  if (!shift.has_value() || (value << *shift) >> *shift != value) {
    return std::nullopt;
  }
  return ByteCount(value << *shift);
}

std::optional<VirtAddr> parse_address(std::string_view text) {
  const std::string lower = lower_case(text);
  std::string_view rest = lower;
  const bool has_prefix = rest.starts_with("0x");
  if (has_prefix) {
    rest.remove_prefix(2);
  }
  std::string digits;
  bool is_split = false;
  while (!rest.empty()) {
    const char c = rest.front();
    rest.remove_prefix(1);
    if (is_hex_digit(c)) {
      digits += c;
      continue;
    }
    const bool before_low_half = rest.size() == kLowDigits && std::ranges::all_of(rest, is_hex_digit);
    const bool between_digits = !digits.empty() && !rest.empty() && is_hex_digit(rest.front());
    if (!between_digits || !(c == '_' || (c == '.' && before_low_half))) {
      return std::nullopt;
    }
    is_split = true;
  }
  const bool is_whole = digits.size() == kLowDigits || digits.size() == kMaxDigits;
  if (digits.empty() || digits.size() > kMaxDigits || !(has_prefix || (is_split && is_whole))) {
    return std::nullopt;
  }
  std::uint64_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  return VirtAddr(value);
}

}  // namespace vellum::tool
