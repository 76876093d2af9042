// The `vellum` command.
#include <algorithm>
#include <memory>
#include <string>

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
  help->callback([&app, &status, name] {
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

// Marks the first word of the program that `vellum run` is to run, before which its own options end: `--` goes before
// it, if none stands there. Returns the command line as CLI11 wants it, from the last word to the first.
std::vector<std::string> reversed_with_program_marked(const CLI::App& app, int count, char** words) {
  std::vector<std::string> line(words + 1, words + count);
  if (!line.empty() && line.front() == "run") {
    const CLI::App* const command = app.get_subcommand("run");
    for (std::size_t i = 1; i < line.size(); ++i) {
      if (line[i] == "--") {
        break;
      }
      if (!line[i].starts_with('-')) {
        line.insert(line.begin() + static_cast<std::ptrdiff_t>(i), "--");
        break;
      }
      const std::size_t equals = line[i].find('=');
      const CLI::Option* const option = command->get_option_no_throw(line[i].substr(0, equals));
      if (option == nullptr) {
        break;  // an error that CLI11 will tell
      }
      i += equals == std::string::npos && option->get_type_size_max() != 0 ? 1 : 0;  // its value
    }
  }
  std::ranges::reverse(line);
  return line;
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
      "\n"
      "Exit status: 0 answered, 1 there is no such layout or address, 2 wrong usage; of `run` that of its program.\n"
      "`vellum help COMMAND` shows the options and examples of a command.");
  app.failure_message([](const CLI::App* failed, const CLI::Error& error) {
    const auto parsed = failed->get_subcommands();
    const std::string command = parsed.empty() ? "vellum" : "vellum " + parsed.front()->get_name();
    return fmt::format("vellum: {}\nTry `{} --help`.\n", error.what(), command);
  });
  ExitStatus status = ExitStatus::ok;
  add_layout_command(app, status);
  add_explain_command(app, status);
  add_run_command(app, status);
  add_help_command(app, status);

  if (argument_count > 1 && arguments[1][0] != '-' && !has_command(app, arguments[1])) {
    fmt::print(stderr, "vellum: {}\n", no_such_command(arguments[1]));
    return static_cast<int>(ExitStatus::usage);
  }
  try {
    app.parse(reversed_with_program_marked(app, argument_count, arguments));
  } catch (const CLI::ParseError& error) {
    // --help and --version arrive here too, as errors of code 0.
    return static_cast<int>(app.exit(error) == 0 ? ExitStatus::ok : ExitStatus::usage);
  }
  return static_cast<int>(status);
}

}  // namespace
}  // namespace vellum::tool

int main(int argument_count, char** arguments) { return vellum::tool::run(argument_count, arguments); }
