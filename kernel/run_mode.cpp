#include "run_mode.hpp"

#include <new>

#include <vellum/pc/power.hpp>
#include <vellum/run/start_request.hpp>
#include <vellum/unix/file_caller.hpp>
#include <vellum/unix/lifecycle.hpp>

#include "devices.hpp"
#include "host_mounts.hpp"
#include "must.hpp"
#include "processor.hpp"
#include "program_layout.hpp"
#include "programs.hpp"
#include "run_channel.hpp"
#include "run_host.hpp"
#include "run_inspector.hpp"
#include "run_reporter.hpp"
#include "run_streams.hpp"
#include "run_terminal.hpp"

namespace vellum::kernel {

namespace {

using run::StreamKind;
using unix::OpenFile;
using unix::Ref;

// The request: as much as a program's arguments and environment may be, and then some.
constexpr Order kRequestRoom{8};
// The reporter's, and what programs write.
constexpr Order kRooms{5};
static_assert(2 * run::Channel::kMostBody <= kPageSize << kRooms.value());

constexpr int kFailed = 125;         // as env(1) and others: not the program's fault
constexpr int kNotExecutable = 126;  // as shells have it
constexpr int kNotFound = 127;

// All that a run is made of; there is one, for the life of the kernel.
struct Run {
  Run(Kernel& its_kernel, RunHost& its_host, const run::StartRequest& its_request, std::span<std::byte> rooms)
      : kernel(its_kernel),
        host(its_host),
        request(its_request),
        channel(run_channel()),
        reporter(channel, its_host, {reinterpret_cast<char*>(rooms.data()), run::Channel::kMostBody}),
        streams{.channel = channel,
                .host = host,
                .output_room = rooms.subspan(run::Channel::kMostBody, run::Channel::kMostBody),
                .output_lock = {},
                .input_lock = {}},
        inspector(its_kernel, its_host, channel, user_model()),
        port(channel, terminal_stream()),
        programs(kernel, port, reporter, program_layout(user_model())) {}

  [[nodiscard]] std::optional<run::ToHost> terminal_stream() const {
    if (request.stream(1) == StreamKind::terminal) {
      return run::ToHost::output;
    }
    return request.stream(2) == StreamKind::terminal ? std::optional(run::ToHost::error_output) : std::nullopt;
  }
  [[nodiscard]] UserModel user_model() const {
    return request.find("user") == "linux" ? UserModel::linux_low : UserModel::illumos;
  }

  // The steps of the first thread. Errors are the end of the run.
  [[nodiscard]] Result<void> mount();
  [[nodiscard]] Result<void> prepare();
  [[nodiscard]] Result<void> start();
  [[nodiscard]] Result<std::span<std::string_view>> texts(std::string_view key);
  [[nodiscard]] Result<Ref<OpenFile>> open_stream(unsigned number);
  [[nodiscard]] Result<unix::FileContext> files_of_program();

  // Says on the host's stderr why there is nothing to run.
  [[noreturn]] void give_up(std::string_view what, Errno error, int status);

