#include "run/virtual_machine.hpp"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include <fmt/core.h>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

namespace vellum::tool {

namespace {

constexpr const char* kQemu = "qemu-system-x86_64";
constexpr const char* kQemuVariable = "VELLUM_QEMU";  // another program in QEMU's place

// In QEMU's options a comma is written twice.
std::string quoted(const std::string& text) {
  std::string result;
  for (const char c : text) {
    result.append(c == ',' ? 2 : 1, c);
  }
  return result;
}

void add_folder(std::vector<std::string>& words, const std::string& tag, const std::string& path) {
  words.insert(
      words.end(),
      {"-fsdev", fmt::format("local,id={},path={},security_model=none,readonly=on,multidevs=remap", tag, quoted(path)),
       "-device", fmt::format("virtio-9p-device,fsdev={},mount_tag={}", tag, tag)});
}

struct ChannelPair {
  Descriptor ours;
  Descriptor theirs;
};

std::expected<ChannelPair, std::string> make_channel() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return std::unexpected(fmt::format("socketpair: {}", std::strerror(errno)));
  }
  ChannelPair pair{Descriptor(ends[0]), Descriptor(ends[1])};
  fcntl(ends[0], F_SETFL, fcntl(ends[0], F_GETFL) | O_NONBLOCK);
  return pair;
}

// In the child: becomes QEMU. Only what is safe between fork and exec.
[[noreturn]] void become_qemu(char* const* words, int messages, int null, pid_t parent, const int (&kept)[2]) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) {
    _exit(kVellumFailed);  // it died before it could be watched
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  for (const int signal : {SIGPIPE, SIGINT, SIGQUIT, SIGTERM, SIGHUP}) {
    struct sigaction standard = {};
    sigaction(signal, &standard, nullptr);
  }
  for (const int number : kept) {
    fcntl(number, F_SETFD, 0);
  }
  dup2(null, STDIN_FILENO);
  dup2(messages, STDOUT_FILENO);
  dup2(messages, STDERR_FILENO);
  execvp(words[0], words);
  const char* const reason = std::strerror(errno);
  for (const char* part : std::initializer_list<const char*>{words[0], ": ", reason, "\n"}) {
    static_cast<void>(!write(STDERR_FILENO, part, std::strlen(part)));
  }
  _exit(kNotFound);
}

}  // namespace

std::string qemu_program() {
  const char* const program = std::getenv(kQemuVariable);
  return program != nullptr ? program : kQemu;
}

std::string bind_tag(std::size_t index) { return fmt::format("bind{}", index); }

std::vector<std::string> qemu_command(const MachineSettings& settings, int run_channel, int console) {
  std::vector<std::string> words = {qemu_program(),
                                    "-accel",
                                    settings.use_kvm ? "kvm" : "tcg",
                                    "-machine",
                                    "microvm,acpi=off,isa-serial=on",
                                    "-cpu",
                                    "max",
                                    "-m",
                                    fmt::format("{}B", settings.memory.value()),
                                    "-smp",
                                    fmt::format("{}", settings.cpus),
                                    "-nodefaults",
                                    "-no-user-config",
                                    "-no-reboot",
                                    "-display",
                                    "none",
                                    "-monitor",
                                    "none",
                                    "-sandbox",
                                    "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
                                    "-global",
                                    "virtio-mmio.force-legacy=false",
                                    "-chardev",
                                    fmt::format("socket,fd={},id=console", console),
                                    "-serial",
                                    "chardev:console",
                                    "-device",
                                    "isa-debug-exit,iobase=0xf4,iosize=0x04",
                                    "-kernel",
                                    settings.kernel,
                                    "-append",
                                    settings.command_line};
  if (settings.gdb_port.has_value()) {
    words.insert(words.end(), {"-gdb", fmt::format("tcp:127.0.0.1:{}", *settings.gdb_port)});
  }
  if (settings.has_run_channel) {
    words.insert(words.end(),
                 {"-device", "virtio-serial-device,max_ports=2", "-chardev",
                  fmt::format("socket,fd={},id=run", run_channel), "-device", "virtserialport,nr=1,chardev=run"});
    add_folder(words, "root", "/");
    for (std::size_t i = 0; i < settings.binds.size(); ++i) {
      add_folder(words, bind_tag(i), settings.binds[i].host);
    }
  }
  return words;
}

std::expected<VirtualMachine, std::string> VirtualMachine::start(const MachineSettings& settings) {
  auto run_channel = make_channel();
  auto console = make_channel();
  auto messages = make_channel();
  if (!run_channel || !console || !messages) {
    return std::unexpected(!run_channel ? run_channel.error() : !console ? console.error() : messages.error());
  }
  const Descriptor null(open("/dev/null", O_RDWR | O_CLOEXEC));
  const int kept[2] = {run_channel->theirs.number(), console->theirs.number()};
  std::vector<std::string> words = qemu_command(settings, kept[0], kept[1]);
  std::vector<char*> arguments;
  for (std::string& word : words) {
    arguments.push_back(word.data());
  }
  arguments.push_back(nullptr);

  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) {
    return std::unexpected(fmt::format("fork: {}", std::strerror(errno)));
  }
  if (child == 0) {
    become_qemu(arguments.data(), messages->theirs.number(), null.number(), parent, kept);
  }
  VirtualMachine machine;
  machine.process_ = child;
  machine.run_channel_ = std::move(run_channel->ours);
  machine.console_ = std::move(console->ours);
  machine.messages_ = std::move(messages->ours);
  machine.end_ = Descriptor(static_cast<int>(syscall(SYS_pidfd_open, child, 0)));
  if (!machine.end_.is_open()) {
    return std::unexpected(fmt::format("pidfd_open: {}", std::strerror(errno)));
  }
  return machine;
}

VirtualMachine::VirtualMachine(VirtualMachine&& other) noexcept
    : process_(std::exchange(other.process_, -1)),
      wait_status_(other.wait_status_),
      run_channel_(std::move(other.run_channel_)),
      console_(std::move(other.console_)),
      messages_(std::move(other.messages_)),
      end_(std::move(other.end_)) {}

VirtualMachine::~VirtualMachine() { finish(); }

void VirtualMachine::pause() const {
  if (process_ > 0) {
    kill(process_, SIGSTOP);
  }
}

void VirtualMachine::resume() const {
  if (process_ > 0) {
    kill(process_, SIGCONT);
  }
}

int VirtualMachine::finish() {
  if (process_ > 0) {
    kill(process_, SIGKILL);
    while (waitpid(process_, &wait_status_, 0) < 0 && errno == EINTR) {
    }
    process_ = -1;
  }
  return wait_status_;
}

}  // namespace vellum::tool
