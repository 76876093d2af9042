// Files in memory: memfd_create, seals, and the tmpfs that POSIX shared memory lies in.
#include <linux/memfd.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/syscall.h>

#include "../support/memory.hpp"
#include "../support/process.hpp"

namespace guest {
namespace {

constexpr int kAllSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE;

int make_file(unsigned flags = MFD_ALLOW_SEALING, long size = 0) {
  const int file = memfd_create("suite", flags);
  MUST(file);
  MUST(ftruncate(file, size));
  return file;
}

std::string link_of(int file) {
  char text[400] = {};
  const std::string name = "/proc/self/fd/" + std::to_string(file);
  MUST(readlink(name.c_str(), text, sizeof text - 1));
  return text;
}

std::string maps() {
  std::string text;
  char piece[4096];
  const int file = open("/proc/self/maps", O_RDONLY);
  MUST(file);
  for (long size = 0; (size = read(file, piece, sizeof piece)) > 0;) {
    text.append(piece, static_cast<std::size_t>(size));
  }
  close(file);
  return text;
}

CASE("memfd", "is a file without a name") {
  const int file = make_file(0, 5000);
  EXPECT_EQ(link_of(file), "/memfd:suite (deleted)");
  struct stat status = {};
  MUST(fstat(file, &status));
  EXPECT_EQ(status.st_mode, S_IFREG | 0777U);
  EXPECT_EQ(status.st_size, 5000);
  EXPECT_EQ(status.st_nlink, 0U);
  EXPECT_EQ(fcntl(file, F_GETFL) & O_ACCMODE, O_RDWR);
  EXPECT_EQ(fcntl(file, F_GETFD), 0);
  struct statfs system = {};
  MUST(fstatfs(file, &system));
  EXPECT_EQ(system.f_type, 0x01021994);
  const int closing = make_file(MFD_CLOEXEC);
  EXPECT_EQ(fcntl(closing, F_GETFD), FD_CLOEXEC);
  map(kPage, kReadWrite, MAP_SHARED, file);
  EXPECT(maps().find("rw-s 00000000 ") != std::string::npos);
  EXPECT(maps().find("/memfd:suite (deleted)\n") != std::string::npos);
}

CASE("memfd", "takes names up to 249 bytes, and no unknown flags") {
  MUST(memfd_create("", 0));
  const int longest = memfd_create(std::string(249, 'n').c_str(), 0);
  MUST(longest);
  EXPECT_EQ(link_of(longest), "/memfd:" + std::string(249, 'n') + " (deleted)");
  EXPECT_ERRNO(memfd_create(std::string(250, 'n').c_str(), 0), EINVAL);
  EXPECT_ERRNO(memfd_create("suite", 8), EINVAL);
  EXPECT_ERRNO(memfd_create("suite", 1U << 26), EINVAL);
  EXPECT_ERRNO(syscall(SYS_memfd_create, 16, 0), EFAULT);
  EXPECT_ERRNO(syscall(SYS_memfd_create, 16, 8), EINVAL);
}

CASE("memfd", "shares what it has") {
  const int file = make_file(0, 2 * static_cast<long>(kPage));
  char* const memory = map(2 * kPage, kReadWrite, MAP_SHARED, file);
  in_child([&] {
    char* const again = map(2 * kPage, kReadWrite, MAP_SHARED, file);
    poke(again + kPage, 'c');
  });
  EXPECT_EQ(peek(memory + kPage), 'c');
  char got = 0;
  EXPECT_EQ(pread(file, &got, 1, static_cast<off_t>(kPage)), 1);
  EXPECT_EQ(got, 'c');
}

CASE("memfd", "can be opened again, and executed") {
  const int file = make_file(0);
  const std::string name = "/proc/self/fd/" + std::to_string(file);
  const int again = open(name.c_str(), O_RDONLY);
  MUST(again);
  EXPECT_ERRNO(write(again, "x", 1), EBADF);
  const int self = open("/proc/self/exe", O_RDONLY);
  MUST(self);
  char piece[65536];
  for (long size = 0; (size = read(self, piece, sizeof piece)) > 0;) {
    EXPECT_EQ(write(file, piece, static_cast<std::size_t>(size)), size);
  }
  const pid_t child = start_child([&] {
    char role[] = "SUITE_ROLE=exit";
    char status[] = "SUITE_STATUS=23";
    char word[] = "suite";
    char* const arguments[] = {word, nullptr};
    char* const environment[] = {role, status, nullptr};
    syscall(SYS_execveat, again, "", arguments, environment, AT_EMPTY_PATH);
    return 1;
  });
  const int status = status_of(child);
  EXPECT(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 23);
}

CASE("seals", "belong to files of tmpfs") {
  EXPECT_EQ(fcntl(make_file(), F_GET_SEALS), 0);
  EXPECT_EQ(fcntl(make_file(0), F_GET_SEALS), F_SEAL_SEAL);
  EXPECT_ERRNO(fcntl(make_file(0), F_ADD_SEALS, F_SEAL_WRITE), EPERM);
  int ends[2];
  MUST(pipe(ends));
  EXPECT_ERRNO(fcntl(ends[1], F_GET_SEALS), EINVAL);
  EXPECT_ERRNO(fcntl(ends[1], F_ADD_SEALS, F_SEAL_WRITE), EINVAL);
  EXPECT_ERRNO(fcntl(ends[0], F_ADD_SEALS, F_SEAL_WRITE), EPERM);
  const int shared = open("/dev/shm/suite.seals", O_RDWR | O_CREAT | O_EXCL, 0600);
  MUST(shared);
  MUST(unlink("/dev/shm/suite.seals"));
  EXPECT_EQ(fcntl(shared, F_GET_SEALS), F_SEAL_SEAL);
  EXPECT_ERRNO(fcntl(shared, F_ADD_SEALS, F_SEAL_WRITE), EPERM);
}

CASE("seals", "are added, and never taken off") {
  const int file = make_file();
  EXPECT_ERRNO(fcntl(file, F_ADD_SEALS, 32), EINVAL);
  MUST(fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK));
  MUST(fcntl(file, F_ADD_SEALS, F_SEAL_GROW));
  EXPECT_EQ(fcntl(file, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW);
  MUST(fcntl(file, F_ADD_SEALS, kAllSeals));
  EXPECT_EQ(fcntl(file, F_GET_SEALS), kAllSeals);
  EXPECT_ERRNO(fcntl(file, F_ADD_SEALS, 0), EPERM);
  const std::string name = "/proc/self/fd/" + std::to_string(make_file());
  const int reader = open(name.c_str(), O_RDONLY);
  MUST(reader);
  EXPECT_ERRNO(fcntl(reader, F_ADD_SEALS, F_SEAL_WRITE), EPERM);
}

long blocks_of(int file) {
  struct stat status = {};
  MUST(fstat(file, &status));
  return status.st_blocks;
}

CASE("memfd", "a hole takes no memory and reads as zeros") {
  constexpr int kPunch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  const int file = make_file(0, 8 * static_cast<long>(kPage));
  char* const pages = map(8 * kPage, kReadWrite, MAP_SHARED, file);
  char* const copy = map(8 * kPage, kReadWrite, MAP_PRIVATE, file);
  std::memset(pages, 'm', 8 * kPage);
  poke(copy + kPage, 'c');
  EXPECT_EQ(blocks_of(file), 64L);
  MUST(fallocate(file, kPunch, static_cast<long>(kPage) - 100, 2 * static_cast<long>(kPage) + 200));
  EXPECT_EQ(blocks_of(file), 48L);
  EXPECT_EQ(peek(pages + kPage - 101), 'm');
  EXPECT_EQ(peek(pages + kPage - 100), '\0');
  EXPECT_EQ(peek(pages + 3 * kPage + 99), '\0');
  EXPECT_EQ(peek(pages + 3 * kPage + 100), 'm');
  char byte = 'x';
  EXPECT_EQ(pread(file, &byte, 1, 2 * static_cast<long>(kPage)), 1);
  EXPECT_EQ(byte, '\0');
  EXPECT_EQ(peek(copy + kPage), 'c');
  EXPECT_EQ(peek(copy + 2 * kPage), '\0');
  MUST(fallocate(file, kPunch, 5 * static_cast<long>(kPage) + 10, 20));
  EXPECT_EQ(peek(pages + 5 * kPage + 9), 'm');
  EXPECT_EQ(peek(pages + 5 * kPage + 10), '\0');
  EXPECT_EQ(peek(pages + 5 * kPage + 30), 'm');
  MUST(fallocate(file, kPunch, 6 * static_cast<long>(kPage), 100 * static_cast<long>(kPage)));
  struct stat status = {};
  MUST(fstat(file, &status));
  EXPECT_EQ(status.st_size, 8 * static_cast<long>(kPage));
  EXPECT_EQ(peek(pages + 7 * kPage), '\0');
  MUST(madvise(pages, 6 * kPage, MADV_REMOVE));
  EXPECT_EQ(peek(copy + kPage), 'c');
  MUST(munmap(pages, 8 * kPage));
  MUST(munmap(copy, 8 * kPage));
  MUST(fallocate(file, kPunch, 0, 8 * static_cast<long>(kPage)));
  EXPECT_EQ(blocks_of(file), 0L);
}

CASE("memfd", "what holes cannot be") {
  const int file = make_file(MFD_ALLOW_SEALING, 2 * static_cast<long>(kPage));
  EXPECT_ERRNO(fallocate(file, FALLOC_FL_PUNCH_HOLE, 0, 100), EOPNOTSUPP);
  EXPECT_ERRNO(fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, -1, 100), EINVAL);
  EXPECT_ERRNO(fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 0), EINVAL);
  MUST(fcntl(file, F_ADD_SEALS, F_SEAL_WRITE));
  EXPECT_ERRNO(fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 100), EPERM);
}

