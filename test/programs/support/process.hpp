// Children and files of a test case.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string>

#include "test.hpp"

namespace guest {

// Forks; the child does `body` and exits with what it returns (or 0).
template <class Body>
pid_t start_child(Body body) {
  const pid_t child = fork();
  if (child < 0) {
    fail(__FILE__, __LINE__, "fork failed");
  }
  if (child == 0) {
    if constexpr (std::is_void_v<decltype(body())>) {
      body();
      _exit(0);
    } else {
      _exit(body());
    }
  }
  return child;
}

// The wait status of a child that ends.
inline int status_of(pid_t child) {
  int status = -1;
  if (waitpid(child, &status, 0) != child) {
    fail(__FILE__, __LINE__, "waitpid failed");
  }
  return status;
}

// Runs `body` in a child that must exit with 0.
template <class Body>
void in_child(Body body) {
  EXPECT_EQ(status_of(start_child(body)), 0);
}

// Two processes take turns over pipes.
class Turns {
 public:
  Turns() {
    MUST(pipe(to_child_));
    MUST(pipe(to_parent_));
  }
  void give_child() const { give(to_child_[1]); }
  void give_parent() const { give(to_parent_[1]); }
  void await_child() const { take(to_parent_[0]); }
  void await_parent() const { take(to_child_[0]); }

 private:
  static void give(int file) { EXPECT_EQ(write(file, "x", 1), 1); }
  static void take(int file) {
    char c;
    EXPECT_EQ(read(file, &c, 1), 1);
  }

  int to_child_[2] = {};
  int to_parent_[2] = {};
};

// An empty folder that goes away, with the files in it, at the end.
class Folder {
 public:
  Folder() {
    char name[] = "/tmp/suite.XXXXXX";
    if (mkdtemp(name) == nullptr) {
      fail(__FILE__, __LINE__, std::string("mkdtemp in /tmp: ") + std::to_string(errno));
    }
    path_ = name;
    MUST(chmod(name, 0777));
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { remove_all(path_); }

  [[nodiscard]] std::string path(const std::string& name) const { return path_ + "/" + name; }
  [[nodiscard]] const std::string& path() const { return path_; }

  // A file with that text, open for reading and writing.
  [[nodiscard]] int file(const std::string& name, const std::string& text = "") const {
    const int file = static_cast<int>(MUST(open(path(name).c_str(), O_RDWR | O_CREAT | O_TRUNC, 0644)));
    EXPECT_EQ(write(file, text.data(), text.size()), static_cast<ssize_t>(text.size()));
    return file;
  }

 private:
  static void remove_all(const std::string& path);

  std::string path_;
};

// A whole small file, also one of /proc.
std::string read_file(const std::string& path);
void write_file(const std::string& path, const std::string& text, mode_t mode = 0644);
// What is left to read of a file or a pipe.
std::string read_rest(int file);

}  // namespace guest
