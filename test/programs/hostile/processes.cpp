// Other processes, what they left behind, and one's own undoing.
#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "../support/memory.hpp"
#include "attempt.hpp"

namespace guest {
namespace {

constexpr char kSecret = '\xA7';

CASE("processes", "another's memory: not by ptrace, process_vm_readv, /proc") {
  char* page = map(kPage);
  std::memset(page, kSecret, kPage);
  const Turns turns;
  const pid_t other = start_child([&turns] { turns.await_parent(); });
  // Another user's process, as far as this one is concerned: all here runs as nobody, so init is the one to try.
  char buffer[64] = {};
  const iovec local = {buffer, sizeof buffer};
  const iovec remote = {page, sizeof buffer};
  EXPECT(process_vm_readv(1, &local, 1, &remote, 1, 0) < 0);
  EXPECT(process_vm_writev(1, &local, 1, &remote, 1, 0) < 0);
  EXPECT(ptrace(PTRACE_ATTACH, 1, nullptr, nullptr) < 0);
  EXPECT(open("/proc/1/mem", O_RDWR) < 0);
  EXPECT(kill(1, SIGKILL) < 0);
  turns.give_child();
  EXPECT_EQ(status_of(other), 0);
}

CASE("processes", "all memory, by a device or a file") {
  for (const char* path : {"/dev/mem", "/dev/kmem", "/dev/port", "/proc/kcore", "/proc/1/mem", "/dev/cpu/0/msr"}) {
    EXPECT(open(path, O_RDONLY) < 0);
    EXPECT(open(path, O_RDWR) < 0);
  }
  EXPECT(raw_call(SYS_iopl, 3) < 0);
  EXPECT(raw_call(SYS_ioperm, 0, 100, 1) < 0);
  EXPECT(raw_call(SYS_init_module, 0, 0, 0) < 0);
  EXPECT(raw_call(SYS_kexec_load, 0, 0, 0, 0) < 0);
  EXPECT(raw_call(SYS_reboot, 0xFEE1DEAD, 672274793, 0x1234567, 0) < 0);
}

CASE("processes", "a private page of a child cannot be seen at its address") {
  char* place = free_place(kPage);
  const Turns turns;
  const pid_t other = start_child([&] {
    std::memset(map(kPage, kReadWrite, kPrivate | MAP_FIXED, -1, 0, place), kSecret, kPage);
    turns.give_parent();
    turns.await_parent();
  });
  turns.await_child();
  EXPECT_FAULT(read_fault(place), SIGSEGV, SEGV_MAPERR, place);
  turns.give_child();
  EXPECT_EQ(status_of(other), 0);
}

// Looks for the secret in fresh memory of every kind, having left a lot of it in memory that was freed.
CASE("processes", "memory that others gave back holds nothing of theirs") {
  constexpr std::size_t kBytes = std::size_t{24} << 20;
  for (int round = 0; round < 3; round++) {
    in_child([] { std::memset(map(kBytes), kSecret, kBytes); });
    in_child([] {
      EXPECT(all_bytes(map(kBytes), kBytes, '\0'));
      const Folder folder;
      const int file = folder.file("file");
      MUST(ftruncate(file, 1 << 20));
      EXPECT(all_bytes(map(1 << 20, PROT_READ, MAP_SHARED, file), 1 << 20, '\0'));
      EXPECT(all_bytes(map(1 << 20, kReadWrite, kShared), 1 << 20, '\0'));
      char* end = static_cast<char*>(sbrk(1 << 20));
      EXPECT(all_bytes(end + kPage, (1 << 20) - kPage, '\0'));
    });
  }
}

CASE("processes", "the kernel's results have no stale bytes in their gaps") {
  char* buffer = map(kPage);
  const auto clean = [buffer](long result, std::size_t used) {
    EXPECT(result >= 0);
    EXPECT(all_bytes(buffer + used, kPage - used, '\x5A'));
  };
  std::memset(buffer, 0x5A, kPage);
  clean(raw_call(SYS_fstat, 0, value_of(buffer)), 144);
  std::memset(buffer, 0x5A, kPage);
  clean(raw_call(SYS_uname, value_of(buffer)), 390);
  std::memset(buffer, 0x5A, kPage);
  clean(raw_call(SYS_sysinfo, value_of(buffer)), 112);
  std::memset(buffer, 0x5A, kPage);
  clean(raw_call(SYS_getrusage, 0, value_of(buffer)), 144);
}

CASE("processes", "one who unmaps all of himself is killed") {
  const std::string end = name_of_end(end_of([] {
    raw_call(SYS_munmap, 0x10000, 0x0000'7FFF'FFFF'0000 - 0x10000);
    raw_call(SYS_munmap, 0xFFFF'8000'0000'0000, 0x0000'7C7F'FFE0'0000);
    raw_call(SYS_munmap, 0x0000'7000'0000'0000, 0x0000'0FFF'FFFF'F000);
  }));
  EXPECT_EQ(end, std::string("SIGSEGV"));
}

CASE("processes", "one who makes all of himself unreadable is killed") {
  const std::string end = name_of_end(end_of([] {
    const std::uintptr_t text = reinterpret_cast<std::uintptr_t>(&raw_call) & ~(kPage - 1);
    raw_call(SYS_mprotect, text, kPage, PROT_NONE);
  }));
  EXPECT_EQ(end, std::string("SIGSEGV"));
}

CASE("processes", "a child made by vfork that ruins the memory ruins only its parent's") {
  const std::string end = name_of_end(end_of([] {
    if (vfork() == 0) {
      raw_call(SYS_munmap, reinterpret_cast<std::uintptr_t>(&raw_call) & ~(kPage - 1), kPage);
      asm volatile("ud2");
    }
    raw_call(SYS_getpid);
  }));
  EXPECT(end == "SIGSEGV");
}

CASE("processes", "file descriptors by the thousand, pipes by the hundred") {
  in_child([] {
    int opened = 0;
    while (opened < 100'000 && open("/dev/null", O_RDONLY) >= 0) {
      opened++;
    }
    EXPECT(opened > 0);
  });
  in_child([] {
    int ends[2];
    const std::string block(65536, 'x');
    for (int i = 0; i < 300 && pipe2(ends, O_NONBLOCK) == 0; i++) {
      EXPECT(write(ends[1], block.data(), block.size()) > 0);
    }
  });
}

CASE("processes", "mappings by the ten thousand") {
  in_child([] {
    constexpr std::size_t kPages = 40'000;
    char* pages = map(kPages * kPage);
    for (std::size_t i = 0; i < kPages; i += 2) {
      if (mprotect(pages + i * kPage, kPage, PROT_READ) != 0) {
        EXPECT_EQ(errno, ENOMEM);
        break;
      }
    }
  });
}

CASE("processes", "limits cannot be raised, users not become root") {
  EXPECT(geteuid() != 0);
  EXPECT(raw_call(SYS_setuid, 0) < 0);
  EXPECT(raw_call(SYS_setgid, 0) < 0);
  EXPECT(raw_call(SYS_setresuid, 0, 0, 0) < 0);
  EXPECT(raw_call(SYS_setgroups, 0, 0) < 0);
  EXPECT(raw_call(SYS_chroot, value_of("/")) < 0);
  EXPECT(raw_call(SYS_mount, value_of("none"), value_of("/tmp"), value_of("tmpfs"), 0, 0) < 0);
  EXPECT(raw_call(SYS_sethostname, value_of("x"), 1) < 0);
}

CASE("system calls", "each number, with wild arguments in every place") {
  for (long number = -2; number < 1024; number++) {
    if (number == SYS_pause || number == SYS_rt_sigsuspend || number == SYS_vfork || number == SYS_kill) {
      continue;  // they wait for ever, go on in our memory, or hit all that is here
    }
    for (const std::uintptr_t wild : {std::uintptr_t{0}, std::uintptr_t{0xFFFF'FFFF'FB80'0000},
                                      std::uintptr_t{0x0000'8000'0000'0000}, ~std::uintptr_t{0}}) {
      const pid_t child = start_child([number, wild] {
        alarm(1);
        raw_call(number, wild, wild, wild, wild, wild, wild);
        raw_call(SYS_exit, 0);
      });
      status_of(child);
      while (waitpid(-1, nullptr, WNOHANG) > 0) {
      }
    }
  }
}

}  // namespace
}  // namespace guest
