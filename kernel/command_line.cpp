#include "command_line.hpp"

#include <algorithm>

namespace vellum::kernel {

template <class Visitor>
void CommandLine::for_each_word(Visitor visit) const {
  std::string_view rest = text_;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(' '), rest.size());
    if (end != 0) {
      visit(std::string_view(rest.data(), end));
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
}

bool CommandLine::has(std::string_view word) const {
  bool found = false;
  for_each_word([&](std::string_view candidate) { found = found || candidate == word; });
  return found;
}

std::optional<std::string_view> CommandLine::value_of(std::string_view name) const {
  std::optional<std::string_view> value;
  for_each_word([&](std::string_view word) {
    if (word.size() > name.size() && word.starts_with(name) && word[name.size()] == '=') {
      word.remove_prefix(name.size() + 1);
      value = word;
    }
  });
  return value;
}

}  // namespace vellum::kernel
