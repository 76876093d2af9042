// Finding the runs of this user, and asking one of them (run/control.hpp).
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "run/control.hpp"

namespace vellum::tool {

using Json = nlohmann::ordered_json;

// A run that answers.
class RunClient {
 public:
  // All that there are, by number; files that dead runs left are removed.
  [[nodiscard]] static std::vector<RunClient> all();
  // The one that `wanted` names by number or name, or the only one. The error says what there is instead.
  [[nodiscard]] static std::expected<RunClient, std::string> find(const std::string& wanted);

  [[nodiscard]] const ControlName& name() const { return name_; }

  // The answers to questions, in order: asked together, so that a busy kernel answers them in one go.
  [[nodiscard]] std::vector<std::expected<Json, std::string>> ask_all(const std::vector<Json>& questions);
  // The answer to a question; the error is the run's, or says why there is none.
  [[nodiscard]] std::expected<Json, std::string> ask(const Json& question);

 private:
  RunClient(ControlName name, Descriptor socket) : name_(std::move(name)), socket_(std::move(socket)) {}
  [[nodiscard]] std::expected<std::string, std::string> receive_line();
  [[nodiscard]] std::expected<Json, std::string> receive_answer();

  ControlName name_;
  Descriptor socket_;
  std::string received_;  // behind the last line
};

// Which run, and which process of it.
struct RunSelection {
  std::string run;                      // number or name; empty: the only one
  std::optional<std::int32_t> process;  // empty: the program that the run was started with; 0: the kernel

  [[nodiscard]] bool is_given() const { return !run.empty() || process.has_value(); }
  [[nodiscard]] Json question(const char* ask) const;
};

}  // namespace vellum::tool
