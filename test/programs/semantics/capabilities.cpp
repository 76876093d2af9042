// The superuser's rights one by one: how they go, and come back, with ids; what goes without them.
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>

#include "../support/memory.hpp"
#include "../support/process.hpp"

namespace guest {
namespace {

constexpr unsigned kNobody = 65534;
constexpr std::uint64_t kAll = (1ULL << 41) - 1;
constexpr std::uint64_t bit(unsigned capability) { return 1ULL << capability; }

struct Sets {
  std::uint64_t effective;
  std::uint64_t permitted;
  std::uint64_t inheritable;
};

long get(Sets& sets, int process = 0) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, process};
  __user_cap_data_struct words[2] = {};
  const long result = syscall(SYS_capget, &header, words);
  sets = {words[0].effective | std::uint64_t{words[1].effective} << 32,
          words[0].permitted | std::uint64_t{words[1].permitted} << 32,
          words[0].inheritable | std::uint64_t{words[1].inheritable} << 32};
  return result;
}

long set(const Sets& sets, int process = 0) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, process};
  __user_cap_data_struct words[2] = {};
  for (unsigned i = 0; i < 2; i++) {
    words[i] = {static_cast<__u32>(sets.effective >> (32 * i)), static_cast<__u32>(sets.permitted >> (32 * i)),
                static_cast<__u32>(sets.inheritable >> (32 * i))};
  }
  return syscall(SYS_capset, &header, words);
}

Sets now() {
  Sets sets = {};
  MUST(get(sets));
  return sets;
}

CASE("capabilities", "the superuser has all") {
  const Sets sets = now();
  EXPECT_EQ(sets.effective, kAll);
  EXPECT_EQ(sets.permitted, kAll);
  EXPECT_EQ(sets.inheritable, 0);
}

CASE("capabilities", "an unknown version is answered with the known one") {
  __user_cap_header_struct header = {1, 0};
  EXPECT_EQ(syscall(SYS_capget, &header, nullptr), 0);
  EXPECT_EQ(header.version, _LINUX_CAPABILITY_VERSION_3);
  __user_cap_data_struct words[2] = {};
  header.version = 1;
  EXPECT_ERRNO(syscall(SYS_capget, &header, words), EINVAL);
  header.version = 1;
  EXPECT_ERRNO(syscall(SYS_capset, &header, words), EINVAL);
}

CASE("capabilities", "wrong processes and addresses") {
  Sets sets = {};
  EXPECT_ERRNO(get(sets, -1), EINVAL);
  EXPECT_ERRNO(get(sets, 30000), ESRCH);
  EXPECT_ERRNO(set(now(), 30000), EPERM);
  EXPECT_ERRNO(syscall(SYS_capget, 8, nullptr), EFAULT);
  EXPECT_EQ(set(now(), getpid()), 0);
}

CASE("capabilities", "what is given up does not come back") {
  EXPECT_EQ(set({kAll & ~bit(CAP_KILL), kAll & ~bit(CAP_KILL), 0}), 0);
  EXPECT_EQ(now().effective, kAll & ~bit(CAP_KILL));
  EXPECT_ERRNO(set({kAll, kAll, 0}), EPERM);
  EXPECT_EQ(set({0, kAll & ~bit(CAP_KILL), 0}), 0);
  EXPECT_ERRNO(set({bit(CAP_KILL), kAll & ~bit(CAP_KILL), 0}), EPERM);
  EXPECT_EQ(set({bit(CAP_SETUID), bit(CAP_SETUID), 0}), 0);
  EXPECT_EQ(now().permitted, bit(CAP_SETUID));
}

CASE("capabilities", "leaving the superuser's ids clears them") {
  MUST(setuid(kNobody));
  EXPECT_EQ(now().effective, 0);
  EXPECT_EQ(now().permitted, 0);
  EXPECT_ERRNO(setuid(0), EPERM);
}

CASE("capabilities", "an effective id that goes and comes back") {
  MUST(seteuid(kNobody));
  EXPECT_EQ(now().effective, 0);
  EXPECT_EQ(now().permitted, kAll);
  MUST(seteuid(0));
  EXPECT_EQ(now().effective, kAll);
}

