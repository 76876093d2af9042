#include <vellum/unix/script.hpp>

namespace vellum::unix {

namespace {
constexpr std::string_view kBlanks = " \t";
}

std::optional<ScriptLine> parse_script(std::string_view head) {
  if (!head.starts_with("#!")) {
    return std::nullopt;
  }
  std::string_view line = head.substr(2);
  const std::size_t newline = line.find('\n');
  const bool cut = newline == std::string_view::npos && head.size() >= kHeadSize;
  line = line.substr(0, newline).substr(0, line.find('\0'));
  const std::size_t start = line.find_first_not_of(kBlanks);
  if (start == std::string_view::npos) {
    return std::nullopt;
  }
  line = line.substr(start);
  const std::size_t end = line.find_first_of(kBlanks);
  if (end == std::string_view::npos) {
    return cut ? std::nullopt : std::optional(ScriptLine{.interpreter = line, .argument = {}});
  }
  ScriptLine script = {.interpreter = line.substr(0, end), .argument = {}};
  const std::string_view rest = line.substr(end);
  if (const std::size_t first = rest.find_first_not_of(kBlanks); first != std::string_view::npos) {
    script.argument = rest.substr(first, rest.find_last_not_of(kBlanks) - first + 1);
  }
  return script;
}

}  // namespace vellum::unix
