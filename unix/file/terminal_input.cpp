// The line discipline's input side: what a typed byte does.
#include <algorithm>

#include <vellum/unix/file_caller.hpp>
#include <vellum/unix/terminal.hpp>

#include "linux_numbers.hpp"
#include "terminal_numbers.hpp"

namespace vellum::unix {

namespace {

constexpr std::size_t kTabStop = 8;
constexpr std::uint8_t kDelete = 0x7f;

bool is_control(std::uint8_t byte) { return byte < ' ' || byte == kDelete; }
bool is_continuation(std::uint8_t byte) { return (byte & 0xc0U) == 0x80; }
bool is_word(std::uint8_t byte) {
  return byte == '_' || byte >= 0x80 || (byte >= '0' && byte <= '9') ||
         ((byte | 0x20U) >= 'a' && (byte | 0x20U) <= 'z');
}

}  // namespace

void Terminal::input(std::span<const std::byte> bytes) {
  for (const std::byte byte : bytes) {
    Reaction reaction;
    do {
      reaction = {};
      {
        const LockGuard guard(lock_);
        const std::size_t before = count_;
        take(std::to_integer<std::uint8_t>(byte), reaction);
        const std::size_t arrived = before + (reaction.again ? 0 : 1);
        reaction.bytes_gone = arrived > count_ ? arrived - count_ : 0;
      }
      react(reaction);
    } while (reaction.again);
  }
}

void Terminal::input_ended() {
  {
    const LockGuard guard(lock_);
    ended_ = true;
    complete_ = count_;
  }
  input_queue_.wake_all();
}

void Terminal::react(const Reaction& reaction) {
  if (reaction.echo_size > 0) {
    std::byte cooked[2 * sizeof reaction.echo];
    std::size_t size = 0;
    {
      const LockGuard guard(lock_);
      size = cook(std::as_bytes(std::span(reaction.echo, reaction.echo_size)), cooked);
    }
    (void)port_.write({cooked, size});  // what finds no room is not shown
  }
  if (reaction.signal.value() != 0) {
    const ProcessId group = foreground();
    if (group.value() > 0) {
      signal_group(group, reaction.signal);
    }
  }
  if (reaction.bytes_gone > 0) {
    port_.input_taken(reaction.bytes_gone);
  }
  if (reaction.wakes_readers) {
    input_queue_.wake_all();
  }
  if (reaction.wakes_writers) {
    start_queue_.wake_all();
  }
}

bool Terminal::is_character(unsigned which, std::uint8_t byte) const {
  return byte != 0 && settings_.characters[which] == byte;
}

void Terminal::take(std::uint8_t byte, Reaction& reaction) {
  if (literal_next_) {
    literal_next_ = false;
    echo(byte, reaction);
    store(byte, reaction);
    return;
  }
  if ((settings_.input & tty::kStrip) != 0) {
    byte &= 0x7f;
  }
  if (take_flow(byte, reaction) || (has(tty::kSignals) && take_signal(byte, reaction))) {
    return;
  }
  if (byte == '\r') {
    if ((settings_.input & tty::kIgnoreReturn) != 0) {
      return;
    }
    byte = (settings_.input & tty::kReturnToNewline) != 0 ? '\n' : '\r';
  } else if (byte == '\n' && (settings_.input & tty::kNewlineToReturn) != 0) {
    byte = '\r';
  }
  if (has(tty::kCanonical)) {
    take_canonical(byte, reaction);
  } else {
    echo(byte, reaction);
    store(byte, reaction);
  }
}

bool Terminal::take_flow(std::uint8_t byte, Reaction& reaction) {
  if ((settings_.input & tty::kFlowOfOutput) == 0) {
    return false;
  }
  const bool stops = is_character(tty::kStop, byte);
  const bool starts = is_character(tty::kStart, byte);
  if (stops && !starts) {
    stopped_ = true;
  } else if (stopped_ && (starts || (settings_.input & tty::kAnyStarts) != 0)) {
    stopped_ = false;
    reaction.wakes_writers = true;
  }
  return stops || starts;
}

bool Terminal::take_signal(std::uint8_t byte, Reaction& reaction) {
  if (is_character(tty::kInterrupt, byte)) {
    reaction.signal = signals::kInterrupt;
  } else if (is_character(tty::kQuit, byte)) {
    reaction.signal = signals::kQuit;
  } else if (is_character(tty::kSuspend, byte)) {
    reaction.signal = signals::kTerminalStop;
  } else {
    return false;
  }
  if (!has(tty::kNoFlush)) {
    flush_input(reaction);
  }
  if (stopped_) {
    stopped_ = false;
    reaction.wakes_writers = true;
  }
  echo(byte, reaction);
  return true;
}

void Terminal::flush_input(Reaction& reaction) {
  first_ = count_ = complete_ = 0;
  literal_next_ = false;
  reaction.wakes_readers = true;
}

bool Terminal::take_editing(std::uint8_t byte, Reaction& reaction) {
  const bool is_extended = has(tty::kExtended);
  if (is_character(tty::kErase, byte)) {
    erase_one(reaction);
    return true;
  }
  if (is_extended && is_character(tty::kWordErase, byte)) {
    erase_word(byte, reaction);
    return true;
  }
  if (is_character(tty::kKill, byte)) {
    const bool erases = has(tty::kEcho) && has(tty::kEchoKill) && has(tty::kEchoKillErases) && has(tty::kEchoErase);
    if (erases && count_ > complete_) {
      erase_one(reaction);
      reaction.again = count_ > complete_;
    } else {
      count_ = complete_;
      echo(byte, reaction);
      if (has(tty::kEcho) && has(tty::kEchoKill)) {
        reaction.show('\n');
      }
    }
    return true;
  }
  if (is_extended && is_character(tty::kLiteralNext, byte)) {
    literal_next_ = true;
    if (has(tty::kEcho) && has(tty::kEchoControl)) {
      reaction.show('^');
      reaction.show('\b');
    }
    return true;
  }
  return false;
}

void Terminal::take_canonical(std::uint8_t byte, Reaction& reaction) {
  if (count_ == complete_ && !reaction.again) {
    line_column_ = column_;
  }
  if (take_editing(byte, reaction)) {
    return;
  }
  if (is_character(tty::kEndOfFile, byte)) {
    store(kEndsLine | kEndOfFile, reaction);
    return;
  }
  const bool ends_line = byte == '\n' || is_character(tty::kEndOfLine, byte) ||
                         (has(tty::kExtended) && is_character(tty::kSecondEndOfLine, byte));
  if (byte == '\n' && !has(tty::kEcho) && has(tty::kEchoNewline)) {
    reaction.show('\n');
  } else {
    echo(byte, reaction);
  }
  store(static_cast<Unit>(byte | (ends_line ? kEndsLine : 0U)), reaction);
}

// A line that is too long loses what is too much, but not its end.
void Terminal::store(Unit unit, Reaction& reaction) {
  const bool is_canonical = has(tty::kCanonical);
  const bool ends_line = (unit & kEndsLine) != 0;
  const std::size_t room = kInputSize - count_;
  if (room == 0 || (is_canonical && room == 1 && !ends_line)) {
    if ((settings_.input & tty::kBellWhenFull) != 0) {
      reaction.echo_size = 0;
      reaction.show('\a');
    }
    return;
  }
  this->unit(count_) = unit;
  ++count_;
  if (!is_canonical || ends_line) {
    complete_ = count_;
    reaction.wakes_readers = true;
  }
}

// The columns that a byte of the edited line, the last one, takes when it is shown.
std::size_t Terminal::columns_of(std::uint8_t byte) const {
  if (byte != '\t') {
    return is_control(byte) ? (has(tty::kEchoControl) ? 2 : 0) : 1;
  }
  std::size_t column = line_column_;
  for (std::size_t i = complete_; i < count_; ++i) {  // the byte itself is gone already
    const auto other = static_cast<std::uint8_t>(ring_[(first_ + i) % kInputSize]);
    if (other == '\t') {
      column = (column / kTabStop + 1) * kTabStop;
    } else if (is_control(other)) {
      column += has(tty::kEchoControl) ? 2 : 0;
    } else {
      column += (settings_.input & tty::kUtf8) != 0 && is_continuation(other) ? 0 : 1;
    }
  }
  return kTabStop - column % kTabStop;
}

void Terminal::erase_one(Reaction& reaction) {
  if (count_ == complete_) {
    return;
  }
  auto byte = static_cast<std::uint8_t>(unit(--count_));
  while ((settings_.input & tty::kUtf8) != 0 && is_continuation(byte) && count_ > complete_) {
    byte = static_cast<std::uint8_t>(unit(--count_));
  }
  if (!has(tty::kEcho)) {
    return;
  }
  if (!has(tty::kEchoErase)) {
    echo(settings_.characters[tty::kErase], reaction);
    return;
  }
  for (std::size_t left = columns_of(byte); left > 0; --left) {
    reaction.show('\b');
    if (byte != '\t') {
      reaction.show(' ');
      reaction.show('\b');
    }
  }
}

// Spaces first, then letters, one a round.
void Terminal::erase_word(std::uint8_t /*byte*/, Reaction& reaction) {
  if (count_ == complete_) {
    return;
  }
  const auto last = static_cast<std::uint8_t>(unit(count_ - 1));
  erase_one(reaction);
  if (count_ > complete_) {
    const auto next = static_cast<std::uint8_t>(unit(count_ - 1));
    reaction.again = !is_word(last) || is_word(next);
  }
}

void Terminal::echo(std::uint8_t byte, Reaction& reaction) {
  if (!has(tty::kEcho)) {
    return;
  }
  if (has(tty::kEchoControl) && is_control(byte) && byte != '\t' && byte != '\n') {
    reaction.show('^');
    reaction.show(static_cast<char>(byte ^ 0x40U));
  } else {
    reaction.show(static_cast<char>(byte));
  }
}

}  // namespace vellum::unix
