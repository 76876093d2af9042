// Sending, blocking, catching and awaiting signals.
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>

#include <ctime>

#include "../support/memory.hpp"
#include "../support/process.hpp"

namespace guest {
namespace {

volatile int caught = 0;
volatile int order[16];
volatile siginfo_t last_info;

void count(int /*signal*/) { caught = caught + 1; }

void note(int signal, siginfo_t* info, void* /*context*/) {
  order[caught % 16] = signal;
  const_cast<siginfo_t&>(last_info) = *info;
  caught = caught + 1;
}

void handle(int signal, void (*handler)(int), int flags = 0) {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = flags;
  MUST(sigaction(signal, &action, nullptr));
}

void handle_with_info(int signal, int flags = 0) {
  struct sigaction action = {};
  action.sa_sigaction = note;
  action.sa_flags = SA_SIGINFO | flags;
  sigfillset(&action.sa_mask);
  MUST(sigaction(signal, &action, nullptr));
}

sigset_t set_of(std::initializer_list<int> signals) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) {
    sigaddset(&set, signal);
  }
  return set;
}

void block(std::initializer_list<int> signals) {
  const sigset_t set = set_of(signals);
  MUST(sigprocmask(SIG_BLOCK, &set, nullptr));
}

void unblock(std::initializer_list<int> signals) {
  const sigset_t set = set_of(signals);
  MUST(sigprocmask(SIG_UNBLOCK, &set, nullptr));
}

CASE("signals", "kill tells the sender") {
  handle_with_info(SIGUSR1);
  MUST(kill(getpid(), SIGUSR1));
  EXPECT_EQ(caught, 1);
  EXPECT_EQ(last_info.si_signo, SIGUSR1);
  EXPECT_EQ(last_info.si_code, SI_USER);
  EXPECT_EQ(last_info.si_pid, getpid());
  EXPECT_EQ(last_info.si_uid, getuid());
}

CASE("signals", "tgkill says so") {
  handle_with_info(SIGUSR1);
  MUST(syscall(SYS_tgkill, getpid(), getpid(), SIGUSR1));
  EXPECT_EQ(caught, 1);
  EXPECT_EQ(last_info.si_code, SI_TKILL);
}

CASE("signals", "sigqueue carries a value") {
  handle_with_info(SIGUSR2);
  sigval value;
  value.sival_ptr = pointer_to(0x1234'5678'9ABC);
  MUST(sigqueue(getpid(), SIGUSR2, value));
  EXPECT_EQ(caught, 1);
  EXPECT_EQ(last_info.si_code, SI_QUEUE);
  EXPECT_EQ(value_of(last_info.si_value.sival_ptr), 0x1234'5678'9ABCU);
}

CASE("signals", "blocked, pending, and delivered once") {
  handle(SIGUSR1, count);
  block({SIGUSR1});
  for (int i = 0; i < 3; i++) {
    MUST(kill(getpid(), SIGUSR1));
  }
  EXPECT_EQ(caught, 0);
  sigset_t pending;
  MUST(sigpending(&pending));
  EXPECT_EQ(sigismember(&pending, SIGUSR1), 1);
  EXPECT_EQ(sigismember(&pending, SIGUSR2), 0);
  unblock({SIGUSR1});
  EXPECT_EQ(caught, 1);
  MUST(sigpending(&pending));
  EXPECT_EQ(sigismember(&pending, SIGUSR1), 0);
}

CASE("signals", "real-time signals queue, in order") {
  handle_with_info(SIGRTMIN);
  block({SIGRTMIN});
  for (int i = 0; i < 5; i++) {
    sigval value;
    value.sival_int = i;
    MUST(sigqueue(getpid(), SIGRTMIN, value));
  }
  unblock({SIGRTMIN});
  EXPECT_EQ(caught, 5);
  EXPECT_EQ(last_info.si_value.sival_int, 4);
}

