// The line discipline's other side: programs that read and write.
#include <vellum/unix/terminal.hpp>

#include <algorithm>

#include <vellum/unix/file_caller.hpp>

#include "linux_numbers.hpp"
#include "terminal_numbers.hpp"

namespace vellum::unix {

namespace {

constexpr std::size_t kChunk = 128;
constexpr Nanoseconds kTenth{100'000'000};

// What Linux gives a terminal: sane for a person.
constexpr TerminalSettings kUsual = {
    .input = tty::kReturnToNewline | tty::kFlowOfOutput,
    .output = tty::kProcessOutput | tty::kNewlineToReturnNewline,
    .control = 0xf | 0x30 | 0x80 | 0x400 | 0x800,  // 38400 baud, CS8, CREAD, HUPCL, CLOCAL
    .local = tty::kSignals | tty::kCanonical | tty::kEcho | tty::kEchoErase | tty::kEchoKill | tty::kEchoControl |
             tty::kEchoKillErases | tty::kExtended,
    .line = 0,
    .characters = {3, 0x1c, 0x7f, 0x15, 4, 0, 1, 0, 0x11, 0x13, 0x1a, 0, 0x12, 0x0f, 0x17, 0x16, 0, 0, 0},
};

}  // namespace

Terminal::Terminal(TerminalPort& port) : port_(port), settings_(kUsual), ring_{} {}

// A process outside of the foreground is stopped where it reads, or changes the terminal. Where it would not stop, it
// is refused (`insist`) or let through.
Result<void> Terminal::check_foreground(Signal signal, bool insist) {
  const ProcessId session = calling_session();
  const ProcessId group = calling_group();
  {
    const LockGuard guard(lock_);
    if (session_.value() == 0 || session_ != session || foreground_ == group) {
      return {};
    }
  }
  if (calling_resists(signal)) {
    return insist ? Result<void>(Errno::io_error) : Result<void>();
  }
  if (calling_group_is_orphaned()) {
    return Errno::io_error;
  }
  signal_group(group, signal);
  return Errno::interrupted;
}

// How long a read in raw mode waits, by VMIN and VTIME.
struct Terminal::Patience {
  bool is_canonical;
  std::size_t least;
  std::optional<Nanoseconds> time;
};

Terminal::Patience Terminal::patience() {
  const LockGuard guard(lock_);
  const std::size_t least = settings_.characters[tty::kMinimum];
  const std::uint64_t tenths = settings_.characters[tty::kTime];
  return {.is_canonical = has(tty::kCanonical),
          .least = least,
          .time = tenths != 0 ? std::optional(kTenth * tenths) : std::nullopt};
}

std::size_t Terminal::readable() const { return has(tty::kCanonical) ? complete_ : count_; }

bool Terminal::is_ready(std::size_t wanted) {
  const LockGuard guard(lock_);
  return ended_ || (has(tty::kCanonical) ? complete_ > 0 : count_ >= wanted);
}

// In canonical mode for a line; in raw mode for VMIN bytes, with VTIME from the last one; where VMIN is 0, for one
// byte as long as VTIME says.
Result<void> Terminal::wait_for_input(std::size_t wanted, bool non_blocking) {
  const Patience patience = this->patience();
  const std::size_t least = std::max<std::size_t>(1, std::min({patience.least, wanted, kInputSize}));
  if (is_ready(least)) {
    return {};
  }
  if (!patience.is_canonical && patience.least == 0 && !patience.time) {
    return {};
  }
  if (non_blocking) {
    return is_ready(1) ? Result<void>() : Result<void>(Errno::try_again);
  }
  Sleep sleep;
  const Sleep::In in(sleep, input_queue_);
  while (!is_ready(least)) {
    const bool counts_time = patience.time && !patience.is_canonical && (patience.least == 0 || is_ready(1));
    const std::optional<Nanoseconds> deadline =
        counts_time ? std::optional(monotonic_now() + *patience.time) : std::nullopt;
    const Wakeup why = sleep.until(deadline);
    if (why == Wakeup::timeout) {
      break;
    }
    if (why == Wakeup::signal) {
      return is_ready(1) && !patience.is_canonical ? Result<void>() : Result<void>(Errno::interrupted);
    }
  }
  return {};
}

// Takes bytes up to the end of a line, or all there are.
std::size_t Terminal::take_line(std::span<std::byte> into, std::size_t& units, bool& line_ended) {
  const std::size_t available = readable();
  std::size_t size = 0;
  while (units < available && size < into.size() && !line_ended) {
    const Unit next = unit(units++);
    if ((next & kEndOfFile) == 0) {
      into[size++] = static_cast<std::byte>(next);
    }
    line_ended = has(tty::kCanonical) && (next & kEndsLine) != 0;
  }
  // An end-of-file mark behind the last byte that fits belongs to this read.
  if (!line_ended && size > 0 && units < available && (unit(units) & kEndOfFile) != 0) {
    ++units;
    line_ended = true;
  }
  first_ = (first_ + units) % kInputSize;
  count_ -= units;
  complete_ -= std::min(complete_, units);
  return size;
}

Result<void> Terminal::hand_over(Transfer& to, bool& ended) {
  std::byte bytes[kChunk];
  std::size_t units = 0;
  std::size_t size = 0;
  {
    const LockGuard guard(lock_);
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(to.left().value(), kChunk));
    size = take_line(std::span(bytes, wanted), units, ended);
    ended = ended || readable() == 0;
  }
  if (units > 0) {
    port_.input_taken(units);
  }
  return to.put({bytes, size});
}

