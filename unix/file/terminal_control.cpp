// Settings, window, sessions and foreground groups of terminals.
#include <vellum/unix/file_caller.hpp>
#include <vellum/unix/terminal.hpp>
#include <vellum/unix/user_memory.hpp>

#include "linux_numbers.hpp"
#include "terminal_numbers.hpp"

namespace vellum::unix {

void Terminal::set_window(const WindowSize& size) {
  ProcessId group;
  {
    const LockGuard guard(lock_);
    if (window_.rows != size.rows || window_.columns != size.columns) {
      group = foreground_;
    }
    window_ = size;
  }
  if (group.value() > 0) {
    signal_group(group, signals::kWindowChanged);
  }
}

ProcessId Terminal::session() {
  const LockGuard guard(lock_);
  return session_;
}

ProcessId Terminal::foreground() {
  const LockGuard guard(lock_);
  return foreground_;
}

void Terminal::set_session(ProcessId session, ProcessId foreground) {
  const LockGuard guard(lock_);
  session_ = session;
  foreground_ = foreground;
}

void Terminal::session_ended(ProcessId session) {
  ProcessId group;
  {
    const LockGuard guard(lock_);
    if (session_ != session || session.value() == 0) {
      return;
    }
    group = foreground_;
    session_ = foreground_ = {};
  }
  if (group.value() > 0) {
    signal_group(group, signals::kHangUp);
    signal_group(group, signals::kContinue);
  }
}

void Terminal::opened(std::uint32_t flags) {
  if ((flags & (open_flag::kNoControllingTerminal | open_flag::kPath)) != 0 || !calling_leads_session()) {
    return;
  }
  const ProcessId session = calling_session();
  const ProcessId group = calling_group();
  const LockGuard guard(lock_);
  if (session_.value() == 0) {
    session_ = session;
    foreground_ = group;
  }
}

// The session, which is the caller's. Error: not_terminal.
Result<ProcessId> Terminal::own_session() {
  const ProcessId session = calling_session();
  const LockGuard guard(lock_);
  if (session_.value() == 0 || session_ != session) {
    return Errno::not_terminal;
  }
  return session_;
}

Result<void> Terminal::change_settings(std::uint64_t argument, bool flush) {
  const auto settings = VELLUM_TRY(read_user<TerminalSettings>(VirtAddr(argument)));
  VELLUM_TRY(check_foreground(signals::kTerminalOutput, false));
  Reaction reaction;
  {
    const LockGuard guard(lock_);
    const bool was_canonical = has(tty::kCanonical);
    settings_ = settings;
    if (flush) {
      reaction.bytes_gone = count_;
      flush_input(reaction);
    }
    if (was_canonical != has(tty::kCanonical)) {
      complete_ = count_;  // what was typed before is there to be read
    }
    if (stopped_ && (settings_.input & tty::kFlowOfOutput) == 0) {
      stopped_ = false;
      reaction.wakes_writers = true;
    }
    reaction.wakes_readers = true;
  }
  react(reaction);
  return {};
}

Result<void> Terminal::become_controlling(std::uint64_t argument) {
  const bool steals = argument == 1 && calling_credentials().superuser;
  const bool leads = calling_leads_session();
  const ProcessId session = calling_session();
  const ProcessId group = calling_group();
  const LockGuard guard(lock_);
  if (leads && session_ == session) {
    return {};
  }
  if (!leads || (session_.value() != 0 && !steals)) {
    return Errno::not_permitted;
  }
  session_ = session;
  foreground_ = group;
  return {};
}

Result<void> Terminal::set_foreground(std::uint64_t argument) {
  const ProcessId session = VELLUM_TRY(own_session());
  VELLUM_TRY(check_foreground(signals::kTerminalOutput, false));
  const ProcessId group(VELLUM_TRY(read_user<std::int32_t>(VirtAddr(argument))));
  if (group.value() < 0) {
    return Errno::invalid;
  }
  if (!group_is_in_session(group, session)) {
    return Errno::not_permitted;
  }
  const LockGuard guard(lock_);
  foreground_ = group;
  return {};
}

Result<void> Terminal::give_up() {
  const ProcessId session = VELLUM_TRY(own_session());
  if (calling_leads_session()) {
    session_ended(session);
  }
  return {};
}

Result<void> Terminal::flush(std::uint64_t what) {
  constexpr std::uint64_t kInput = 0;
  constexpr std::uint64_t kBoth = 2;
  if (what > kBoth) {
    return Errno::invalid;
  }
  Reaction reaction;
  if (what == kInput || what == kBoth) {
    const LockGuard guard(lock_);
    reaction.bytes_gone = count_;
    flush_input(reaction);
  }
  react(reaction);
  return {};
}

Result<std::uint64_t> Terminal::ioctl(std::uint32_t request, std::uint64_t argument) {
  const VirtAddr address(argument);
  Result<void> result;
  switch (request) {
    case tty::kGetSettings: {
      TerminalSettings settings;
      {
        const LockGuard guard(lock_);
        settings = settings_;
      }
      result = write_user(address, settings);
      break;
    }
    case tty::kSetSettings:
    case tty::kSetSettingsDrained:
    case tty::kSetSettingsFlushed:
      result = change_settings(argument, request == tty::kSetSettingsFlushed);
      break;
    case tty::kGetWindow: {
      WindowSize window;
      {
        const LockGuard guard(lock_);
        window = window_;
      }
      result = write_user(address, window);
      break;
    }
    case tty::kSetWindow:
      set_window(VELLUM_TRY(read_user<WindowSize>(address)));
      break;
    case tty::kBecomeControlling:
      result = become_controlling(argument);
      break;
    case tty::kGetForeground:
      (void)VELLUM_TRY(own_session());
      result = write_user(address, foreground().value());
      break;
    case tty::kSetForeground:
      result = set_foreground(argument);
      break;
    case tty::kGetSession:
      result = write_user(address, VELLUM_TRY(own_session()).value());
      break;
    case tty::kGiveUp:
      result = give_up();
      break;
    case tty::kFlush:
      result = flush(argument);
      break;
    case tty::kInputQueue: {
      std::size_t size = 0;
      {
        const LockGuard guard(lock_);
        size = readable();
      }
      result = write_user(address, static_cast<std::int32_t>(size));
      break;
    }
    case tty::kOutputQueue:
      result = write_user(address, std::int32_t{0});
      break;
    case tty::kSendBreak:
    case tty::kFlowControl:
    case tty::kExclusive:
    case tty::kNotExclusive:
      break;  // there is no line to do it to
    default:
      return Errno::not_terminal;
  }
  return result.ok() ? Result<std::uint64_t>(std::uint64_t{0}) : Result<std::uint64_t>(result.error());
}

}  // namespace vellum::unix