CASE("seals", "of the size") {
  const int file = make_file(MFD_ALLOW_SEALING, 100);
  MUST(fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK));
  EXPECT_ERRNO(ftruncate(file, 99), EPERM);
  MUST(ftruncate(file, 100));
  MUST(ftruncate(file, 200));
  MUST(fcntl(file, F_ADD_SEALS, F_SEAL_GROW));
  EXPECT_ERRNO(ftruncate(file, 201), EPERM);
  EXPECT_ERRNO(fallocate(file, 0, 0, 201), EPERM);
  EXPECT_ERRNO(fallocate(file, FALLOC_FL_KEEP_SIZE, 0, 201), EPERM);
  MUST(fallocate(file, 0, 0, 200));
  EXPECT_EQ(pwrite(file, "abc", 3, 197), 3);
  EXPECT_ERRNO(pwrite(file, "abc", 3, 198), EPERM);
  MUST(fcntl(file, F_ADD_SEALS, F_SEAL_SEAL));
  const int pages = make_file(MFD_ALLOW_SEALING, static_cast<long>(kPage));
  MUST(fcntl(pages, F_ADD_SEALS, F_SEAL_GROW));
  const std::string text(2 * kPage, 't');
  EXPECT_EQ(pwrite(pages, text.data(), text.size(), 0), static_cast<long>(kPage));
}

