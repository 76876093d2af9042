#include "run/program.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include <fmt/core.h>

#include <sys/stat.h>
#include <unistd.h>

namespace vellum::tool {

namespace {

constexpr const char* kPassedOn[] = {"PATH", "HOME", "TERM", "LANG", "USER", "LOGNAME", "SHELL", "PWD"};
constexpr const char* kDefaultPath = "/usr/local/bin:/usr/bin:/bin";

bool has_name(std::string_view variable, std::string_view name) {
  return variable.size() > name.size() && variable.starts_with(name) && variable[name.size()] == '=';
}

void set_variable(std::vector<std::string>& environment, std::string_view name, std::string_view value) {
  std::erase_if(environment, [name](const std::string& variable) { return has_name(variable, name); });
  environment.push_back(fmt::format("{}={}", name, value));
}

// 0, or the error number for which the host would not execute this file.
int refusal(const std::string& path) {
  struct stat status;
  if (stat(path.c_str(), &status) != 0) {
    return errno;
  }
  if (!S_ISREG(status.st_mode)) {
    return S_ISDIR(status.st_mode) ? EISDIR : EACCES;
  }
  return access(path.c_str(), X_OK) == 0 ? 0 : errno;
}

NoProgram no_program(const std::string& name, int error) {
  const bool is_missing = error == ENOENT || error == ENOTDIR;
  return {is_missing ? kNotFound : kNotExecutable, fmt::format("{}: {}", name, std::strerror(error))};
}

}  // namespace

std::string_view value_in(const std::vector<std::string>& environment, std::string_view name) {
  const auto found = std::find_if(environment.rbegin(), environment.rend(),
                                  [name](const std::string& variable) { return has_name(variable, name); });
  return found == environment.rend() ? std::string_view() : std::string_view(*found).substr(name.size() + 1);
}

std::vector<std::string> program_environment(const std::vector<std::string>& wanted) {
  std::vector<std::string> result;
  for (const char* name : kPassedOn) {
    if (const char* value = std::getenv(name); value != nullptr) {
      set_variable(result, name, value);
    }
  }
  if (value_in(result, "PATH").empty()) {
    set_variable(result, "PATH", kDefaultPath);
  }
  for (const std::string& variable : wanted) {
    const std::size_t equals = variable.find('=');
    const std::string name = variable.substr(0, equals);
    if (equals != std::string::npos) {
      set_variable(result, name, std::string_view(variable).substr(equals + 1));
    } else if (const char* value = std::getenv(name.c_str()); value != nullptr) {
      set_variable(result, name, value);
    }
  }
  return result;
}

std::string host_path(const std::vector<Bind>& binds, const std::string& path) {
  const Bind* best = nullptr;
  for (const Bind& bind : binds) {
    const bool lies_in =
        path.starts_with(bind.guest) && (path.size() == bind.guest.size() || path[bind.guest.size()] == '/');
    if (lies_in && (best == nullptr || bind.guest.size() >= best->guest.size())) {
      best = &bind;
    }
  }
  return best == nullptr ? path : best->host + path.substr(best->guest.size());
}

std::expected<std::string, NoProgram> find_program(const RunOptions& options,
                                                   const std::vector<std::string>& environment) {
  const std::string& name = options.program.front();
  std::error_code no_directory;
  const std::filesystem::path current = std::filesystem::current_path(no_directory);
  const auto refused = [&](const std::string& path) {
    return refusal(options.binds.empty() ? path : host_path(options.binds, (current / path).lexically_normal()));
  };
  if (name.find('/') != std::string::npos || name.empty()) {
    const int error = name.empty() ? ENOENT : refused(name);
    return error == 0 ? std::expected<std::string, NoProgram>(name) : std::unexpected(no_program(name, error));
  }
  int worst = ENOENT;
  std::string_view folders = value_in(environment, "PATH");
  while (true) {
    const std::size_t colon = folders.find(':');
    const std::string_view folder = folders.substr(0, colon);
    const std::string path = folder.empty() ? "./" + name : fmt::format("{}/{}", folder, name);
    const int error = refused(path);
    if (error == 0) {
      return path;
    }
    if (error != ENOENT && error != ENOTDIR) {
      worst = error;
    }
    if (colon == std::string_view::npos) {
      break;
    }
    folders.remove_prefix(colon + 1);
  }
  if (worst == ENOENT) {
    return std::unexpected(NoProgram{kNotFound, fmt::format("{}: command not found", name)});
  }
  return std::unexpected(no_program(name, worst));
}

}  // namespace vellum::tool
