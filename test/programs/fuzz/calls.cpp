#include "calls.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csetjmp>
#include <csignal>
#include <cstring>
#include <initializer_list>

#include "random.hpp"

namespace guest {

namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kArenaPages = 256;  // where memory calls start; they end in as many more above
constexpr std::uint64_t kScratch = 4096;    // bytes of arguments that pointers lead to

// What an argument is drawn from.
enum class Kind : std::uint8_t {
  none,
  wild,
  file,
  path,
  arena,   // an address in the arena
  length,  // of memory
  buffer,  // of scratch, filled with random words
  count,   // of bytes to read or write
  small,   // 0 to 15
  offset,  // in a file
  prot,
  map_flags,
  open_flags,
  signal,
  pid,
  mode,
  mask_size,
  time,  // a short struct timespec
  bits,  // a few random flags
};

struct Call {
  long number;
  Kind arguments[6];
};

using enum Kind;

constexpr Call kCalls[] = {
    {SYS_mmap, {arena, length, prot, map_flags, file, offset}},
    {SYS_mmap, {arena, length, prot, map_flags, file, offset}},
    {SYS_mmap, {arena, length, prot, map_flags, file, offset}},
    {SYS_munmap, {arena, length, none, none, none, none}},
    {SYS_munmap, {arena, length, none, none, none, none}},
    {SYS_mprotect, {arena, length, prot, none, none, none}},
    {SYS_mprotect, {arena, length, prot, none, none, none}},
    {SYS_mremap, {arena, length, length, small, arena, none}},
    {SYS_madvise, {arena, length, small, none, none, none}},
    {SYS_msync, {arena, length, small, none, none, none}},
    {SYS_mincore, {arena, length, buffer, none, none, none}},
    {SYS_mlock, {arena, length, none, none, none, none}},
    {SYS_munlock, {arena, length, none, none, none, none}},
    {SYS_shmget, {small, length, mode, none, none, none}},
    {SYS_shmget, {small, length, bits, none, none, none}},
    {SYS_shmat, {small, arena, bits, none, none, none}},
    {SYS_shmdt, {arena, none, none, none, none, none}},
    {SYS_shmctl, {small, small, buffer, none, none, none}},
    {SYS_memfd_create, {path, small, none, none, none, none}},
    {SYS_process_vm_readv, {pid, buffer, small, buffer, small, none}},
    {SYS_read, {file, buffer, count, none, none, none}},
    {SYS_read, {file, arena, count, none, none, none}},
    {SYS_write, {file, buffer, count, none, none, none}},
    {SYS_write, {file, arena, count, none, none, none}},
    {SYS_pread64, {file, arena, count, offset, none, none}},
    {SYS_pwrite64, {file, arena, count, offset, none, none}},
    {SYS_readv, {file, buffer, small, none, none, none}},
    {SYS_writev, {file, buffer, small, none, none, none}},
    {SYS_lseek, {file, offset, small, none, none, none}},
    {SYS_open, {path, open_flags, mode, none, none, none}},
    {SYS_open, {path, open_flags, mode, none, none, none}},
    {SYS_openat, {file, path, open_flags, mode, none, none}},
    {SYS_close, {file, none, none, none, none, none}},
    {SYS_dup, {file, none, none, none, none, none}},
    {SYS_dup2, {file, file, none, none, none, none}},
    {SYS_dup3, {file, file, open_flags, none, none, none}},
    {SYS_fcntl, {file, small, small, none, none, none}},
    {SYS_ioctl, {file, bits, buffer, none, none, none}},
    {SYS_pipe2, {buffer, open_flags, none, none, none, none}},
    {SYS_fstat, {file, buffer, none, none, none, none}},
    {SYS_stat, {path, buffer, none, none, none, none}},
    {SYS_lstat, {path, arena, none, none, none, none}},
    {SYS_statx, {file, path, bits, bits, buffer, none}},
    {SYS_newfstatat, {file, path, buffer, bits, none, none}},
    {SYS_access, {path, small, none, none, none, none}},
    {SYS_ftruncate, {file, offset, none, none, none, none}},
    {SYS_truncate, {path, offset, none, none, none, none}},
    {SYS_mkdir, {path, mode, none, none, none, none}},
    {SYS_rmdir, {path, none, none, none, none, none}},
    {SYS_unlink, {path, none, none, none, none, none}},
    {SYS_unlinkat, {file, path, bits, none, none, none}},
    {SYS_rename, {path, path, none, none, none, none}},
    {SYS_link, {path, path, none, none, none, none}},
    {SYS_symlink, {path, path, none, none, none, none}},
    {SYS_readlink, {path, buffer, count, none, none, none}},
    {SYS_mknod, {path, mode, wild, none, none, none}},
    {SYS_chmod, {path, mode, none, none, none, none}},
    {SYS_fchmod, {file, mode, none, none, none, none}},
    {SYS_getdents64, {file, buffer, count, none, none, none}},
    {SYS_chdir, {path, none, none, none, none, none}},
    {SYS_getcwd, {buffer, count, none, none, none, none}},
    {SYS_utimensat, {file, path, buffer, bits, none, none}},
    {SYS_sendfile, {file, file, buffer, count, none, none}},
    {SYS_poll, {buffer, small, small, none, none, none}},
    {SYS_ppoll, {buffer, small, time, buffer, mask_size, none}},
    {SYS_select, {small, buffer, buffer, buffer, time, none}},
    {SYS_rt_sigaction, {signal, buffer, buffer, mask_size, none, none}},
    {SYS_rt_sigprocmask, {small, buffer, buffer, mask_size, none, none}},
    {SYS_rt_sigpending, {buffer, mask_size, none, none, none, none}},
    {SYS_rt_sigtimedwait, {buffer, buffer, time, mask_size, none, none}},
    {SYS_rt_sigqueueinfo, {pid, signal, buffer, none, none, none}},
    {SYS_sigaltstack, {buffer, buffer, none, none, none, none}},
    {SYS_kill, {pid, signal, none, none, none, none}},
    {SYS_tgkill, {pid, pid, signal, none, none, none}},
    {SYS_getpgid, {pid, none, none, none, none, none}},
    {SYS_wait4, {pid, buffer, small, buffer, none, none}},
    {SYS_waitid, {small, pid, buffer, bits, buffer, none}},
    {SYS_nanosleep, {time, buffer, none, none, none, none}},
    {SYS_clock_gettime, {small, buffer, none, none, none, none}},
    {SYS_clock_nanosleep, {small, none, time, buffer, none, none}},
    {SYS_getitimer, {small, buffer, none, none, none, none}},
    {SYS_getrusage, {small, buffer, none, none, none, none}},
    {SYS_prlimit64, {pid, small, none, buffer, none, none}},
    {SYS_uname, {arena, none, none, none, none, none}},
    {SYS_sysinfo, {arena, none, none, none, none, none}},
    {SYS_getrandom, {arena, count, small, none, none, none}},
    {SYS_sched_yield, {none, none, none, none, none, none}},
    {SYS_sched_getaffinity, {pid, count, buffer, none, none, none}},
    {SYS_prctl, {small, buffer, wild, wild, wild, none}},
    {SYS_umask, {mode, none, none, none, none, none}},
    {SYS_futex, {arena, small, small, time, arena, small}},
    {SYS_execve, {path, buffer, buffer, none, none, none}},
};

// Not to be called with wild arguments: they end the process without a trace, wait for ever, take the watchdog away, or
// reach beyond the process and its children.
constexpr long kNever[] = {
    SYS_exit,
    SYS_exit_group,
    SYS_pause,
    SYS_rt_sigsuspend,
    SYS_kill,
    SYS_tkill,
    SYS_tgkill,
    SYS_reboot,
    SYS_setsid,
    SYS_setpgid,
    SYS_alarm,
    SYS_sync,
    SYS_setitimer,
    SYS_ptrace,
    SYS_vfork,
    SYS_rt_sigreturn,
    SYS_vhangup,
    SYS_pidfd_send_signal,
    SYS_clone3,
    SYS_clone,
    SYS_fork,
    SYS_rt_sigqueueinfo,
    SYS_rt_tgsigqueueinfo,
    SYS_setrlimit,
    SYS_prlimit64,
    SYS_timer_create,
    SYS_io_setup,
    SYS_perf_event_open,
    SYS_bpf,
    SYS_userfaultfd,
    SYS_seccomp,
};

constexpr const char* kPaths[] = {
    "a",
    "b",
    "c",
    "dir",
    "dir/a",
    "dir/b",
    "dir/sub",
    "dir/sub/x",
    "link",
    "fifo",
    ".",
    "..",
    "/dev/zero",
    "/dev/null",
    "/nowhere",
    "",
    "a/b",
    "/proc/self/maps",
    "/proc/self/status",
    "/proc/self/stat",
    "/proc/self/fd",
    "/proc/self/exe",
    "/proc/meminfo",
    "/proc",
    "/proc/self/cmdline",
    "/dev",
    "/",
};

constexpr int kSignals[] = {SIGUSR1, SIGUSR2, SIGHUP, SIGCHLD, SIGURG, SIGWINCH, SIGPIPE,
                            SIGTERM, 34,      35,     40,      64,     0,        65};

sigjmp_buf recovery;
volatile bool touching = false;
alignas(16) char handler_stack[32768];

void on_fault(int signal) {
  if (touching) {
    siglongjmp(recovery, 1);
  }
  std::signal(signal, SIG_DFL);  // it has lost memory of its own: the same again ends it
}
void on_watchdog(int /*signal*/) {}

long raw_call(long number, const std::uint64_t (&arguments)[6]) {
  long result = number;
  register std::uint64_t r10 asm("r10") = arguments[3];
  register std::uint64_t r8 asm("r8") = arguments[4];
  register std::uint64_t r9 asm("r9") = arguments[5];
  asm volatile("syscall"
               : "+a"(result)
               : "D"(arguments[0]), "S"(arguments[1]), "d"(arguments[2]), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
}

class Fuzzer {
 public:
  Fuzzer(std::uint64_t seed, volatile std::uint64_t* made) : random_(seed), made_(made) {
    arena_ = reinterpret_cast<std::uint64_t>(
        mmap(nullptr, 2 * kArenaPages * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    scratch_ = static_cast<std::uint64_t*>(
        mmap(nullptr, 2 * kScratch, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  }

  void step() {
    switch (random_.below(16)) {
      case 0:
        return touch();
      case 1:
        return random_.one_in(12) ? fork_once() : touch();
      case 2:
        return random_.one_in(8) ? wild_call() : plausible_call();
      case 3:
        return random_.one_in(4) ? set_break() : plausible_call();
      default:
        return plausible_call();
    }
  }

 private:
  // A number that lies near where programs and kernels go wrong.
  std::uint64_t wild_value() {
    constexpr std::uint64_t kEdges[] = {0,
                                        1,
                                        0x7F,
                                        0xFFF,
                                        0x1000,
                                        0x7FFF'FFFF,
                                        0x8000'0000,
                                        0xFFFF'FFFF,
                                        0x0000'7FFF'FFFF'F000,
                                        0x0000'8000'0000'0000,
                                        0x7FFF'FFFF'FFFF'FFFF,
                                        0xFFFF'8000'0000'0000,
                                        0xFFFF'FC7F'FFDF'F000,
                                        0xFFFF'FD00'0000'0000,
                                        0xFFFF'FFFF'FB80'0000,
                                        0xFFFF'FFFF'FFFF'F000,
                                        0xFFFF'FFFF'FFFF'FFFF};
    switch (random_.below(4)) {
      case 0:
        return random_.next();
      case 1:
        return random_.next() >> random_.below(64);
      case 2:
        return random_.of(kEdges) + random_.below(17) - 8;
      default:
        return random_.of(kEdges);
    }
  }

  std::uint64_t buffer_value() {
    for (unsigned i = 0; i < 8; i++) {
      scratch_[random_.below(kScratch / 8)] =
          random_.one_in(2) ? wild_value() : arena_ + random_.below(kArenaPages * kPage);
    }
    // Now and then near the end of the two pages, or just past it.
    return reinterpret_cast<std::uint64_t>(scratch_) +
           (random_.one_in(16) ? 2 * kScratch - random_.below(32) : random_.below(kScratch));
  }

  std::uint64_t time_value() {
    scratch_[0] = 0;
    scratch_[1] = random_.below(2) * random_.below(50'000);
    return reinterpret_cast<std::uint64_t>(scratch_);
  }

  std::uint64_t map_flags_value() {
    std::uint64_t flags = random_.one_in(2) ? MAP_PRIVATE : MAP_SHARED;
    flags |= random_.one_in(3) ? 0 : MAP_ANONYMOUS;
    // Without it a mapping may go anywhere, and is never found again.
    flags |= random_.one_in(20) ? 0 : random_.one_in(8) ? MAP_FIXED_NOREPLACE : MAP_FIXED;
    flags |= random_.one_in(8) ? MAP_POPULATE : 0;
    flags |= random_.one_in(8) ? MAP_NORESERVE : 0;
    flags |= random_.one_in(30) ? MAP_GROWSDOWN : 0;
    return random_.one_in(50) ? flags ^ (1ULL << random_.below(32)) : flags;
  }

  std::uint64_t value(Kind kind) {
    if (random_.one_in(64)) {
      kind = Kind::wild;
    }
    switch (kind) {
      case none:
        return 0;
      case wild:
        return wild_value();
      case file:
        return random_.one_in(20) ? static_cast<std::uint64_t>(-100) : 3 + random_.below(24);
      case path:
        return reinterpret_cast<std::uint64_t>(random_.of(kPaths));
      case arena:
        return arena_ + random_.below(kArenaPages) * kPage + (random_.one_in(4) ? random_.below(kPage) : 0);
      case length:
        return random_.one_in(400) ? wild_value()
                                   : (1 + random_.below(random_.one_in(4) ? 64 : 6)) * kPage -
                                         (random_.one_in(4) ? random_.below(kPage) : 0);
      case buffer:
        return buffer_value();
      case count:
        return random_.one_in(200) ? random_.below(200'000) : random_.below(5000);
      case small:
        return random_.below(16);
      case offset:
        return random_.one_in(8) ? wild_value() : random_.below(16) * (random_.one_in(3) ? 1000 : kPage);
      case prot:
        return random_.one_in(40) ? random_.below(1 << 20) : random_.below(8);
      case map_flags:
        return map_flags_value();
      case open_flags:
        // Never waiting; no other flag of open is dangerous.
        return O_NONBLOCK | random_.below(4) | (random_.one_in(2) ? O_CREAT : 0) | (random_.one_in(6) ? O_TRUNC : 0) |
               (random_.one_in(6) ? O_APPEND : 0) | (random_.one_in(4) ? O_CLOEXEC : 0) |
               (random_.one_in(20) ? random_.below(1 << 22) : 0);
      case signal:
        return static_cast<std::uint64_t>(random_.of(kSignals));
      case pid:
        return random_.one_in(3) ? static_cast<std::uint64_t>(getpid()) : random_.one_in(2) ? 0 : 0x3FFF00;
      case mode:
        return random_.below(01000) | (random_.one_in(4) ? random_.below(16) << 12 : 0) | 0600;
      case mask_size:
        return random_.one_in(50) ? wild_value() : 8;
      case time:
        return time_value();
      case bits:
        return random_.one_in(2) ? 0 : 1ULL << random_.below(16);
    }
    return 0;
  }

  void call(long number, const std::uint64_t (&arguments)[6]) {
    raw_call(number, arguments);
    *made_ = *made_ + 1;
  }

  void plausible_call() {
    const Call& one = random_.of(kCalls);
    // Mostly the end of the process, or on the way to it.
    const bool risky = one.number == SYS_execve || one.number == SYS_kill || one.number == SYS_tgkill ||
                       one.number == SYS_rt_sigqueueinfo || one.number == SYS_rt_sigaction;
    if (risky && !random_.one_in(40)) {
      return;
    }
    std::uint64_t arguments[6];
    for (unsigned i = 0; i < 6; i++) {
      arguments[i] = value(one.arguments[i]);
    }
    if (one.number == SYS_wait4) {
      arguments[0] = ~0ULL;
      arguments[2] |= 1;  // WNOHANG
    } else if (one.number == SYS_waitid) {
      arguments[3] |= 1;
    } else if (one.number == SYS_kill || one.number == SYS_tgkill || one.number == SYS_rt_sigqueueinfo) {
      // Only itself: a wild pid may be all others.
      arguments[0] = static_cast<std::uint64_t>(getpid());
    } else if (one.number == SYS_rt_sigaction && arguments[0] != SIGUSR1 && arguments[0] != SIGUSR2 &&
               arguments[0] < 32) {
      arguments[0] = SIGUSR1;  // the watchdog's and the faults' handlers stay
    } else if (one.number == SYS_futex) {
      arguments[1] &= 1;  // wait or wake, with a time
    } else if (one.number == SYS_poll) {
      arguments[2] &= 1;
    }
    call(one.number, arguments);
    if (one.number == SYS_rt_sigprocmask) {
      keep_watch();
    }
  }

  // Faults and the watchdog must get through.
  static void keep_watch() {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : {SIGSEGV, SIGBUS, SIGALRM}) {
      sigaddset(&set, signal);
    }
    sigprocmask(SIG_UNBLOCK, &set, nullptr);
  }

  void wild_call() {
    const auto number = static_cast<long>(random_.one_in(10) ? wild_value() : random_.below(460));
    for (const long never : kNever) {
      if ((number & 0xFFFF'FFFF) == never) {
        return;
      }
    }
    std::uint64_t arguments[6];
    for (std::uint64_t& argument : arguments) {
      argument = random_.one_in(2) ? wild_value() : value(random_.one_in(2) ? buffer : arena);
    }
    call(number, arguments);
  }

  void touch() {
    if (sigsetjmp(recovery, 1) == 0) {
      touching = true;
      auto* byte = reinterpret_cast<volatile char*>(arena_ + random_.below(kArenaPages * kPage));
      if (random_.one_in(2)) {
        *byte = static_cast<char>(random_.next());
      } else {
        [[maybe_unused]] const char value = *byte;
      }
    }
    touching = false;
  }

  void set_break() {
    const std::uint64_t nothing[6] = {};
    const auto end = static_cast<std::uint64_t>(raw_call(SYS_brk, nothing));
    const std::uint64_t arguments[6] = {random_.one_in(10) ? wild_value() : end + random_.below(64) * 1000 - 20'000};
    call(SYS_brk, arguments);
  }

  // A child that goes on for a little while; it is not waited for at once.
  void fork_once() {
    *made_ = *made_ + 1;
    const pid_t child = fork();
    if (child == 0) {
      if (depth_ < 3) {
        depth_++;
        for (std::uint64_t i = random_.below(60); i > 0; i--) {
          step();
        }
      }
      _exit(0);
    }
    if (random_.one_in(2)) {
      while (waitpid(-1, nullptr, WNOHANG) > 0) {
      }
    }
  }

  Random random_;
  volatile std::uint64_t* made_;
  std::uint64_t arena_ = 0;
  std::uint64_t* scratch_ = nullptr;
  int depth_ = 0;
};

void prepare() {
  stack_t stack = {};
  stack.ss_sp = handler_stack;
  stack.ss_size = sizeof handler_stack;
  sigaltstack(&stack, nullptr);
  struct sigaction action = {};
  action.sa_handler = on_fault;
  action.sa_flags = SA_ONSTACK;
  sigaction(SIGSEGV, &action, nullptr);
  sigaction(SIGBUS, &action, nullptr);
  // Ends what waits, unless the process takes care that it does not: then its parent kills it.
  action.sa_handler = on_watchdog;
  sigaction(SIGALRM, &action, nullptr);
  const itimerval often = {{0, 4'000}, {0, 4'000}};
  setitimer(ITIMER_REAL, &often, nullptr);
  for (const int signal : {SIGPIPE, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGXFSZ}) {
    std::signal(signal, SIG_IGN);
  }
  for (int signal = SIGRTMIN; signal <= SIGRTMAX; signal++) {
    std::signal(signal, SIG_IGN);
  }
}

}  // namespace

void fuzz_calls(std::uint64_t seed, std::uint64_t calls, volatile std::uint64_t* made) {
  prepare();
  Fuzzer fuzzer(seed, made);
  for (std::uint64_t steps = 0; *made < calls && steps < 4 * calls; steps++) {
    fuzzer.step();
  }
  _exit(0);
}

}  // namespace guest