CASE("signals", "several pending come by number") {
  for (const int signal : {SIGUSR2, SIGHUP, SIGTERM, SIGUSR1}) {
    handle_with_info(signal);
  }
  block({SIGUSR2, SIGHUP, SIGTERM, SIGUSR1});
  for (const int signal : {SIGUSR2, SIGTERM, SIGUSR1, SIGHUP}) {
    MUST(kill(getpid(), signal));
  }
  unblock({SIGUSR2, SIGHUP, SIGTERM, SIGUSR1});
  EXPECT_EQ(caught, 4);
  EXPECT_EQ(order[0], SIGHUP);
  EXPECT_EQ(order[1], SIGUSR1);
  EXPECT_EQ(order[2], SIGUSR2);
  EXPECT_EQ(order[3], SIGTERM);
}

volatile int depth = 0;
volatile int deepest = 0;

void nest(int signal) {
  caught = caught + 1;
  depth = depth + 1;
  deepest = depth > deepest ? depth : deepest;
  if (caught < 3) {
    kill(getpid(), signal);
  }
  depth = depth - 1;
}

CASE("signals", "a handler is not interrupted by its own signal") {
  handle(SIGUSR1, nest);
  MUST(kill(getpid(), SIGUSR1));
  EXPECT_EQ(caught, 3);
  EXPECT_EQ(deepest, 1);
}

CASE("signals", "with SA_NODEFER it is") {
  handle(SIGUSR1, nest, SA_NODEFER);
  MUST(kill(getpid(), SIGUSR1));
  EXPECT_EQ(caught, 3);
  EXPECT_EQ(deepest, 3);
}

CASE("signals", "another signal interrupts a handler unless sa_mask names it") {
  static volatile int inside;
  handle(SIGUSR2, [](int) { inside = caught; });
  struct sigaction action = {};
  action.sa_handler = [](int) {
    kill(getpid(), SIGUSR2);
    caught = 1;
  };
  MUST(sigaction(SIGUSR1, &action, nullptr));
  inside = -1;
  MUST(kill(getpid(), SIGUSR1));
  EXPECT_EQ(inside, 0);
  caught = 0;
  inside = -1;
  sigaddset(&action.sa_mask, SIGUSR2);
  MUST(sigaction(SIGUSR1, &action, nullptr));
  MUST(kill(getpid(), SIGUSR1));
  EXPECT_EQ(inside, 1);
}

CASE("signals", "SA_RESETHAND works once") {
  const int status = status_of(start_child([] {
    handle(SIGUSR1, count, static_cast<int>(SA_RESETHAND));
    kill(getpid(), SIGUSR1);
    if (caught == 1) {
      kill(getpid(), SIGUSR1);
    }
    return 1;
  }));
  EXPECT(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGUSR1);
}

CASE("signals", "the mask in a handler, and after it") {
  static sigset_t inside;
  handle(SIGUSR1, [](int) { sigprocmask(SIG_BLOCK, nullptr, &inside); });
  block({SIGTERM});
  MUST(kill(getpid(), SIGUSR1));
  EXPECT_EQ(sigismember(&inside, SIGUSR1), 1);
  EXPECT_EQ(sigismember(&inside, SIGTERM), 1);
  EXPECT_EQ(sigismember(&inside, SIGHUP), 0);
  sigset_t after;
  MUST(sigprocmask(SIG_BLOCK, nullptr, &after));
  EXPECT_EQ(sigismember(&after, SIGUSR1), 0);
  EXPECT_EQ(sigismember(&after, SIGTERM), 1);
}

CASE("signals", "a handler can change the mask that it returns to") {
  handle(SIGUSR2, count);
  struct sigaction action = {};
  action.sa_flags = SA_SIGINFO;
  action.sa_sigaction = [](int, siginfo_t*, void* context) {
    sigaddset(&static_cast<ucontext_t*>(context)->uc_sigmask, SIGUSR2);
  };
  MUST(sigaction(SIGUSR1, &action, nullptr));
  MUST(kill(getpid(), SIGUSR1));
  MUST(kill(getpid(), SIGUSR2));
  EXPECT_EQ(caught, 0);
  unblock({SIGUSR2});
  EXPECT_EQ(caught, 1);
}

