#include "run/session.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include <fmt/core.h>

#include <vellum/layout/text.hpp>

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "run/fault.hpp"
#include "run/fault_record.hpp"

namespace vellum::tool {

namespace {

using namespace std::chrono_literals;

constexpr auto kImpatience = 1s;     // a second SIGINT within it means it
constexpr auto kPatience = 5s;       // how long the kernel may be silent after a signal
constexpr auto kGrace = 1s;          // how long a killed program or a panic may take
constexpr auto kGreeting = 20s;      // how long a kernel may take to say anything at all
constexpr auto kBackground = 500ms;  // how often to look whether the terminal is ours again
constexpr std::size_t kInputAhead = 4096;
constexpr std::size_t kReadAtOnce = 65536;
constexpr std::size_t kMostDropped = std::size_t{1} << 20;
constexpr char kControlC = 3;
constexpr int kForwarded[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};

bool is_ignored(int signal) {
  struct sigaction action;
  return sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

// Those that arrive by the returned descriptor from now on. One that whoever called us wants ignored stays ignored.
Descriptor take_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : kForwarded) {
    if (!is_ignored(signal)) {
      sigaddset(&set, signal);
    }
  }
  if (!is_ignored(SIGTSTP)) {
    sigaddset(&set, SIGTSTP);
  }
  sigaddset(&set, SIGWINCH);
  sigaddset(&set, SIGCONT);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGTTOU, SIG_IGN);  // the mode of the terminal is restored whoever is in the foreground
  return Descriptor(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

int exit_status_of(int wait_status) {
  return WIFSIGNALED(wait_status) ? kSignalBase + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

std::string death_of(int wait_status) {
  return WIFSIGNALED(wait_status) ? fmt::format("signal {}", WTERMSIG(wait_status))
                                  : fmt::format("exit status {}", WEXITSTATUS(wait_status));
}

// Bytes that are there, up to a buffer full; empty at the end of the stream or where there are none.
std::string read_available(int descriptor, std::size_t most = kReadAtOnce) {
  std::string bytes(most, '\0');
  const ssize_t count = read(descriptor, bytes.data(), bytes.size());
  bytes.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
  return bytes;
}

}  // namespace

Session::Session(const RunOptions& options, VirtualMachine& machine, std::string start, ControlSocket* control,
                 Clock::time_point started)
    : options_(options),
      machine_(machine),
      signals_(take_signals()),
      log_([this](const std::string& line) {
        if (options_.kernel_log) {
          tell(fmt::format("kernel: {}\n", line));
        }
      }),
      control_(control) {
  record_.started = started;
  if (!options.gdb_port.has_value()) {
    greeting_due_ = started + kGreeting;
  }
  if (control_ != nullptr) {
    questions_.emplace(*control_, [this](std::string frame) { send(std::move(frame)); });
    control_->set_handler(
        [this](ControlSocket::ClientId client, const nlohmann::ordered_json& question) { answer(client, question); });
  }
  if (options.time_limit.has_value()) {
    time_limit_ =
        started + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(*options.time_limit));
  }
  send(make_start(start));
  if (kind_of_stream(STDIN_FILENO) == StreamKind::null) {
    stdin_ended_ = true;
    send(make_frame(run::ToKernel::input_end, ""));
  }
}

RunRecord Session::run() {
  terminal_.lend();
  while (!is_finished_ || !output_.is_empty()) {
    wait_and_handle();
  }
  terminal_.restore();
  record_.ended = Clock::now();
  return std::move(record_);
}

void Session::wait_and_handle() {
  enum Source { channel, console, messages, death, signals, input, output, kSources };
  std::vector<pollfd> sources(kSources, {-1, 0, 0});
  sources[signals] = {signals_.number(), POLLIN, 0};
  if (!machine_is_gone_) {
    const bool may_receive = !output_.is_full();
    const int events = (may_receive ? POLLIN : 0) | (to_send_.empty() ? 0 : POLLOUT);
    sources[channel] = {events == 0 ? -1 : machine_.run_channel(), static_cast<short>(events), 0};
    sources[console] = {machine_.console(), POLLIN, 0};
    sources[messages] = {machine_.messages(), POLLIN, 0};
    sources[death] = {machine_.end(), POLLIN, 0};
    sources[input] = {wants_stdin() ? STDIN_FILENO : -1, POLLIN, 0};
  }
  if (!output_.is_empty()) {
    sources[output] = {output_.next_descriptor(), POLLOUT, 0};
  }
  if (control_ != nullptr) {
    control_->add_sources(sources);
  }
  if (poll(sources.data(), sources.size(), poll_timeout()) < 0) {
    return;  // interrupted
  }
  const auto happened = [&sources](Source source) { return sources[source].revents != 0; };
  if (happened(signals)) {
    read_signals();
  }
  if (happened(output)) {
    write_output();
  }
  if (happened(console)) {
    read_log(machine_.console());
  }
  if (happened(messages)) {
    read_log(machine_.messages());
  }
  if (happened(channel)) {
    send_some();
    receive();
  }
  if (happened(input)) {
    read_stdin();
  }
  if (happened(death)) {
    machine_ended();
  }
  if (control_ != nullptr) {
    control_->handle();
  }
  check_deadlines();
}

int Session::poll_timeout() const {
  std::optional<Clock::time_point> next;
  for (const auto& deadline : {time_limit_, unanswered_, kill_at_, greeting_due_}) {
    if (deadline.has_value() && (!next.has_value() || *deadline < *next)) {
      next = deadline;
    }
  }
  auto wait = next.has_value() ? std::max<Clock::duration>(*next - Clock::now(), 0s) : Clock::duration(24h);
  if (input_credit_ != 0 && !may_read_stdin()) {
    wait = std::min<Clock::duration>(wait, kBackground);
  }
  return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(wait).count());
}

