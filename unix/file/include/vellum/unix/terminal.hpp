// Terminals: the line discipline between programs and something that shows and sends bytes.
//
// Canonical and raw mode, echo and editing, signals to the foreground process group, job control: Linux's n_tty as far
// as a terminal without modem lines shows it.
//
// Locks: lock_ (rank leaf): settings, input, window, session. It is let go before the port is called, anybody is woken
// or signalled; so input() may come from interrupts.
#pragma once

#include <cstddef>
#include <span>

#include <vellum/unix/device.hpp>

namespace vellum::unix {

// What shows the bytes: a serial line, the run channel.
class TerminalPort {
 public:
  // Takes bytes that are to be shown; returns how many, which may be none: then space_queue() is woken when there is
  // room. Callable from interrupts.
  [[nodiscard]] virtual std::size_t write(std::span<const std::byte> bytes) = 0;
  [[nodiscard]] virtual WaitQueue& space_queue() = 0;
  [[nodiscard]] virtual bool has_space() = 0;
  // The terminal has room for so many further bytes of input, since programs read some.
  virtual void input_taken(std::size_t /*bytes*/) {}

 protected:
  ~TerminalPort() = default;
};

// struct termios of the x86 kernel.
struct TerminalSettings {
  std::uint32_t input;
  std::uint32_t output;
  std::uint32_t control;
  std::uint32_t local;
  std::uint8_t line;
  std::uint8_t characters[19];
};
static_assert(sizeof(TerminalSettings) == 36);

struct WindowSize {
  std::uint16_t rows = 24;
  std::uint16_t columns = 80;
  std::uint16_t width = 0;
  std::uint16_t height = 0;
};

class Terminal {
 public:
  static constexpr std::size_t kInputSize = 4096;

  explicit Terminal(TerminalPort& port);
  ~Terminal() = default;
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  // --- the port's side; from interrupts too

  // Bytes typed. What does not fit is dropped, as on Linux.
  void input(std::span<const std::byte> bytes);
  // No more will come: reads see the end of the file once they have read what there is.
  void input_ended();
  // Tells the foreground group with SIGWINCH where it changed.
  void set_window(const WindowSize& size);

  // --- programs' side, through open files

  [[nodiscard]] Result<void> read(Transfer& to, bool non_blocking);
  [[nodiscard]] Result<void> write(Transfer& from, bool non_blocking);
  [[nodiscard]] Result<std::uint64_t> ioctl(std::uint32_t request, std::uint64_t argument);
  [[nodiscard]] Events poll(Poller* poller);
  // Opening by a session leader without a terminal makes it the session's.
  void opened(std::uint32_t flags);

  // --- processes' side

  [[nodiscard]] ProcessId session();
  [[nodiscard]] ProcessId foreground();
  // The kernel starts its first process with the terminal.
  void set_session(ProcessId session, ProcessId foreground);
  // The leader of the session ended: the foreground group gets SIGHUP and SIGCONT, the terminal is free.
  void session_ended(ProcessId session);

 private:
  struct Reaction;
  void take(std::uint8_t byte, Reaction& reaction) VELLUM_REQUIRES(lock_);
  void take_canonical(std::uint8_t byte, Reaction& reaction) VELLUM_REQUIRES(lock_);
  [[nodiscard]] bool take_signal(std::uint8_t byte, Reaction& reaction) VELLUM_REQUIRES(lock_);
  void echo(std::uint8_t byte, Reaction& reaction) VELLUM_REQUIRES(lock_);
  void erase(std::uint8_t byte, Reaction& reaction) VELLUM_REQUIRES(lock_);
  void react(const Reaction& reaction) VELLUM_EXCLUDES(lock_);

  TerminalPort& port_;
  WaitQueue input_queue_;
  Mutex write_lock_;
  Spinlock lock_{LockRank::leaf};
  TerminalSettings settings_ VELLUM_GUARDED_BY(lock_);
  WindowSize window_ VELLUM_GUARDED_BY(lock_);
  ProcessId session_ VELLUM_GUARDED_BY(lock_);
  ProcessId foreground_ VELLUM_GUARDED_BY(lock_);
};

}  // namespace vellum::unix
