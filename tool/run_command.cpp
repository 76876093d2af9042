// `vellum run`: an unmodified Linux program on Vellum's kernel.
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include "commands.hpp"
#include "parse.hpp"
#include "print.hpp"
#include "run/control.hpp"
#include "run/engine.hpp"
#include "run/kernel_image.hpp"
#include "run/program.hpp"
#include "run/report.hpp"
#include "run/session.hpp"
#include "run/start.hpp"

namespace vellum::tool {

namespace {

namespace fs = std::filesystem;

constexpr ByteCount kLeastMemory{std::uint64_t{64} << 20};
constexpr ByteCount kMostMemory{std::uint64_t{1} << 40};

constexpr std::size_t kMostBinds = 6;  // the machine has room for eight devices

constexpr const char* kFooter =
    "PROGRAM is found as a shell finds it. It sees the host's files and its current directory; what it writes stays "
    "in\n"
    "memory. Its stdout is alone on stdout; stdin, signals and the terminal are its own. When it dies of a fault, "
    "stderr\n"
    "says what it did, where, and why that could not be.\n"
    "\n"
    "Examples:\n"
    "  vellum run -- busybox sh -c 'for i in 1 2 3; do echo $i; done | sort -r'\n"
    "  vellum run --memory 64M --report report.json ./a.out data.txt\n"
    "  vellum run --strace busybox ls -l /                  each system call on stderr\n"
    "  vellum run --bind /tmp/data:/data --env MODE=test ./a.out /data\n"
    "  vellum run --time 2 ./a.out; echo $?                 124 if it needed more\n"
    "\n"
    "Exit status: that of PROGRAM, or 128 + N when signal N ended it (137 also when memory ran out); 124 its time was\n"
    "over; 125 vellum failed; 126 PROGRAM cannot be executed; 127 there is no such program; 2 wrong usage.";

[[noreturn]] void refuse(const char* option, const std::string& reason) { throw CLI::ValidationError(option, reason); }

void set_memory(RunOptions& options, const std::string& text) {
  const auto size = parse_size(text);
  if (!size.has_value()) {
    refuse("--memory", fmt::format("'{}' is no size; write 64M, 4G or 512MiB", text));
  }
  if (*size < kLeastMemory || *size > kMostMemory) {
    refuse("--memory", fmt::format("{} is not between {} and {}", size_text(*size), size_text(kLeastMemory),
                                   size_text(kMostMemory)));
  }
  options.memory = *size;
}

void set_vmem(RunOptions& options, const std::string& text) {
  const auto size = parse_size(text);
  if (!size.has_value() || size->is_zero()) {
    refuse("--vmem", fmt::format("'{}' is no size; write 64M, 4G or 512MiB", text));
  }
  options.vmem = *size;
}

void set_cpus(RunOptions& options, const std::string& text) {
  char* end = nullptr;
  const unsigned long value = std::strtoul(text.c_str(), &end, 10);
  if (text.empty() || *end != '\0' || value < 1 || value > kMostCpus) {
    refuse("--cpus", fmt::format("'{}' is no number between 1 and {}", text, kMostCpus));
  }
  options.cpus = static_cast<unsigned>(value);
}

void set_user(RunOptions& options, const std::string& text) {
  if (text != "illumos" && text != "linux") {
    refuse("--user", fmt::format("'{}' is none of illumos|linux", text));
  }
  options.user = text == "linux" ? UserModel::linux_low : UserModel::illumos;
}

void set_engine(RunOptions& options, const std::string& text) {
  for (const Engine engine : {Engine::automatic, Engine::tcg, Engine::kvm}) {
    if (text == name_of(engine)) {
      options.engine = engine;
      return;
    }
  }
  refuse("--engine", fmt::format("'{}' is none of auto|tcg|kvm", text));
}

void add_bind(RunOptions& options, const std::string& text) {
  if (options.binds.size() == kMostBinds) {
    refuse("--bind", fmt::format("at most {} folders", kMostBinds));
  }
  const std::size_t colon = text.find(':');
  const std::string host = text.substr(0, colon);
  std::error_code error;
  const fs::path folder = fs::canonical(host, error);
  if (error || !fs::is_directory(folder)) {
    refuse("--bind", fmt::format("'{}' is no folder", host));
  }
  std::string guest =
      colon == std::string::npos ? fs::absolute(host).lexically_normal().string() : text.substr(colon + 1);
  while (guest.size() > 1 && guest.ends_with('/')) {
    guest.pop_back();
  }
  if (!guest.starts_with('/') || guest.size() == 1) {
    refuse("--bind", fmt::format("'{}' is no absolute path below /", guest));
  }
  options.binds.push_back({folder, guest});
}

void add_variable(RunOptions& options, const std::string& text) {
  if (text.empty() || text.starts_with('=')) {
    refuse("--env", fmt::format("'{}' is no variable; write NAME=VALUE", text));
  }
  options.environment.push_back(text);
}

void set_name(RunOptions& options, const std::string& text) {
  constexpr std::size_t kLongest = 32;
  const bool is_name =
      text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == std::string::npos;
  if (text.empty() || text.size() > kLongest || !is_name || text.find_first_not_of("0123456789") == std::string::npos) {
    refuse("--name",
           fmt::format("'{}' is no name; write up to {} letters, digits, - and _, not digits alone", text, kLongest));
  }
  options.name = text;
}

void set_gdb_port(RunOptions& options, const std::string& text) {
  constexpr unsigned long kMostPort = 65535;
  char* end = nullptr;
  const unsigned long value = std::strtoul(text.c_str(), &end, 10);
  if (text.empty() || *end != '\0' || value == 0 || value > kMostPort) {
    refuse("--gdb", fmt::format("'{}' is no port", text));
  }
  options.gdb_port = static_cast<unsigned>(value);
}

void set_time_limit(RunOptions& options, const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  constexpr double kLongest = 1e9;
  if (text.empty() || *end != '\0' || !(value > 0) || value > kLongest) {
    refuse("--time", fmt::format("'{}' is no number of seconds", text));
  }
  options.time_limit = value;
}

// Standard streams that are closed would be the numbers of the next files opened here.
void keep_standard_streams() {
  for (int descriptor = open("/dev/null", O_RDWR); descriptor >= 0 && descriptor <= STDERR_FILENO;) {
    descriptor = dup(descriptor);
    if (descriptor > STDERR_FILENO) {
      close(descriptor);
    }
  }
}

int fail(int status, const std::string& reason) {
  fmt::print(stderr, "vellum: {}\n", reason);
  return status;
}

int run_program(const RunOptions& options) {
  keep_standard_streams();
  const auto started = Clock::now();
  const std::vector<std::string> environment = program_environment(options.environment);
  const auto path = find_program(options, environment);
  if (!path.has_value()) {
    return fail(path.error().status, path.error().reason);
  }
  MachineSettings settings{.memory = options.memory,
                           .cpus = options.cpus,
                           .kernel = kernel_image(options.kernel),
                           .command_line = "run",
                           .has_run_channel = true,
                           .gdb_port = options.gdb_port,
                           .binds = options.binds};
  if (access(settings.kernel.c_str(), R_OK) != 0) {
    return fail(kVellumFailed,
                fmt::format("there is no kernel image {}; `./vellum kernel` builds it", settings.kernel));
  }
  settings.use_kvm = choose_engine(options.engine, settings.kernel) == Engine::kvm;
  const auto control = ControlSocket::create(options.name);
  if (!control.has_value() && (options.hold || !options.name.empty())) {
    return fail(kVellumFailed, fmt::format("nobody could look at the run: {}", control.error()));
  }
  auto machine = VirtualMachine::start(settings);
  if (!machine.has_value()) {
    return fail(kVellumFailed, machine.error());
  }
  Session session(options, *machine, start_texts(options, *path, environment),
                  control.has_value() ? control->get() : nullptr, started);
  const RunRecord record = session.run();
  const bool is_written =
      !options.report_path.has_value() ||
      write_report(*options.report_path, make_report(options, record, settings.use_kvm ? "kvm" : "tcg"));
  return is_written ? record.end.status : kVellumFailed;
}

}  // namespace

const char* name_of(Engine engine) {
  switch (engine) {
    case Engine::automatic:
      return "auto";
    case Engine::tcg:
      return "tcg";
    case Engine::kvm:
      return "kvm";
  }
  return "";
}

void add_run_command(CLI::App& app, const std::vector<std::string>& program, ExitStatus& status) {
  CLI::App* const command =
      app.add_subcommand("run", "Run a Linux program on Vellum's kernel, in a machine of its own");
  const auto options = std::make_shared<RunOptions>();
  const auto add = [&](const char* name, const char* type, const char* description,
                       void (*set)(RunOptions&, const std::string&)) {
    command
        ->add_option_function<std::string>(
            name, [options, set](const std::string& text) { set(*options, text); }, description)
        ->type_name(type)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  };
  const auto add_many = [&](const char* name, const char* type, const char* description,
                            void (*add_one)(RunOptions&, const std::string&)) {
    command
        ->add_option_function<std::vector<std::string>>(
            name,
            [options, add_one](const std::vector<std::string>& texts) {
              for (const std::string& text : texts) {
                add_one(*options, text);
              }
            },
            description)
        ->type_name(type)
        ->allow_extra_args(false);
  };
  add("--memory", "SIZE", "Memory of the machine: all that the program, its files and the kernel have [512M]",
      set_memory);
  add("--vmem", "SIZE", "What all processes together may reserve; beyond it mmap and the like give ENOMEM", set_vmem);
  add("--cpus", "N", "Processors of the machine; threads and processes run on all of them [1]", set_cpus);
  add("--user", "illumos|linux",
      "Where its stack and mappings lie: above the VA hole, or all below 2^47 as on Linux [illumos]", set_user);
  add_many("--bind", "HOST[:GUEST]", "Show the host's folder HOST, read-only, as GUEST", add_bind);
  add_many("--env", "NAME[=VALUE]",
           "Set a variable, or pass it on; PATH HOME TERM LANG USER LOGNAME SHELL PWD are passed on anyway",
           add_variable);
  add("--report", "FILE.json", "Write faults by kind, memory, counters and verdict there",
      [](RunOptions& run, const std::string& text) { run.report_path = text; });
  command->add_flag_callback("--strace", [options] { options->strace = true; }, "Show each system call on stderr");
  command->add_flag_callback(
      "--kernel-log", [options] { options->kernel_log = true; }, "Show the kernel's log on stderr");
  add("--name", "NAME", "Give the run a name, for `vellum walk --run NAME` and the like", set_name);
  command->add_flag_callback(
      "--hold", [options] { options->hold = true; },
      "Wait before a process dies of a fault and before the program ends, so that it can be looked at");
  add("--gdb", "PORT", "Let a debugger come to this port of the host itself (tool/gdb/vellum.py)", set_gdb_port);
  add("--time", "SECONDS", "End the program after so much time", set_time_limit);
  add("--engine", "auto|tcg|kvm", "Emulation, or KVM where it works and is quicker [auto]", set_engine);
  add("--kernel", "IMAGE", "Another kernel image", [](RunOptions& run, const std::string& text) { run.kernel = text; });
  command->footer(kFooter);
  command->add_option("PROGRAM", options->program, "The program; options of `run` end here, or at --")
      ->type_name("[ARGUMENT...]")
      ->expected(1)
      ->required();
  command->callback([options, &program, &status] {
    options->program = program;
    status = static_cast<ExitStatus>(run_program(*options));
  });
}

}  // namespace vellum::tool