// --- From the kernel -------------------------------------------------------------------------------------------------

void Session::receive() {
  frames_.append(read_available(machine_.run_channel()));
  while (!is_finished_) {
    auto frame = frames_.next();
    if (!frame.has_value()) {
      return end({EndKind::machine_failed, kVellumFailed, "the kernel sent what is no frame: " + frame.error()});
    }
    if (!frame->has_value()) {
      return;
    }
    unanswered_.reset();
    handle(**frame);
  }
}

// The first frame says what protocol the kernel speaks.
bool Session::has_greeted(const Frame& frame) {
  greeting_due_.reset();
  const auto version = number_in(frame);
  if (frame.kind == run::ToHost::hello && version == run::kProtocolVersion) {
    was_greeted_ = true;
    return true;
  }
  const std::string other = frame.kind == run::ToHost::hello && version.has_value()
                                ? fmt::format("version {}", *version)
                                : std::string("none that has a version");
  end({EndKind::machine_failed, kVellumFailed,
       fmt::format(
           "the kernel image and this command were not built together: the run protocol of the image is {}, that "
           "of the command version {}",
           other, run::kProtocolVersion)});
  return false;
}

void Session::handle(Frame& frame) {
  if (!was_greeted_) {
    return static_cast<void>(has_greeted(frame));
  }
  switch (frame.kind) {
    case run::ToHost::output:
    case run::ToHost::error_output:
      if (!record_.first_output.has_value()) {
        record_.first_output = Clock::now();
      }
      return output_.add(frame.kind == run::ToHost::output ? STDOUT_FILENO : STDERR_FILENO, std::move(frame.content));
    case run::ToHost::input_credit:
      input_credit_ += number_in(frame).value_or(0);
      return send_input();
    case run::ToHost::log:
      if (options_.kernel_log) {
        tell(fmt::format("kernel: {}\n", frame.content));
      }
      return record_.log.push_back(std::move(frame.content));
    case run::ToHost::trace:
      return tell(frame.content + "\n");
    case run::ToHost::fault:
      return explain(frame.content);
    case run::ToHost::report:
      record_.counters = nlohmann::ordered_json::parse(frame.content, nullptr, false);
      return;
    case run::ToHost::exit: {
      const int wait_status = static_cast<int>(number_in(frame).value_or(0));
      return end({EndKind::exited, exit_status_of(wait_status), "", wait_status});
    }
    case run::ToHost::answer_part:
    case run::ToHost::answer:
      if (questions_.has_value() && questions_->take(frame)) {
        return;
      }
      return end({EndKind::machine_failed, kVellumFailed, "the kernel answered what was not asked"});
    case run::ToHost::held:
      return tell_of_hold(number_in(frame).value_or(0));
    case run::ToHost::hello:
      break;
  }
  end({EndKind::machine_failed, kVellumFailed,
       fmt::format("the kernel sent a frame of unknown kind {}", static_cast<int>(frame.kind))});
}

