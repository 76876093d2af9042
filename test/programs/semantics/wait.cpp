// The end of processes, and who hears of it.
#include <sys/resource.h>

#include "../support/memory.hpp"
#include "../support/process.hpp"

namespace guest {
namespace {

CASE("wait", "exit statuses, of which eight bits count") {
  for (const int status : {0, 1, 2, 42, 127, 128, 255, 256, 257, -1}) {
    const int got = status_of(start_child([status] { return status; }));
    EXPECT(WIFEXITED(got));
    EXPECT_EQ(WEXITSTATUS(got), status & 0xFF);
  }
}

CASE("wait", "the signal that killed") {
  for (const int signal : {SIGKILL, SIGTERM, SIGHUP, SIGUSR1, SIGALRM, SIGPIPE, SIGINT, SIGRTMIN + 3}) {
    const int status = status_of(start_child([signal] {
      kill(getpid(), signal);
      return 1;
    }));
    EXPECT(WIFSIGNALED(status));
    EXPECT_EQ(WTERMSIG(status), signal);
  }
}

CASE("wait", "signals that nobody minds") {
  for (const int signal : {SIGCHLD, SIGURG, SIGWINCH, SIGCONT}) {
    const int status = status_of(start_child([signal] {
      kill(getpid(), signal);
      return 3;
    }));
    EXPECT(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 3);
  }
}

CASE("wait", "without children") {
  EXPECT_ERRNO(waitpid(-1, nullptr, 0), ECHILD);
  EXPECT_ERRNO(waitpid(1, nullptr, 0), ECHILD);
  EXPECT_ERRNO(waitpid(-1, nullptr, 0x4000'0000 >> 4), EINVAL);
}

CASE("wait", "WNOHANG while it runs, and when it has ended") {
  const Turns turns;
  const pid_t child = start_child([&turns] { turns.await_parent(); });
  int status = 77;
  EXPECT_EQ(waitpid(child, &status, WNOHANG), 0);
  turns.give_child();
  pid_t got = 0;
  for (int i = 0; i < 1000 && got == 0; i++) {
    got = waitpid(child, &status, WNOHANG);
    usleep(1000);
  }
  EXPECT_EQ(got, child);
  EXPECT_EQ(status, 0);
  EXPECT_ERRNO(waitpid(child, &status, WNOHANG), ECHILD);
}

CASE("wait", "for one of several, by id") {
  const Turns turns;
  const pid_t slow = start_child([&turns] {
    turns.await_parent();
    return 1;
  });
  const pid_t quick = start_child([] { return 2; });
  int status = 0;
  EXPECT_EQ(waitpid(quick, &status, 0), quick);
  EXPECT_EQ(WEXITSTATUS(status), 2);
  turns.give_child();
  EXPECT_EQ(waitpid(slow, &status, 0), slow);
  EXPECT_EQ(WEXITSTATUS(status), 1);
}

CASE("wait", "for any of several gets each once") {
  int sum = 0;
  for (int i = 1; i <= 10; i++) {
    start_child([i] { return i; });
  }
  int status = 0;
  while (wait(&status) > 0) {
    sum += WEXITSTATUS(status);
  }
  EXPECT_EQ(errno, ECHILD);
  EXPECT_EQ(sum, 55);
}

CASE("wait", "for a process group") {
  const pid_t other = start_child([] {
    setpgid(0, 0);
    return 5;
  });
  setpgid(other, other);
  const pid_t same = start_child([] { return 6; });
  int status = 0;
  EXPECT_EQ(waitpid(-other, &status, 0), other);
  EXPECT_EQ(WEXITSTATUS(status), 5);
  EXPECT_EQ(waitpid(0, &status, 0), same);
  EXPECT_EQ(WEXITSTATUS(status), 6);
}

CASE("wait", "stopped and continued") {
  const pid_t child = start_child([] {
    kill(getpid(), SIGSTOP);
    return 9;
  });
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, WUNTRACED), child);
  EXPECT(WIFSTOPPED(status));
  EXPECT_EQ(WSTOPSIG(status), SIGSTOP);
  EXPECT_EQ(waitpid(child, &status, WNOHANG), 0);
  MUST(kill(child, SIGCONT));
  EXPECT_EQ(waitpid(child, &status, WCONTINUED), child);
  EXPECT(WIFCONTINUED(status) || WIFEXITED(status));
  if (WIFCONTINUED(status)) {
    EXPECT_EQ(waitpid(child, &status, 0), child);
  }
  EXPECT_EQ(WEXITSTATUS(status), 9);
}

CASE("wait", "a stopped process can be killed") {
  const pid_t child = start_child([] { kill(getpid(), SIGSTOP); });
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, WUNTRACED), child);
  MUST(kill(child, SIGKILL));
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
}

CASE("wait", "waitid tells all, and can leave the child") {
  const pid_t child = start_child([] { return 11; });
  siginfo_t info = {};
  MUST(waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT));
  EXPECT_EQ(info.si_signo, SIGCHLD);
  EXPECT_EQ(info.si_code, CLD_EXITED);
  EXPECT_EQ(info.si_pid, child);
  EXPECT_EQ(info.si_uid, getuid());
  EXPECT_EQ(info.si_status, 11);
  info = {};
  MUST(waitid(P_ALL, 0, &info, WEXITED));
  EXPECT_EQ(info.si_pid, child);
  EXPECT_ERRNO(waitid(P_ALL, 0, &info, WEXITED), ECHILD);
  EXPECT_ERRNO(waitid(P_ALL, 0, &info, 0), EINVAL);
}