CASE("seals", "against writing") {
  const int file = make_file(MFD_ALLOW_SEALING, static_cast<long>(kPage));
  char* const memory = map(kPage, kReadWrite, MAP_SHARED, file);
  EXPECT_ERRNO(fcntl(file, F_ADD_SEALS, F_SEAL_WRITE), EBUSY);
  poke(memory, 'm');
  MUST(munmap(memory, kPage));
  char* const copy = map(kPage, kReadWrite, MAP_PRIVATE, file);
  MUST(fcntl(file, F_ADD_SEALS, F_SEAL_WRITE));
  EXPECT_ERRNO(write(file, "x", 1), EPERM);
  EXPECT_EQ(write(file, "x", 0), 0);
  EXPECT_EQ(mmap(nullptr, kPage, kReadWrite, MAP_SHARED, file, 0), MAP_FAILED);
  EXPECT_EQ(errno, EPERM);
  map(kPage, kReadWrite, MAP_PRIVATE, file);
  poke(copy, 'c');
  char got = 0;
  EXPECT_EQ(pread(file, &got, 1, 0), 1);
  EXPECT_EQ(got, 'm');
  const std::string name = "/proc/self/fd/" + std::to_string(file);
  const int reader = open(name.c_str(), O_RDONLY);
  MUST(reader);
  EXPECT_EQ(peek(map(kPage, PROT_READ, MAP_SHARED, reader)), 'm');
}

CASE("seals", "against writing, with a child that still has the mapping") {
  const int file = make_file(MFD_ALLOW_SEALING, static_cast<long>(kPage));
  char* const memory = map(kPage, kReadWrite, MAP_SHARED, file);
  const Turns turns;
  const pid_t child = start_child([&] {
    turns.await_parent();
    MUST(munmap(memory, kPage));
    turns.give_parent();
    turns.await_parent();
  });
  MUST(munmap(memory, kPage));
  EXPECT_ERRNO(fcntl(file, F_ADD_SEALS, F_SEAL_WRITE), EBUSY);
  turns.give_child();
  turns.await_child();
  MUST(fcntl(file, F_ADD_SEALS, F_SEAL_WRITE));
  turns.give_child();
  EXPECT_EQ(status_of(child), 0);
}