void Session::explain(const std::string& text) {
  auto fault = nlohmann::ordered_json::parse(text, nullptr, false);
  if (!fault.is_object()) {
    return tell("vellum: the kernel's record of a fault is no JSON\n");
  }
  fault["explanation"] = explain_fault(fault, options_);
  tell(fault["explanation"].get<std::string>());
  const bool is_refusal = fault.value("verdict", nlohmann::ordered_json()) == nlohmann::ordered_json(kOverBudget);
  (is_refusal ? record_.refusals : record_.faults).push_back(std::move(fault));
}

void Session::read_log(int descriptor) {
  log_.append(read_available(descriptor));
  if (log_.has_panic() && !kill_at_.has_value()) {
    kill_at_ = Clock::now() + kGrace;
  }
}

void Session::machine_ended() {
  machine_is_gone_ = true;
  for (std::string bytes; !(bytes = read_available(machine_.run_channel())).empty();) {
    frames_.append(bytes);
  }
  receive();
  for (const int descriptor : {machine_.console(), machine_.messages()}) {
    for (std::string bytes; !(bytes = read_available(descriptor)).empty();) {
      log_.append(bytes);
    }
  }
  log_.flush();
  const int status = machine_.finish();
  if (!is_finished_) {
    const std::string reason =
        log_.has_panic() ? "the kernel failed" : fmt::format("QEMU ended with {} before the program", death_of(status));
    end({EndKind::machine_failed, kVellumFailed, reason});
  }
}

// --- To the kernel ---------------------------------------------------------------------------------------------------

void Session::send(std::string bytes) {
  to_send_ += bytes;
  send_some();
}

void Session::send_some() {
  while (!to_send_.empty() && !machine_is_gone_) {
    const ssize_t count = ::send(machine_.run_channel(), to_send_.data(), to_send_.size(), MSG_NOSIGNAL);
    if (count <= 0) {
      if (errno != EAGAIN && errno != EINTR) {
        to_send_.clear();  // QEMU has gone; its end is an event of its own
      }
      return;
    }
    to_send_.erase(0, static_cast<std::size_t>(count));
  }
}

bool Session::wants_stdin() const {
  if (stdin_ended_ || is_finished_ || !may_read_stdin()) {
    return false;
  }
  // Keys of a raw terminal are read ahead, for one of them may be Ctrl-C.
  return terminal_.is_raw() ? input_.size() < kInputAhead : input_.empty() && input_credit_ != 0;
}

void Session::read_stdin() {
  const std::size_t most = terminal_.is_raw()
                               ? kInputAhead - input_.size()
                               : static_cast<std::size_t>(std::min<std::uint64_t>(input_credit_, kReadAtOnce));
  std::string bytes(most, '\0');
  const ssize_t count = read(STDIN_FILENO, bytes.data(), bytes.size());
  if (count < 0 && (errno == EINTR || errno == EAGAIN)) {
    return;
  }
  if (count <= 0) {
    stdin_ended_ = true;
    return send(make_frame(run::ToKernel::input_end, ""));
  }
  bytes.resize(static_cast<std::size_t>(count));
  input_ += bytes;
  if (terminal_.is_raw()) {
    watch_keys(bytes);
  }
  send_input();
}