CASE("wait", "children are not kept where SIGCHLD is ignored") {
  std::signal(SIGCHLD, SIG_IGN);
  start_child([] { return 1; });
  EXPECT_ERRNO(wait(nullptr), ECHILD);
}

CASE("wait", "SIGCHLD tells who and how") {
  static volatile int code;
  static volatile int status;
  static volatile pid_t who;
  struct sigaction action = {};
  action.sa_flags = SA_SIGINFO;
  action.sa_sigaction = [](int, siginfo_t* info, void*) {
    code = info->si_code;
    status = info->si_status;
    who = info->si_pid;
  };
  MUST(sigaction(SIGCHLD, &action, nullptr));
  pid_t child = start_child([] { return 13; });
  while (waitpid(child, nullptr, 0) != child) {
  }
  EXPECT_EQ(code, CLD_EXITED);
  EXPECT_EQ(status, 13);
  EXPECT_EQ(who, child);
  child = start_child([] { kill(getpid(), SIGTERM); });
  while (waitpid(child, nullptr, 0) != child) {
  }
  EXPECT_EQ(code, CLD_KILLED);
  EXPECT_EQ(status, SIGTERM);
}

CASE("wait", "an orphan gets another parent") {
  int ends[2];
  MUST(pipe(ends));
  in_child([&ends] {
    const pid_t parent = getpid();
    start_child([parent, &ends] {
      for (int i = 0; i < 2000 && getppid() == parent; i++) {
        usleep(1000);
      }
      const char verdict = getppid() != parent ? 'y' : 'n';
      EXPECT_EQ(write(ends[1], &verdict, 1), 1);
    });
  });
  close(ends[1]);
  char verdict = 0;
  EXPECT_EQ(read(ends[0], &verdict, 1), 1);
  EXPECT_EQ(verdict, 'y');
}

CASE("wait", "the resources of children are told") {
  const pid_t child = start_child([] {
    for (volatile int i = 0; i < 3'000'000; i = i + 1) {
    }
  });
  rusage usage = {};
  int status = 1;
  EXPECT_EQ(wait4(child, &status, 0, &usage), child);
  EXPECT_EQ(status, 0);
  EXPECT(usage.ru_utime.tv_sec >= 0 && usage.ru_utime.tv_usec < 1'000'000);
  EXPECT(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec + usage.ru_utime.tv_sec > 0);
}

CASE("process groups", "setsid, setpgid and their errors") {
  in_child([] {
    MUST(setsid());
    EXPECT_EQ(getsid(0), getpid());
    EXPECT_EQ(getpgrp(), getpid());
    EXPECT_ERRNO(setsid(), EPERM);
    EXPECT_ERRNO(setpgid(0, 0), EPERM);
    const Turns turns;
    const pid_t child = start_child([&turns] { turns.await_parent(); });
    EXPECT_EQ(getpgid(child), getpid());
    MUST(setpgid(child, 0));
    EXPECT_EQ(getpgid(child), child);
    turns.give_child();
    EXPECT_EQ(status_of(child), 0);
    EXPECT_ERRNO(setpgid(child, 0), ESRCH);
    EXPECT_ERRNO(getpgid(child), ESRCH);
    EXPECT_ERRNO(setpgid(0, -1), EINVAL);
  });
}

CASE("process groups", "a signal to a group reaches all of it") {
  const Turns turns;
  const pid_t leader = start_child([&turns] {
    setpgid(0, 0);
    const pid_t member = start_child([] { pause(); });
    turns.give_parent();
    const int status = status_of(member);
    return WTERMSIG(status);
  });
  turns.await_child();
  MUST(kill(-leader, SIGTERM));
  EXPECT_EQ(WTERMSIG(status_of(leader)), SIGTERM);
  for (int i = 0; i < 2000 && kill(-leader, 0) == 0; i++) {
    usleep(1000);  // until who adopted the member has waited for it
  }
}

CASE("process groups", "who is not there, or not mine") {
  EXPECT_ERRNO(kill(0x3FFFFF, SIGTERM), ESRCH);
  EXPECT_ERRNO(kill(-0x3FFFFF, SIGTERM), ESRCH);
  EXPECT_ERRNO(kill(getpid(), 65), EINVAL);
  EXPECT_ERRNO(kill(getpid(), -1), EINVAL);
  MUST(kill(getpid(), 0));
  if (geteuid() == 0) {
    const Turns turns;
    const pid_t target = start_child([&turns] { turns.await_parent(); });
    in_child([target] {
      MUST(setuid(65534));
      EXPECT_ERRNO(kill(target, SIGTERM), EPERM);
      EXPECT_ERRNO(kill(target, 0), EPERM);
    });
    turns.give_child();
    EXPECT_EQ(status_of(target), 0);
  }
}

}  // namespace
}  // namespace guest