CASE("signals", "SIGKILL and SIGSTOP cannot be blocked or caught") {
  struct sigaction action = {};
  action.sa_handler = count;
  EXPECT_ERRNO(sigaction(SIGKILL, &action, nullptr), EINVAL);
  EXPECT_ERRNO(sigaction(SIGSTOP, &action, nullptr), EINVAL);
  EXPECT_ERRNO(syscall(SYS_rt_sigaction, 0, nullptr, nullptr, 8), EINVAL);
  EXPECT_ERRNO(syscall(SYS_rt_sigaction, 65, nullptr, nullptr, 8), EINVAL);
  EXPECT_ERRNO(syscall(SYS_rt_sigaction, SIGUSR1, nullptr, nullptr, 4), EINVAL);
  sigset_t all;
  sigfillset(&all);
  MUST(sigprocmask(SIG_SETMASK, &all, nullptr));
  sigset_t got;
  MUST(sigprocmask(SIG_SETMASK, nullptr, &got));
  EXPECT_EQ(sigismember(&got, SIGKILL), 0);
  EXPECT_EQ(sigismember(&got, SIGSTOP), 0);
  EXPECT_EQ(sigismember(&got, SIGTERM), 1);
  EXPECT_ERRNO(syscall(SYS_rt_sigprocmask, 17, &all, nullptr, 8), EINVAL);
  EXPECT_ERRNO(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &all, nullptr, 16), EINVAL);
  EXPECT_ERRNO(syscall(SYS_rt_sigprocmask, SIG_BLOCK, 8, nullptr, 8), EFAULT);
}

CASE("signals", "sigaction tells the old action") {
  handle(SIGUSR1, count, SA_RESTART);
  struct sigaction old = {};
  MUST(sigaction(SIGUSR1, nullptr, &old));
  EXPECT(old.sa_handler == count);
  EXPECT(old.sa_flags & SA_RESTART);
  MUST(sigaction(SIGUSR2, nullptr, &old));
  EXPECT(old.sa_handler == SIG_DFL);
}

CASE("signals", "sigsuspend waits with another mask and restores") {
  handle(SIGUSR1, count);
  block({SIGUSR1, SIGUSR2});
  MUST(kill(getpid(), SIGUSR1));
  const sigset_t during = set_of({SIGUSR2});
  EXPECT_ERRNO(sigsuspend(&during), EINTR);
  EXPECT_EQ(caught, 1);
  sigset_t after;
  MUST(sigprocmask(SIG_BLOCK, nullptr, &after));
  EXPECT_EQ(sigismember(&after, SIGUSR1), 1);
}

CASE("signals", "pause ends by a handler") {
  handle(SIGALRM, count);
  const itimerval soon = {{0, 0}, {0, 20000}};
  MUST(setitimer(ITIMER_REAL, &soon, nullptr));
  EXPECT_ERRNO(pause(), EINTR);
  EXPECT_EQ(caught, 1);
}

// Writes a byte after a while, having sent a signal before.
pid_t start_interrupter(int to) {
  const pid_t target = getpid();
  return start_child([target, to] {
    usleep(50000);
    kill(target, SIGUSR1);
    usleep(50000);
    EXPECT_EQ(write(to, "x", 1), 1);
  });
}

CASE("signals", "a read is interrupted without SA_RESTART") {
  handle(SIGUSR1, count);
  int ends[2];
  MUST(pipe(ends));
  const pid_t child = start_interrupter(ends[1]);
  char c;
  EXPECT_ERRNO(read(ends[0], &c, 1), EINTR);
  EXPECT_EQ(caught, 1);
  EXPECT_EQ(status_of(child), 0);
}

CASE("signals", "a read goes on with SA_RESTART") {
  handle(SIGUSR1, count, SA_RESTART);
  int ends[2];
  MUST(pipe(ends));
  const pid_t child = start_interrupter(ends[1]);
  char c = 0;
  EXPECT_EQ(read(ends[0], &c, 1), 1);
  EXPECT_EQ(c, 'x');
  EXPECT_EQ(caught, 1);
  EXPECT_EQ(status_of(child), 0);
}

CASE("signals", "a read goes on after an ignored signal") {
  std::signal(SIGUSR1, SIG_IGN);
  int ends[2];
  MUST(pipe(ends));
  const pid_t child = start_interrupter(ends[1]);
  char c = 0;
  EXPECT_EQ(read(ends[0], &c, 1), 1);
  EXPECT_EQ(status_of(child), 0);
}

