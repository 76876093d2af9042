// The first line of a script.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace vellum::unix {

// As much of a file as is looked at to see what it is (BINPRM_BUF_SIZE).
inline constexpr std::size_t kHeadSize = 256;

struct ScriptLine {
  std::string_view interpreter;
  std::string_view argument;  // all of the rest, or empty
};
// `head` is the beginning of the file. Nothing where that is not `#!` and an interpreter, or where the interpreter's
// name is cut off.
[[nodiscard]] std::optional<ScriptLine> parse_script(std::string_view head);

}  // namespace vellum::unix
