// Calls that would take seconds: whoever makes them can be killed meanwhile, and others go on with theirs.
#include <sys/uio.h>
#include <time.h>

#include <algorithm>
#include <csignal>

#include "../support/memory.hpp"
#include "../support/process.hpp"

namespace guest {
namespace {

constexpr std::size_t kLarge = 8UL << 30;
constexpr std::size_t kBuffer = 2UL << 20;
constexpr int kPieces = 1000;
// Much less than any of the calls takes, and much more than anybody may have to wait.
constexpr long kMostMilliseconds = 700;

long milliseconds() {
  timespec now = {};
  MUST(clock_gettime(CLOCK_MONOTONIC, &now));
  return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

// A child that makes a call again and again is killed by a signal.
void expect_short_end(int signal, void (*call)(), long most = kMostMilliseconds) {
  auto* const begun = reinterpret_cast<volatile char*>(map(kPage, kReadWrite, kShared));
  const pid_t child = start_child([begun, call] {
    *begun = 1;
    for (;;) {
      call();
    }
  });
  while (*begun == 0) {
    usleep(1000);
  }
  long longest = 0;
  long last = milliseconds();
  for (const long end = last + 300; last < end;) {
    (void)getppid();
    const long now = milliseconds();
    longest = std::max(longest, now - last);
    last = now;
  }
  MUST(kill(child, signal));
  const int status = status_of(child);
  const long took = milliseconds() - last;
  EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == signal);
  note("waited " + std::to_string(longest) + " ms, killed within " + std::to_string(took) + " ms");
  EXPECT(longest < kMostMilliseconds);
  EXPECT(took < most);
}

iovec* pieces_of(char* buffer) {
  static iovec pieces[kPieces];
  std::fill(std::begin(pieces), std::end(pieces), iovec{.iov_base = buffer, .iov_len = kBuffer});
  return pieces;
}

CASE("long calls", "memory that is locked") {
  expect_short_end(SIGKILL, [] {
    char* const memory = map(kLarge, PROT_READ, kPrivate | MAP_NORESERVE);
    (void)mlock(memory, kLarge);
    MUST(munmap(memory, kLarge));
  });
}

CASE("long calls", "memory that is to be present at once") {
  expect_short_end(SIGKILL,
                   [] { MUST(munmap(map(kLarge, PROT_READ, kPrivate | MAP_NORESERVE | MAP_POPULATE), kLarge)); });
}

CASE("long calls", "memory that is populated") {
  expect_short_end(SIGTERM, [] {
    char* const memory = map(kLarge, PROT_READ, kPrivate | MAP_NORESERVE);
    (void)madvise(memory, kLarge, 22);  // MADV_POPULATE_READ
    MUST(munmap(memory, kLarge));
  });
}

CASE("long calls", "pages that are asked for whether they are present") {
  expect_short_end(SIGKILL, [] {
    static char* const memory = map(64UL << 30, kReadWrite, kPrivate | MAP_NORESERVE);
    static auto* const answers = reinterpret_cast<unsigned char*>(map(16UL << 20));
    (void)mincore(memory, 64UL << 30, answers);
  });
}

CASE("long calls", "zeros that are read") {
  expect_short_end(SIGINT, [] {
    static const int zeros = static_cast<int>(MUST(open("/dev/zero", O_RDONLY)));
    static iovec* const pieces = pieces_of(map(kBuffer));
    (void)readv(zeros, pieces, kPieces);
  });
}

// Linux's files in memory are read to the end; others meanwhile go on all the same.
CASE("long calls", "a file that is read") {
  constexpr long kMost = 60'000;
  expect_short_end(
      SIGKILL,
      [] {
        static const int file = [] {
          const int made = memfd_create("long", 0);
          MUST(ftruncate(made, kPieces * kBuffer));
          return made;
        }();
        static iovec* const pieces = pieces_of(map(kBuffer));
        (void)preadv(file, pieces, kPieces, 0);
      },
      kMost);
}

CASE("long calls", "random numbers") {
  expect_short_end(SIGKILL, [] {
    static char* const memory = map(kBuffer * 16);
    (void)syscall(318, memory, kBuffer * 16, 0);
  });
}

CASE("long calls", "another's memory") {
  expect_short_end(SIGKILL, [] {
    static iovec* const pieces = pieces_of(map(kBuffer));
    (void)process_vm_writev(getpid(), pieces, kPieces, pieces, kPieces, 0);
  });
}

// What is locked stays marked as far as it is mapped; a signal with a handler waits for the end of the call.
CASE("long calls", "a handler does not end them") {
  struct sigaction action = {};
  action.sa_handler = [](int) {};
  MUST(sigaction(SIGALRM, &action, nullptr));
  char* const memory = map(1UL << 30, PROT_READ, kPrivate | MAP_NORESERVE);
  MUST(ualarm(1000, 0) < 0 ? -1 : 0);
  MUST(mlock(memory, 1UL << 30));
  unsigned char answers[16];
  MUST(mincore(memory + (1UL << 30) - sizeof answers * kPage, sizeof answers * kPage, answers));
  for (const unsigned char answer : answers) {
    EXPECT_EQ(answer & 1, 1);
  }
}

}  // namespace
}  // namespace guest
