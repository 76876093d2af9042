// Files: contents, offsets, descriptors, attributes.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "../support/memory.hpp"
#include "../support/process.hpp"

namespace guest {
namespace {

int open_at(const Folder& folder, const char* name, int flags, mode_t mode = 0644) {
  return open(folder.path(name).c_str(), flags, mode);
}

struct stat stat_of(const std::string& path) {
  struct stat status = {};
  MUST(lstat(path.c_str(), &status));
  return status;
}

CASE("files", "what is written is read, at the offset that moves") {
  const Folder folder;
  const int file = folder.file("file", "0123456789");
  EXPECT_EQ(lseek(file, 0, SEEK_CUR), 10);
  EXPECT_EQ(lseek(file, 3, SEEK_SET), 3);
  char buffer[4] = {};
  EXPECT_EQ(read(file, buffer, 3), 3);
  EXPECT_EQ(std::string(buffer), std::string("345"));
  EXPECT_EQ(write(file, "X", 1), 1);
  EXPECT_EQ(lseek(file, -2, SEEK_END), 8);
  EXPECT_EQ(read(file, buffer, 4), 2);
  EXPECT_EQ(read(file, buffer, 4), 0);
  EXPECT_EQ(read_file(folder.path("file")), std::string("012345X789"));
}

CASE("files", "seek errors") {
  const Folder folder;
  const int file = folder.file("file", "0123456789");
  EXPECT_ERRNO(lseek(file, -1, SEEK_SET), EINVAL);
  EXPECT_ERRNO(lseek(file, -11, SEEK_END), EINVAL);
  EXPECT_ERRNO(lseek(file, 0, 99), EINVAL);
  EXPECT_ERRNO(lseek(999, 0, SEEK_SET), EBADF);
  EXPECT_EQ(lseek(file, 100, SEEK_SET), 100);
}

CASE("files", "a hole is zeros") {
  const Folder folder;
  const int file = folder.file("file", "start");
  EXPECT_EQ(pwrite(file, "end", 3, 100'000), 3);
  const std::string all = read_file(folder.path("file"));
  EXPECT_EQ(all.size(), 100'003U);
  EXPECT(all_bytes(all.data() + 5, 100'000 - 5, '\0'));
  EXPECT_EQ(all.substr(100'000), std::string("end"));
}

CASE("files", "a sparse file takes only what is written") {
  const Folder folder;
  const int file = folder.file("file");
  MUST(ftruncate(file, off_t{1} << 40));
  EXPECT_EQ(pwrite(file, "x", 1, off_t{1} << 39), 1);
  const struct stat status = stat_of(folder.path("file"));
  EXPECT_EQ(status.st_size, off_t{1} << 40);
  EXPECT(status.st_blocks > 0 && status.st_blocks < 1000);
  char c = 'y';
  EXPECT_EQ(pread(file, &c, 1, off_t{1} << 38), 1);
  EXPECT_EQ(c, '\0');
}

CASE("files", "O_APPEND writes at the end, whatever the offset") {
  const Folder folder;
  close(folder.file("file", "abc"));
  const int file = static_cast<int>(MUST(open_at(folder, "file", O_RDWR | O_APPEND)));
  const int other = static_cast<int>(MUST(open_at(folder, "file", O_WRONLY | O_APPEND)));
  EXPECT_EQ(lseek(file, 0, SEEK_SET), 0);
  EXPECT_EQ(write(file, "d", 1), 1);
  EXPECT_EQ(write(other, "e", 1), 1);
  EXPECT_EQ(write(file, "f", 1), 1);
  EXPECT_EQ(read_file(folder.path("file")), std::string("abcdef"));
}

CASE("files", "O_CREAT, O_EXCL, O_TRUNC") {
  const Folder folder;
  EXPECT_ERRNO(open_at(folder, "file", O_RDONLY), ENOENT);
  close(static_cast<int>(MUST(open_at(folder, "file", O_WRONLY | O_CREAT | O_EXCL))));
  EXPECT_ERRNO(open_at(folder, "file", O_WRONLY | O_CREAT | O_EXCL), EEXIST);
  write_file(folder.path("file"), "text");
  close(static_cast<int>(MUST(open_at(folder, "file", O_WRONLY | O_CREAT))));
  EXPECT_EQ(stat_of(folder.path("file")).st_size, 4);
  close(static_cast<int>(MUST(open_at(folder, "file", O_WRONLY | O_TRUNC))));
  EXPECT_EQ(stat_of(folder.path("file")).st_size, 0);
  EXPECT_ERRNO(open_at(folder, "file/below", O_RDONLY), ENOTDIR);
  EXPECT_ERRNO(open_at(folder, "none/below", O_CREAT | O_WRONLY), ENOENT);
  EXPECT_ERRNO(open(folder.path().c_str(), O_WRONLY), EISDIR);
  EXPECT_ERRNO(open(folder.path("file").c_str(), O_RDONLY | O_DIRECTORY), ENOTDIR);
  EXPECT_ERRNO(open("", O_RDONLY), ENOENT);
  EXPECT_ERRNO(syscall(SYS_open, 8, O_RDONLY), EFAULT);
}

CASE("files", "the mode that is given, less the umask") {
  const Folder folder;
  umask(027);
  close(static_cast<int>(MUST(open_at(folder, "file", O_WRONLY | O_CREAT, 0666))));
  MUST(mkdir(folder.path("folder").c_str(), 0777));
  EXPECT_EQ(stat_of(folder.path("file")).st_mode, S_IFREG | 0640U);
  EXPECT_EQ(stat_of(folder.path("folder")).st_mode, S_IFDIR | 0750U);
  EXPECT_EQ(umask(0), 027U);
  MUST(chmod(folder.path("file").c_str(), 04751));
  EXPECT_EQ(stat_of(folder.path("file")).st_mode, S_IFREG | 04751U);
}

CASE("files", "not open for that") {
  const Folder folder;
  close(folder.file("file", "text"));
  char c = 'x';
  const int in = static_cast<int>(MUST(open_at(folder, "file", O_RDONLY)));
  const int out = static_cast<int>(MUST(open_at(folder, "file", O_WRONLY)));
  EXPECT_ERRNO(write(in, &c, 1), EBADF);
  EXPECT_ERRNO(read(out, &c, 1), EBADF);
  EXPECT_ERRNO(ftruncate(in, 0), EINVAL);
  EXPECT_ERRNO(read(999, &c, 1), EBADF);
  EXPECT_ERRNO(close(999), EBADF);
  EXPECT_ERRNO(read(static_cast<int>(MUST(open("/tmp", O_RDONLY))), &c, 1), EISDIR);
}

CASE("files", "permissions hold for others") {
  const Folder folder;
  write_file(folder.path("secret"), "x", 0600);
  write_file(folder.path("open"), "x", 0644);
  MUST(mkdir(folder.path("closed").c_str(), 0700));
  write_file(folder.path("closed/file"), "x", 0666);
  in_child([&folder] {
    if (geteuid() != 0) {
      MUST(chmod(folder.path("secret").c_str(), 0));  // the owner's own bits hold for the owner
      MUST(chmod(folder.path("closed").c_str(), 0));
      EXPECT_ERRNO(open_at(folder, "secret", O_RDONLY), EACCES);
      return;
    }
    MUST(setgid(65534));
    MUST(setuid(65534));
    EXPECT_ERRNO(open_at(folder, "secret", O_RDONLY), EACCES);
    EXPECT_ERRNO(open_at(folder, "open", O_WRONLY), EACCES);
    EXPECT_ERRNO(open_at(folder, "closed/file", O_RDONLY), EACCES);
    EXPECT_ERRNO(access(folder.path("secret").c_str(), R_OK), EACCES);
    EXPECT_ERRNO(chmod(folder.path("open").c_str(), 0777), EPERM);
    EXPECT_ERRNO(setuid(0), EPERM);
    MUST(access(folder.path("open").c_str(), R_OK));
    close(static_cast<int>(MUST(open_at(folder, "open", O_RDONLY))));
    write_file(folder.path("mine"), "x", 0600);
    EXPECT_EQ(stat_of(folder.path("mine")).st_uid, 65534U);
  });
}

CASE("files", "a file lives until it is closed, after it was unlinked") {
  const Folder folder;
  const int file = folder.file("file", "text");
  MUST(unlink(folder.path("file").c_str()));
  EXPECT_ERRNO(open_at(folder, "file", O_RDONLY), ENOENT);
  struct stat status = {};
  MUST(fstat(file, &status));
  EXPECT_EQ(status.st_nlink, 0U);
  char c = 0;
  EXPECT_EQ(pread(file, &c, 1, 2), 1);
  EXPECT_EQ(c, 'x');
}

CASE("files", "truncate and ftruncate") {
  const Folder folder;
  const int file = folder.file("file", "0123456789");
  MUST(ftruncate(file, 4));
  MUST(ftruncate(file, 8));
  EXPECT_EQ(read_file(folder.path("file")), std::string("0123\0\0\0\0", 8));
  MUST(truncate(folder.path("file").c_str(), 2));
  EXPECT_EQ(read_file(folder.path("file")), std::string("01"));
  EXPECT_ERRNO(ftruncate(file, -1), EINVAL);
  EXPECT_ERRNO(truncate(folder.path("none").c_str(), 0), ENOENT);
  EXPECT_ERRNO(truncate(folder.path().c_str(), 0), EISDIR);
}

CASE("files", "pread and pwrite leave the offset") {
  const Folder folder;
  const int file = folder.file("file", "0123456789");
  char c = 0;
  EXPECT_EQ(pread(file, &c, 1, 5), 1);
  EXPECT_EQ(c, '5');
  EXPECT_EQ(pwrite(file, "X", 1, 0), 1);
  EXPECT_EQ(lseek(file, 0, SEEK_CUR), 10);
  EXPECT_ERRNO(pread(file, &c, 1, -1), EINVAL);
  EXPECT_EQ(pread(file, &c, 1, 1000), 0);
}

CASE("files", "readv and writev") {
  const Folder folder;
  const int file = folder.file("file");
  char a[] = "one";
  char b[] = "two";
  const iovec parts[] = {{a, 3}, {b, 3}};
  EXPECT_EQ(writev(file, parts, 2), 6);
  EXPECT_EQ(read_file(folder.path("file")), std::string("onetwo"));
}

CASE("files", "a buffer that is bad in part: what could be") {
  const Folder folder;
  const int file = folder.file("file", std::string(2 * kPage, 'T'));
  char* pages = map(2 * kPage);
  MUST(munmap(pages + kPage, kPage));
  EXPECT_EQ(pread(file, pages + kPage - 10, 100, 0), 10);
  EXPECT(all_bytes(pages + kPage - 10, 10, 'T'));
  EXPECT_EQ(pwrite(file, pages + kPage - 10, 100, 0), 10);
  EXPECT_ERRNO(pread(file, pages + kPage, 100, 0), EFAULT);
}

CASE("descriptors", "the lowest free number") {
  const Folder folder;
  const int first = folder.file("file");
  const int second = static_cast<int>(MUST(dup(first)));
  const int third = static_cast<int>(MUST(dup(first)));
  EXPECT(first < second && second < third);
  close(second);
  close(first);
  EXPECT_EQ(static_cast<int>(MUST(dup(third))), first);
  EXPECT_EQ(static_cast<int>(MUST(dup(third))), second);
}

CASE("descriptors", "dup shares the offset, open does not, fork does") {
  const Folder folder;
  const int file = folder.file("file", "0123456789");
  const int same = static_cast<int>(MUST(dup(file)));
  const int own = static_cast<int>(MUST(open_at(folder, "file", O_RDONLY)));
  MUST(lseek(file, 3, SEEK_SET));
  EXPECT_EQ(lseek(same, 0, SEEK_CUR), 3);
  EXPECT_EQ(lseek(own, 0, SEEK_CUR), 0);
  in_child([file] { MUST(lseek(file, 7, SEEK_SET)); });
  EXPECT_EQ(lseek(file, 0, SEEK_CUR), 7);
}

CASE("descriptors", "dup2 and dup3") {
  const Folder folder;
  const int file = folder.file("file", "x");
  EXPECT_EQ(dup2(file, 50), 50);
  EXPECT_EQ(dup2(file, file), file);
  EXPECT_ERRNO(dup2(999, 51), EBADF);
  EXPECT_ERRNO(dup2(file, -1), EBADF);
  EXPECT_ERRNO(dup3(file, file, 0), EINVAL);
  EXPECT_EQ(dup3(file, 51, O_CLOEXEC), 51);
  EXPECT_EQ(fcntl(51, F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(fcntl(50, F_GETFD), 0);
  EXPECT_EQ(fcntl(file, F_DUPFD, 60), 60);
  EXPECT_EQ(fcntl(file, F_DUPFD_CLOEXEC, 60), 61);
  EXPECT_EQ(fcntl(61, F_GETFD), FD_CLOEXEC);
}

CASE("descriptors", "fcntl tells and sets flags") {
  const Folder folder;
  close(folder.file("file", "x"));
  const int file = static_cast<int>(MUST(open_at(folder, "file", O_RDWR | O_APPEND)));
  const long flags = MUST(fcntl(file, F_GETFL));
  EXPECT_EQ(flags & O_ACCMODE, O_RDWR);
  EXPECT(flags & O_APPEND);
  MUST(fcntl(file, F_SETFL, O_NONBLOCK));
  EXPECT_EQ(fcntl(file, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK), O_RDWR | O_NONBLOCK);
  EXPECT_ERRNO(fcntl(999, F_GETFL), EBADF);
  EXPECT_ERRNO(fcntl(file, 9999), EINVAL);
}

CASE("descriptors", "RLIMIT_NOFILE") {
  in_child([] {
    const rlimit limit{20, 20};
    MUST(setrlimit(RLIMIT_NOFILE, &limit));
    int last = 0;
    while ((last = open("/dev/null", O_RDONLY)) >= 0) {
      EXPECT(last < 20);
    }
    EXPECT_EQ(errno, EMFILE);
    EXPECT_ERRNO(dup2(0, 20), EBADF);
    int ends[2];
    EXPECT_ERRNO(pipe(ends), EMFILE);
  });
}

CASE("files", "times move as they should") {
  const Folder folder;
  const int file = folder.file("file", "x");
  const struct stat before = stat_of(folder.path("file"));
  usleep(20000);
  EXPECT_EQ(write(file, "y", 1), 1);
  const struct stat after = stat_of(folder.path("file"));
  const auto nanoseconds = [](const timespec& time) { return time.tv_sec * 1'000'000'000 + time.tv_nsec; };
  EXPECT(nanoseconds(after.st_mtim) > nanoseconds(before.st_mtim));
  EXPECT(nanoseconds(after.st_ctim) > nanoseconds(before.st_ctim));
  const timespec times[2] = {{1000, 1}, {2000, 2}};
  MUST(utimensat(AT_FDCWD, folder.path("file").c_str(), times, 0));
  const struct stat set = stat_of(folder.path("file"));
  EXPECT_EQ(set.st_atim.tv_sec, 1000);
  EXPECT_EQ(set.st_mtim.tv_sec, 2000);
}

CASE("files", "stat, fstat and statx agree") {
  const Folder folder;
  const int file = folder.file("file", std::string(5000, 'x'));
  struct stat by_file = {};
  MUST(fstat(file, &by_file));
  const struct stat by_name = stat_of(folder.path("file"));
  EXPECT_EQ(by_file.st_ino, by_name.st_ino);
  EXPECT_EQ(by_file.st_dev, by_name.st_dev);
  EXPECT_EQ(by_file.st_size, 5000);
  EXPECT_EQ(by_file.st_nlink, 1U);
  EXPECT_EQ(by_file.st_uid, geteuid());
  EXPECT_EQ(by_file.st_blksize, 4096);
  struct statx more = {};
  MUST(statx(AT_FDCWD, folder.path("file").c_str(), 0, STATX_BASIC_STATS, &more));
  EXPECT_EQ(more.stx_ino, by_name.st_ino);
  EXPECT_EQ(more.stx_size, 5000U);
  EXPECT_EQ(more.stx_mode, by_name.st_mode);
}

CASE("files", "sendfile copies") {
  const Folder folder;
  const int from = folder.file("from", "0123456789");
  const int to = folder.file("to");
  off_t offset = 2;
  EXPECT_EQ(syscall(SYS_sendfile, to, from, &offset, 5), 5);
  EXPECT_EQ(offset, 7);
  EXPECT_EQ(read_file(folder.path("to")), std::string("23456"));
}

}  // namespace
}  // namespace guest