CASE("seals", "against writing but through mappings that there are") {
  const int file = make_file(MFD_ALLOW_SEALING, static_cast<long>(kPage));
  char* const memory = map(kPage, kReadWrite, MAP_SHARED, file);
  MUST(fcntl(file, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
  poke(memory, 'w');
  EXPECT_ERRNO(write(file, "x", 1), EPERM);
  EXPECT_EQ(mmap(nullptr, kPage, kReadWrite, MAP_SHARED, file, 0), MAP_FAILED);
  EXPECT_EQ(errno, EPERM);
  char* const reading = map(kPage, PROT_READ, MAP_SHARED, file);
  EXPECT_EQ(peek(reading), 'w');
  EXPECT_ERRNO(mprotect(reading, kPage, kReadWrite), EACCES);
}

CASE("shared memory", "lies in a tmpfs that everybody may use") {
  struct stat status = {};
  MUST(stat("/dev/shm", &status));
  EXPECT_EQ(status.st_mode, S_IFDIR | 01777U);
  struct statfs system = {};
  MUST(statfs("/dev/shm", &system));
  EXPECT_EQ(system.f_type, 0x01021994);
  const int file = shm_open("/suite", O_RDWR | O_CREAT | O_EXCL, 0600);
  MUST(file);
  EXPECT_ERRNO(shm_open("/suite", O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
  MUST(ftruncate(file, static_cast<long>(kPage)));
  char* const memory = map(kPage, kReadWrite, MAP_SHARED, file);
  in_child([] {
    const int again = shm_open("/suite", O_RDWR, 0);
    MUST(again);
    poke(map(kPage, kReadWrite, MAP_SHARED, again), 's');
  });
  EXPECT_EQ(peek(memory), 's');
  MUST(shm_unlink("/suite"));
  EXPECT_ERRNO(shm_open("/suite", O_RDWR, 0), ENOENT);
  poke(memory, 't');
}

CASE("shared memory", "a tmpfs is no larger than it may be") {
  MUST(mkdir("/tmp/suite.size", 0700));
  MUST(mount("none", "/tmp/suite.size", "tmpfs", 0, "size=16k,mode=755"));
  struct statfs system = {};
  MUST(statfs("/tmp/suite.size", &system));
  EXPECT_EQ(system.f_blocks, 4U);
  EXPECT_EQ(system.f_bfree, 4U);
  const int file = open("/tmp/suite.size/file", O_RDWR | O_CREAT, 0600);
  MUST(file);
  const std::string text(6 * kPage, 't');
  EXPECT_EQ(write(file, text.data(), text.size()), static_cast<long>(4 * kPage));
  EXPECT_ERRNO(write(file, "x", 1), ENOSPC);
  MUST(statfs("/tmp/suite.size", &system));
  EXPECT_EQ(system.f_bfree, 0U);
  MUST(ftruncate(file, static_cast<long>(kPage)));
  MUST(statfs("/tmp/suite.size", &system));
  EXPECT_EQ(system.f_bfree, 3U);
  MUST(ftruncate(file, static_cast<long>(8 * kPage)));
  EXPECT_EQ(pwrite(file, text.data(), 3 * kPage, static_cast<long>(5 * kPage)), static_cast<long>(3 * kPage));
  char* const memory = map(8 * kPage, kReadWrite, MAP_SHARED, file);
  EXPECT_EQ(status_of(start_child([&] { poke(memory + 2 * kPage, 'x'); })), SIGBUS);
  MUST(munmap(memory, 8 * kPage));
  close(file);
  MUST(unlink("/tmp/suite.size/file"));
  MUST(statfs("/tmp/suite.size", &system));
  EXPECT_EQ(system.f_bfree, 4U);
  MUST(umount("/tmp/suite.size"));
  EXPECT_ERRNO(mount("none", "/tmp/suite.size", "tmpfs", 0, "size=1x"), EINVAL);
  MUST(rmdir("/tmp/suite.size"));
}

}  // namespace
}  // namespace guest
