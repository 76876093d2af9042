#include "run/maps.hpp"

#include <charconv>

#include <fmt/core.h>

namespace vellum::tool {

namespace {

// Takes the next word of a line, which ends at a space or at `separator`.
std::string_view take_word(std::string_view& line, char separator = ' ') {
  const std::size_t end = line.find(separator);
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(end == std::string_view::npos ? line.size() : end + 1);
  return word;
}

bool read_hex(std::string_view text, std::uint64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  return error == std::errc{} && end == text.data() + text.size();
}

bool parse_line(std::string_view line, Mapping& mapping) {
  if (!read_hex(take_word(line, '-'), mapping.start) || !read_hex(take_word(line), mapping.end)) {
    return false;
  }
  mapping.rights = take_word(line);
  if (!read_hex(take_word(line), mapping.offset)) {
    return false;
  }
  take_word(line);  // device
  take_word(line);  // inode
  const std::size_t name = line.find_first_not_of(' ');
  mapping.name = name == std::string_view::npos ? "" : line.substr(name);
  return mapping.rights.size() == 4 && mapping.start < mapping.end;
}

}  // namespace

std::vector<Mapping> parse_maps(std::string_view text) {
  std::vector<Mapping> maps;
  while (!text.empty()) {
    Mapping mapping;
    if (parse_line(take_word(text, '\n'), mapping)) {
      maps.push_back(std::move(mapping));
    }
  }
  return maps;
}

Neighbours neighbours_of(const std::vector<Mapping>& maps, std::uint64_t address) {
  Neighbours found{nullptr, nullptr, nullptr};
  for (const Mapping& mapping : maps) {
    if (mapping.contains(address)) {
      found.at = &mapping;
    } else if (mapping.end <= address) {
      found.below = &mapping;
    } else if (found.above == nullptr) {
      found.above = &mapping;
    }
  }
  return found;
}

std::string mapping_text(const Mapping& mapping) {
  return fmt::format("{:#x}-{:#x} {} {}", mapping.start, mapping.end, mapping.rights,
                     mapping.name.empty() ? "anonymous memory" : mapping.name);
}

}  // namespace vellum::tool
