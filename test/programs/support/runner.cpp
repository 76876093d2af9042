#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "test.hpp"

namespace guest {

namespace {

constexpr unsigned kSeconds = 90;  // that a case may take, on an emulated processor of a busy host

struct Case {
  std::string name;
  std::function<void()> body;
};

std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}

int reports = -1;  // in a case's process: where to say why it failed

void write_all(int file, const std::string& text) {
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t n = write(file, text.data() + done, text.size() - done);
    if (n <= 0) {
      return;
    }
    done += static_cast<std::size_t>(n);
  }
}

std::string read_reports(int file) {
  std::string text;
  char buffer[512];
  for (ssize_t n = 0; (n = read(file, buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<std::size_t>(n));
  }
  return text;
}

[[noreturn]] void run_in_child(const Case& one, int to_parent) {
  reports = to_parent;
  std::signal(SIGALRM, SIG_DFL);
  setpgid(0, 0);
  one.body();
  _exit(0);
}

// Waits for the case; ends it and what it left behind after its time.
int wait_for(pid_t child) {
  int status = 0;
  alarm(kSeconds);
  while (waitpid(child, &status, 0) < 0) {
    kill(-child, SIGKILL);
    kill(child, SIGKILL);
  }
  alarm(0);
  kill(-child, SIGKILL);
  return status;
}

std::string explain(int status, std::string why) {
  while (!why.empty() && why.back() == '\n') {
    why.pop_back();
  }
  for (char& c : why) {
    c = c == '\n' ? ' ' : c;
  }
  if (WIFSIGNALED(status)) {
    const int signal = WTERMSIG(status);
    why += (why.empty() ? "" : "; ") + std::string("killed by signal ") + std::to_string(signal) +
           (signal == SIGKILL ? ", perhaps after its time was over" : "");
  } else if (WEXITSTATUS(status) != 0 && why.empty()) {
    why = "exit status " + std::to_string(WEXITSTATUS(status));
  }
  return why;
}

struct Verdict {
  bool passed = false;
  std::string text;
};

Verdict run_case(const Case& one) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    return {false, "the runner got no pipe: " + std::string(std::strerror(errno))};
  }
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  const pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    run_in_child(one, ends[1]);
  }
  close(ends[1]);
  Verdict verdict{false, "the runner could not fork"};
  if (child > 0) {
    const int status = wait_for(child);
    verdict = {status == 0, explain(status, read_reports(ends[0]))};
  }
  close(ends[0]);
  return verdict;
}

bool chosen(const Case& one, int count, char** arguments) {
  for (int i = 1; i < count; i++) {
    if (one.name.find(arguments[i]) != std::string::npos) {
      return true;
    }
  }
  return count <= 1;
}

void on_alarm(int /*signal*/) {}

}  // namespace

void add_case(const char* group, std::string name, std::function<void()> body) {
  cases().push_back({std::string(group) + ": " + name, std::move(body)});
}

void note(const std::string& text) { write_all(reports, text + "\n"); }

void fail(const char* file, int line, const std::string& why) {
  const char* slash = std::strrchr(file, '/');
  write_all(reports >= 0 ? reports : 2,
            why + " (" + (slash != nullptr ? slash + 1 : file) + ":" + std::to_string(line) + ")\n");
  _exit(1);
}

void expect_error(long result, int error, int wanted, const char* text, const char* file, int line) {
  if (result != -1) {
    fail(file, line,
         std::string(text) + " is " + std::to_string(result) + ", not the error " + strerrorname_np(wanted));
  }
  if (error != wanted) {
    const char* name = strerrorname_np(error);
    fail(file, line,
         std::string(text) + ": " + (name != nullptr ? name : std::to_string(error)) + ", not " +
             strerrorname_np(wanted));
  }
}

long expect_success(long result, const char* text, const char* file, int line) {
  if (result == -1) {
    const int error = errno;
    const char* name = strerrorname_np(error);
    fail(file, line, std::string(text) + ": " + (name != nullptr ? name : std::to_string(error)));
  }
  return result;
}

int run_cases(int count, char** arguments) {
  if (count == 2 && std::strcmp(arguments[1], "--list") == 0) {
    for (const Case& one : cases()) {
      write_all(1, one.name + "\n");
    }
    return 0;
  }
  struct sigaction action = {};
  action.sa_handler = on_alarm;  // without SA_RESTART, so that it interrupts the wait
  sigaction(SIGALRM, &action, nullptr);
  unsigned passed = 0;
  unsigned failed = 0;
  for (const Case& one : cases()) {
    if (!chosen(one, count, arguments)) {
      continue;
    }
    const Verdict verdict = run_case(one);
    (verdict.passed ? passed : failed)++;
    const std::string note = verdict.text.empty() ? "" : " (" + verdict.text + ")";
    write_all(1, verdict.passed ? "ok " + one.name + note + "\n" : "not ok " + one.name + ": " + verdict.text + "\n");
    while (getpid() == 1 && waitpid(-1, nullptr, WNOHANG) > 0) {
    }
  }
  write_all(1, std::to_string(passed) + " passed, " + std::to_string(failed) + " failed\n");
  return failed == 0 && passed > 0 ? 0 : 1;
}

}  // namespace guest
