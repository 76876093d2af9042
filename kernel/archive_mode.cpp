#include "archive_mode.hpp"

#include <new>

#include <vellum/pc/console.hpp>
#include <vellum/pc/machine.hpp>
#include <vellum/unix/cpio.hpp>
#include <vellum/unix/lifecycle.hpp>

#include "command_line.hpp"
#include "console_reporter.hpp"
#include "must.hpp"
#include "program_layout.hpp"
#include "programs.hpp"
#include "serial_terminal.hpp"

namespace vellum::kernel {

namespace {

constexpr std::uint32_t kConsoleMajor = 5;
constexpr std::uint32_t kConsoleMinor = 1;

// Where Linux looks for the first program, but for the last: then there is nothing to run.
constexpr std::string_view kFirstPrograms[] = {"/init", "/sbin/init", "/etc/init", "/bin/init", "/bin/sh"};
constexpr std::string_view kEnvironment[] = {"HOME=/", "TERM=linux"};

struct ArchiveRun {
  ArchiveRun(Kernel& kernel, PhysRange its_archive, const CommandLine& command_line)
      : archive(its_archive),
        wanted(command_line.value_of("rdinit").value_or(std::string_view())),
        programs(kernel, port, reporter,
                 program_layout(command_line.value_of("user") == "linux" ? UserModel::linux_low : UserModel::illumos)) {
  }

  [[nodiscard]] Result<void> prepare();
  [[nodiscard]] Result<void> make_console();
  [[nodiscard]] Result<void> unpack();
  [[nodiscard]] Result<unix::FileContext> files_of_program();
  [[nodiscard]] std::string_view find_program();

  const PhysRange archive;
  const std::string_view wanted;
  ConsoleReporter reporter;
  SerialTerminalPort port;
  Programs programs;
  unix::FirstProgram program;
  std::string_view arguments[1];
};

alignas(ArchiveRun) constinit std::byte room_for_run[sizeof(ArchiveRun)] = {};
constinit ArchiveRun* the_run = nullptr;

// What Linux's own archive has in it, before the loader's comes.
Result<void> ArchiveRun::make_console() {
  VELLUM_TRY(programs.add_devices());
  VELLUM_TRY(programs.make_directories("/dev"));
  VELLUM_TRY(programs.make_directories("/root"));
  return unix::make_node(programs.files, programs.from_root(), "/dev/console",
                         {.kind = unix::NodeKind::character_device,
                          .permissions = 0600,
                          .device = {.major = kConsoleMajor, .minor = kConsoleMinor}});
}

Result<void> ArchiveRun::unpack() {
  const auto* const bytes = pc::direct_mapped<const std::byte>(archive.start());
  const unix::UnpackReport report =
      unix::unpack_cpio(programs.files, programs.files.root(), {bytes, archive.size().value()});
  if (report.problem != nullptr) {
    pc::print_line("initial archive: ", report.problem, " (at byte ", report.position, "); ", report.files,
                   " files were unpacked before");
  }
  return {};
}

std::string_view ArchiveRun::find_program() {
  if (!wanted.empty()) {
    return wanted;
  }
  for (const std::string_view candidate : kFirstPrograms) {
    if (unix::resolve(programs.files, programs.from_root(), candidate).ok()) {
      return candidate;
    }
  }
  panic("there is no program to run: start with -initrd and an archive that has an /init");
}

Result<unix::FileContext> ArchiveRun::files_of_program() {
  unix::Files& files = programs.files;
  unix::FileContext context;
  context.table = VELLUM_TRY(unix::FileTable::create(files.memory()));
  const unix::Path root = files.root();
  context.paths = VELLUM_TRY(unix::PathContext::create(files.memory(), root, root));
  const Result<unix::Path> place = unix::resolve(files, programs.from_root(), "/dev/console");
  if (!place.ok()) {
    return context;  // the archive took it away
  }
  const unix::Ref<unix::OpenFile> console =
      VELLUM_TRY(unix::open_terminal(files.memory(), place.value(), unix::open_flag::kReadWrite, programs.terminal));
  for (int number = 0; number < 3; ++number) {
    VELLUM_TRY(context.table->put(number, console, unix::CloseOnExec::no, 3));
  }
  return context;
}

Result<void> ArchiveRun::prepare() {
  VELLUM_TRY(programs.files.start());
  VELLUM_TRY(make_console());
  VELLUM_TRY(unpack());
  program.path = find_program();
  arguments[0] = program.path;
  program.arguments = arguments;
  program.environment = kEnvironment;
  program.files = VELLUM_TRY(files_of_program());
  program.unkillable = true;
  program.failed = [](Errno error) {
    pc::print_line("cannot run the first program: error ", static_cast<std::uint64_t>(error));
    panic("the first program cannot be run");
  };
  port.connect(programs.terminal);
  return unix::start_first_process(programs.processes, program);
}

void run_first_thread(unix::Thread& /*thread*/) {
  must(the_run->prepare(), "not enough memory for the initial archive");
}

}  // namespace

void run_archive(Kernel& kernel, const pc::StartInfo& start_info) {
  must(kernel.virtual_memory.start(), "not enough memory for the page of zeros");
  the_run = ::new (room_for_run) ArchiveRun(kernel, start_info.first_module(), CommandLine(start_info.command_line()));
  the_run->programs.files.command_line = start_info.command_line();
  must(the_run->programs.processes.run(run_first_thread, nullptr), "not enough memory for the first thread");
  panic("processes do not run any more");
}

}  // namespace vellum::kernel
