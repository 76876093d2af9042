#include "role.hpp"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace guest {

namespace {

[[noreturn]] void show(int count, char** arguments, char** environment) {
  for (int i = 0; i < count; i++) {
    std::printf("argument:%s\n", arguments[i]);
  }
  for (char** one = environment; *one != nullptr; one++) {
    std::printf("environment:%s\n", *one);
  }
  std::printf("name:%s\n", reinterpret_cast<const char*>(getauxval(AT_EXECFN)));
  const bool vector_right = getauxval(AT_PAGESZ) == 4096 && getauxval(AT_PHNUM) > 0 && getauxval(AT_PHDR) != 0 &&
                            getauxval(AT_ENTRY) != 0 && getauxval(AT_RANDOM) != 0 && getauxval(AT_UID) == getuid();
  sigset_t blocked;
  sigprocmask(SIG_BLOCK, nullptr, &blocked);
  sigset_t pending;
  sigpending(&pending);
  struct sigaction one = {};
  struct sigaction two = {};
  sigaction(SIGUSR1, nullptr, &one);
  sigaction(SIGUSR2, nullptr, &two);
  stack_t stack = {};
  sigaltstack(nullptr, &stack);
  std::printf("state:vector %d blocked %d pending %d handler %d ignored %d stack %d files", vector_right ? 1 : 0,
              sigismember(&blocked, SIGHUP), sigismember(&pending, SIGHUP), one.sa_handler != SIG_DFL ? 1 : 0,
              two.sa_handler == SIG_IGN ? 1 : 0, (stack.ss_flags & SS_DISABLE) != 0 ? 0 : 1);
  for (int file = 40; file < 45; file++) {
    if (fcntl(file, F_GETFD) >= 0) {
      std::printf(" %d", file);
    }
  }
  std::printf("\npid:%d\n", getpid());
  std::exit(0);
}

bool may_kill() {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct words[2] = {};
  syscall(SYS_capget, &header, words);
  return ((words[0].effective | words[0].permitted) & (1U << CAP_KILL)) != 0;
}

}  // namespace

void play_role(int count, char** arguments, char** environment) {
  const char* role = std::getenv("SUITE_ROLE");
  if (role == nullptr) {
    return;
  }
  if (std::strcmp(role, "show") == 0) {
    show(count, arguments, environment);
  }
  if (std::strcmp(role, "may_kill") == 0) {
    std::_Exit(may_kill() ? 1 : 0);
  }
  if (std::strcmp(role, "who") == 0) {
    int death = 0;
    prctl(PR_GET_PDEATHSIG, &death, 0, 0, 0);
    const int dumpable = static_cast<int>(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
    std::_Exit((getuid() == geteuid() ? 1 : 0) | dumpable << 1 | (death != 0 ? 4 : 0));
  }
  const char* status = std::getenv("SUITE_STATUS");
  std::_Exit(status != nullptr ? std::atoi(status) : 0);
}

}  // namespace guest
