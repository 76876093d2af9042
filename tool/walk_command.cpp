// `vellum walk` and `vellum maps`: the tables and the mappings of a process of a run.
#include <fmt/core.h>

#include "inspect/select.hpp"
#include "inspect/table_path.hpp"
#include "print.hpp"
#include "run/maps.hpp"

namespace vellum::tool {
namespace {

constexpr const char* kWalkExamples =
    "Examples:\n"
    "  vellum run --hold ./a.out &                    a program that waits before its end\n"
    "  vellum walk 0x7fff0000                         each level of the tables that lead there\n"
    "  vellum walk --process 0 FFFFFD00.00000000      the kernel's own tables\n"
    "  vellum walk --run test --json 0x400000\n"
    "\n"
    "Rights are what an entry grants: the processor grants what all of them do. What Vellum means is said where it\n"
    "stands, at the highest level that it fills.\n"
    "Exit status: 0, or 1 where there is no such run, process or address.";
constexpr const char* kMapsExamples =
    "Examples:\n"
    "  vellum maps                            as /proc/PID/maps shows them\n"
    "  vellum maps --run test --process 7 --json\n"
    "\n"
    "Exit status: 0, or 1 where there is no such run or process.";

struct InspectOptions {
  RunSelection selection;
  std::vector<VirtAddr> addresses;
  bool json = false;
};

ExitStatus print_walks(const InspectOptions& options) {
  const auto answers = ask_run_all(options.selection, walk_questions(options.selection, options.addresses));
  if (!answers.has_value()) {
    return ExitStatus::no_answer;
  }
  ExitStatus status = ExitStatus::ok;
  for (const Json& answer : *answers) {
    const auto path = parse_path(answer);
    if (!path.has_value()) {
      return complain(path.error());
    }
    const char* const between = options.json || &answer == &answers->front() ? "" : "\n";
    fmt::print("{}{}", between, options.json ? path_json(*path).dump(2) + "\n" : path_text(*path));
    status = path->entries.empty() ? ExitStatus::no_answer : status;
  }
  return status;
}

Json mapping_json(const Mapping& mapping) {
  return {{"start", hex_text(mapping.start)},
          {"end", hex_text(mapping.end)},
          {"size", mapping.end - mapping.start},
          {"rights", mapping.rights.substr(0, 3)},
          {"shared", mapping.rights[3] == 's'},
          {"offset", mapping.offset},
          {"name", mapping.name}};
}

ExitStatus print_maps(const InspectOptions& options) {
  constexpr std::int32_t kFirstProcess = 1;
  if (options.selection.process == 0) {
    return complain("the kernel has no mappings as processes have; `vellum layout --live --process 0` shows its rows");
  }
  const auto answer = ask_run(options.selection, options.selection.question("maps"));
  if (!answer.has_value() || !answer->is_string()) {
    return ExitStatus::no_answer;
  }
  const std::string text = answer->get<std::string>();
  if (!options.json) {
    fmt::print("{}", text);
    return ExitStatus::ok;
  }
  Json document = {{"schema", "vellum.maps/1"},
                   {"process", options.selection.process.value_or(kFirstProcess)},
                   {"regions", Json::array()}};
  for (const Mapping& mapping : parse_maps(text)) {
    document["regions"].push_back(mapping_json(mapping));
  }
  fmt::print("{}\n", document.dump(2, ' ', false, Json::error_handler_t::replace));
  return ExitStatus::ok;
}

}  // namespace

void add_walk_command(CLI::App& app, ExitStatus& status) {
  CLI::App* const command =
      app.add_subcommand("walk", "Show the page tables of a run that lead to an address, level by level");
  const auto options = std::make_shared<InspectOptions>();
  add_address_option(*command, options->addresses);
  add_run_option(*command, options->selection);
  add_process_option(*command, options->selection);
  command->add_flag("--json", options->json, "Print JSON");
  command->footer(kWalkExamples);
  command->callback([options, &status] { status = print_walks(*options); });
}

void add_maps_command(CLI::App& app, ExitStatus& status) {
  CLI::App* const command = app.add_subcommand("maps", "Show what a process of a run has mapped");
  const auto options = std::make_shared<InspectOptions>();
  add_run_option(*command, options->selection);
  add_process_option(*command, options->selection);
  command->add_flag("--json", options->json, "Print JSON");
  command->footer(kMapsExamples);
  command->callback([options, &status] { status = print_maps(*options); });
}

}  // namespace vellum::tool
