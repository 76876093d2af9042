// Programs that take more memory than there is, in the ways there are, beside a bystander that must not notice.
//
//   memory_hog touch     writes to page after page of one mapping
//   memory_hog heap      the same by brk
//   memory_hog sparse    writes one page in each 2 MB, so that tables are taken too
//   memory_hog tables    the same with pages that are only read: all of zeros, so that it is tables alone
//   memory_hog shared    writes to shared anonymous memory, which belongs to nobody
//   memory_hog file      writes a file in RAM until there is an error or an end
//   memory_hog fork      makes children that make children, each with memory of its own
//   memory_hog pipes     fills pipes
//   memory_hog free      only tells how much is free
//   memory_hog beside WAY...  runs each way in a child, one after the other, while a bystander computes; prints how
//   each
//                             ended, that the bystander goes on, and that the memory came back
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>

namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kLarge = std::size_t{2} << 20;
constexpr std::size_t kReservation = std::size_t{1} << 40;

char* reserve(std::size_t bytes, int flags) {
  void* result = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (result == MAP_FAILED) {
    std::perror("memory_hog: mmap");
    std::exit(2);
  }
  return static_cast<char*>(result);
}

void write_each(std::size_t step, int flags) {
  volatile char* bytes = reserve(kReservation, flags);
  for (std::size_t at = 0; at < kReservation; at += step) {
    bytes[at] = 'x';
  }
}

void read_each_large() {
  const volatile char* bytes = reserve(kReservation, MAP_PRIVATE);
  for (std::size_t at = 0; at < kReservation; at += kLarge) {
    [[maybe_unused]] const char value = bytes[at];
  }
}

void grow_heap() {
  for (;;) {
    auto* start = static_cast<char*>(sbrk(1 << 20));
    if (reinterpret_cast<std::intptr_t>(start) == -1) {
      std::exit(1);  // refused: no harm
    }
    std::memset(start, 'x', 1 << 20);
  }
}

void fill_file() {
  const int file = open("/tmp/memory_hog.file", O_RDWR | O_CREAT | O_TRUNC, 0600);
  unlink("/tmp/memory_hog.file");
  static char block[1 << 16];
  std::memset(block, 'x', sizeof block);
  while (write(file, block, sizeof block) > 0) {
  }
  std::exit(1);  // refused: no harm
}

void fill_pipes() {
  static char block[1 << 16];
  int ends[2];
  for (;;) {
    while (pipe2(ends, O_NONBLOCK) == 0) {
      [[maybe_unused]] const ssize_t n = write(ends[1], block, sizeof block);
    }
    if (fork() != 0) {
      pause();  // the files are used up; the child has them all too, and room for none
    }
    for (int file = 3; file < 4096; file++) {
      close(file);
    }
  }
}

// Each has a few pages of its own, so that it is memory that ends it and not the number of processes.
void bomb() {
  setpgid(0, 0);
  for (;;) {
    std::memset(reserve(64 * kPage, MAP_PRIVATE), 'x', 64 * kPage);
    fork();
  }
}

bool run_way(const std::string& way) {
  if (way == "touch") {
    write_each(kPage, MAP_PRIVATE);
  } else if (way == "heap") {
    grow_heap();
  } else if (way == "sparse") {
    write_each(kLarge, MAP_PRIVATE);
  } else if (way == "tables") {
    read_each_large();
  } else if (way == "shared") {
    write_each(kPage, MAP_SHARED);
  } else if (way == "file") {
    fill_file();
  } else if (way == "fork") {
    bomb();
  } else if (way == "pipes") {
    fill_pipes();
  } else {
    return false;
  }
  return true;
}

long free_kilobytes() {
  long free = -1;
  if (std::FILE* file = std::fopen("/proc/meminfo", "re"); file != nullptr) {
    char line[128];
    while (std::fgets(line, sizeof line, file) != nullptr && std::sscanf(line, "MemFree: %ld", &free) != 1) {
    }
    std::fclose(file);
  }
  return free;
}

// Computes, writes, forks now and then, and counts its rounds where the parent sees them.
[[noreturn]] void stand_by(volatile std::uint64_t* rounds) {
  char* own = reserve(16 * kPage, MAP_PRIVATE);
  for (std::uint64_t round = 1;; round++) {
    std::memset(own, static_cast<int>(round & 0x7F), 16 * kPage);
    for (std::size_t i = 0; i < 16 * kPage; i += 512) {
      if (own[i] != static_cast<char>(round & 0x7F)) {
        std::_Exit(1);
      }
    }
    *rounds = round;
    const timespec time = {0, 2'000'000};
    nanosleep(&time, nullptr);
  }
}

// Ends all of the group, whose members may still be multiplying.
void end_group(pid_t leader) {
  for (int i = 0; i < 1000 && kill(-leader, SIGKILL) == 0; i++) {
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    usleep(10'000);
  }
}

int run_beside(int count, char** ways) {
  auto* rounds = reinterpret_cast<volatile std::uint64_t*>(reserve(kPage, MAP_SHARED));
  *rounds = 0;
  const pid_t bystander = fork();
  if (bystander == 0) {
    stand_by(rounds);
  }
  int bad = 0;
  for (int i = 0; i < count; i++) {
    const long before = free_kilobytes();
    const std::uint64_t rounds_before = *rounds;
    const pid_t hog = fork();
    if (hog == 0) {
      setpgid(0, 0);
      run_way(ways[i]);
      std::_Exit(0);
    }
    setpgid(hog, hog);
    int status = 0;
    const bool is_bomb = std::strcmp(ways[i], "fork") == 0 || std::strcmp(ways[i], "pipes") == 0;
    for (int tenths = 0; waitpid(hog, &status, WNOHANG) == 0; tenths++) {
      usleep(100'000);
      if (is_bomb && tenths == 100) {
        kill(-hog, SIGKILL);  // its leader need not be the one that was chosen
      }
    }
    end_group(hog);
    const bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    usleep(200'000);
    const bool goes_on = *rounds > rounds_before && waitpid(bystander, nullptr, WNOHANG) == 0;
    const long lost = before - free_kilobytes();
    const bool right = (killed || (WIFEXITED(status) && WEXITSTATUS(status) == 1)) && goes_on;
    bad += right ? 0 : 1;
    std::printf("%s memory by %s: %s %d, the bystander %s, %ld kB not back\n", right ? "ok" : "not ok", ways[i],
                WIFSIGNALED(status) ? "killed by signal" : "exit status",
                WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), goes_on ? "goes on" : "IS GONE", lost);
    std::fflush(stdout);
  }
  kill(bystander, SIGKILL);
  waitpid(bystander, nullptr, 0);
  std::printf("%d passed, %d failed\n", count - bad, bad);
  return bad == 0 ? 0 : 1;
}

}  // namespace

int main(int count, char** arguments) {
  if (count >= 3 && std::strcmp(arguments[1], "beside") == 0) {
    return run_beside(count - 2, arguments + 2);
  }
  if (count == 2 && std::strcmp(arguments[1], "free") == 0) {
    std::printf("%ld kB free\n", free_kilobytes());
    return 0;
  }
  if (count != 2 || !run_way(arguments[1])) {
    std::puts("usage: memory_hog touch|heap|sparse|tables|shared|file|fork|pipes|free, or: memory_hog beside WAY...");
    return 2;
  }
  return 0;
}
