// The kernel's command line: words, some of the form NAME=VALUE, with blanks between them.
#pragma once

#include <optional>
#include <string_view>

namespace vellum::kernel {

class CommandLine {
 public:
  explicit CommandLine(std::string_view text) : text_(text) {}

  [[nodiscard]] bool has(std::string_view word) const;
  // Of the last word NAME=...; nothing where there is none.
  [[nodiscard]] std::optional<std::string_view> value_of(std::string_view name) const;

 private:
  template <class Visitor>
  void for_each_word(Visitor visit) const;

  std::string_view text_;
};

}  // namespace vellum::kernel
