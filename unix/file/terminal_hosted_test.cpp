#include <vellum/unix/terminal.hpp>

#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "terminal_numbers.hpp"
#include "test/world.hpp"

namespace vellum::unix {
namespace {

using test::caller;

// Keeps what is shown.
class Screen final : public TerminalPort {
 public:
  std::size_t write(std::span<const std::byte> bytes) override {
    const std::size_t size = std::min(bytes.size(), room.load());
    shown.append(reinterpret_cast<const char*>(bytes.data()), size);
    room -= size;
    return size;
  }
  WaitQueue& space_queue() override { return queue; }
  bool has_space() override { return room > 0; }
  void input_taken(std::size_t bytes) override { taken += bytes; }

  [[nodiscard]] std::string take() { return std::exchange(shown, {}); }

  std::string shown;
  std::atomic<std::size_t> room{~std::size_t{0}};  // which a test may change while the terminal writes
  std::size_t taken = 0;
  WaitQueue queue;
};

class Tty : public ::testing::Test {
 protected:
  Tty() {
    caller() = {};
    terminal.set_session(ProcessId(7), ProcessId(7));
  }
  void type(std::string_view text) {
    typed += text.size();
    terminal.input(std::as_bytes(std::span(text.data(), text.size())));
  }
  // What a read that does not wait gives; "-" where it would wait.
  [[nodiscard]] std::string read(std::size_t size = 100) {
    std::string text(size, '\0');
    Transfer transfer(std::as_writable_bytes(std::span(text)));
    const Result<void> result = terminal.read(transfer, true);
    if (!result.ok()) {
      return result.error() == Errno::try_again ? "-" : "error";
    }
    text.resize(transfer.moved().value());
    return text;
  }
  void write(std::string_view text) {
    Transfer transfer(std::as_bytes(std::span(text.data(), text.size())));
    EXPECT_TRUE(terminal.write(transfer, false).ok());
  }
  [[nodiscard]] TerminalSettings settings() {
    TerminalSettings settings{};
    EXPECT_TRUE(terminal.ioctl(tty::kGetSettings, reinterpret_cast<std::uintptr_t>(&settings)).ok());
    return settings;
  }
  void set(const TerminalSettings& settings) {
    EXPECT_TRUE(terminal.ioctl(tty::kSetSettings, reinterpret_cast<std::uintptr_t>(&settings)).ok());
  }
  void make_raw(std::uint8_t least, std::uint8_t time) {
    TerminalSettings raw = settings();
    raw.local = 0;
    raw.input = 0;
    raw.characters[tty::kMinimum] = least;
    raw.characters[tty::kTime] = time;
    set(raw);
  }
  [[nodiscard]] Errno control(std::uint32_t request, std::int32_t value) {
    const Result<std::uint64_t> result = terminal.ioctl(request, reinterpret_cast<std::uintptr_t>(&value));
    return result.ok() ? Errno{} : result.error();
  }

  Screen screen;
  Terminal terminal{screen};
  std::size_t typed = 0;
};

TEST_F(Tty, GivesWholeLines) {
  type("hel");
  EXPECT_EQ(read(), "-");
  type("lo\nnext");
  EXPECT_EQ(read(3), "hel");
  EXPECT_EQ(read(), "lo\n");
  EXPECT_EQ(read(), "-");
  EXPECT_EQ(screen.take(), "hello\r\nnext");
}

TEST_F(Tty, MakesReturnsToNewlines) {
  type("a\r");
  EXPECT_EQ(read(), "a\n");
}

TEST_F(Tty, Edits) {
  type("abx\x7f");
  EXPECT_EQ(screen.take(), "abx\b \b");
  type("c\n");
  EXPECT_EQ(read(), "abc\n");
  type("wrong\x15right\n");
  EXPECT_EQ(read(), "right\n");
  type("one two  \x17three\n");
  EXPECT_EQ(read(), "one three\n");
  type("\x7f\x7f\x15\x17\n");
  EXPECT_EQ(read(), "\n");
  EXPECT_EQ(screen.taken, typed);
}

TEST_F(Tty, ErasesWhatAControlCharacterAndATabTook) {
  type("\x01\x7f");
  EXPECT_EQ(screen.take(), "^A\b \b\b \b");
  type("ab\t\x7f");
  EXPECT_EQ(screen.take(), "ab\t\b\b\b\b\b\b");
}

TEST_F(Tty, TakesTheNextCharacterLiterally) {
  type("\x16\x03\n");
  EXPECT_EQ(read(), "\x03\n");
  EXPECT_TRUE(caller().group_signals.empty());
}

TEST_F(Tty, EndsTheFile) {
  type("\x04");
  EXPECT_EQ(read(), "");
  EXPECT_EQ(read(), "-");
  type("half\x04");
  EXPECT_EQ(read(4), "half");
  EXPECT_EQ(read(), "-");
  terminal.input_ended();
  EXPECT_EQ(read(), "");
}

TEST_F(Tty, SignalsTheForeground) {
  terminal.set_session(ProcessId(7), ProcessId(42));
  type("lost\x03");
  EXPECT_EQ(screen.take(), "lost^C");
  type("\x1c\x1a");
  EXPECT_EQ(caller().group_signals, (std::vector<std::pair<int, int>>{{42, 2}, {42, 3}, {42, 20}}));
  caller().process_group = ProcessId(42);
  type("x\n");
  EXPECT_EQ(read(), "x\n");
  EXPECT_EQ(screen.taken, typed);
}

TEST_F(Tty, StopsWhoReadsInTheBackground) {
  caller().process_group = ProcessId(8);
  type("x\n");
  EXPECT_EQ(read(), "error");
  EXPECT_EQ(caller().group_signals, (std::vector<std::pair<int, int>>{{8, 21}}));
  caller().resists = true;
  EXPECT_EQ(read(), "error");
  EXPECT_EQ(caller().group_signals.size(), 1U);
}

TEST_F(Tty, PassesBytesInRawMode) {
  make_raw(1, 0);
  type("a\r\x03\x7f");
  EXPECT_EQ(read(), "a\r\x03\x7f");
  EXPECT_EQ(screen.take(), "");
  EXPECT_EQ(read(), "-");
  make_raw(0, 0);
  EXPECT_EQ(read(), "");
  make_raw(3, 0);
  type("ab");
  EXPECT_EQ(terminal.poll(nullptr) & event::kInput, 0);
  type("c");
  EXPECT_EQ(terminal.poll(nullptr) & event::kInput, event::kInput);
  EXPECT_EQ(read(), "abc");
}

TEST_F(Tty, WaitsSoLongForBytes) {
  make_raw(0, 1);
  std::string text(10, '\0');
  Transfer transfer(std::as_writable_bytes(std::span(text)));
  const Nanoseconds before = monotonic_now();
  EXPECT_TRUE(terminal.read(transfer, false).ok());
  EXPECT_TRUE(transfer.moved().is_zero());
  EXPECT_GE(monotonic_now() - before, Nanoseconds(90'000'000));
}

TEST_F(Tty, AReaderWaitsForALine) {
  std::thread typist([this] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    type("par");
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    type("tial\n");
  });
  std::string text(10, '\0');
  Transfer transfer(std::as_writable_bytes(std::span(text)));
  EXPECT_TRUE(terminal.read(transfer, false).ok());
  typist.join();
  EXPECT_EQ(text.substr(0, transfer.moved().value()), "partial\n");
}

TEST_F(Tty, SwitchingToRawGivesWhatWasTyped) {
  type("half");
  make_raw(1, 0);
  EXPECT_EQ(read(), "half");
}

TEST_F(Tty, ProcessesOutput) {
  write("a\nb");
  EXPECT_EQ(screen.take(), "a\r\nb");
  TerminalSettings changed = settings();
  changed.output = 0;
  set(changed);
  write("a\nb");
  EXPECT_EQ(screen.take(), "a\nb");
  write(std::string(5000, 'x'));
  EXPECT_EQ(screen.take(), std::string(5000, 'x'));
}

TEST_F(Tty, StopsAndStartsOutput) {
  type("\x13");
  std::thread starter([this] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_EQ(screen.take(), "");
    type("\x11");
  });
  write("held");
  starter.join();
  EXPECT_EQ(screen.take(), "held");
}