  Kernel& kernel;
  RunHost& host;
  const run::StartRequest& request;
  run::Channel& channel;
  HostReporter reporter;
  RunStreams streams;
  RunInspector inspector;
  RunTerminalPort port;
  Programs programs;
  unix::FirstProgram program;
};

alignas(RunHost) constinit std::byte room_for_host[sizeof(RunHost)] = {};
alignas(Run) constinit std::byte room_for_run[sizeof(Run)] = {};
constinit Run* the_run = nullptr;

std::string_view reason_of(Errno error) {
  switch (error) {
    case Errno::no_entry:
      return "no such file or directory";
    case Errno::access_denied:
      return "permission denied";
    case Errno::not_executable:
      return "not an executable of this system";
    case Errno::not_directory:
      return "not a directory";
    case Errno::is_directory:
      return "is a directory";
    case Errno::no_memory:
      return "not enough memory";
    case Errno::argument_list_too_long:
      return "argument list too long";
    case Errno::io_error:
      return "the host's files cannot be read";
    case Errno::no_device:
      return "there is no such device";
    default:
      return "";
  }
}

void Run::give_up(std::string_view what, Errno error, int status) {
  char line[512];
  unix::FixedText text(line);
  text.text("vellum: ").text(what).text(": ").text(reason_of(error));
  if (reason_of(error).empty()) {
    text.text("error ").decimal(static_cast<std::uint64_t>(error));
  }
  text.text("\n");
  channel.send(run::ToHost::error_output, text.view());
  reporter.end(unix::WaitStatus::exited(status));
}

Result<void> Run::mount() {
  unix::Lower* const root = VELLUM_TRY(open_host_mount(kernel, "root"));
  VELLUM_TRY(programs.files.start(root));
  VELLUM_TRY(programs.add_devices());
  VELLUM_TRY(programs.mount_usual());
  Result<void> result;
  request.for_each("bind", [&](std::string_view bind) {
    const std::size_t colon = bind.find(':');
    if (!result.ok() || colon == std::string_view::npos) {
      return;
    }
    const std::string_view tag(bind.data(), colon);
    bind.remove_prefix(colon + 1);
    const Result<unix::Lower*> lower = open_host_mount(kernel, tag);
    const Result<unix::Path> point = programs.make_directories(bind);
    result = !lower.ok()   ? lower.error()
             : !point.ok() ? point.error()
                           : programs.files.mount_lower(point.value(), *lower.value(), tag);
  });
  return result;
}

// The values with a key, in memory that stays.
Result<std::span<std::string_view>> Run::texts(std::string_view key) {
  std::size_t count = 0;
  request.for_each(key, [&](std::string_view) { ++count; });
  if (count == 0) {
    return std::span<std::string_view>();
  }
  void* const memory = VELLUM_TRY(programs.files.memory().allocate(ByteCount(count * sizeof(std::string_view))));
  auto* const values = static_cast<std::string_view*>(memory);
  std::size_t at = 0;
  request.for_each(key, [&](std::string_view value) { ::new (&values[at++]) std::string_view(value); });
  return std::span<std::string_view>(values, count);
}

Result<Ref<OpenFile>> Run::open_stream(unsigned number) {
  constexpr StreamEnd kEnds[] = {StreamEnd::input, StreamEnd::output, StreamEnd::error_output};
  unix::Files& files = programs.files;
  switch (request.stream(number)) {
    case StreamKind::terminal: {
      const unix::Path path = VELLUM_TRY(unix::resolve(files, programs.from_root(), "/dev/console"));
      return unix::open_terminal(files.memory(), path, unix::open_flag::kReadWrite, programs.terminal);
    }
    case StreamKind::null:
      return unix::open_path(files, programs.from_root(), "/dev/null", {.flags = unix::open_flag::kReadWrite});
    case StreamKind::pipe:
    case StreamKind::file:
      break;
  }
  return open_run_stream(files, streams, kEnds[number]);
}

Result<unix::FileContext> Run::files_of_program() {
  unix::Files& files = programs.files;
  unix::FileContext context;
  context.table = VELLUM_TRY(unix::FileTable::create(files.memory()));
  for (unsigned number = 0; number < 3; ++number) {
    Ref<OpenFile> file = VELLUM_TRY(open_stream(number));
    VELLUM_TRY(context.table->put(static_cast<int>(number), std::move(file), unix::CloseOnExec::no, 3));
  }
  unix::Path root = files.root();
  const Result<unix::Path> directory =
      unix::resolve(files, programs.from_root(), request.find("directory").value_or("/"));
  unix::Path current = directory.ok() ? directory.value() : root;
  context.paths = VELLUM_TRY(unix::PathContext::create(files.memory(), std::move(root), std::move(current)));
  return context;
}

void send_to_foreground(unix::Signal signal) {
  unix::ProcessId group = the_run->programs.terminal.foreground();
  if (group == unix::ProcessId(0)) {
    group = the_run->programs.processes.first_process()->id;
  }
  unix::signal_group(group, signal);
}

Result<void> Run::prepare() {
  program.path = *request.find("argument");
  const std::span<std::string_view> arguments = VELLUM_TRY(texts("argument"));
  program.arguments = arguments;
  program.environment = VELLUM_TRY(texts("environment"));
  if (const std::optional<std::string_view> name = request.find("name")) {
    arguments.front() = *name;
  }
  program.files = VELLUM_TRY(files_of_program());
  const unix::UserId user(static_cast<std::uint32_t>(request.number("uid", 0)));
  const unix::GroupId group(static_cast<std::uint32_t>(request.number("gid", 0)));
  program.credentials.user = {.real = user, .effective = user, .saved = user, .file_system = user};
  program.credentials.group = {.real = group, .effective = group, .saved = group, .file_system = group};
  program.failed = [](Errno error) {
    the_run->give_up(the_run->program.path, error, error == Errno::no_entry ? kNotFound : kNotExecutable);
  };
  return {};
}

Result<void> Run::start() {
  VELLUM_TRY(inspector.start());
  if (request.number("hold", 0) != 0) {
    reporter.hold();
  }
  programs.processes.trace = request.number("strace", 0) != 0;
  if (const std::uint64_t budget = request.number("vmem", 0); budget != 0) {
    programs.processes.memory.objects.commitment().set_budget(pages_for(ByteCount(budget)));
  }
  reporter.begin();
  VELLUM_TRY(unix::start_first_process(programs.processes, program));
  const unix::ProcessId first = programs.processes.first_process()->id;
  const bool has_terminal = request.stream(0) == StreamKind::terminal || request.stream(1) == StreamKind::terminal ||
                            request.stream(2) == StreamKind::terminal;
  if (has_terminal) {
    programs.terminal.set_session(first, first);
    programs.terminal.set_window({.rows = static_cast<std::uint16_t>(request.number("rows", 24)),
                                  .columns = static_cast<std::uint16_t>(request.number("columns", 80))});
  }
  if (request.stream(0) == StreamKind::terminal) {
    port.connect(programs.terminal, host);
  }
  host.set_signal_handler(send_to_foreground);
  if (request.stream(0) != StreamKind::null) {
    channel.accept_input();
  }
  return {};
}

void run_first_thread(unix::Thread& /*thread*/) {
  Run& run = *the_run;
  if (run.request.number("protocol", 0) != run::kProtocolVersion) {
    run.give_up("the command and the kernel are of different versions; build both anew", Errno::invalid, kFailed);
  }
  if (const Result<void> mounted = run.mount(); !mounted.ok()) {
    run.give_up("cannot mount the host's files", mounted.error(), kFailed);
  }
  const Result<void> prepared = run.prepare();
  const Result<void> started = prepared.ok() ? run.start() : prepared;
  if (!started.ok()) {
    run.give_up("cannot start the program", started.error(), kFailed);
  }
}

void wait_for_request(const RunHost& host) {
  run::Channel& channel = run_channel();
  for (unsigned rounds = 0; !host.has_started(); relax(rounds++)) {
    channel.poll();
  }
}

}  // namespace

void run_for_host(Kernel& kernel, const char* command_line) {
  constexpr const char* kTooSmall = "not enough memory to talk with the host";
  must(kernel.virtual_memory.start(), kTooSmall);
  must(find_devices(command_line), kTooSmall);
  const virtio::SharedMemory room = must(allocate_shared_memory(kRequestRoom), kTooSmall);
  const virtio::SharedMemory rooms = must(allocate_shared_memory(kRooms), kTooSmall);
  RunHost& host = *::new (room_for_host) RunHost;
  host.set_room({reinterpret_cast<char*>(room.bytes.data()), room.bytes.size()});
  must(open_run_channel(host), "there is no console device to talk with the host");
  run_channel().send(run::ToHost::hello, run::kProtocolVersion);
  wait_for_request(host);
  static constinit run::StartRequest request;
  request = must(host.request(), "the host's request makes no sense");
  if (const std::uint64_t now = request.number("time", 0); now != 0) {
    set_realtime(unix::Nanoseconds(now));
  }
  the_run = ::new (room_for_run) Run(kernel, host, request, rooms.bytes);
  the_run->programs.files.command_line = command_line;
  must(the_run->programs.processes.run(run_first_thread, nullptr), kTooSmall);
  panic("processes do not run any more");
}

}  // namespace vellum::kernel
