// Finding the program that is to run, and what it is given at its start.
#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "run/options.hpp"

namespace vellum::tool {

struct NoProgram {
  int status;  // kNotFound or kNotExecutable
  std::string reason;
};

// The program's environment: a few variables of the host's (PATH, HOME, TERM...), then those of --env.
[[nodiscard]] std::vector<std::string> program_environment(const std::vector<std::string>& wanted);

// The value of a variable in a list of NAME=VALUE, the last one; empty if there is none.
[[nodiscard]] std::string_view value_in(const std::vector<std::string>& environment, std::string_view name);

// Where the host has the file that the program sees at an absolute path.
[[nodiscard]] std::string host_path(const std::vector<Bind>& binds, const std::string& path);

// As a shell finds it: a name with a slash is a path, another is looked for in the PATH of `environment`.
[[nodiscard]] std::expected<std::string, NoProgram> find_program(const RunOptions& options,
                                                                 const std::vector<std::string>& environment);

}  // namespace vellum::tool
