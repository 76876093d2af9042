// Two processes that attach the same System V segments, each for itself, and wait to be looked at
// (test/system/inspect_test.py): one segment of two tables and one of a few pages, which one of them has at an address
// that no table begins at. Each prints where it has them.
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include <sys/shm.h>
#include <unistd.h>

namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kTable = std::size_t{2} << 20;
constexpr key_t kLarge = 0x766d0001;
constexpr key_t kSmall = 0x766d0002;
constexpr std::uintptr_t kOddPlace = 0x10000000 + 5 * kPage;

char* attach(key_t key, std::size_t size, std::uintptr_t place = 0) {
  const int segment = shmget(key, size, IPC_CREAT | 0600);
  void* const at = segment < 0 ? reinterpret_cast<void*>(-1) : shmat(segment, reinterpret_cast<void*>(place), 0);
  if (at == reinterpret_cast<void*>(-1)) {
    std::perror("shmat");
    std::exit(1);
  }
  return static_cast<char*>(at);
}

[[noreturn]] void attach_and_wait(std::uintptr_t place_of_small) {
  char* const large = attach(kLarge, 2 * kTable);
  char* const small = attach(kSmall, 3 * kPage, place_of_small);
  large[0] = large[kTable + kPage] = small[kPage] = 1;
  std::printf("%d %p %p\n", getpid(), static_cast<void*>(large), static_cast<void*>(small));
  std::fflush(stdout);
  for (;;) {
    pause();
  }
}

}  // namespace

int main() {
  if (fork() == 0) {
    attach_and_wait(0);
  }
  attach_and_wait(kOddPlace);
}
