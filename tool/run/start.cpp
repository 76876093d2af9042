#include "run/start.hpp"

#include <chrono>
#include <filesystem>

#include <fmt/core.h>
#include <unistd.h>

#include <vellum/layout/text.hpp>

#include <vellum/run/protocol.hpp>

#include "run/terminal.hpp"
#include "run/virtual_machine.hpp"

namespace vellum::tool {

namespace {

void add(std::string& texts, const char* key, std::string_view value) {
  texts.append(key).append("=").append(value).append(1, '\0');
}

// A terminal is the program's only where it is lent to it; else its lines come as from a pipe.
StreamKind kind_for_program(int descriptor) {
  const StreamKind kind = kind_of_stream(descriptor);
  const bool is_half_lent = descriptor == STDIN_FILENO && kind == StreamKind::terminal &&
                            kind_of_stream(STDOUT_FILENO) != StreamKind::terminal;
  return is_half_lent ? StreamKind::pipe : kind;
}

}  // namespace

std::string start_texts(const RunOptions& options, const std::string& path,
                        const std::vector<std::string>& environment) {
  std::string texts;
  add(texts, "argument", path);
  for (std::size_t i = 1; i < options.program.size(); ++i) {
    add(texts, "argument", options.program[i]);
  }
  for (const std::string& variable : environment) {
    add(texts, "environment", variable);
  }
  std::error_code no_directory;
  const std::string directory = std::filesystem::current_path(no_directory);
  const WindowSize size = window_size();
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  add(texts, "name", options.program.front());
  add(texts, "directory", directory.empty() ? "/" : directory);
  add(texts, "user", options.user == UserModel::linux_low ? "linux" : "illumos");
  add(texts, "stdin", name_of(kind_for_program(STDIN_FILENO)));
  add(texts, "stdout", name_of(kind_for_program(STDOUT_FILENO)));
  add(texts, "stderr", name_of(kind_for_program(STDERR_FILENO)));
  add(texts, "rows", std::to_string(size.rows));
  add(texts, "columns", std::to_string(size.columns));
  add(texts, "time", std::to_string(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count()));
  add(texts, "strace", options.strace ? "1" : "0");
  add(texts, "protocol", std::to_string(run::kProtocolVersion));
  add(texts, "hold", options.hold ? "1" : "0");
  if (options.vmem.has_value()) {
    add(texts, "vmem", std::to_string(options.vmem->value()));
  }
  add(texts, "uid", std::to_string(getuid()));
  add(texts, "gid", std::to_string(getgid()));
  for (std::size_t i = 0; i < options.binds.size(); ++i) {
    add(texts, "bind", fmt::format("{}:{}", bind_tag(i), options.binds[i].guest));
  }
  return texts;
}

}  // namespace vellum::tool
