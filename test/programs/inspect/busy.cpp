// Processes with memory of all kinds, that keep a kernel busy while it is looked at (test/system/inspect_test.py): the
// first one waits, two compute in memory that they share with their parent, one maps, forks and unmaps for ever.
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kTable = std::size_t{2} << 20;  // that one table of the last level maps

char* map(std::size_t size, int rights, int flags, int file = -1) {
  void* const at = mmap(nullptr, size, rights, flags, file, 0);
  if (at == MAP_FAILED) {
    std::perror("mmap");
    std::exit(1);
  }
  return static_cast<char*>(at);
}

void touch(char* memory, std::size_t size, std::size_t step) {
  for (std::size_t at = 0; at < size; at += step) {
    static_cast<volatile char*>(memory)[at] = 1;
  }
}

// One file of a size that fills two tables, mapped shared; every other page of it is written.
char* map_file() {
  char path[] = "/tmp/busyXXXXXX";
  const int file = mkstemp(path);
  if (file < 0 || ftruncate(file, 2 * kTable) != 0) {
    std::perror(path);
    std::exit(1);
  }
  char* const memory = map(2 * kTable, PROT_READ | PROT_WRITE, MAP_SHARED, file);
  touch(memory, 2 * kTable, 2 * kPage);
  char* const copy = map(kTable, PROT_READ | PROT_WRITE, MAP_PRIVATE, file);
  touch(copy, kTable / 4, 3 * kPage);
  static_cast<void>(*static_cast<volatile char*>(copy + kTable / 2));
  close(file);
  return memory;
}

// Four large pages: as they are, split, read-only, and such as may not be touched.
void map_large_pages() {
  char* const all = map(5 * kTable, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
  char* const large = all + (kTable - reinterpret_cast<std::uintptr_t>(all) % kTable) % kTable;
  madvise(large, 4 * kTable, MADV_HUGEPAGE);
  touch(large, 4 * kTable, kTable);
  munmap(large + kTable + 8 * kPage, 16 * kPage);
  mprotect(large + 2 * kTable, kTable, PROT_READ);
  mprotect(large + 3 * kTable, kTable, PROT_NONE);
}

void map_all_kinds() {
  touch(map(8 * kTable, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS), 4 * kTable, 5 * kPage);
  map_large_pages();
  char* const read = map(64 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
  touch(read, 32 * kPage, kPage);
  mprotect(read, 64 * kPage, PROT_READ);
  char* const code = map(64 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
  touch(code, 32 * kPage, kPage);
  mprotect(code, 64 * kPage, PROT_READ | PROT_EXEC);
  char* const none = map(64 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
  touch(none, 32 * kPage, kPage);
  mprotect(none, 64 * kPage, PROT_NONE);
  char* const zeros = map(64 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
  for (std::size_t at = 0; at < 64 * kPage; at += 2 * kPage) {
    static_cast<void>(*static_cast<volatile char*>(zeros + at));
  }
}

[[noreturn]] void compute(char* shared) {
  char* const own = map(kTable, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
  touch(own, kTable, 2 * kPage);
  for (volatile std::uint64_t round = 0;; round = round + 1) {
    own[(round * 2 % 512) * kPage] = static_cast<char>(round);
    shared[(round * 2 % 512) * kPage] = static_cast<char>(round);
  }
}

[[noreturn]] void churn() {
  for (;;) {
    char* const memory = map(kTable, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
    touch(memory, kTable, 16 * kPage);
    const pid_t child = fork();
    if (child == 0) {
      touch(memory, kTable, 32 * kPage);
      _exit(0);
    }
    waitpid(child, nullptr, 0);
    munmap(memory, kTable);
  }
}

}  // namespace

int main() {
  char* const shared = map_file();
  map_all_kinds();
  for (int i = 0; i < 2; ++i) {
    if (fork() == 0) {
      compute(shared);
    }
  }
  if (fork() == 0) {
    churn();
  }
  std::printf("%p\n", static_cast<void*>(shared));
  std::fflush(stdout);
  for (;;) {
    pause();
  }
}
