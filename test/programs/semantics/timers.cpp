// timer_create and its family: who is told, when, how often.
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../support/memory.hpp"
#include "../support/process.hpp"

namespace guest {
namespace {

const int kSignal = SIGRTMIN + 3;

sigset_t blocked(int signal) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  MUST(sigprocmask(SIG_BLOCK, &set, nullptr));
  return set;
}

int create(clockid_t clock, sigevent* event) {
  int id = -1;
  MUST(syscall(SYS_timer_create, clock, event, &id));
  return id;
}

int create(int signal, int notify = SIGEV_SIGNAL, void* value = nullptr) {
  sigevent event{};
  event.sigev_notify = notify;
  event.sigev_signo = signal;
  event.sigev_value.sival_ptr = value;
  event._sigev_un._tid = gettid();
  return create(CLOCK_MONOTONIC, &event);
}

itimerspec milliseconds(long value, long interval = 0) {
  return {.it_interval = {.tv_sec = 0, .tv_nsec = interval * 1'000'000},
          .it_value = {.tv_sec = 0, .tv_nsec = value * 1'000'000}};
}

void set(int id, const itimerspec& setting, int flags = 0) {
  MUST(syscall(SYS_timer_settime, id, flags, &setting, nullptr));
}

int wait_for(const sigset_t& set, siginfo_t* info, long seconds = 10) {
  const timespec limit{.tv_sec = seconds, .tv_nsec = 0};
  return sigtimedwait(&set, info, &limit);
}

CASE("timers", "a signal tells which timer, and the value that was given") {
  const sigset_t wanted = blocked(kSignal);
  int variable = 0;
  const int id = create(kSignal, SIGEV_SIGNAL, &variable);
  set(id, milliseconds(20));
  siginfo_t info{};
  EXPECT_EQ(wait_for(wanted, &info), kSignal);
  EXPECT_EQ(info.si_code, SI_TIMER);
  EXPECT_EQ(info.si_timerid, id);
  EXPECT_EQ(info.si_overrun, 0);
  EXPECT(info.si_value.sival_ptr == &variable);
  itimerspec left{};
  MUST(syscall(SYS_timer_gettime, id, &left));
  EXPECT_EQ(left.it_value.tv_sec + left.it_value.tv_nsec, 0L);
  MUST(syscall(SYS_timer_delete, id));
}

CASE("timers", "without an event: SIGALRM, and the timer's number") {
  const sigset_t wanted = blocked(SIGALRM);
  const int id = create(CLOCK_REALTIME, nullptr);
  set(id, milliseconds(10));
  siginfo_t info{};
  EXPECT_EQ(wait_for(wanted, &info), SIGALRM);
  EXPECT_EQ(info.si_code, SI_TIMER);
  EXPECT_EQ(info.si_value.sival_int, id);
  MUST(syscall(SYS_timer_delete, id));
}

CASE("timers", "again and again; what nobody took is counted as overruns") {
  const sigset_t wanted = blocked(kSignal);
  const int id = create(kSignal);
  set(id, milliseconds(10, 10));
  usleep(200'000);
  siginfo_t info{};
  EXPECT_EQ(wait_for(wanted, &info), kSignal);
  EXPECT(info.si_overrun >= 10);
  EXPECT(info.si_overrun < 10'000);
  EXPECT_EQ(syscall(SYS_timer_getoverrun, id), static_cast<long>(info.si_overrun));
  EXPECT_EQ(wait_for(wanted, &info), kSignal);
  itimerspec before{};
  const itimerspec off{};
  MUST(syscall(SYS_timer_settime, id, 0, &off, &before));
  EXPECT_EQ(before.it_interval.tv_nsec, 10'000'000L);
  EXPECT(before.it_value.tv_nsec > 0 && before.it_value.tv_nsec <= 10'000'000);
  MUST(syscall(SYS_timer_delete, id));
}

CASE("timers", "one thread, or nobody, may be told") {
  const sigset_t wanted = blocked(kSignal);
  const int own = create(kSignal, SIGEV_THREAD_ID);
  set(own, milliseconds(10));
  siginfo_t info{};
  EXPECT_EQ(wait_for(wanted, &info), kSignal);
  EXPECT_EQ(info.si_timerid, own);
  const int silent = create(kSignal, SIGEV_NONE);
  set(silent, milliseconds(10));
  EXPECT_ERRNO(wait_for(wanted, &info, 0), EAGAIN);
  itimerspec left{};
  set(silent, milliseconds(900));
  MUST(syscall(SYS_timer_gettime, silent, &left));
  EXPECT(left.it_value.tv_nsec > 0 && left.it_value.tv_nsec <= 900'000'000);
  MUST(syscall(SYS_timer_delete, own));
  MUST(syscall(SYS_timer_delete, silent));
}

CASE("timers", "a time that has passed, of a clock that stands for it") {
  const sigset_t wanted = blocked(kSignal);
  siginfo_t info{};
  for (const clockid_t clock : {CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME}) {
    sigevent event{};
    event.sigev_signo = kSignal;
    const int id = create(clock, &event);
    itimerspec at{};
    MUST(clock_gettime(clock, &at.it_value));
    at.it_value.tv_nsec = 1;
    set(id, at, TIMER_ABSTIME);
    EXPECT_EQ(wait_for(wanted, &info), kSignal);
    at.it_value.tv_sec += 1000;
    set(id, at, TIMER_ABSTIME);
    EXPECT_ERRNO(wait_for(wanted, &info, 0), EAGAIN);
    itimerspec left{};
    MUST(syscall(SYS_timer_gettime, id, &left));
    EXPECT(left.it_value.tv_sec >= 990 && left.it_value.tv_sec <= 1000);
    MUST(syscall(SYS_timer_delete, id));
  }
}

CASE("timers", "errors") {
  int id = -1;
  sigevent event{};
  EXPECT_ERRNO(syscall(SYS_timer_create, 99, nullptr, &id), EINVAL);
  EXPECT_ERRNO(syscall(SYS_timer_create, CLOCK_MONOTONIC_COARSE, nullptr, &id), EOPNOTSUPP);
  event.sigev_signo = 0;
  EXPECT_ERRNO(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id), EINVAL);
  event.sigev_signo = 65;
  EXPECT_ERRNO(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id), EINVAL);
  event.sigev_signo = kSignal;
  event.sigev_notify = SIGEV_THREAD_ID;
  event._sigev_un._tid = 1 << 20;
  EXPECT_ERRNO(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id), EINVAL);
  EXPECT_ERRNO(syscall(SYS_timer_create, CLOCK_MONOTONIC, nullptr, nullptr), EFAULT);
  itimerspec setting = milliseconds(10);
  EXPECT_ERRNO(syscall(SYS_timer_settime, 12345, 0, &setting, nullptr), EINVAL);
  EXPECT_ERRNO(syscall(SYS_timer_gettime, 12345, &setting), EINVAL);
  EXPECT_ERRNO(syscall(SYS_timer_getoverrun, 12345), EINVAL);
  EXPECT_ERRNO(syscall(SYS_timer_delete, 12345), EINVAL);
  id = create(kSignal);
  setting.it_value.tv_nsec = 1'000'000'000;
  EXPECT_ERRNO(syscall(SYS_timer_settime, id, 0, &setting, nullptr), EINVAL);
  MUST(syscall(SYS_timer_delete, id));
  EXPECT_ERRNO(syscall(SYS_timer_delete, id), EINVAL);
}

CASE("timers", "a child of fork has none of them; a signal that waits outlives its timer") {
  const sigset_t wanted = blocked(kSignal);
  const int id = create(kSignal);
  set(id, milliseconds(1));
  usleep(60'000);
  const pid_t child = fork();
  MUST(child);
  if (child == 0) {
    itimerspec left{};
    _exit(syscall(SYS_timer_gettime, id, &left) == -1 && errno == EINVAL ? 0 : 1);
  }
  int status = 0;
  MUST(waitpid(child, &status, 0));
  EXPECT_EQ(status, 0);
  MUST(syscall(SYS_timer_delete, id));
  siginfo_t info{};
  EXPECT_EQ(wait_for(wanted, &info), kSignal);
  EXPECT_EQ(info.si_code, SI_TIMER);
}

}  // namespace
}  // namespace guest