CASE("capabilities", "kept over setuid when asked for") {
  EXPECT_EQ(prctl(PR_GET_KEEPCAPS), 0);
  EXPECT_ERRNO(prctl(PR_SET_KEEPCAPS, 2), EINVAL);
  MUST(prctl(PR_SET_KEEPCAPS, 1));
  EXPECT_EQ(prctl(PR_GET_KEEPCAPS), 1);
  MUST(setuid(kNobody));
  EXPECT_EQ(now().permitted, kAll);
  EXPECT_EQ(now().effective, 0);
  EXPECT_EQ(set({bit(CAP_SETUID), bit(CAP_SETUID), 0}), 0);
  MUST(setuid(0));
}

CASE("capabilities", "without that of files the superuser meets permissions") {
  const int file = static_cast<int>(MUST(open("/tmp/closed", O_CREAT | O_RDWR, 0)));
  MUST(close(file));
  MUST(chown("/tmp/closed", 1, 1));
  MUST(close(static_cast<int>(MUST(open("/tmp/closed", O_RDWR)))));
  MUST(set({0, kAll, 0}));
  EXPECT_ERRNO(open("/tmp/closed", O_RDONLY), EACCES);
  MUST(set({kAll, kAll, 0}));
  MUST(unlink("/tmp/closed"));
}

CASE("capabilities", "an id for files takes that of files away") {
  syscall(SYS_setfsuid, kNobody);
  EXPECT_EQ(now().effective & bit(CAP_DAC_OVERRIDE), 0);
  EXPECT_EQ(now().effective & bit(CAP_KILL), bit(CAP_KILL));
  syscall(SYS_setfsuid, 0);
  EXPECT_EQ(now().effective, kAll);
}

CASE("capabilities", "without them ids, signals, limits and names stay") {
  MUST(set({0, 0, 0}));
  EXPECT_ERRNO(setgroups(0, nullptr), EPERM);
  EXPECT_ERRNO(setuid(kNobody), EPERM);
  EXPECT_ERRNO(sethostname("x", 1), EPERM);
  rlimit limit = {};
  MUST(getrlimit(RLIMIT_NOFILE, &limit));
  limit.rlim_max += 1;
  EXPECT_ERRNO(setrlimit(RLIMIT_NOFILE, &limit), EPERM);
}

CASE("capabilities", "a bound on what exec gives") {
  EXPECT_EQ(prctl(PR_CAPBSET_READ, CAP_KILL), 1);
  EXPECT_ERRNO(prctl(PR_CAPBSET_READ, 63), EINVAL);
  MUST(prctl(PR_CAPBSET_DROP, CAP_KILL));
  EXPECT_EQ(prctl(PR_CAPBSET_READ, CAP_KILL), 0);
  EXPECT_EQ(now().effective, kAll);
  MUST(set({0, kAll, 0}));
  EXPECT_ERRNO(prctl(PR_CAPBSET_DROP, CAP_KILL), EPERM);
}

CASE("capabilities", "inheritable ones come from those permitted") {
  EXPECT_EQ(set({kAll, kAll, bit(CAP_KILL)}), 0);
  EXPECT_EQ(now().inheritable, bit(CAP_KILL));
  MUST(set({0, bit(CAP_SETUID), bit(CAP_KILL)}));
  EXPECT_ERRNO(set({0, bit(CAP_SETUID), bit(CAP_KILL) | bit(CAP_CHOWN)}), EPERM);
  EXPECT_EQ(set({0, bit(CAP_SETUID), 0}), 0);
}

CASE("capabilities", "a child has its parent's") {
  MUST(set({bit(CAP_CHOWN), bit(CAP_CHOWN) | bit(CAP_KILL), 0}));
  in_child([] {
    EXPECT_EQ(now().effective, bit(CAP_CHOWN));
    EXPECT_EQ(now().permitted, bit(CAP_CHOWN) | bit(CAP_KILL));
  });
}

// Whether an image that exec starts has CAP_KILL, which the caller gave up.
int is_given_back_by_exec(bool no_new_privileges) {
  const pid_t child = start_child([no_new_privileges] {
    const Sets held = now();
    MUST(set({held.effective & ~bit(CAP_KILL), held.permitted & ~bit(CAP_KILL), 0}));
    if (no_new_privileges) {
      MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    }
    char name[] = "x";
    char role[] = "SUITE_ROLE=may_kill";
    char* const arguments[] = {name, nullptr};
    char* const environment[] = {role, nullptr};
    execve("/proc/self/exe", arguments, environment);
    return 100;
  });
  return WEXITSTATUS(status_of(child));
}

