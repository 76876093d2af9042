// The options of commands that look at a run, and what they have in common.
#pragma once

#include <memory>

#include <CLI/CLI.hpp>

#include <vellum/layout/address_map.hpp>

#include "commands.hpp"
#include "inspect/run_client.hpp"

namespace vellum::tool {

// --run and --process.
void add_run_option(CLI::App& command, RunSelection& selection);
void add_process_option(CLI::App& command, RunSelection& selection);
// ADDRESS, at least one.
void add_address_option(CLI::App& command, std::vector<VirtAddr>& addresses);

// Says on stderr what is wrong.
ExitStatus complain(const std::string& reason);

// Asks the run that is meant. Where there is no answer, says why.
[[nodiscard]] std::optional<Json> ask_run(const RunSelection& selection, const Json& question);
[[nodiscard]] std::optional<std::vector<Json>> ask_run_all(const RunSelection& selection,
                                                           const std::vector<Json>& questions);
[[nodiscard]] std::vector<Json> walk_questions(const RunSelection& selection, const std::vector<VirtAddr>& addresses);

// The map by which the answering kernel is laid out. Where there is none, says why.
[[nodiscard]] std::optional<AddressMap> map_of(const Json& answer);

}  // namespace vellum::tool
