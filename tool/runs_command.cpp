// `vellum ps` and `vellum continue`: which runs there are, and letting one go that is held.
#include <fmt/core.h>
#include <fmt/ranges.h>

#include "inspect/select.hpp"

namespace vellum::tool {
namespace {

constexpr const char* kExamples =
    "Shows the runs of this user, and the processes of each.\n"
    "Examples:\n"
    "  vellum ps\n"
    "  vellum ps --json | jq '.runs[].run'\n"
    "\n"
    "Exit status: 0; also where nothing runs.";

// A run's status, with its processes where the kernel tells them.
std::optional<Json> status_of(RunClient& run) {
  auto status = run.ask({{"ask", "status"}});
  if (!status.has_value()) {
    return std::nullopt;  // it ended meanwhile
  }
  const auto processes = run.ask({{"ask", "processes"}});
  (*status)["processes"] = processes.has_value() ? processes->value("processes", Json::array()) : Json::array();
  return std::move(*status);
}

void print_run(const Json& run) {
  const std::string name = run.value("name", std::string());
  const Json held = run.value("held", Json());
  fmt::print("{}{}  {}{}\n", run.value("run", 0), name.empty() ? "" : fmt::format(" ({})", name),
             fmt::join(run.value("program", std::vector<std::string>()), " "),
             held.is_null() ? "" : fmt::format("  (process {} is held)", held.get<std::uint32_t>()));
  for (const Json& process : run.value("processes", Json::array())) {
    fmt::print("  process {:<6} {}{}\n", process.value("id", 0), process.value("name", std::string()),
               process.contains("root") ? "" : "  (ended)");
  }
}

ExitStatus print_runs(bool json) {
  Json document = {{"schema", "vellum.runs/1"}, {"runs", Json::array()}};
  for (RunClient& run : RunClient::all()) {
    if (auto status = status_of(run)) {
      document["runs"].push_back(std::move(*status));
    }
  }
  if (json) {
    fmt::print("{}\n", document.dump(2, ' ', false, Json::error_handler_t::replace));
    return ExitStatus::ok;
  }
  if (document["runs"].empty()) {
    fmt::print(stderr, "vellum: nothing runs\n");
  }
  for (const Json& run : document["runs"]) {
    print_run(run);
  }
  return ExitStatus::ok;
}

ExitStatus let_go(const RunSelection& selection) {
  const auto answer = ask_run(selection, {{"ask", "continue"}});
  if (!answer.has_value()) {
    return ExitStatus::no_answer;
  }
  if (!answer->value("was_held", false)) {
    fmt::print(stderr, "vellum: nothing was held; it will not be held any more\n");
  }
  return ExitStatus::ok;
}

}  // namespace

void add_ps_command(CLI::App& app, ExitStatus& status) {
  CLI::App* const command = app.add_subcommand("ps", "List the runs that there are, and their processes");
  const auto json = std::make_shared<bool>(false);
  command->add_flag("--json", *json, "Print JSON");
  command->footer(kExamples);
  command->callback([json, &status] { status = print_runs(*json); });
}

void add_continue_command(CLI::App& app, ExitStatus& status) {
  CLI::App* const command = app.add_subcommand("continue", "Let a run go on that --hold keeps from its end");
  const auto selection = std::make_shared<RunSelection>();
  add_run_option(*command, *selection);
  command->callback([selection, &status] { status = let_go(*selection); });
}

}  // namespace vellum::tool
