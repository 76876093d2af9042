// How often processors are interrupted so that they forget translations: never where they cannot hold any, and once for
// a change, not once for a page.
#include <poll.h>
#include <sys/mman.h>

#include <atomic>
#include <cstdlib>
#include <sstream>

#include "../support/memory.hpp"
#include "../support/process.hpp"
#include "crew.hpp"

namespace guest {
namespace {

// Flushes that processors did for others, of all since boot: Linux's row TLB.
long received() {
  std::istringstream rows(access("/proc/interrupts", R_OK) == 0 ? read_file("/proc/interrupts") : "");
  for (std::string line; std::getline(rows, line);) {
    std::istringstream words(line);
    std::string word;
    if (words >> word && word == "TLB:") {
      long sum = 0;
      for (long count = 0; words >> count;) {
        sum += count;
      }
      return sum;
    }
  }
  std::istringstream figures(read_file("/proc/vmstat"));
  std::string name;
  for (long value = 0; figures >> name >> value;) {
    if (name == "nr_tlb_remote_flush_received") {
      return value;
    }
  }
  fail(__FILE__, __LINE__, "no count of flushes");
}

// Linux sends some for what is none of the program's.
constexpr long kFew = 20;

template <class Action>
long flushes_of(Action action) {
  const long before = received();
  action();
  const long count = received() - before;
  note(std::to_string(count) + " flushes");
  return count;
}

constexpr int kRounds = 500;

// The processor of a case's second thread; the first stays on another.
int other = 0;

void part_threads() {
  const std::vector<int> all = processors();
  other = all.back();
  stay_on(all.front());
}
constexpr std::size_t kPages = 16;

void change_memory() {
  char* const pages = map(kPages * kPage);
  std::memset(pages, 1, kPages * kPage);
  MUST(mprotect(pages, kPages * kPage, PROT_READ));
  MUST(mprotect(pages, kPages * kPage, kReadWrite));
  MUST(madvise(pages, kPages * kPage / 2, MADV_DONTNEED));
  pages[0] = 2;
  MUST(munmap(pages, kPages * kPage));
}

CASE("shootdowns", "one thread's changes interrupt nobody") {
  EXPECT(flushes_of([] {
           for (int round = 0; round < kRounds; round++) {
             change_memory();
           }
         }) < kFew);
}

CASE("shootdowns", "neither do those of a process and its child") {
  EXPECT(flushes_of([] {
           char* const pages = map(kPages * kPage);
           for (int round = 0; round < kRounds / 10; round++) {
             std::memset(pages, round, kPages * kPage);
             const pid_t child = start_child([pages] {
               std::memset(pages, 1, kPages * kPage);
               change_memory();
             });
             std::memset(pages, 2, kPages * kPage);
             change_memory();
             EXPECT_EQ(status_of(child), 0);
           }
         }) < kFew);
}

// It was there, and sleeps now.
CASE("shootdowns", "a processor that a thread has left is not interrupted") {
  int ends[2];
  MUST(pipe(ends));
  static std::atomic<bool> ran;
  ran = false;
  static int file;
  file = ends[0];
  pthread_t thread;
  part_threads();
  EXPECT_EQ(pthread_create(
                &thread, nullptr,
                [](void*) -> void* {
                  stay_on(other);
                  change_memory();
                  ran = true;
                  char byte = 0;
                  EXPECT_EQ(read(file, &byte, 1), 1);
                  return nullptr;
                },
                nullptr),
            0);
  while (!ran) {
    sched_yield();
  }
  poll(nullptr, 0, 50);
  EXPECT(flushes_of([] {
           for (int round = 0; round < kRounds; round++) {
             change_memory();
           }
         }) < kFew);
  EXPECT_EQ(write(ends[1], "x", 1), 1);
  EXPECT_EQ(pthread_join(thread, nullptr), 0);
}

// The other computes all the while; now and then it is elsewhere, and need not be asked.
CASE("shootdowns", "one interrupt for a change of many pages") {
  static std::atomic<bool> ends;
  static std::atomic<bool> runs;
  ends = runs = false;
  part_threads();
  pthread_t thread;
  EXPECT_EQ(pthread_create(
                &thread, nullptr,
                [](void*) -> void* {
                  stay_on(other);
                  runs = true;
                  while (!ends.load(std::memory_order_relaxed)) {
                  }
                  return nullptr;
                },
                nullptr),
            0);
  while (!runs) {
    sched_yield();
  }
  char* const pages = map(kPages * kPage);
  const long count = flushes_of([pages] {
    for (int round = 0; round < kRounds; round++) {
      std::memset(pages, 1, kPages * kPage);
      MUST(madvise(pages, kPages * kPage, MADV_DONTNEED));
    }
  });
  ends = true;
  EXPECT_EQ(pthread_join(thread, nullptr), 0);
  EXPECT(count > kRounds / 2 && count < kRounds + kFew);
}

}  // namespace
}  // namespace guest
