// Terminals: the line discipline between programs and something that shows and sends bytes.
//
// Canonical and raw mode, echo and editing, signals to the foreground process group, job control: Linux's n_tty as far
// as a terminal without modem lines shows it.
//
// Locks: lock_ (rank leaf): settings, input, window, session. It is let go before the port is called, processes are
// asked or signalled, or anybody is woken; so input() may come from interrupts.
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
  // What follows from a byte of input, to be done without the lock.
  struct Reaction {
    char echo[32];
    std::size_t echo_size = 0;
    std::size_t bytes_gone = 0;  // of input, that no program will read
    Signal signal{};
    bool wakes_readers = false;
    bool wakes_writers = false;
    bool again = false;  // the same byte has more to do
    void show(char character) {
      if (echo_size < sizeof echo) {
        echo[echo_size++] = character;
      }
    }
  };
  // A byte of input, and whether it ends a line, or is the mark of an end of file.
  using Unit = std::uint16_t;
  static constexpr Unit kEndsLine = 0x100;
  static constexpr Unit kEndOfFile = 0x200;

  // terminal_input.cpp
  void take(std::uint8_t byte, Reaction& reaction) VELLUM_REQUIRES(lock_);
  [[nodiscard]] bool take_flow(std::uint8_t byte, Reaction& reaction) VELLUM_REQUIRES(lock_);
  [[nodiscard]] bool take_signal(std::uint8_t byte, Reaction& reaction) VELLUM_REQUIRES(lock_);
  [[nodiscard]] bool take_editing(std::uint8_t byte, Reaction& reaction) VELLUM_REQUIRES(lock_);
  void take_canonical(std::uint8_t byte, Reaction& reaction) VELLUM_REQUIRES(lock_);
  void store(Unit unit, Reaction& reaction) VELLUM_REQUIRES(lock_);
  void complete_line(Reaction& reaction) VELLUM_REQUIRES(lock_);
  void erase_one(Reaction& reaction) VELLUM_REQUIRES(lock_);
  void erase_word(std::uint8_t byte, Reaction& reaction) VELLUM_REQUIRES(lock_);
  void echo(std::uint8_t byte, Reaction& reaction) VELLUM_REQUIRES(lock_);
  void flush_input(Reaction& reaction) VELLUM_REQUIRES(lock_);
  void react(const Reaction& reaction) VELLUM_EXCLUDES(lock_);
  [[nodiscard]] std::size_t columns_of(std::uint8_t byte) const VELLUM_REQUIRES(lock_);
  [[nodiscard]] bool is_character(unsigned which, std::uint8_t byte) const VELLUM_REQUIRES(lock_);
  [[nodiscard]] bool has(std::uint32_t local_flag) const VELLUM_REQUIRES(lock_) {
    return (settings_.local & local_flag) != 0;
  }
  [[nodiscard]] Unit& unit(std::size_t index) VELLUM_REQUIRES(lock_) { return ring_[(first_ + index) % kInputSize]; }

  // terminal.cpp
  [[nodiscard]] Result<void> check_foreground(Signal signal, bool insist) VELLUM_EXCLUDES(lock_);
  [[nodiscard]] std::size_t readable() const VELLUM_REQUIRES(lock_);
  [[nodiscard]] std::size_t take_line(std::span<std::byte> into, std::size_t& units, bool& line_ended)
      VELLUM_REQUIRES(lock_);
  [[nodiscard]] Result<void> hand_over(Transfer& to, bool& ended) VELLUM_EXCLUDES(lock_);
  struct Patience;
  [[nodiscard]] Patience patience() VELLUM_EXCLUDES(lock_);
  [[nodiscard]] bool is_ready(std::size_t wanted) VELLUM_EXCLUDES(lock_);
  [[nodiscard]] Result<void> wait_for_input(std::size_t wanted, bool non_blocking);
  [[nodiscard]] std::size_t cook(std::span<const std::byte> bytes, std::span<std::byte> into) VELLUM_REQUIRES(lock_);
  [[nodiscard]] Result<void> show_all(std::span<const std::byte> bytes);
  [[nodiscard]] Result<void> wait_until_started();
  // terminal_control.cpp
  [[nodiscard]] Result<void> change_settings(std::uint64_t argument, bool flush) VELLUM_EXCLUDES(lock_);
  [[nodiscard]] Result<void> become_controlling(std::uint64_t argument) VELLUM_EXCLUDES(lock_);
  [[nodiscard]] Result<void> set_foreground(std::uint64_t argument) VELLUM_EXCLUDES(lock_);
  [[nodiscard]] Result<void> give_up() VELLUM_EXCLUDES(lock_);
  [[nodiscard]] Result<void> flush(std::uint64_t what) VELLUM_EXCLUDES(lock_);
  [[nodiscard]] Result<ProcessId> own_session() VELLUM_EXCLUDES(lock_);

  TerminalPort& port_;
  WaitQueue input_queue_;
  WaitQueue start_queue_;
  Mutex read_lock_;
  Mutex write_lock_;
  Spinlock lock_{LockRank::leaf};
  TerminalSettings settings_ VELLUM_GUARDED_BY(lock_);
  WindowSize window_ VELLUM_GUARDED_BY(lock_);
  ProcessId session_ VELLUM_GUARDED_BY(lock_);
  ProcessId foreground_ VELLUM_GUARDED_BY(lock_);
  bool ended_ VELLUM_GUARDED_BY(lock_) = false;
  bool stopped_ VELLUM_GUARDED_BY(lock_) = false;         // output, by ^S
  bool literal_next_ VELLUM_GUARDED_BY(lock_) = false;    // ^V was typed
  std::size_t column_ VELLUM_GUARDED_BY(lock_) = 0;       // of the output
  std::size_t line_column_ VELLUM_GUARDED_BY(lock_) = 0;  // where the line that is edited begins
  std::size_t first_ VELLUM_GUARDED_BY(lock_) = 0;
  std::size_t count_ VELLUM_GUARDED_BY(lock_) = 0;
  std::size_t complete_ VELLUM_GUARDED_BY(lock_) = 0;  // of count_, in lines that are complete
  Unit ring_[kInputSize] VELLUM_GUARDED_BY(lock_);
};

}  // namespace vellum::unix
