// Random system calls, by child after child, each with a seed of its own that it prints first: what a kernel did not
// survive is repeated with --seed SEED --children 1.
#include <grp.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>

#include "calls.hpp"

namespace {

constexpr unsigned kSecondsWithoutCall = 2;
constexpr std::uint64_t kCallsForChild = 20'000;
constexpr int kNobody = 65534;

struct Options {
  std::uint64_t seed = 1;
  std::uint64_t calls = 100'000;
  std::uint64_t children = ~std::uint64_t{0};
  std::uint64_t seconds = ~std::uint64_t{0};
};

// False where an argument is not understood.
bool parse(Options& options, int count, char** arguments) {
  for (int i = 1; i < count; i += 2) {
    const std::string name = arguments[i];
    std::uint64_t* value = name == "--seed"       ? &options.seed
                           : name == "--calls"    ? &options.calls
                           : name == "--children" ? &options.children
                           : name == "--seconds"  ? &options.seconds
                                                  : nullptr;
    if (value == nullptr || i + 1 == count) {
      return false;
    }
    *value = std::strtoull(arguments[i + 1], nullptr, 0);
  }
  return true;
}

void limit(int resource, rlim_t value) {
  const rlimit both = {value, value};
  setrlimit(static_cast<__rlimit_resource>(resource), &both);
}

[[noreturn]] void run_child(std::uint64_t seed, volatile std::uint64_t* made) {
  setpgid(0, 0);
  limit(RLIMIT_AS, std::size_t{256} << 20);
  limit(RLIMIT_FSIZE, 1 << 20);
  limit(RLIMIT_NOFILE, 64);
  limit(RLIMIT_CORE, 0);
  guest::fuzz_calls(seed, kCallsForChild, made);
}

// The wait status. Ends the child when it makes no call any more, and whatever it left behind in its group.
int wait_for(pid_t child, const volatile std::uint64_t* made) {
  int status = 0;
  std::uint64_t before = ~std::uint64_t{0};
  alarm(kSecondsWithoutCall);
  while (waitpid(child, &status, 0) != child) {
    if (errno == EINTR) {
      if (*made == before) {
        kill(-child, SIGKILL);
        kill(child, SIGKILL);
      }
      before = *made;
      alarm(kSecondsWithoutCall);
    }
  }
  alarm(0);
  kill(-child, SIGKILL);
  while (waitpid(-1, nullptr, WNOHANG) > 0) {
  }
  return status;
}

void on_alarm(int /*signal*/) {}

}  // namespace

int main(int count, char** arguments) {
  Options options;
  if (!parse(options, count, arguments)) {
    std::puts("usage: call_fuzz [--seed N] [--calls N] [--children N] [--seconds N]");
    return 2;
  }
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  mkdir("/tmp/call_fuzz", 0777);
  chmod("/tmp/call_fuzz", 0777);
  if (chdir("/tmp/call_fuzz") != 0 ||
      (geteuid() == 0 && (setgroups(0, nullptr) != 0 || setgid(kNobody) != 0 || setuid(kNobody) != 0))) {
    std::perror("call_fuzz");
    return 1;
  }
  struct sigaction action = {};
  action.sa_handler = on_alarm;
  sigaction(SIGALRM, &action, nullptr);
  void* shared = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) {
    std::perror("call_fuzz: mmap");
    return 1;
  }
  auto* made = static_cast<volatile std::uint64_t*>(shared);
  timespec start = {};
  clock_gettime(CLOCK_MONOTONIC, &start);
  std::uint64_t total = 0;
  std::uint64_t ended_by[65] = {};
  std::uint64_t seed = options.seed;
  for (; total < options.calls && seed - options.seed < options.children; seed++) {
    timespec now = {};
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (static_cast<std::uint64_t>(now.tv_sec - start.tv_sec) >= options.seconds) {
      break;
    }
    std::printf("seed %lu\n", seed);
    *made = 0;
    const pid_t child = fork();
    if (child == 0) {
      run_child(seed, made);
    }
    if (child < 0) {
      std::perror("call_fuzz: fork");
      return 1;
    }
    const int status = wait_for(child, made);
    ended_by[WIFSIGNALED(status) ? WTERMSIG(status) : 0]++;
    total += *made < 10 * kCallsForChild ? *made : 0;
  }
  std::printf("ends: %lu by themselves", ended_by[0]);
  for (int signal = 1; signal <= 64; signal++) {
    if (ended_by[signal] != 0) {
      std::printf(", %lu by signal %d", ended_by[signal], signal);
    }
  }
  std::printf("\n%lu calls, seeds %lu to %lu: the kernel stays up\n", total, options.seed, seed - 1);
  return 0;
}
