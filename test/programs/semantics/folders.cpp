// Names: folders, links, renaming, paths.
#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <climits>
#include <set>

#include "../support/memory.hpp"
#include "../support/process.hpp"

namespace guest {
namespace {

std::set<std::string> names_in(const std::string& path) {
  std::set<std::string> names;
  DIR* folder = opendir(path.c_str());
  EXPECT(folder != nullptr);
  while (const dirent* entry = readdir(folder)) {
    EXPECT(names.insert(entry->d_name).second);
  }
  closedir(folder);
  return names;
}

nlink_t links_of(const std::string& path) {
  struct stat status = {};
  MUST(lstat(path.c_str(), &status));
  return status.st_nlink;
}

CASE("folders", "hold what was made in them, and dots") {
  const Folder folder;
  write_file(folder.path("b"), "");
  MUST(mkdir(folder.path("c").c_str(), 0755));
  MUST(symlink("b", folder.path("a").c_str()));
  EXPECT(names_in(folder.path()) == (std::set<std::string>{".", "..", "a", "b", "c"}));
  MUST(unlink(folder.path("b").c_str()));
  EXPECT(names_in(folder.path()) == (std::set<std::string>{".", "..", "a", "c"}));
}

CASE("folders", "a thousand names, each told once, with a small buffer") {
  const Folder folder;
  for (int i = 0; i < 1000; i++) {
    write_file(folder.path("name" + std::to_string(i)), "");
  }
  std::set<std::string> names;
  const int file = static_cast<int>(MUST(open(folder.path().c_str(), O_RDONLY | O_DIRECTORY)));
  alignas(8) char buffer[300];
  for (long n = 0; (n = MUST(syscall(SYS_getdents64, file, buffer, sizeof buffer))) > 0;) {
    for (long at = 0; at < n;) {
      const auto* entry = reinterpret_cast<const dirent64*>(buffer + at);
      EXPECT(names.insert(entry->d_name).second);
      EXPECT_EQ(entry->d_reclen % 8, 0);
      EXPECT(entry->d_type == DT_REG || entry->d_type == DT_DIR);
      at += entry->d_reclen;
    }
  }
  EXPECT_EQ(names.size(), 1002U);
  EXPECT_EQ(lseek(file, 0, SEEK_SET), 0);
  EXPECT(syscall(SYS_getdents64, file, buffer, sizeof buffer) > 0);
  EXPECT_ERRNO(syscall(SYS_getdents64, file, buffer, 8), EINVAL);
  EXPECT_ERRNO(syscall(SYS_getdents64, file, 8, 300), EFAULT);
}

CASE("folders", "files may go while the folder is read") {
  const Folder folder;
  for (int i = 0; i < 300; i++) {
    write_file(folder.path("name" + std::to_string(i)), "");
  }
  DIR* open_folder = opendir(folder.path().c_str());
  int removed = 0;
  while (const dirent* entry = readdir(open_folder)) {
    if (entry->d_type == DT_REG) {
      MUST(unlink(folder.path(entry->d_name).c_str()));
      removed++;
    }
  }
  closedir(open_folder);
  EXPECT_EQ(removed, 300);
}

CASE("folders", "mkdir and rmdir errors") {
  const Folder folder;
  MUST(mkdir(folder.path("a").c_str(), 0755));
  EXPECT_ERRNO(mkdir(folder.path("a").c_str(), 0755), EEXIST);
  EXPECT_ERRNO(mkdir(folder.path("none/b").c_str(), 0755), ENOENT);
  write_file(folder.path("a/file"), "");
  EXPECT_ERRNO(mkdir(folder.path("a/file/b").c_str(), 0755), ENOTDIR);
  EXPECT_ERRNO(rmdir(folder.path("a").c_str()), ENOTEMPTY);
  EXPECT_ERRNO(rmdir(folder.path("a/file").c_str()), ENOTDIR);
  EXPECT_ERRNO(unlink(folder.path("a").c_str()), EISDIR);
  EXPECT_ERRNO(rmdir(folder.path("a/.").c_str()), EINVAL);
  EXPECT_ERRNO(rmdir(folder.path("none").c_str()), ENOENT);
  MUST(unlink(folder.path("a/file").c_str()));
  MUST(rmdir(folder.path("a").c_str()));
}

CASE("folders", "links count: two, and one for each folder within") {
  const Folder folder;
  MUST(mkdir(folder.path("a").c_str(), 0755));
  struct stat status = {};
  MUST(stat("/tmp", &status));
  if (links_of(folder.path("a")) != 2) {
    return;  // a file system that does not count them, as the host's may
  }
  MUST(mkdir(folder.path("a/b").c_str(), 0755));
  MUST(mkdir(folder.path("a/c").c_str(), 0755));
  EXPECT_EQ(links_of(folder.path("a")), 4U);
  MUST(rmdir(folder.path("a/b").c_str()));
  EXPECT_EQ(links_of(folder.path("a")), 3U);
}

CASE("links", "two names of one file") {
  const Folder folder;
  write_file(folder.path("a"), "text");
  MUST(link(folder.path("a").c_str(), folder.path("b").c_str()));
  EXPECT_EQ(links_of(folder.path("a")), 2U);
  write_file(folder.path("b"), "other");
  EXPECT_EQ(read_file(folder.path("a")), std::string("other"));
  MUST(unlink(folder.path("a").c_str()));
  EXPECT_EQ(links_of(folder.path("b")), 1U);
  EXPECT_ERRNO(link(folder.path("none").c_str(), folder.path("c").c_str()), ENOENT);
  write_file(folder.path("c"), "");
  EXPECT_ERRNO(link(folder.path("b").c_str(), folder.path("c").c_str()), EEXIST);
  EXPECT_ERRNO(link(folder.path().c_str(), folder.path("d").c_str()), EPERM);
}

CASE("links", "a symbolic link is followed, read, and not stat'ed through by lstat") {
  const Folder folder;
  write_file(folder.path("file"), "text");
  MUST(symlink("file", folder.path("link").c_str()));
  EXPECT_EQ(read_file(folder.path("link")), std::string("text"));
  char buffer[64] = {};
  EXPECT_EQ(readlink(folder.path("link").c_str(), buffer, sizeof buffer), 4);
  EXPECT_EQ(std::string(buffer), std::string("file"));
  EXPECT_EQ(readlink(folder.path("link").c_str(), buffer, 2), 2);
  struct stat status = {};
  MUST(lstat(folder.path("link").c_str(), &status));
  EXPECT(S_ISLNK(status.st_mode));
  EXPECT_EQ(status.st_size, 4);
  MUST(stat(folder.path("link").c_str(), &status));
  EXPECT(S_ISREG(status.st_mode));
  EXPECT_ERRNO(readlink(folder.path("file").c_str(), buffer, sizeof buffer), EINVAL);
  EXPECT_ERRNO(open(folder.path("link").c_str(), O_RDONLY | O_NOFOLLOW), ELOOP);
}

CASE("links", "loops and dangling links") {
  const Folder folder;
  MUST(symlink("b", folder.path("a").c_str()));
  MUST(symlink("a", folder.path("b").c_str()));
  EXPECT_ERRNO(open(folder.path("a").c_str(), O_RDONLY), ELOOP);
  EXPECT_ERRNO(open(folder.path("a/x").c_str(), O_RDONLY), ELOOP);
  MUST(symlink("nowhere", folder.path("c").c_str()));
  EXPECT_ERRNO(open(folder.path("c").c_str(), O_RDONLY), ENOENT);
  close(static_cast<int>(MUST(open(folder.path("c").c_str(), O_WRONLY | O_CREAT, 0644))));  // makes what it names
  EXPECT_EQ(read_file(folder.path("nowhere")), std::string());
  EXPECT_ERRNO(open(folder.path("c").c_str(), O_WRONLY | O_CREAT | O_EXCL, 0644), EEXIST);
}

CASE("links", "through folders, up and down") {
  const Folder folder;
  MUST(mkdir(folder.path("a").c_str(), 0755));
  MUST(mkdir(folder.path("a/b").c_str(), 0755));
  write_file(folder.path("file"), "text");
  MUST(symlink("../..", folder.path("a/b/up").c_str()));
  MUST(symlink(folder.path("a").c_str(), folder.path("absolute").c_str()));
  EXPECT_EQ(read_file(folder.path("a/b/up/file")), std::string("text"));
  EXPECT_EQ(read_file(folder.path("absolute/b/up/file")), std::string("text"));
  EXPECT_EQ(read_file(folder.path("a//b/.././../file")), std::string("text"));
  EXPECT_EQ(read_file("/../../" + folder.path("file")), std::string("text"));
}

CASE("paths", "too long, as a name and as a whole") {
  const Folder folder;
  EXPECT_ERRNO(open(folder.path(std::string(256, 'x')).c_str(), O_RDONLY | O_CREAT, 0644), ENAMETOOLONG);
  close(static_cast<int>(MUST(open(folder.path(std::string(255, 'x')).c_str(), O_RDONLY | O_CREAT, 0644))));
  std::string path = folder.path();
  while (path.size() < PATH_MAX) {
    path += "/.";
  }
  EXPECT_ERRNO(open(path.c_str(), O_RDONLY), ENAMETOOLONG);
  path.resize(PATH_MAX - 1);
  close(static_cast<int>(MUST(open(path.c_str(), O_RDONLY))));
}

CASE("paths", "a slash at the end asks for a folder") {
  const Folder folder;
  write_file(folder.path("file"), "");
  MUST(mkdir(folder.path("folder").c_str(), 0755));
  EXPECT_ERRNO(open(folder.path("file/").c_str(), O_RDONLY), ENOTDIR);
  close(static_cast<int>(MUST(open(folder.path("folder/").c_str(), O_RDONLY))));
}

CASE("paths", "the current folder") {
  const Folder folder;
  MUST(mkdir(folder.path("a").c_str(), 0755));
  MUST(chdir(folder.path("a").c_str()));
  char buffer[PATH_MAX];
  EXPECT_EQ(std::string(getcwd(buffer, sizeof buffer)), folder.path("a"));
  write_file("here", "text");
  EXPECT_EQ(read_file(folder.path("a/here")), std::string("text"));
  MUST(chdir(".."));
  EXPECT_EQ(std::string(getcwd(buffer, sizeof buffer)), folder.path());
  EXPECT_ERRNO(syscall(SYS_getcwd, buffer, 3), ERANGE);
  EXPECT_ERRNO(chdir("a/here"), ENOTDIR);
  EXPECT_ERRNO(chdir("none"), ENOENT);
  in_child([] { MUST(chdir("a")); });
  EXPECT_EQ(std::string(getcwd(buffer, sizeof buffer)), folder.path());
  MUST(chdir("/"));
}

CASE("paths", "the calls that start at a folder") {
  const Folder folder;
  const int base = static_cast<int>(MUST(open(folder.path().c_str(), O_RDONLY | O_DIRECTORY)));
  MUST(mkdirat(base, "a", 0755));
  const int file = static_cast<int>(MUST(openat(base, "a/file", O_RDWR | O_CREAT, 0644)));
  struct stat status = {};
  MUST(fstatat(base, "a/file", &status, 0));
  MUST(fstatat(file, "", &status, AT_EMPTY_PATH));
  MUST(linkat(base, "a/file", base, "b", 0));
  MUST(symlinkat("b", base, "c"));
  MUST(renameat(base, "b", base, "d"));
  MUST(faccessat(base, "d", R_OK, 0));
  EXPECT_ERRNO(openat(file, "x", O_RDONLY), ENOTDIR);
  EXPECT_ERRNO(openat(999, "x", O_RDONLY), EBADF);
  close(static_cast<int>(MUST(openat(999, "/dev/null", O_RDONLY))));  // an absolute path needs no folder
  MUST(unlinkat(base, "d", 0));
  EXPECT_ERRNO(unlinkat(base, "a", 0), EISDIR);
  MUST(unlinkat(base, "a/file", 0));
  MUST(unlinkat(base, "a", AT_REMOVEDIR));
}

CASE("rename", "moves, and replaces") {
  const Folder folder;
  write_file(folder.path("a"), "A");
  write_file(folder.path("b"), "B");
  MUST(rename(folder.path("a").c_str(), folder.path("c").c_str()));
  EXPECT_ERRNO(access(folder.path("a").c_str(), F_OK), ENOENT);
  MUST(rename(folder.path("c").c_str(), folder.path("b").c_str()));
  EXPECT_EQ(read_file(folder.path("b")), std::string("A"));
  EXPECT(names_in(folder.path()) == (std::set<std::string>{".", "..", "b"}));
}

CASE("rename", "folders") {
  const Folder folder;
  for (const char* name : {"a", "a/in", "b", "full", "full/in"}) {
    MUST(mkdir(folder.path(name).c_str(), 0755));
  }
  write_file(folder.path("file"), "");
  EXPECT_ERRNO(rename(folder.path("a").c_str(), folder.path("a/in/x").c_str()), EINVAL);
  EXPECT_ERRNO(rename(folder.path("a").c_str(), folder.path("file").c_str()), ENOTDIR);
  EXPECT_ERRNO(rename(folder.path("file").c_str(), folder.path("a").c_str()), EISDIR);
  EXPECT_ERRNO(rename(folder.path("a").c_str(), folder.path("full").c_str()), ENOTEMPTY);
  EXPECT_ERRNO(rename(folder.path("none").c_str(), folder.path("x").c_str()), ENOENT);
  MUST(rename(folder.path("a").c_str(), folder.path("b").c_str()));
  MUST(access(folder.path("b/in").c_str(), F_OK));
  MUST(rename(folder.path("b/in").c_str(), folder.path("in").c_str()));
  MUST(chdir(folder.path("in").c_str()));
  MUST(chdir(".."));
  char buffer[PATH_MAX];
  EXPECT_EQ(std::string(getcwd(buffer, sizeof buffer)), folder.path());
  MUST(chdir("/"));
}

CASE("rename", "one file under two names stays") {
  const Folder folder;
  write_file(folder.path("a"), "A");
  MUST(link(folder.path("a").c_str(), folder.path("b").c_str()));
  MUST(rename(folder.path("a").c_str(), folder.path("b").c_str()));
  EXPECT_EQ(links_of(folder.path("a")), 2U);
  MUST(rename(folder.path("a").c_str(), folder.path("a").c_str()));
}

CASE("rename", "not replacing, and exchanging") {
  const Folder folder;
  write_file(folder.path("a"), "A");
  write_file(folder.path("b"), "B");
  const std::string a = folder.path("a");
  const std::string b = folder.path("b");
  EXPECT_ERRNO(renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_NOREPLACE), EEXIST);
  EXPECT_EQ(read_file(b), std::string("B"));
}

}  // namespace
}  // namespace guest
