// Wild pointers, given to every system call that takes pointers: an error, and nothing else happens.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <algorithm>
#include <set>
#include <vector>

#include "../support/memory.hpp"
#include "attempt.hpp"

namespace guest {
namespace {

enum class Kind : std::uint8_t {
  number,
  wild,     // the pointer to try
  buffer,   // memory that may be used
  path,     // "/tmp"
  program,  // "/proc/self/exe"
  zero,     // /dev/zero, open for both
  pipe_in,  // to write to
  pipe_out,
  file,    // an empty file
  folder,  // "/", open
  self,    // getpid()
};

struct Argument {
  Kind kind = Kind::number;
  std::uintptr_t value = 0;
  constexpr Argument(int number) : value(static_cast<std::uintptr_t>(number)) {}  // so that tables read as calls do
  constexpr Argument(Kind k) : kind(k) {}
};

struct Call {
  const char* name;
  long number;
  Argument arguments[6];
  bool null_allowed = false;
};

constexpr Argument W = Kind::wild;
constexpr Argument B = Kind::buffer;
constexpr Argument kPath = Kind::path;
constexpr Argument kProgram = Kind::program;
constexpr Argument kZero = Kind::zero;
constexpr Argument kIn = Kind::pipe_in;
constexpr Argument kOut = Kind::pipe_out;
constexpr Argument kFile = Kind::file;
constexpr Argument kFolder = Kind::folder;
constexpr Argument kSelf = Kind::self;
constexpr Argument kHere = AT_FDCWD;
constexpr int kMask = 8;  // bytes of a signal mask

constexpr Call kCalls[] = {
    {"read", SYS_read, {kZero, W, 16, 0, 0, 0}},
    {"write", SYS_write, {kIn, W, 16, 0, 0, 0}},
    {"write to a file", SYS_write, {kFile, W, 16, 0, 0, 0}},
    {"write of megabytes", SYS_write, {kFile, W, 1 << 24, 0, 0, 0}},
    {"read of megabytes", SYS_read, {kZero, W, 1 << 24, 0, 0, 0}},
    {"pread64", SYS_pread64, {kZero, W, 16, 0, 0, 0}},
    {"pwrite64", SYS_pwrite64, {kFile, W, 16, 0, 0, 0}},
    {"readv", SYS_readv, {kZero, W, 1, 0, 0, 0}},
    {"writev", SYS_writev, {kIn, W, 1, 0, 0, 0}},
    {"open", SYS_open, {W, 0, 0, 0, 0, 0}},
    {"openat", SYS_openat, {kHere, W, 0, 0, 0, 0}},
    {"stat, path", SYS_stat, {W, B, 0, 0, 0, 0}},
    {"stat, result", SYS_stat, {kPath, W, 0, 0, 0, 0}},
    {"lstat, path", SYS_lstat, {W, B, 0, 0, 0, 0}},
    {"lstat, result", SYS_lstat, {kPath, W, 0, 0, 0, 0}},
    {"fstat", SYS_fstat, {kZero, W, 0, 0, 0, 0}},
    {"newfstatat, path", SYS_newfstatat, {kHere, W, B, 0, 0, 0}},
    {"newfstatat, result", SYS_newfstatat, {kHere, kPath, W, 0, 0, 0}},
    {"statx, path", SYS_statx, {kHere, W, 0, 0x7FF, B, 0}},
    {"statx, result", SYS_statx, {kHere, kPath, 0, 0x7FF, W, 0}},
    {"access", SYS_access, {W, 0, 0, 0, 0, 0}},
    {"faccessat", SYS_faccessat, {kHere, W, 0, 0, 0, 0}},
    {"chdir", SYS_chdir, {W, 0, 0, 0, 0, 0}},
    {"mkdir", SYS_mkdir, {W, 0, 0, 0, 0, 0}},
    {"mkdirat", SYS_mkdirat, {kHere, W, 0, 0, 0, 0}},
    {"mknod", SYS_mknod, {W, S_IFIFO, 0, 0, 0, 0}},
    {"rmdir", SYS_rmdir, {W, 0, 0, 0, 0, 0}},
    {"unlink", SYS_unlink, {W, 0, 0, 0, 0, 0}},
    {"unlinkat", SYS_unlinkat, {kHere, W, 0, 0, 0, 0}},
    {"rename, from", SYS_rename, {W, kPath, 0, 0, 0, 0}},
    {"rename, to", SYS_rename, {kPath, W, 0, 0, 0, 0}},
    {"link, from", SYS_link, {W, kPath, 0, 0, 0, 0}},
    {"link, to", SYS_link, {kProgram, W, 0, 0, 0, 0}},
    {"symlink, text", SYS_symlink, {W, kPath, 0, 0, 0, 0}},
    {"symlink, path", SYS_symlink, {kPath, W, 0, 0, 0, 0}},
    {"readlink, path", SYS_readlink, {W, B, 64, 0, 0, 0}},
    {"readlink, result", SYS_readlink, {kProgram, W, 64, 0, 0, 0}},
    {"chmod", SYS_chmod, {W, 0, 0, 0, 0, 0}},
    {"chown", SYS_chown, {W, 0, 0, 0, 0, 0}},
    {"truncate", SYS_truncate, {W, 0, 0, 0, 0, 0}},
    {"utimensat, path", SYS_utimensat, {kHere, W, 0, 0, 0, 0}, true},
    {"utimensat, times", SYS_utimensat, {kHere, kPath, W, 0, 0, 0}, true},
    {"statfs, path", SYS_statfs, {W, B, 0, 0, 0, 0}},
    {"statfs, result", SYS_statfs, {kPath, W, 0, 0, 0, 0}},
    {"getcwd", SYS_getcwd, {W, 4096, 0, 0, 0, 0}},
    {"getdents64", SYS_getdents64, {kFolder, W, 4096, 0, 0, 0}},
    {"pipe", SYS_pipe, {W, 0, 0, 0, 0, 0}},
    {"pipe2", SYS_pipe2, {W, 0, 0, 0, 0, 0}},
    {"poll", SYS_poll, {W, 1, 0, 0, 0, 0}},
    {"poll of many", SYS_poll, {W, 1000, 0, 0, 0, 0}},
    {"ppoll, time", SYS_ppoll, {B, 0, W, 0, kMask, 0}, true},
    {"ppoll, mask", SYS_ppoll, {B, 0, B, W, kMask, 0}, true},
    {"select, files", SYS_select, {64, W, 0, 0, B, 0}, true},
    {"select, time", SYS_select, {0, 0, 0, 0, W, 0}, true},
    {"ioctl", SYS_ioctl, {kOut, FIONREAD, W, 0, 0, 0}},
    {"fcntl", SYS_fcntl, {kFile, F_GETLK, W, 0, 0, 0}},
    {"sendfile", SYS_sendfile, {kIn, kFile, W, 16, 0, 0}, true},
    {"clock_gettime", SYS_clock_gettime, {1, W, 0, 0, 0, 0}},
    {"clock_getres", SYS_clock_getres, {1, W, 0, 0, 0, 0}, true},
    {"gettimeofday", SYS_gettimeofday, {W, 0, 0, 0, 0, 0}, true},
    {"time", SYS_time, {W, 0, 0, 0, 0, 0}, true},
    {"times", SYS_times, {W, 0, 0, 0, 0, 0}, true},
    {"nanosleep", SYS_nanosleep, {W, 0, 0, 0, 0, 0}},
    {"clock_nanosleep", SYS_clock_nanosleep, {1, 0, W, 0, 0, 0}},
    {"setitimer", SYS_setitimer, {0, W, 0, 0, 0, 0}, true},
    {"setitimer, old", SYS_setitimer, {0, B, W, 0, 0, 0}, true},
    {"getitimer", SYS_getitimer, {0, W, 0, 0, 0, 0}},
    {"uname", SYS_uname, {W, 0, 0, 0, 0, 0}},
    {"sysinfo", SYS_sysinfo, {W, 0, 0, 0, 0, 0}},
    {"getrusage", SYS_getrusage, {0, W, 0, 0, 0, 0}},
    {"getrlimit", SYS_getrlimit, {RLIMIT_NOFILE, W, 0, 0, 0, 0}},
    {"setrlimit", SYS_setrlimit, {RLIMIT_NOFILE, W, 0, 0, 0, 0}},
    {"prlimit64, new", SYS_prlimit64, {0, RLIMIT_NOFILE, W, 0, 0, 0}, true},
    {"prlimit64, old", SYS_prlimit64, {0, RLIMIT_NOFILE, 0, W, 0, 0}, true},
    {"rt_sigaction, new", SYS_rt_sigaction, {SIGUSR1, W, 0, kMask, 0, 0}, true},
    {"rt_sigaction, old", SYS_rt_sigaction, {SIGUSR1, 0, W, kMask, 0, 0}, true},
    {"rt_sigprocmask, new", SYS_rt_sigprocmask, {SIG_BLOCK, W, 0, kMask, 0, 0}, true},
    {"rt_sigprocmask, old", SYS_rt_sigprocmask, {SIG_BLOCK, 0, W, kMask, 0, 0}, true},
    {"rt_sigpending", SYS_rt_sigpending, {W, kMask, 0, 0, 0, 0}},
    {"rt_sigsuspend", SYS_rt_sigsuspend, {W, kMask, 0, 0, 0, 0}},
    {"rt_sigtimedwait, mask", SYS_rt_sigtimedwait, {W, 0, B, kMask, 0, 0}},
    {"rt_sigtimedwait, time", SYS_rt_sigtimedwait, {B, 0, W, kMask, 0, 0}, true},
    {"rt_sigqueueinfo", SYS_rt_sigqueueinfo, {kSelf, SIGURG, W, 0, 0, 0}},
    {"sigaltstack, new", SYS_sigaltstack, {W, 0, 0, 0, 0, 0}, true},
    {"sigaltstack, old", SYS_sigaltstack, {0, W, 0, 0, 0, 0}, true},
    {"execve, path", SYS_execve, {W, 0, 0, 0, 0, 0}},
    {"execve, arguments", SYS_execve, {kProgram, W, 0, 0, 0, 0}, true},
    {"execve, environment", SYS_execve, {kProgram, 0, W, 0, 0, 0}, true},
    {"arch_prctl", SYS_arch_prctl, {0x1003, W, 0, 0, 0, 0}},
    {"prctl, set", SYS_prctl, {15, W, 0, 0, 0, 0}},
    {"prctl, get", SYS_prctl, {16, W, 0, 0, 0, 0}},
    {"getrandom", SYS_getrandom, {W, 16, 0, 0, 0, 0}},
    {"getresuid", SYS_getresuid, {W, B, B, 0, 0, 0}},
    {"getresuid, last", SYS_getresuid, {B, B, W, 0, 0, 0}},
    {"setgroups", SYS_setgroups, {1, W, 0, 0, 0, 0}},
    {"futex", SYS_futex, {W, 0, 0, 0, 0, 0}},
    {"sched_getaffinity", SYS_sched_getaffinity, {0, 128, W, 0, 0, 0}},
    {"mount", SYS_mount, {W, W, W, 0, W, 0}},
    {"umount2", SYS_umount2, {W, 0, 0, 0, 0, 0}},
    {"chroot", SYS_chroot, {W, 0, 0, 0, 0, 0}},
    {"sethostname", SYS_sethostname, {W, 16, 0, 0, 0, 0}},
};

class Values {
 public:
  Values() {
    int ends[2];
    MUST(pipe2(ends, O_NONBLOCK));
    out_ = ends[0];
    in_ = ends[1];
    zero_ = static_cast<int>(MUST(open("/dev/zero", O_RDWR)));
    file_ = folder_.file("file", "some text to send");
    MUST(lseek(file_, 0, SEEK_SET));
    root_ = static_cast<int>(MUST(open("/", O_RDONLY | O_DIRECTORY)));
    buffer_ = map(16 * kPage);
  }