void Session::send_input() {
  const std::size_t count =
      static_cast<std::size_t>(std::min<std::uint64_t>({input_.size(), input_credit_, run::kMostFrameBytes}));
  if (count != 0) {
    send(make_frame(run::ToKernel::input, std::string_view(input_).substr(0, count)));
    input_.erase(0, count);
    input_credit_ -= count;
  }
}

// Ctrl-C on a raw terminal is a byte like any other, for the program's own terminal to understand. But it must also
// work when the program reads nothing, and when the kernel is stuck.
void Session::watch_keys(std::string_view keys) {
  if (!keys.contains(kControlC)) {
    return;
  }
  if (input_credit_ < input_.size() || held_.has_value()) {
    input_.clear();
    return forward_signal(SIGINT);
  }
  const auto now = Clock::now();
  if (unanswered_.has_value()) {
    return end({EndKind::killed, kSignalBase + SIGINT, "interrupted while the kernel did not answer"});
  }
  unanswered_ = now + kPatience;
  unanswered_signal_ = SIGINT;
}

void Session::write_output() {
  const std::optional<int> closed = output_.write_some();
  if (!closed.has_value()) {
    return;
  }
  if (!output_.error().empty()) {
    tell(fmt::format("vellum: {}: {}\n", *closed == STDOUT_FILENO ? "stdout" : "stderr", output_.error()));
  }
  send(make_frame(run::ToKernel::output_closed, {static_cast<std::uint32_t>(*closed)}));
}

// --- Being looked at
// ---------------------------------------------------------------------------------------------------

void Session::answer(ControlSocket::ClientId client, const nlohmann::ordered_json& question) {
  const nlohmann::ordered_json what = question.value("ask", nlohmann::ordered_json());
  if (what == "status") {
    return control_->answer(client, {{"answer", status()}});
  }
  if (is_finished_) {
    return control_->answer(client, {{"error", "the program has ended; only its output still waits for a reader"}});
  }
  if (what == "continue") {
    const bool was_held = held_.has_value();
    go_on();
    return control_->answer(client, {{"answer", {{"was_held", was_held}}}});
  }
  questions_->ask(client, question);
}

nlohmann::ordered_json Session::status() const {
  nlohmann::ordered_json status = {{"schema", "vellum.run/1"},       {"run", getpid()},
                                   {"name", options_.name},          {"program", options_.program},
                                   {"user", name_of(options_.user)}, {"memory", options_.memory.value()}};
  status["seconds"] = std::chrono::duration<double>(Clock::now() - record_.started).count();
  status["held"] = held_.has_value() ? nlohmann::ordered_json(*held_) : nlohmann::ordered_json();
  return status;
}

void Session::tell_of_hold(std::uint32_t process) {
  held_ = process;
  tell(
      fmt::format("vellum: process {} is held before its end. Look at it:\n"
                  "  vellum maps --run {} --process {}\n"
                  "  vellum walk --run {} --process {} ADDRESS      also: explain; layout --live\n"
                  "Ctrl-C, or `vellum continue --run {}`, lets it go.\n",
                  process, getpid(), process, getpid(), process, getpid()));
  if (has_gone_on_) {
    go_on();
  }
}

void Session::go_on() {
  has_gone_on_ = true;
  held_.reset();
  send(make_frame(run::ToKernel::go_on, ""));
}

// --- Signals and time ------------------------------------------------------------------------------------------------

void Session::read_signals() {
  signalfd_siginfo info;
  while (read(signals_.number(), &info, sizeof(info)) == static_cast<ssize_t>(sizeof(info))) {
    switch (const int signal = static_cast<int>(info.ssi_signo)) {
      case SIGWINCH: {
        const WindowSize size = window_size();
        send(make_frame(run::ToKernel::window_size, {size.rows, size.columns}));
        break;
      }
      case SIGTSTP:
        suspend();
        break;
      case SIGCONT:
        resume();
        break;
      default:
        forward_signal(signal);
    }
  }
}

