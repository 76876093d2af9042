// Pipes and poll.
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <climits>
#include <ctime>

#include "../support/memory.hpp"
#include "../support/process.hpp"

namespace guest {
namespace {

struct Pipe {
  int ends[2] = {};
  explicit Pipe(int flags = 0) { MUST(pipe2(ends, flags)); }
  [[nodiscard]] int out() const { return ends[0]; }
  [[nodiscard]] int in() const { return ends[1]; }
  void put(const std::string& text) const {
    EXPECT_EQ(write(in(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  [[nodiscard]] std::string get(std::size_t most = 100) const {
    std::string text(most, '\0');
    text.resize(static_cast<std::size_t>(MUST(read(out(), text.data(), most))));
    return text;
  }
};

short events_of(int file, short wanted) {
  pollfd one = {file, wanted, 0};
  MUST(poll(&one, 1, 0));
  return one.revents;
}

CASE("pipes", "bytes come as they went, in pieces of any size") {
  const Pipe pipe;
  pipe.put("hello ");
  pipe.put("world");
  EXPECT_EQ(pipe.get(4), std::string("hell"));
  EXPECT_EQ(pipe.get(), std::string("o world"));
}

CASE("pipes", "end of file once the last writer is gone") {
  const Pipe pipe;
  const int second = static_cast<int>(MUST(dup(pipe.in())));
  pipe.put("x");
  close(pipe.in());
  EXPECT_EQ(pipe.get(), std::string("x"));
  EXPECT_EQ(events_of(pipe.out(), POLLIN), 0);
  close(second);
  EXPECT_EQ(pipe.get(), std::string());
  EXPECT_EQ(events_of(pipe.out(), POLLIN), POLLHUP);
}

CASE("pipes", "end of file wakes a reader that waits") {
  const Pipe pipe;
  const pid_t child = start_child([] { usleep(30000); });
  close(pipe.in());
  EXPECT_EQ(pipe.get(), std::string());
  EXPECT_EQ(status_of(child), 0);
}

CASE("pipes", "without a reader: SIGPIPE, or EPIPE") {
  const int status = status_of(start_child([] {
    const Pipe pipe;
    close(pipe.out());
    EXPECT(write(pipe.in(), "x", 1) == 1);
  }));
  EXPECT_EQ(WTERMSIG(status), SIGPIPE);
  const Pipe pipe;
  close(pipe.out());
  std::signal(SIGPIPE, SIG_IGN);
  EXPECT_ERRNO(write(pipe.in(), "x", 1), EPIPE);
  EXPECT(events_of(pipe.in(), POLLOUT) & POLLERR);
}

CASE("pipes", "a writer that waits gets EPIPE when the reader goes") {
  std::signal(SIGPIPE, SIG_IGN);
  const Pipe pipe;
  const pid_t child = start_child([] { usleep(30000); });
  close(pipe.out());
  const std::string much(std::size_t{256} << 10, 'x');
  const ssize_t n = write(pipe.in(), much.data(), much.size());
  EXPECT(n == 65536 || (n == -1 && errno == EPIPE));
  EXPECT_EQ(status_of(child), 0);
}

CASE("pipes", "hold 64 KB, then a write would wait") {
  const Pipe pipe(O_NONBLOCK);
  const std::string block(4096, 'x');
  int blocks = 0;
  while (write(pipe.in(), block.data(), block.size()) == 4096) {
    blocks++;
  }
  EXPECT_EQ(errno, EAGAIN);
  EXPECT_EQ(blocks, 16);
  EXPECT_EQ(events_of(pipe.in(), POLLOUT), 0);
  EXPECT_EQ(events_of(pipe.out(), POLLIN), POLLIN);
  int bytes = 0;
  MUST(ioctl(pipe.out(), FIONREAD, &bytes));
  EXPECT_EQ(bytes, 65536);
  EXPECT_EQ(pipe.get(4096).size(), 4096U);
  EXPECT_EQ(events_of(pipe.in(), POLLOUT), POLLOUT);
}

CASE("pipes", "an empty one, not waited for, is EAGAIN") {
  const Pipe pipe(O_NONBLOCK);
  char c;
  EXPECT_ERRNO(read(pipe.out(), &c, 1), EAGAIN);
  EXPECT_EQ(read(pipe.out(), &c, 0), 0);
}

CASE("pipes", "up to PIPE_BUF a write is all or nothing") {
  const Pipe pipe(O_NONBLOCK);
  const std::string block(4096, 'x');
  for (int i = 0; i < 16; i++) {
    pipe.put(block);
  }
  EXPECT_EQ(pipe.get(100).size(), 100U);
  EXPECT_ERRNO(write(pipe.in(), block.data(), PIPE_BUF), EAGAIN);
}

CASE("pipes", "writers at once do not mix what is at most PIPE_BUF") {
  const Pipe pipe;
  for (int i = 0; i < 4; i++) {
    start_child([&pipe, i] {
      const std::string line(512, static_cast<char>('a' + i));
      for (int round = 0; round < 50; round++) {
        EXPECT_EQ(write(pipe.in(), line.data(), line.size()), 512);
      }
    });
  }
  close(pipe.in());
  std::size_t total = 0;
  for (std::string text; !(text = pipe.get(512)).empty(); total += text.size()) {
    while (text.size() < 512) {
      text += pipe.get(512 - text.size());
    }
    EXPECT(all_bytes(text.data(), 512, text[0]));
  }
  EXPECT_EQ(total, 4U * 50 * 512);
  while (wait(nullptr) > 0) {
  }
}

CASE("pipes", "a megabyte through, from one process to another") {
  const Pipe pipe;
  const pid_t child = start_child([&pipe] {
    unsigned value = 1;
    for (int i = 0; i < 256; i++) {
      unsigned block[1024];
      for (unsigned& word : block) {
        word = value = value * 1664525 + 1013904223;
      }
      EXPECT_EQ(write(pipe.in(), block, sizeof block), static_cast<ssize_t>(sizeof block));
    }
  });
  close(pipe.in());
  const std::string all = read_rest(pipe.out());
  EXPECT_EQ(all.size(), 1U << 20);
  unsigned value = 1;
  for (std::size_t i = 0; i < all.size(); i += 4) {
    unsigned word = 0;
    std::memcpy(&word, all.data() + i, 4);
    value = value * 1664525 + 1013904223;
    EXPECT_EQ(word, value);
  }
  EXPECT_EQ(status_of(child), 0);
}

CASE("pipes", "writev and readv") {
  const Pipe pipe;
  char one[] = "abc";
  char two[] = "defgh";
  const iovec out[] = {{one, 3}, {nullptr, 0}, {two, 5}};
  EXPECT_EQ(writev(pipe.in(), out, 3), 8);
  char first[4] = {};
  char second[16] = {};
  const iovec in[] = {{first, 2}, {second, 10}};
  EXPECT_EQ(readv(pipe.out(), in, 2), 8);
  EXPECT_EQ(std::string(first), std::string("ab"));
  EXPECT_EQ(std::string(second), std::string("cdefgh"));
  EXPECT_ERRNO(syscall(SYS_writev, pipe.in(), out, -1), EINVAL);
  EXPECT_ERRNO(syscall(SYS_writev, pipe.in(), 8, 1), EFAULT);
}

CASE("pipes", "the wrong end, seek, and other errors") {
  const Pipe pipe;
  char c = 'x';
  EXPECT_ERRNO(read(pipe.in(), &c, 1), EBADF);
  EXPECT_ERRNO(write(pipe.out(), &c, 1), EBADF);
  EXPECT_ERRNO(lseek(pipe.out(), 0, SEEK_SET), ESPIPE);
  EXPECT_ERRNO(pread(pipe.out(), &c, 1, 0), ESPIPE);
  EXPECT_ERRNO(ftruncate(pipe.in(), 0), EINVAL);
  EXPECT_ERRNO(syscall(SYS_pipe2, pipe.ends, 0x1234567), EINVAL);
  EXPECT_ERRNO(syscall(SYS_pipe2, 8, 0), EFAULT);
  struct stat status = {};
  MUST(fstat(pipe.out(), &status));
  EXPECT(S_ISFIFO(status.st_mode));
}

CASE("pipes", "a bad buffer is EFAULT and takes nothing") {
  const Pipe pipe;
  pipe.put("text");
  EXPECT_ERRNO(syscall(SYS_read, pipe.out(), 8, 4), EFAULT);
  EXPECT_EQ(pipe.get(), std::string("text"));
  EXPECT_ERRNO(syscall(SYS_write, pipe.in(), 8, 4), EFAULT);
}

CASE("pipes", "a named one") {
  const Folder folder;
  const std::string path = folder.path("fifo");
  MUST(mkfifo(path.c_str(), 0600));
  EXPECT_ERRNO(open(path.c_str(), O_WRONLY | O_NONBLOCK), ENXIO);
  const pid_t child = start_child([&path] {
    const int out = static_cast<int>(MUST(open(path.c_str(), O_WRONLY)));
    EXPECT_EQ(write(out, "named", 5), 5);
  });
  const int in = static_cast<int>(MUST(open(path.c_str(), O_RDONLY)));
  EXPECT_EQ(read_rest(in), std::string("named"));
  EXPECT_EQ(status_of(child), 0);
}

CASE("poll", "nothing, for a while") {
  const Pipe pipe;
  pollfd one = {pipe.out(), POLLIN, 0};
  timespec start = {};
  timespec end = {};
  MUST(clock_gettime(CLOCK_MONOTONIC, &start));
  EXPECT_EQ(poll(&one, 1, 50), 0);
  MUST(clock_gettime(CLOCK_MONOTONIC, &end));
  const long waited = (end.tv_sec - start.tv_sec) * 1'000'000'000 + end.tv_nsec - start.tv_nsec;
  EXPECT(waited >= 50'000'000);
  EXPECT_EQ(one.revents, 0);
  EXPECT_EQ(poll(nullptr, 0, 1), 0);
}

CASE("poll", "wakes when something comes") {
  const Pipe first;
  const Pipe second;
  const pid_t child = start_child([&second] {
    usleep(30000);
    second.put("x");
  });
  pollfd both[] = {{first.out(), POLLIN, 0}, {second.out(), POLLIN, 0}};
  EXPECT_EQ(poll(both, 2, 10000), 1);
  EXPECT_EQ(both[0].revents, 0);
  EXPECT_EQ(both[1].revents, POLLIN);
  EXPECT_EQ(status_of(child), 0);
}

CASE("poll", "files, wrong numbers, negative numbers") {
  const Folder folder;
  EXPECT_EQ(events_of(folder.file("file"), POLLIN | POLLOUT), POLLIN | POLLOUT);
  EXPECT_EQ(events_of(999, POLLIN), POLLNVAL);
  EXPECT_EQ(events_of(-1, POLLIN), 0);
  EXPECT_ERRNO(syscall(SYS_poll, 8, 1, 0), EFAULT);
}

CASE("poll", "is interrupted by a signal, which ppoll lets through") {
  static volatile int caught = 0;
  struct sigaction action = {};
  action.sa_handler = [](int) { caught = caught + 1; };
  MUST(sigaction(SIGUSR1, &action, nullptr));
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  MUST(sigprocmask(SIG_BLOCK, &blocked, nullptr));
  MUST(kill(getpid(), SIGUSR1));
  sigset_t none;
  sigemptyset(&none);
  EXPECT_ERRNO(ppoll(nullptr, 0, nullptr, &none), EINTR);
  EXPECT_EQ(caught, 1);
}

CASE("poll", "select does the same") {
  const Pipe pipe;
  fd_set in;
  fd_set out;
  FD_ZERO(&in);
  FD_ZERO(&out);
  FD_SET(pipe.out(), &in);
  FD_SET(pipe.in(), &out);
  timeval none = {};
  EXPECT_EQ(select(pipe.in() + 1, &in, &out, nullptr, &none), 1);
  EXPECT(!FD_ISSET(pipe.out(), &in));
  EXPECT(FD_ISSET(pipe.in(), &out));
  pipe.put("x");
  FD_SET(pipe.out(), &in);
  EXPECT_EQ(select(pipe.in() + 1, &in, nullptr, nullptr, nullptr), 1);
  EXPECT(FD_ISSET(pipe.out(), &in));
}

CASE("devices", "null, zero, full, urandom") {
  char buffer[64];
  const int null = static_cast<int>(MUST(open("/dev/null", O_RDWR)));
  EXPECT_EQ(read(null, buffer, sizeof buffer), 0);
  EXPECT_EQ(write(null, buffer, sizeof buffer), static_cast<ssize_t>(sizeof buffer));
  std::memset(buffer, 'x', sizeof buffer);
  const int zero = static_cast<int>(MUST(open("/dev/zero", O_RDWR)));
  EXPECT_EQ(read(zero, buffer, sizeof buffer), static_cast<ssize_t>(sizeof buffer));
  EXPECT(all_bytes(buffer, sizeof buffer, '\0'));
  const int full = static_cast<int>(MUST(open("/dev/full", O_RDWR)));
  EXPECT_ERRNO(write(full, buffer, 1), ENOSPC);
  const int random = static_cast<int>(MUST(open("/dev/urandom", O_RDONLY)));
  EXPECT_EQ(read(random, buffer, sizeof buffer), static_cast<ssize_t>(sizeof buffer));
  EXPECT(!all_bytes(buffer, sizeof buffer, buffer[0]));
  struct stat status = {};
  MUST(stat("/dev/null", &status));
  EXPECT(S_ISCHR(status.st_mode));
  EXPECT_EQ(status.st_rdev, 0x103U);
}

}  // namespace
}  // namespace guest