TEST_F(Tty, WaitsForThePort) {
  screen.room = 3;
  std::thread reader([this] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    screen.room = 100;
    screen.queue.wake_all();
  });
  write("abcdef");
  reader.join();
  EXPECT_EQ(screen.take(), "abcdef");
}

TEST_F(Tty, ALineThatIsTooLongKeepsItsEnd) {
  type(std::string(Terminal::kInputSize + 100, 'x'));
  EXPECT_EQ(read(), "-");
  type("\n");
  std::string all;
  for (std::string part = read(); part != "-"; part = read()) {
    all += part;
  }
  EXPECT_EQ(all, std::string(Terminal::kInputSize - 1, 'x') + "\n");
  EXPECT_EQ(screen.taken, typed);
}

TEST_F(Tty, KnowsItsWindowAndTellsOfChanges) {
  const WindowSize size = {.rows = 50, .columns = 132};
  EXPECT_TRUE(terminal.ioctl(tty::kSetWindow, reinterpret_cast<std::uintptr_t>(&size)).ok());
  EXPECT_EQ(caller().group_signals, (std::vector<std::pair<int, int>>{{7, 28}}));
  WindowSize got;
  EXPECT_TRUE(terminal.ioctl(tty::kGetWindow, reinterpret_cast<std::uintptr_t>(&got)).ok());
  EXPECT_EQ(got.columns, 132);
  EXPECT_EQ(terminal.ioctl(tty::kGetWindow, 0x100).error(), Errno::bad_address);
  EXPECT_EQ(terminal.ioctl(0x9999, 0).error(), Errno::not_terminal);
}

TEST_F(Tty, BelongsToASession) {
  EXPECT_EQ(control(tty::kSetForeground, 9), Errno{});
  EXPECT_EQ(terminal.foreground(), ProcessId(9));
  caller().process_group = ProcessId(9);
  EXPECT_EQ(control(tty::kSetForeground, 500), Errno::not_permitted);
  EXPECT_EQ(control(tty::kSetForeground, -1), Errno::invalid);
  caller().session = ProcessId(20);
  EXPECT_EQ(control(tty::kGetForeground, 0), Errno::not_terminal);
  EXPECT_EQ(terminal.ioctl(tty::kBecomeControlling, 0).error(), Errno::not_permitted);
  terminal.session_ended(ProcessId(7));
  EXPECT_EQ(caller().group_signals, (std::vector<std::pair<int, int>>{{9, 1}, {9, 18}}));
  EXPECT_TRUE(terminal.ioctl(tty::kBecomeControlling, 0).ok());
  EXPECT_EQ(terminal.session(), ProcessId(20));
}

TEST_F(Tty, ALeaderThatOpensItGetsIt) {
  terminal.set_session({}, {});
  terminal.opened(open_flag::kReadWrite | open_flag::kNoControllingTerminal);
  EXPECT_EQ(terminal.session(), ProcessId(0));
  terminal.opened(open_flag::kReadWrite);
  EXPECT_EQ(terminal.session(), ProcessId(7));
}

}  // namespace
}  // namespace vellum::unix
