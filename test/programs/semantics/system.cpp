// Clocks, limits, users, and what the system says of itself.
#include <asm/prctl.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/utsname.h>

#include <ctime>

#include "../support/memory.hpp"
#include "../support/process.hpp"

namespace guest {
namespace {

long now(clockid_t clock) {
  timespec time = {};
  MUST(clock_gettime(clock, &time));
  EXPECT(time.tv_nsec >= 0 && time.tv_nsec < 1'000'000'000);
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

CASE("clocks", "never go back") {
  for (const clockid_t clock : {CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_BOOTTIME, CLOCK_REALTIME}) {
    long last = now(clock);
    for (int i = 0; i < 2000; i++) {
      const long next = now(clock);
      EXPECT(next >= last);
      last = next;
    }
  }
}

CASE("clocks", "the time of day is one, by every call") {
  timeval by_timeval = {};
  MUST(gettimeofday(&by_timeval, nullptr));
  const long by_clock = now(CLOCK_REALTIME) / 1'000'000'000;
  EXPECT(by_clock - by_timeval.tv_sec >= 0 && by_clock - by_timeval.tv_sec <= 1);
  const long by_call = syscall(SYS_time, nullptr);
  EXPECT(by_call - by_clock >= 0 && by_call - by_clock <= 1);
}

CASE("clocks", "sleeping takes as long as was asked, and not much longer") {
  for (const long wanted : {1'000'000L, 20'000'000L, 100'000'000L}) {
    const timespec time = {0, wanted};
    const long start = now(CLOCK_MONOTONIC);
    MUST(nanosleep(&time, nullptr));
    const long slept = now(CLOCK_MONOTONIC) - start;
    EXPECT(slept >= wanted);
    EXPECT(slept < wanted + 2'000'000'000);
  }
}

CASE("clocks", "sleeping until a time") {
  timespec time = {};
  MUST(clock_gettime(CLOCK_MONOTONIC, &time));
  const long until = time.tv_sec * 1'000'000'000 + time.tv_nsec + 30'000'000;
  time = {until / 1'000'000'000, until % 1'000'000'000};
  EXPECT_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, nullptr), 0);
  EXPECT(now(CLOCK_MONOTONIC) >= until);
  EXPECT_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, nullptr), 0);
}

CASE("clocks", "a sleep that is interrupted tells what is left") {
  struct sigaction action = {};
  action.sa_handler = [](int) {};
  MUST(sigaction(SIGALRM, &action, nullptr));
  const itimerval soon = {{0, 0}, {0, 30000}};
  MUST(setitimer(ITIMER_REAL, &soon, nullptr));
  const timespec time = {20, 0};
  timespec left = {};
  EXPECT_ERRNO(nanosleep(&time, &left), EINTR);
  EXPECT(left.tv_sec >= 15 && left.tv_sec < 20);
}

CASE("clocks", "processor time passes in work and not in sleep") {
  const long start = now(CLOCK_PROCESS_CPUTIME_ID);
  const timespec time = {0, 100'000'000};
  MUST(nanosleep(&time, nullptr));
  const long slept = now(CLOCK_PROCESS_CPUTIME_ID) - start;
  EXPECT(slept < 90'000'000);
  const long wall = now(CLOCK_MONOTONIC);
  while (now(CLOCK_MONOTONIC) < wall + 100'000'000) {
  }
  EXPECT(now(CLOCK_PROCESS_CPUTIME_ID) - start > slept);
}

CASE("clocks", "errors") {
  timespec bad = {0, 1'000'000'000};
  EXPECT_ERRNO(nanosleep(&bad, nullptr), EINVAL);
  bad = {-1, 0};
  EXPECT_ERRNO(nanosleep(&bad, nullptr), EINVAL);
  EXPECT_ERRNO(syscall(SYS_nanosleep, 8, nullptr), EFAULT);
  EXPECT_ERRNO(syscall(SYS_clock_gettime, 77, &bad), EINVAL);
  EXPECT_ERRNO(syscall(SYS_clock_gettime, CLOCK_MONOTONIC_COARSE + 100, &bad), EINVAL);
  itimerval timer = {{0, 0}, {0, 1'000'000}};
  EXPECT_ERRNO(setitimer(ITIMER_REAL, &timer, nullptr), EINVAL);
  EXPECT_ERRNO(syscall(SYS_setitimer, 9, &timer, nullptr), EINVAL);
}

CASE("clocks", "times and getrusage") {
  tms spent = {};
  EXPECT(times(&spent) > 0);
  rusage before = {};
  MUST(getrusage(RUSAGE_SELF, &before));
  char* pages = map(100 * kPage);
  for (std::size_t i = 0; i < 100; i++) {
    poke(pages + i * kPage, 'x');
  }
  rusage after = {};
  MUST(getrusage(RUSAGE_SELF, &after));
  EXPECT(after.ru_minflt > before.ru_minflt);
  EXPECT(after.ru_maxrss >= before.ru_maxrss && after.ru_maxrss > 0);
  EXPECT_ERRNO(getrusage(77, &after), EINVAL);
}

CASE("system", "uname says Linux") {
  utsname name = {};
  MUST(uname(&name));
  EXPECT_EQ(std::string(name.sysname), std::string("Linux"));
  EXPECT_EQ(std::string(name.machine), std::string("x86_64"));
  EXPECT_EQ(std::string(name.release).substr(0, 2), std::string("6."));
  EXPECT_ERRNO(syscall(SYS_uname, 8), EFAULT);
}

CASE("system", "a call that does not exist is ENOSYS") {
  EXPECT_ERRNO(syscall(9999), ENOSYS);
  EXPECT_ERRNO(syscall(-1), ENOSYS);
  EXPECT_ERRNO(syscall(0x7FFF'FFFF), ENOSYS);
}

CASE("system", "sysinfo") {
  struct sysinfo info = {};
  MUST(sysinfo(&info));
  EXPECT(info.totalram > 0 && info.freeram <= info.totalram);
  EXPECT(info.mem_unit > 0 && info.procs > 0);
}

CASE("system", "getrandom") {
  unsigned char first[32] = {};
  unsigned char second[32] = {};
  EXPECT_EQ(getrandom(first, sizeof first, 0), 32);
  EXPECT_EQ(getrandom(second, sizeof second, GRND_NONBLOCK), 32);
  EXPECT(std::memcmp(first, second, sizeof first) != 0);
  EXPECT_ERRNO(syscall(SYS_getrandom, first, 4, 0x1000), EINVAL);
  EXPECT_ERRNO(syscall(SYS_getrandom, 8, 4, 0), EFAULT);
}

CASE("system", "the thread pointer: arch_prctl") {
  std::uintptr_t base = 0;
  MUST(syscall(SYS_arch_prctl, ARCH_GET_FS, &base));
  EXPECT(base != 0);
  EXPECT_ERRNO(syscall(SYS_arch_prctl, ARCH_SET_FS, 0xFFFF'FFFF'FB80'0000), EPERM);
  EXPECT_ERRNO(syscall(SYS_arch_prctl, ARCH_SET_FS, 0x0000'8000'0000'0000), EPERM);
  EXPECT_ERRNO(syscall(SYS_arch_prctl, 0x9999, 0), EINVAL);
  std::uintptr_t value = 77;
  MUST(syscall(SYS_arch_prctl, ARCH_SET_GS, &value));
  std::uintptr_t read = 0;
  asm volatile("movq %%gs:0, %0" : "=r"(read));
  EXPECT_EQ(read, 77U);
  in_child([] {
    std::uintptr_t inherited = 0;
    asm volatile("movq %%gs:0, %0" : "=r"(inherited));
    EXPECT_EQ(inherited, 77U);
  });
}

CASE("system", "the name of the process") {
  MUST(prctl(PR_SET_NAME, "a name that is too long"));
  char name[16] = {};
  MUST(prctl(PR_GET_NAME, name));
  EXPECT_EQ(std::string(name), std::string("a name that is "));
  EXPECT_EQ(read_file("/proc/self/comm"), std::string("a name that is \n"));
  EXPECT_ERRNO(prctl(9999, 0, 0, 0, 0), EINVAL);
}

CASE("limits", "are told, set, inherited, and cannot be raised by others") {
  in_child([] {
    rlimit limit = {};
    MUST(getrlimit(RLIMIT_NOFILE, &limit));
    EXPECT(limit.rlim_cur <= limit.rlim_max);
    limit = {100, 200};
    MUST(setrlimit(RLIMIT_NOFILE, &limit));
    in_child([] {
      rlimit inherited = {};
      MUST(getrlimit(RLIMIT_NOFILE, &inherited));
      EXPECT_EQ(inherited.rlim_cur, 100U);
      EXPECT_EQ(inherited.rlim_max, 200U);
      if (geteuid() == 0) {
        MUST(setuid(65534));
      }
      const rlimit more = {100, 300};
      EXPECT_ERRNO(setrlimit(RLIMIT_NOFILE, &more), EPERM);
    });
    limit = {300, 200};
    EXPECT_ERRNO(setrlimit(RLIMIT_NOFILE, &limit), EINVAL);
    EXPECT_ERRNO(syscall(SYS_getrlimit, 99, &limit), EINVAL);
    EXPECT_ERRNO(syscall(SYS_getrlimit, RLIMIT_STACK, 8), EFAULT);
  });
}

CASE("limits", "the stack's is 8 MB") {
  rlimit limit = {};
  MUST(getrlimit(RLIMIT_STACK, &limit));
  EXPECT(limit.rlim_cur == std::size_t{8} << 20 || limit.rlim_cur == RLIM_INFINITY);
}

CASE("limits", "the size of files: SIGXFSZ and EFBIG") {
  const int status = status_of(start_child([] {
    const Folder folder;
    const rlimit limit = {1000, 1000};
    MUST(setrlimit(RLIMIT_FSIZE, &limit));
    const int file = folder.file("file");
    EXPECT_EQ(write(file, std::string(2000, 'x').data(), 2000), 1000);
    struct sigaction action = {};
    action.sa_handler = SIG_IGN;
    MUST(sigaction(SIGXFSZ, &action, nullptr));
    EXPECT_ERRNO(write(file, "x", 1), EFBIG);
    MUST(unlink(folder.path("file").c_str()));
    MUST(rmdir(folder.path().c_str()));
    action.sa_handler = SIG_DFL;
    MUST(sigaction(SIGXFSZ, &action, nullptr));
    EXPECT_EQ(write(file, "x", 1), -1);
  }));
  EXPECT(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGXFSZ);
}

CASE("users", "root becomes somebody, and never root again") {
  if (geteuid() != 0) {
    EXPECT_ERRNO(setuid(0), EPERM);
    EXPECT_ERRNO(setgid(0), EPERM);
    return;
  }
  in_child([] {
    MUST(setresgid(1, 2, 3));
    MUST(setresuid(1, 2, 3));
    uid_t real = 0;
    uid_t effective = 0;
    uid_t saved = 0;
    MUST(getresuid(&real, &effective, &saved));
    EXPECT_EQ(real * 100 + effective * 10 + saved, 123U);
    EXPECT_EQ(getuid(), 1U);
    EXPECT_EQ(geteuid(), 2U);
    EXPECT_ERRNO(setuid(0), EPERM);
    EXPECT_ERRNO(setresuid(0, 0, 0), EPERM);
    MUST(setuid(3));
    EXPECT_EQ(geteuid(), 3U);
    EXPECT_ERRNO(setgid(0), EPERM);
  });
}

}  // namespace
}  // namespace guest