CASE("signals", "wait is interrupted, and goes on with SA_RESTART") {
  handle(SIGUSR1, count);
  int ends[2];
  MUST(pipe(ends));
  pid_t child = start_interrupter(ends[1]);
  EXPECT_ERRNO(waitpid(child, nullptr, 0), EINTR);
  EXPECT_EQ(status_of(child), 0);
  handle(SIGUSR1, count, SA_RESTART);
  child = start_interrupter(ends[1]);
  EXPECT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_EQ(caught, 2);
}

CASE("signals", "sigwaitinfo takes a pending signal") {
  block({SIGUSR1, SIGRTMIN + 1});
  sigval value;
  value.sival_int = 77;
  MUST(sigqueue(getpid(), SIGRTMIN + 1, value));
  const sigset_t set = set_of({SIGUSR1, SIGRTMIN + 1});
  siginfo_t info = {};
  EXPECT_EQ(sigwaitinfo(&set, &info), SIGRTMIN + 1);
  EXPECT_EQ(info.si_value.sival_int, 77);
  const timespec short_time = {0, 10'000'000};
  EXPECT_ERRNO(sigtimedwait(&set, &info, &short_time), EAGAIN);
}

CASE("signals", "alarm: remaining seconds, cancelling, default action kills") {
  EXPECT_EQ(alarm(100), 0U);
  const unsigned left = alarm(0);
  EXPECT(left == 100 || left == 99);
  EXPECT_EQ(alarm(0), 0U);
  const int status = status_of(start_child([] {
    const itimerval soon = {{0, 0}, {0, 10000}};
    setitimer(ITIMER_REAL, &soon, nullptr);
    pause();
  }));
  EXPECT_EQ(WTERMSIG(status), SIGALRM);
}

CASE("signals", "an interval timer comes again and again") {
  handle(SIGALRM, count);
  const itimerval often = {{0, 5000}, {0, 5000}};
  MUST(setitimer(ITIMER_REAL, &often, nullptr));
  while (caught < 5) {
    pause();
  }
  const itimerval never = {};
  itimerval old = {};
  MUST(setitimer(ITIMER_REAL, &never, &old));
  EXPECT_EQ(old.it_interval.tv_usec, 5000);
}

CASE("signals", "a loop without system calls is interrupted") {
  handle(SIGALRM, count);
  const itimerval soon = {{0, 0}, {0, 20000}};
  MUST(setitimer(ITIMER_REAL, &soon, nullptr));
  while (caught == 0) {
  }
}

CASE("signals", "two loops without system calls share the processor") {
  auto* turn = reinterpret_cast<volatile int*>(map(kPage, kReadWrite, kShared));
  const pid_t child = start_child([turn] {
    for (int i = 0; i < 3; i++) {
      while (*turn != 1) {
      }
      *turn = 0;
    }
  });
  for (int i = 0; i < 3; i++) {
    *turn = 1;
    while (*turn != 0) {
    }
  }
  EXPECT_EQ(status_of(child), 0);
}

CASE("signals", "a child has the handlers and the mask, and nothing pending") {
  handle(SIGUSR1, count);
  block({SIGUSR1});
  MUST(kill(getpid(), SIGUSR1));
  in_child([] {
    sigset_t pending;
    MUST(sigpending(&pending));
    EXPECT_EQ(sigismember(&pending, SIGUSR1), 0);
    MUST(kill(getpid(), SIGUSR1));
    unblock({SIGUSR1});
    EXPECT_EQ(caught, 1);
  });
  unblock({SIGUSR1});
  EXPECT_EQ(caught, 1);
}

CASE("signals", "a stop and a continue cancel each other's pending") {
  const Turns turns;
  const pid_t child = start_child([&turns] { turns.await_parent(); });
  MUST(kill(child, SIGSTOP));
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, WUNTRACED), child);
  turns.give_child();
  usleep(20000);
  EXPECT_EQ(waitpid(child, &status, WNOHANG), 0);  // it stands
  MUST(kill(child, SIGCONT));
  EXPECT_EQ(status_of(child), 0);
}

}  // namespace
}  // namespace guest