void Session::forward_signal(int signal) {
  if (is_finished_) {
    return output_.clear();  // only its output still waits for a reader
  }
  if (held_.has_value() && signal == SIGINT) {
    return go_on();
  }
  const auto now = Clock::now();
  const bool is_impatient = signal == SIGINT && interrupted_.has_value() && now - *interrupted_ < kImpatience;
  if (is_impatient) {
    return end({EndKind::killed, kSignalBase + signal, "interrupted twice"});
  }
  if (signal == SIGINT) {
    interrupted_ = now;
  }
  if (!unanswered_.has_value() && signal != SIGUSR1 && signal != SIGUSR2) {
    unanswered_ = now + kPatience;
    unanswered_signal_ = signal;
  }
  send(make_frame(run::ToKernel::signal, {static_cast<std::uint32_t>(signal)}));
}

// Stops the machine and this process, as the program would stop.
void Session::suspend() {
  machine_.pause();
  terminal_.restore();
  struct sigaction standard = {};
  struct sigaction before;
  sigaction(SIGTSTP, &standard, &before);
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTSTP);
  raise(SIGTSTP);
  sigprocmask(SIG_UNBLOCK, &stop, nullptr);  // stops here
  sigprocmask(SIG_BLOCK, &stop, nullptr);
  sigaction(SIGTSTP, &before, nullptr);
  resume();
}

void Session::resume() {
  machine_.resume();
  terminal_.enter_raw();
  const WindowSize size = window_size();
  send(make_frame(run::ToKernel::window_size, {size.rows, size.columns}));
}

void Session::check_deadlines() {
  const auto now = Clock::now();
  const auto is_over = [now](const std::optional<Clock::time_point>& deadline) {
    return deadline.has_value() && *deadline <= now;
  };
  if (is_finished_) {
    return;
  }
  if (output_.dropped() > kMostDropped) {
    return end({EndKind::output_refused, kSignalBase + SIGPIPE, "nobody reads its output"});
  }
  if (is_over(time_limit_)) {
    // The kernel may still tell what it counted, if it can.
    time_limit_.reset();
    is_out_of_time_ = true;
    kill_at_ = now + kGrace;
    if (options_.hold) {
      go_on();
    }
    send(make_frame(run::ToKernel::signal, {SIGKILL}));
  }
  if (is_over(kill_at_)) {
    return log_.has_panic() ? end({EndKind::machine_failed, kVellumFailed, "the kernel failed"})
                            : end({EndKind::killed, kSignalBase + SIGKILL});
  }
  if (is_over(greeting_due_)) {
    greeting_due_.reset();
    tell(
        fmt::format("vellum: the kernel has said nothing for {} s; if {} is not of the same build as this command, it "
                    "never will\n",
                    kGreeting.count(), options_.kernel.empty() ? "its image" : options_.kernel));
  }
  if (is_over(unanswered_)) {
    end({EndKind::killed, kSignalBase + unanswered_signal_,
         fmt::format("no answer to signal {} within {} s", unanswered_signal_, kPatience.count())});
  }
}

void Session::end(RunEnd end) {
  is_finished_ = true;
  if (is_out_of_time_ && !log_.has_panic()) {
    end = {EndKind::time_limit, kTimeLimitStatus, fmt::format("still running after {} s", *options_.time_limit)};
  }
  record_.end = std::move(end);
  time_limit_.reset();
  unanswered_.reset();
  kill_at_.reset();
  if (!machine_is_gone_) {
    machine_is_gone_ = true;
    machine_.finish();
    read_log(machine_.console());
    log_.flush();
  }
  if (record_.end.kind == EndKind::machine_failed) {
    for (const std::string& line : log_.lines()) {
      if (!options_.kernel_log) {
        tell(fmt::format("kernel: {}\n", line));
      }
    }
  }
  if (!record_.end.reason.empty()) {
    tell(fmt::format("vellum: {}\n", record_.end.reason));
  }
}

}  // namespace vellum::tool