CASE("capabilities", "exec gives the superuser all back, but for who wants no new ones") {
  EXPECT_EQ(is_given_back_by_exec(false), 1);
  EXPECT_EQ(is_given_back_by_exec(true), 0);
}

// --- what is left of a process's ties when it becomes somebody else

constexpr unsigned kSomebody = 1000;

// A child with a signal for its parent's death, which may be dumped, calls `change`; 1: it still may, 2: it is still
// told.
int ties_after(void (*change)()) {
  const pid_t child = start_child([change] {
    MUST(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
    MUST(prctl(PR_SET_PDEATHSIG, SIGUSR1, 0, 0, 0));
    change();
    int death = 0;
    MUST(prctl(PR_GET_PDEATHSIG, &death, 0, 0, 0));
    return (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 1 ? 1 : 0) | (death != 0 ? 2 : 0);
  });
  return WEXITSTATUS(status_of(child));
}

CASE("ties", "end with another effective user, group, or one for files") {
  EXPECT_EQ(ties_after([] { MUST(syscall(SYS_setresuid, -1, kSomebody, -1)); }), 0);
  EXPECT_EQ(ties_after([] { MUST(syscall(SYS_setresgid, -1, kSomebody, -1)); }), 0);
  EXPECT_EQ(ties_after([] { MUST(syscall(SYS_setuid, kSomebody)); }), 0);
  EXPECT_EQ(ties_after([] { MUST(syscall(SYS_setfsuid, kSomebody)); }), 0);
  EXPECT_EQ(ties_after([] { MUST(syscall(SYS_setfsgid, kSomebody)); }), 0);
}

CASE("ties", "stay where only the real user, other groups or fewer capabilities are") {
  EXPECT_EQ(ties_after([] { MUST(syscall(SYS_setresuid, kSomebody, -1, -1)); }), 3);
  EXPECT_EQ(ties_after([] { MUST(syscall(SYS_setresuid, 0, 0, 0)); }), 3);
  EXPECT_EQ(ties_after([] { MUST(setgroups(0, nullptr)); }), 3);
  EXPECT_EQ(ties_after([] { MUST(set({0, 0, 0})); }), 3);
}

// What the role `who` says of the program that a child executes after `change`.
int who_after_exec(void (*change)()) {
  const pid_t child = start_child([change] {
    MUST(prctl(PR_SET_PDEATHSIG, SIGUSR1, 0, 0, 0));
    change();
    char name[] = "x";
    char role[] = "SUITE_ROLE=who";
    char* const arguments[] = {name, nullptr};
    char* const environment[] = {role, nullptr};
    execve("/proc/self/exe", arguments, environment);
    return 100;
  });
  return WEXITSTATUS(status_of(child));
}

CASE("ties", "exec makes a process that is all its own one that may be dumped") {
  constexpr int kOwn = 1;
  constexpr int kDumpable = 2;
  constexpr int kTold = 4;
  EXPECT_EQ(who_after_exec([] {}), kOwn | kDumpable | kTold);
  EXPECT_EQ(who_after_exec([] { MUST(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)); }), kOwn | kDumpable | kTold);
  EXPECT_EQ(who_after_exec([] { MUST(syscall(SYS_setresuid, kSomebody, kSomebody, kSomebody)); }), kOwn | kDumpable);
  EXPECT_EQ(who_after_exec([] {
              MUST(syscall(SYS_setresuid, kSomebody, -1, -1));
              MUST(prctl(PR_SET_PDEATHSIG, SIGUSR1, 0, 0, 0));
            }),
            0);
}

CASE("ties", "exec without new privileges runs as the real user") {
  EXPECT_EQ(who_after_exec([] {
              MUST(syscall(SYS_setresuid, kSomebody, 0, 0));
              MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
            }) & 1,
            1);
  EXPECT_EQ(who_after_exec([] { MUST(syscall(SYS_setresuid, kSomebody, 0, 0)); }) & 1, 0);
}

}  // namespace
}  // namespace guest
