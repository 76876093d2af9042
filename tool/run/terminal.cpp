#include "run/terminal.hpp"

#include <csignal>
#include <cstdlib>
#include <initializer_list>

#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

namespace vellum::tool {

namespace {

// What a handler of a crash must find.
termios saved_mode;
volatile std::sig_atomic_t is_raw_now = 0;

void restore_mode() {
  if (is_raw_now != 0) {
    is_raw_now = 0;
    tcsetattr(STDIN_FILENO, TCSADRAIN, &saved_mode);
  }
}

void restore_and_die(int signal) {
  restore_mode();
  std::signal(signal, SIG_DFL);
  raise(signal);
}

bool is_in_foreground(int descriptor) { return tcgetpgrp(descriptor) == getpgrp(); }

}  // namespace

const char* name_of(StreamKind kind) {
  switch (kind) {
    case StreamKind::terminal:
      return "terminal";
    case StreamKind::pipe:
      return "pipe";
    case StreamKind::file:
      return "file";
    case StreamKind::null:
      break;
  }
  return "null";
}

StreamKind kind_of_stream(int descriptor) {
  struct stat status;
  struct stat null;
  if (fstat(descriptor, &status) != 0) {
    return StreamKind::null;
  }
  if (isatty(descriptor) == 1) {
    return StreamKind::terminal;
  }
  if (S_ISCHR(status.st_mode)) {
    const bool is_null = stat("/dev/null", &null) == 0 && status.st_rdev == null.st_rdev;
    return is_null ? StreamKind::null : StreamKind::pipe;
  }
  return S_ISREG(status.st_mode) ? StreamKind::file : StreamKind::pipe;
}

WindowSize window_size() {
  for (const int descriptor : {STDOUT_FILENO, STDIN_FILENO, STDERR_FILENO}) {
    winsize size;
    if (ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_row != 0 && size.ws_col != 0) {
      return {size.ws_row, size.ws_col};
    }
  }
  return {24, 80};
}

void Terminal::lend() {
  is_lent_ = isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1;
  if (is_lent_) {
    for (const int signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT}) {
      std::signal(signal, restore_and_die);
    }
    std::atexit(restore_mode);
    enter_raw();
  }
}

void Terminal::enter_raw() {
  if (!is_lent_ || is_raw() || !is_in_foreground(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &saved_mode) != 0) {
    return;
  }
  termios raw = saved_mode;
  cfmakeraw(&raw);
  is_raw_now = 1;
  tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
}

void Terminal::restore() { restore_mode(); }

bool Terminal::is_raw() const { return is_raw_now != 0; }

bool may_read_stdin() { return isatty(STDIN_FILENO) != 1 || is_in_foreground(STDIN_FILENO); }

}  // namespace vellum::tool