Result<void> Terminal::read(Transfer& to, bool non_blocking) {
  if (to.left().is_zero()) {
    return {};
  }
  VELLUM_TRY(check_foreground(signals::kTerminalInput, true));
  const MutexGuard guard(read_lock_);
  VELLUM_TRY(wait_for_input(static_cast<std::size_t>(to.left().value()), non_blocking));
  for (bool ended = false; !ended && !to.left().is_zero();) {
    VELLUM_TRY(hand_over(to, ended));
  }
  return {};
}

// Output processing: at most two bytes come of one, eight of a tab that is expanded (one at a time then).
std::size_t Terminal::cook(std::span<const std::byte> bytes, std::span<std::byte> into) {
  const std::uint32_t flags = settings_.output;
  std::size_t size = 0;
  for (const std::byte raw : bytes) {
    auto byte = std::to_integer<std::uint8_t>(raw);
    if ((flags & tty::kProcessOutput) != 0) {
      if (byte == '\n' && (flags & tty::kNewlineToReturnNewline) != 0) {
        into[size++] = std::byte{'\r'};
        column_ = 0;
      } else if (byte == '\r') {
        if ((flags & tty::kNoReturnAtFirst) != 0 && column_ == 0) {
          continue;
        }
        byte = (flags & tty::kReturnToNewlineOut) != 0 ? '\n' : '\r';
      }
    }
    if (byte == '\r' || (byte == '\n' && (flags & tty::kNewlineReturns) != 0)) {
      column_ = 0;
    } else if (byte == '\b') {
      column_ -= column_ > 0 ? 1 : 0;
    } else if (byte == '\t') {
      column_ = (column_ / 8 + 1) * 8;
    } else if (byte >= ' ' && (byte & 0xc0U) != 0x80) {
      ++column_;
    }
    into[size++] = std::byte{byte};
  }
  return size;
}

Result<void> Terminal::wait_until_started() {
  Sleep sleep;
  const Sleep::In in(sleep, start_queue_);
  for (;;) {
    {
      const LockGuard guard(lock_);
      if (!stopped_) {
        return {};
      }
    }
    if (sleep.until() == Wakeup::signal) {
      return Errno::interrupted;
    }
  }
}

// What was taken from a program is shown to the end, however long it takes: only then is the count right.
Result<void> Terminal::show_all(std::span<const std::byte> bytes) {
  bytes = bytes.subspan(port_.write(bytes));
  if (bytes.empty()) {
    return {};
  }
  Sleep sleep(Interruptible::no);
  const Sleep::In in(sleep, port_.space_queue());
  for (;;) {
    bytes = bytes.subspan(port_.write(bytes));
    if (bytes.empty()) {
      return {};
    }
    (void)sleep.until();
  }
}

Result<void> Terminal::write(Transfer& from, bool non_blocking) {
  bool stops_background = false;
  {
    const LockGuard guard(lock_);
    stops_background = has(tty::kStopBackground);
  }
  if (stops_background) {
    VELLUM_TRY(check_foreground(signals::kTerminalOutput, false));
  }
  const MutexGuard guard(write_lock_);
  while (!from.left().is_zero()) {
    if (non_blocking && !port_.has_space()) {
      return Errno::try_again;
    }
    VELLUM_TRY(wait_until_started());
    std::byte bytes[kChunk];
    std::byte cooked[2 * kChunk];
    const std::span chunk(bytes, static_cast<std::size_t>(std::min<std::uint64_t>(from.left().value(), kChunk)));
    VELLUM_TRY(from.get(chunk));
    std::size_t size = 0;
    {
      const LockGuard settings(lock_);
      size = cook(chunk, cooked);
    }
    VELLUM_TRY(show_all({cooked, size}));
  }
  return {};
}

Events Terminal::poll(Poller* poller) {
  if (poller != nullptr) {
    poller->add(input_queue_);
    poller->add(port_.space_queue());
  }
  std::size_t least = 1;
  {
    const LockGuard guard(lock_);
    if (!has(tty::kCanonical) && settings_.characters[tty::kTime] == 0) {
      least = std::max<std::size_t>(1, settings_.characters[tty::kMinimum]);
    }
  }
  const unsigned events = (is_ready(least) ? event::kReadable : 0U) | (port_.has_space() ? event::kWritable : 0U);
  return static_cast<Events>(events);
}

}  // namespace vellum::unix
