// Shared memory segments of System V.
#include <sys/ipc.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/syscall.h>

#include <ctime>

#include "../support/memory.hpp"
#include "../support/process.hpp"

namespace guest {
namespace {

constexpr int kCreate = IPC_CREAT | IPC_EXCL | 0600;
const void* const kFailed = pointer_to(~std::uintptr_t{0});

int make_segment(std::size_t size = kPage, key_t key = IPC_PRIVATE, int flags = kCreate) {
  const int id = shmget(key, size, flags);
  MUST(id);
  return id;
}

char* attach(int id, int flags = 0, void* at = nullptr) {
  void* const result = shmat(id, at, flags);
  if (result == kFailed) {
    fail(__FILE__, __LINE__, std::string("shmat: ") + std::strerror(errno));
  }
  return static_cast<char*>(result);
}

shmid_ds status(int id) {
  shmid_ds status = {};
  MUST(shmctl(id, IPC_STAT, &status));
  return status;
}

void remove(int id) { MUST(shmctl(id, IPC_RMID, nullptr)); }

std::string text_of(const char* name) {
  std::string text;
  char piece[4096];
  const int file = open(name, O_RDONLY);
  MUST(file);
  for (long size = 0; (size = read(file, piece, sizeof piece)) > 0;) {
    text.append(piece, static_cast<std::size_t>(size));
  }
  close(file);
  return text;
}

CASE("segments", "are shared by who attaches them") {
  const int id = make_segment(3 * kPage);
  char* const memory = attach(id);
  EXPECT(all_bytes(memory, 3 * kPage, 0));
  poke(memory + kPage, 'p');
  in_child([&] {
    char* const again = attach(id);
    EXPECT(again != memory);
    EXPECT_EQ(peek(again + kPage), 'p');
    poke(again + 2 * kPage, 'c');
    poke(memory, 'i');
  });
  EXPECT_EQ(peek(memory + 2 * kPage), 'c');
  EXPECT_EQ(peek(memory), 'i');
  MUST(shmdt(memory));
  EXPECT_EQ(peek(attach(id)), 'i');
  remove(id);
}

CASE("segments", "tell of themselves") {
  const long before = time(nullptr);
  const int id = make_segment(5000, IPC_PRIVATE, kCreate | 0040);
  shmid_ds made = status(id);
  EXPECT_EQ(made.shm_segsz, 5000U);
  EXPECT_EQ(made.shm_perm.mode, 0640U);
  EXPECT_EQ(made.shm_perm.__key, IPC_PRIVATE);
  EXPECT_EQ(made.shm_perm.uid, getuid());
  EXPECT_EQ(made.shm_perm.cuid, getuid());
  EXPECT_EQ(made.shm_perm.gid, getgid());
  EXPECT_EQ(made.shm_cpid, getpid());
  EXPECT_EQ(made.shm_lpid, 0);
  EXPECT_EQ(made.shm_nattch, 0U);
  EXPECT_EQ(made.shm_atime, 0);
  EXPECT_EQ(made.shm_dtime, 0);
  EXPECT(made.shm_ctime >= before);
  char* const memory = attach(id);
  EXPECT_EQ(status(id).shm_nattch, 1U);
  EXPECT_EQ(status(id).shm_lpid, getpid());
  EXPECT(status(id).shm_atime >= before);
  char* const again = attach(id);
  EXPECT_EQ(status(id).shm_nattch, 2U);
  MUST(shmdt(again));
  EXPECT_EQ(status(id).shm_nattch, 1U);
  EXPECT(status(id).shm_dtime >= before);
  MUST(munmap(memory, 2 * kPage));
  EXPECT_EQ(status(id).shm_nattch, 0U);
  remove(id);
}

CASE("segments", "are inherited, and left at exec and exit") {
  const int id = make_segment();
  attach(id);
  const Turns turns;
  const pid_t child = start_child([&] {
    turns.await_parent();
    turns.give_parent();
    turns.await_parent();
    setenv("SUITE_ROLE", "exit", 1);
    setenv("SUITE_STATUS", "0", 1);
    execl("/proc/self/exe", "suite", nullptr);
  });
  turns.give_child();
  turns.await_child();
  EXPECT_EQ(status(id).shm_nattch, 2U);
  turns.give_child();
  EXPECT_EQ(status_of(child), 0);
  EXPECT_EQ(status(id).shm_nattch, 1U);
  remove(id);
}

CASE("segments", "end with the last that has them attached") {
  const int id = make_segment(kPage, 0x5e61);
  char* const memory = attach(id);
  poke(memory, 'x');
  remove(id);
  const shmid_ds left = status(id);
  EXPECT_EQ(left.shm_perm.mode, 0600U | SHM_DEST);
  EXPECT_EQ(left.shm_perm.__key, IPC_PRIVATE);
  EXPECT_ERRNO(shmget(0x5e61, 0, 0), ENOENT);
  char* const again = attach(id);
  EXPECT_EQ(peek(again), 'x');
  MUST(shmdt(memory));
  EXPECT_EQ(peek(again), 'x');
  MUST(shmdt(again));
  shmid_ds gone = {};
  EXPECT_ERRNO(shmctl(id, IPC_STAT, &gone), EINVAL);
  EXPECT_EQ(shmat(id, nullptr, 0), kFailed);
  EXPECT_EQ(errno, EINVAL);
  const int other = make_segment();
  EXPECT(other != id);
  remove(other);
  EXPECT_ERRNO(shmctl(other, IPC_STAT, &gone), EINVAL);
}

CASE("segments", "have keys") {
  constexpr key_t kKey = 0x5e62;
  EXPECT_ERRNO(shmget(kKey, kPage, 0600), ENOENT);
  const int id = make_segment(kPage, kKey);
  EXPECT_EQ(shmget(kKey, kPage, 0), id);
  EXPECT_EQ(shmget(kKey, 0, 0), id);
  EXPECT_EQ(shmget(kKey, 1, IPC_CREAT | 0600), id);
  EXPECT_ERRNO(shmget(kKey, kPage, kCreate), EEXIST);
  EXPECT_ERRNO(shmget(kKey, kPage + 1, 0600), EINVAL);
  remove(id);
  EXPECT_ERRNO(shmget(kKey, kPage, 0600), ENOENT);
}

CASE("segments", "sizes that there are not") {
  EXPECT_ERRNO(shmget(IPC_PRIVATE, 0, kCreate), EINVAL);
  EXPECT_ERRNO(shmget(IPC_PRIVATE, ~std::size_t{0}, kCreate), EINVAL);
  EXPECT_ERRNO(shmget(IPC_PRIVATE, std::size_t{1} << 46, kCreate), ENOMEM);
  EXPECT_ERRNO(shmctl(-1, IPC_RMID, nullptr), EINVAL);
  EXPECT_ERRNO(shmctl(1 << 20, IPC_RMID, nullptr), EINVAL);
  EXPECT_ERRNO(shmctl(0, 99, nullptr), EINVAL);
  EXPECT_EQ(shmat(-1, nullptr, 0), kFailed);
  EXPECT_EQ(errno, EINVAL);
}

CASE("segments", "are attached where it is wanted") {
  const int id = make_segment(2 * kPage);
  char* const place = free_place(8 * kPage);
  EXPECT_EQ(attach(id, 0, place + kPage), place + kPage);
  EXPECT_EQ(shmat(id, place + 1, 0), kFailed);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(shmat(id, place + 2 * kPage, 0), kFailed);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(shmat(id, nullptr, SHM_REMAP), kFailed);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(attach(id, SHM_RND, place + 4 * kPage + 77), place + 4 * kPage);
  EXPECT_EQ(attach(id, SHM_REMAP, place + 2 * kPage), place + 2 * kPage);
  EXPECT_EQ(status(id).shm_nattch, 3U);
  poke(place + 4 * kPage, 'a');
  EXPECT_EQ(peek(place + 2 * kPage), 'a');
  EXPECT_EQ(peek(place + kPage), 'a');
  MUST(shmdt(place + kPage));
  EXPECT_ERRNO(shmdt(place + kPage), EINVAL);
  EXPECT_EQ(peek(place + 2 * kPage), 'a');
  remove(id);
}

CASE("segments", "are attached for what is wanted") {
  const int id = make_segment();
  char* const memory = attach(id, SHM_RDONLY);
  EXPECT_EQ(peek(memory), 0);
  EXPECT_EQ(status_of(start_child([&] { poke(memory, 'x'); })), SIGSEGV);
  EXPECT_ERRNO(mprotect(memory, kPage, kReadWrite), EACCES);
  const std::string maps = text_of("/proc/self/maps");
  EXPECT(maps.find("r--s 00000000 ") != std::string::npos);
  EXPECT(maps.find("/SYSV00000000 (deleted)\n") != std::string::npos);
  MUST(shmdt(memory));
  char* const code = attach(id, SHM_EXEC);
  *code = static_cast<char>(0xc3);
  reinterpret_cast<void (*)()>(code)();
  remove(id);
}

CASE("segments", "detaching leaves what is something else now") {
  const int id = make_segment(4 * kPage);
  char* const memory = attach(id);
  EXPECT_ERRNO(shmdt(memory + kPage), EINVAL);
  EXPECT_ERRNO(shmdt(memory + 1), EINVAL);
  map(kPage, kReadWrite, kPrivate | MAP_FIXED, -1, 0, memory + kPage);
  poke(memory + kPage, 'm');
  EXPECT_EQ(status(id).shm_nattch, 2U);
  MUST(shmdt(memory));
  EXPECT_EQ(status(id).shm_nattch, 0U);
  EXPECT_EQ(peek(memory + kPage), 'm');
  EXPECT_EQ(status_of(start_child([&] { peek(memory + 2 * kPage); })), SIGSEGV);
  remove(id);
}

CASE("segments", "have owners and rights") {
  const int id = make_segment(kPage, 0x5e63);
  in_child([&] {
    MUST(setgid(12345));
    MUST(setuid(12345));
    shmid_ds got = {};
    EXPECT_ERRNO(shmctl(id, IPC_STAT, &got), EACCES);
    EXPECT_EQ(shmat(id, nullptr, SHM_RDONLY), kFailed);
    EXPECT_EQ(errno, EACCES);
    EXPECT_ERRNO(shmget(0x5e63, 0, 0400), EACCES);
    EXPECT_EQ(shmget(0x5e63, 0, 0), id);
    EXPECT_ERRNO(shmctl(id, IPC_RMID, nullptr), EPERM);
    EXPECT_ERRNO(shmctl(id, IPC_SET, &got), EPERM);
    EXPECT_ERRNO(shmctl(id, SHM_LOCK, nullptr), EPERM);
  });
  shmid_ds wanted = status(id);
  wanted.shm_perm.mode = 07644;
  wanted.shm_perm.uid = 12345;
  MUST(shmctl(id, IPC_SET, &wanted));
  EXPECT_EQ(status(id).shm_perm.mode, 0644U);
  EXPECT_EQ(status(id).shm_perm.uid, 12345U);
  EXPECT_EQ(status(id).shm_perm.cuid, 0U);
  EXPECT_ERRNO(syscall(SYS_shmctl, id, IPC_SET, 16UL), EFAULT);
  EXPECT_ERRNO(syscall(SYS_shmctl, id, IPC_STAT, 16UL), EFAULT);
  in_child([&] {
    MUST(setgid(12346));
    MUST(setuid(12346));
    attach(id, SHM_RDONLY);
    EXPECT_EQ(shmat(id, nullptr, 0), kFailed);
    EXPECT_EQ(errno, EACCES);
  });
  in_child([&] {
    MUST(setgid(12345));
    MUST(setuid(12345));
    remove(id);
  });
}

CASE("segments", "limits, totals, and one after the other") {
  const int id = make_segment(2 * kPage, 0x5e64);
  char* const memory = attach(id);
  poke(memory, 'x');
  shminfo limits = {};
  const int highest = shmctl(0, IPC_INFO, reinterpret_cast<shmid_ds*>(&limits));
  EXPECT(highest >= 0);
  EXPECT_EQ(limits.shmmax, ~0UL - (1UL << 24));
  EXPECT_EQ(limits.shmmin, 1U);
  EXPECT_EQ(limits.shmmni, 4096U);
  EXPECT_EQ(limits.shmseg, 4096U);
  EXPECT_EQ(limits.shmall, ~0UL - (1UL << 24));
  shm_info totals = {};
  EXPECT_EQ(shmctl(0, SHM_INFO, reinterpret_cast<shmid_ds*>(&totals)), highest);
  EXPECT_EQ(totals.used_ids, 1);
  EXPECT_EQ(totals.shm_tot, 2U);
  EXPECT_EQ(totals.shm_rss, 1U);
  int found = 0;
  for (int slot = 0; slot <= highest; slot++) {
    shmid_ds got = {};
    found += shmctl(slot, SHM_STAT, &got) == id && got.shm_segsz == 2 * kPage && got.shm_nattch == 1 ? 1 : 0;
  }
  EXPECT_EQ(found, 1);
  const std::string table = text_of("/proc/sysvipc/shm");
  char line[200];
  std::snprintf(line, sizeof line, "%10d %10d  %4o %21lu %5u %5u  %5lu %5u %5u %5u %5u ", 0x5e64, id, 0600, 2 * kPage,
                static_cast<unsigned>(getpid()), static_cast<unsigned>(getpid()), 1UL, 0U, 0U, 0U, 0U);
  EXPECT(
      table.starts_with("       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid"
                        "      atime      dtime      ctime                   rss                  swap\n"));
  EXPECT(table.find(line) != std::string::npos);
  EXPECT(table.ends_with("                  4096                     0\n"));
  MUST(shmctl(id, SHM_LOCK, nullptr));
  EXPECT_EQ(status(id).shm_perm.mode, 0600U | SHM_LOCKED);
  MUST(shmctl(id, SHM_UNLOCK, nullptr));
  EXPECT_EQ(status(id).shm_perm.mode, 0600U);
  remove(id);
}

CASE("segments", "what a user may lock") {
  in_child([] {
    const rlimit none = {0, 64 << 10};
    const rlimit some = {64 << 10, 64 << 10};
    MUST(setrlimit(RLIMIT_MEMLOCK, &some));
    MUST(setuid(12345));
    const int small = make_segment(48 << 10);
    const int large = make_segment(80 << 10);
    EXPECT_ERRNO(shmctl(large, SHM_LOCK, nullptr), ENOMEM);
    MUST(shmctl(small, SHM_LOCK, nullptr));
    MUST(shmctl(small, SHM_LOCK, nullptr));
    const int other = make_segment(20 << 10);
    EXPECT_ERRNO(shmctl(other, SHM_LOCK, nullptr), ENOMEM);
    EXPECT_EQ(status(other).shm_perm.mode & SHM_LOCKED, 0U);
    MUST(shmctl(small, SHM_UNLOCK, nullptr));
    MUST(shmctl(other, SHM_LOCK, nullptr));
    MUST(setrlimit(RLIMIT_MEMLOCK, &none));
    EXPECT_ERRNO(shmctl(small, SHM_LOCK, nullptr), EPERM);
    for (const int id : {small, large, other}) {
      remove(id);
    }
  });
}

CASE("segments", "large ones, by two processes") {
  constexpr std::size_t kSize = std::size_t{8} << 20;
  const int id = make_segment(kSize);
  char* const memory = attach(id);
  for (std::size_t at = 0; at < kSize; at += kPage) {
    poke(memory + at, static_cast<char>(at / kPage));
  }
  in_child([&] {
    MUST(shmdt(memory));
    char* const again = attach(id, 0, reinterpret_cast<void*>(0x2'0000'0000));
    for (std::size_t at = 0; at < kSize; at += kPage) {
      EXPECT_EQ(peek(again + at), static_cast<char>(at / kPage));
      poke(again + at + 1, 'y');
    }
    MUST(shmdt(again));
  });
  for (std::size_t at = 0; at < kSize; at += kPage) {
    EXPECT_EQ(peek(memory + at + 1), 'y');
  }
  remove(id);
}

}  // namespace
}  // namespace guest