  [[nodiscard]] std::uintptr_t value(const Argument& argument, std::uintptr_t wild) const {
    switch (argument.kind) {
      case Kind::number:
        return argument.value;
      case Kind::wild:
        return wild;
      case Kind::buffer:
        return value_of(buffer_);
      case Kind::path:
        return value_of("/tmp");
      case Kind::program:
        return value_of("/proc/self/exe");
      case Kind::zero:
        return static_cast<std::uintptr_t>(zero_);
      case Kind::pipe_in:
        return static_cast<std::uintptr_t>(in_);
      case Kind::pipe_out:
        return static_cast<std::uintptr_t>(out_);
      case Kind::file:
        return static_cast<std::uintptr_t>(file_);
      case Kind::folder:
        return static_cast<std::uintptr_t>(root_);
      case Kind::self:
        return static_cast<std::uintptr_t>(getpid());
    }
    return 0;
  }

  [[nodiscard]] long call(const Call& call, std::uintptr_t wild) const {
    std::uintptr_t values[6];
    std::transform(std::begin(call.arguments), std::end(call.arguments), values,
                   [&](const Argument& argument) { return value(argument, wild); });
    return raw_call(call.number, values[0], values[1], values[2], values[3], values[4], values[5]);
  }

 private:
  Folder folder_;
  int zero_ = -1;
  int in_ = -1;
  int out_ = -1;
  int file_ = -1;
  int root_ = -1;
  char* buffer_ = nullptr;
};

void attempt(const Call& call) {
  const Values values;
  std::set<std::string> errors;
  for (const WildPointer& pointer : wild_pointers()) {
    if (pointer.address == 0 && call.null_allowed) {
      continue;
    }
    const long result = values.call(call, pointer.address);
    if (result >= 0 || result < -4095) {
      fail(__FILE__, __LINE__, std::string("with ") + pointer.name + " the result is " + std::to_string(result));
    }
    errors.insert(name_of_result(result));
  }
  std::string all;
  for (const std::string& error : errors) {
    all += (all.empty() ? "" : ", ") + error;
  }
  note(all);
}

const Registration kAll([] {
  for (const Call& call : kCalls) {
    add_case("pointers", call.name, [&call] { attempt(call); });
  }
});

// --- results and texts that begin where they may and end where they may not

CASE("pointers", "results across the end of what is mapped") {
  char* pages = map(2 * kPage);
  MUST(munmap(pages + kPage, kPage));
  const std::uintptr_t last = value_of(pages) + kPage - 4;
  EXPECT_EQ(raw_call(SYS_uname, last), -EFAULT);
  EXPECT_EQ(raw_call(SYS_fstat, 0, last), -EFAULT);
  EXPECT_EQ(raw_call(SYS_clock_gettime, 1, last), -EFAULT);
  EXPECT_EQ(raw_call(SYS_getrlimit, RLIMIT_NOFILE, last), -EFAULT);
  EXPECT_EQ(raw_call(SYS_sysinfo, last), -EFAULT);
  EXPECT_EQ(raw_call(SYS_rt_sigaction, SIGUSR1, 0, last, 8), -EFAULT);
  EXPECT_EQ(raw_call(SYS_pipe, last), -EFAULT);
}

CASE("pointers", "a path without an end, at the end of what is mapped") {
  char* pages = map(2 * kPage);
  MUST(munmap(pages + kPage, kPage));
  std::memset(pages, '/', kPage);
  EXPECT_EQ(raw_call(SYS_open, value_of(pages) + kPage - 8, 0), -EFAULT);
  EXPECT_EQ(raw_call(SYS_execve, value_of(pages) + kPage - 8, 0, 0), -EFAULT);
  pages[kPage - 1] = '\0';
  EXPECT(raw_call(SYS_open, value_of(pages) + kPage - 8, O_RDONLY) >= 0);
}

CASE("pointers", "results into read-only memory, and over the program's text") {
  char* page = map(kPage, PROT_READ);
  for (const std::uintptr_t target : {value_of(page), reinterpret_cast<std::uintptr_t>(&attempt)}) {
    const std::string before(pointer_to(target), 64);
    EXPECT_EQ(raw_call(SYS_uname, target), -EFAULT);
    const auto zero = static_cast<std::uintptr_t>(MUST(open("/dev/zero", O_RDONLY)));
    EXPECT_EQ(raw_call(SYS_read, zero, target, 64), -EFAULT);
    EXPECT_EQ(raw_call(SYS_getrandom, target, 64, 0), -EFAULT);
    EXPECT(before == std::string(pointer_to(target), 64));
  }
}

CASE("pointers", "vectors whose parts are wild, or wrap around") {
  struct Part {
    std::uintptr_t start;
    std::uintptr_t length;
  };
  const auto zero = static_cast<std::uintptr_t>(MUST(open("/dev/zero", O_RDWR)));
  for (const WildPointer& pointer : wild_pointers()) {
    const Part parts[] = {{pointer.address, 16}};
    EXPECT(raw_call(SYS_readv, zero, value_of(parts), 1) < 0);
  }
  char* page = map(2 * kPage);
  MUST(munmap(page + kPage, kPage));
  const Part wrap[] = {{value_of(page), ~std::uintptr_t{0}}, {value_of(page), 2}};
  EXPECT(raw_call(SYS_readv, zero, value_of(wrap), 2) == -EINVAL);
  const Part large[] = {{value_of(page), std::uintptr_t{1} << 62}};
  EXPECT(raw_call(SYS_readv, zero, value_of(large), 1) <= static_cast<long>(kPage));
  EXPECT(raw_call(SYS_readv, zero, value_of(large), 2000) < 0);
}

CASE("pointers", "lengths that wrap around") {
  char* page = map(kPage);
  const auto zero = static_cast<std::uintptr_t>(MUST(open("/dev/zero", O_RDWR)));
  for (const std::uintptr_t length :
       {~std::uintptr_t{0}, ~std::uintptr_t{0} - value_of(page), std::uintptr_t{1} << 63}) {
    const long result = raw_call(SYS_read, zero, value_of(page), length);
    EXPECT(result < 0 || result <= static_cast<long>(64 * kPage));
  }
}

CASE("pointers", "wait with a wild status") {
  for (const WildPointer& pointer : wild_pointers()) {
    if (pointer.address != 0) {
      start_child([] {});
      EXPECT_EQ(raw_call(SYS_wait4, ~std::uintptr_t{0}, pointer.address, 0, 0), -EFAULT);
    }
  }
}

CASE("pointers", "what the kernel writes at the start and the end of a process") {
  for (const WildPointer& pointer : wild_pointers()) {
    const int status = end_of([&pointer] {
      raw_call(SYS_set_tid_address, pointer.address);
      raw_call(SYS_set_robust_list, pointer.address, 24);
    });
    EXPECT_EQ(name_of_end(status), std::string("exit 0"));
    constexpr std::uintptr_t kSetIds = 0x0110'0000;  // CLONE_PARENT_SETTID, CLONE_CHILD_SETTID
    const long child = raw_call(SYS_clone, kSetIds | SIGCHLD, 0, pointer.address, pointer.address, 0);
    if (child == 0) {
      _exit(0);
    }
    if (child > 0) {
      status_of(static_cast<pid_t>(child));
    }
  }
}

CASE("pointers", "memory calls with wild addresses and lengths") {
  const std::uintptr_t lengths[] = {0, 1, kPage, std::uintptr_t{1} << 30, std::uintptr_t{1} << 47, ~std::uintptr_t{0}};
  for (const WildPointer& pointer : wild_pointers()) {
    if (pointer.address < 0x0000'8000'0000'0000 && pointer.address > 0xFFFF) {
      continue;  // where the program's own may lie
    }
    for (const std::uintptr_t length : lengths) {
      for (const long call : {SYS_munmap, SYS_mprotect, SYS_madvise, SYS_mremap, SYS_msync, SYS_mincore, SYS_mlock}) {
        if (pointer.address > 0xFFFF || length <= kPage) {
          raw_call(call, pointer.address, length, 1, 0, 0, 0);
        }
      }
      raw_call(SYS_brk, pointer.address);
      if (pointer.address > 0xFFFF) {
        EXPECT(raw_call(SYS_mmap, pointer.address & ~(kPage - 1), length, 3, kPrivate | MAP_FIXED, ~std::uintptr_t{0},
                        0) < 0);
      }
    }
  }
}

}  // namespace
}  // namespace guest
