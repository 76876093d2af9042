// The subcommands, each in a file of its own: NAME_command.cpp. Adding one is a function here and a line in main.cpp.
#pragma once

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace vellum::tool {

// What a command returns, besides what it prints (data on stdout, talk on stderr). `run` returns its program's status.
enum class ExitStatus : int {
  ok = 0,
  no_answer = 1,  // understood, but there is nothing to show: no such layout, no such address
  usage = 2,      // not understood
};

// Each adds its subcommand; when the command line selects it, it runs and sets `status`.
void add_layout_command(CLI::App& app, ExitStatus& status);
void add_explain_command(CLI::App& app, ExitStatus& status);
void add_doctor_command(CLI::App& app, ExitStatus& status);
void add_walk_command(CLI::App& app, ExitStatus& status);
void add_maps_command(CLI::App& app, ExitStatus& status);
void add_ps_command(CLI::App& app, ExitStatus& status);
void add_continue_command(CLI::App& app, ExitStatus& status);
// `program`: what `run` is to run, taken off the command line before that is parsed.
void add_run_command(CLI::App& app, const std::vector<std::string>& program, ExitStatus& status);

}  // namespace vellum::tool
