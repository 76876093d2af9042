// The `vellum` command.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "commands.hpp"

namespace vellum::tool {
namespace {

bool has_command(const CLI::App& app, const std::string& name) {
  return std::ranges::any_of(app.get_subcommands(nullptr),
                             [&name](const CLI::App* command) { return command->check_name(name); });
}

std::string no_such_command(const std::string& name) {
  return fmt::format("there is no command '{}'; `vellum help` lists those that there are", name);
}

// `vellum help [COMMAND]`, besides --help everywhere.
void add_help_command(CLI::App& app, ExitStatus& status) {
  CLI::App* const help = app.add_subcommand("help", "Show the help of a command");
  const auto name = std::make_shared<std::string>();
  help->add_option("COMMAND", *name, "The command to explain");
  const auto names_only = std::make_shared<bool>(false);
  help->add_flag("--names", *names_only, "Only the names of the commands");
  help->callback([&app, &status, name, names_only] {
    if (*names_only) {
      for (const CLI::App* const command : app.get_subcommands(nullptr)) {
        fmt::print("{}\n", command->get_name());
      }
      return;
    }
    if (!name->empty() && !has_command(app, *name)) {
      fmt::print(stderr, "vellum: {}\n", no_such_command(*name));
      status = ExitStatus::usage;
      return;
    }
    // app.help() would be that of the subcommand under way, which is `help`.
    fmt::print("{}", name->empty() ? app.get_formatter()->make_help(&app, app.get_name(), CLI::AppFormatMode::Normal)
                                   : app.get_subcommand(*name)->help(app.get_name()));
  });
}

// Takes the program that `vellum run` is to run off the command line, with all that follows it: options of `run` end at
// the first word that is no option, or after `--`. Only its name stays, behind a `--`.
std::vector<std::string> take_program(const CLI::App& app, std::vector<std::string>& line) {
  std::size_t first = 1;
  bool has_mark = false;
  for (; first < line.size() && line[first].starts_with('-'); ++first) {
    has_mark = line[first] == "--";
    if (has_mark) {
      break;
    }
    const std::size_t equals = line[first].find('=');
    const CLI::Option* const option = app.get_subcommand("run")->get_option_no_throw(line[first].substr(0, equals));
    if (option == nullptr) {
      return {};  // a mistake that the parser will tell
    }
    first += equals == std::string::npos && option->get_expected_max() != 0 ? 1 : 0;  // its value
  }
  if (first >= line.size()) {
    return {};
  }
  const auto start = line.begin() + static_cast<std::ptrdiff_t>(first);
  std::vector<std::string> program(start + (has_mark ? 1 : 0), line.end());
  line.erase(start, line.end());
  if (!program.empty()) {
    line.insert(line.end(), {"--", program.front()});  // as much as the parser must see
  }
  return program;
}

int run(int argument_count, char** arguments) {
  CLI::App app(
      "Run programs on Vellum, and look at its virtual memory: where everything lies in an address space, and why.",
      "vellum");
  app.set_version_flag("--version", "vellum " VELLUM_VERSION);
  app.require_subcommand(1);
  app.footer(
      "Examples:\n"
      "  vellum layout --memory 512G        the 64-bit kernel's map on a machine with 512 GiB\n"
      "  vellum explain 0x2a                what lies there, and what an access to it means\n"
      "  vellum run busybox ls -l /         run a Linux program on the kernel\n"
      "  vellum walk 0x400000               the page tables of a running program\n"
      "\n"
      "Exit status: 0 answered, 1 there is no such layout, address or run, 2 wrong usage; of `run` that of its "
      "program.\n"
      "`vellum help COMMAND` shows the options and examples of a command.");
  app.failure_message([](const CLI::App* failed, const CLI::Error& error) {
    const auto parsed = failed->get_subcommands();
    const std::string command = parsed.empty() ? "vellum" : "vellum " + parsed.front()->get_name();
    return fmt::format("vellum: {}\nTry `{} --help`.\n", error.what(), command);
  });
  ExitStatus status = ExitStatus::ok;
  add_layout_command(app, status);
  add_explain_command(app, status);
  std::vector<std::string> program;
  add_run_command(app, program, status);
  add_doctor_command(app, status);
  add_ps_command(app, status);
  add_walk_command(app, status);
  add_maps_command(app, status);
  add_continue_command(app, status);
  add_help_command(app, status);

  if (argument_count > 1 && arguments[1][0] != '-' && !has_command(app, arguments[1])) {
    fmt::print(stderr, "vellum: {}\n", no_such_command(arguments[1]));
    return static_cast<int>(ExitStatus::usage);
  }
  try {
    std::vector<std::string> line(arguments + std::min(argument_count, 1), arguments + argument_count);
    if (!line.empty() && line.front() == "run") {
      program = take_program(app, line);
    }
    std::ranges::reverse(line);  // as CLI11 wants it
    app.parse(line);
  } catch (const CLI::ParseError& error) {
    // --help and --version arrive here too, as errors of code 0.
    return static_cast<int>(app.exit(error) == 0 ? ExitStatus::ok : ExitStatus::usage);
  }
  return static_cast<int>(status);
}

}  // namespace
}  // namespace vellum::tool

int main(int argument_count, char** arguments) { return vellum::tool::run(argument_count, arguments); }
