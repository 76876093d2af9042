// Translations that a processor must have forgotten: one changes a mapping, the others use it all the while. When the
// call has returned, nobody may still see what was there before.
#include <atomic>
#include <csignal>

#include "../support/fault.hpp"
#include "../support/memory.hpp"
#include "../support/process.hpp"
#include "crew.hpp"

namespace guest {
namespace {

int read_word(const void* address) { return *static_cast<const volatile int*>(address); }
void write_word(void* address, int value) { *static_cast<volatile int*>(address) = value; }

// What a page must never show: it is written to pages that perhaps have the memory of one that is gone.
constexpr int kPoison = 0x7EADBEEF;

void poison_memory() {
  constexpr std::size_t kPages = 4;
  char* const pages = map(kPages * kPage);
  for (std::size_t i = 0; i < kPages; i++) {
    write_word(pages + i * kPage, kPoison);
  }
  MUST(munmap(pages, kPages * kPage));
}

// `replace` makes the page one of zeros. Whoever reads it after that must see a zero, or what was written since.
void expect_replaced_everywhere(char* page, void (*replace)(char*)) {
  std::atomic<int> state{0};  // twice the round; odd once it was written
  Crew crew([&](int) {
    const int before = state.load(std::memory_order_acquire);
    const int seen = read_word(page);
    const bool is_settled = before % 2 == 1 && state.load(std::memory_order_acquire) == before;
    if (is_settled ? seen != before / 2 : seen != 0 && (seen < before / 2 || seen == kPoison)) {
      fail(__FILE__, __LINE__, "a page shows " + shown(seen) + " in round " + shown(before / 2));
    }
  });
  for_a_while([&](int round) {
    state.store(2 * round - 2, std::memory_order_release);
    replace(page);
    state.store(2 * round, std::memory_order_release);
    poison_memory();
    linger();
    write_word(page, round);
    state.store(2 * round + 1, std::memory_order_release);
    linger();
  });
}

CASE("translations", "a page mapped over another is seen by all") {
  expect_replaced_everywhere(map(kPage), [](char* page) { map(kPage, kReadWrite, kPrivate | MAP_FIXED, -1, 0, page); });
}

CASE("translations", "a page that was given up is zero for all") {
  expect_replaced_everywhere(map(kPage), [](char* page) { MUST(madvise(page, kPage, MADV_DONTNEED)); });
}

CASE("translations", "pages far apart that were given up are zero for all") {
  constexpr std::size_t kApart = std::size_t{1} << 30;
  char* const first = map(3 * kApart, kReadWrite, kPrivate | MAP_NORESERVE);
  static char* other;
  other = first + 2 * kApart;
  expect_replaced_everywhere(first + kApart, [](char* page) {
    write_word(other, 1);
    MUST(madvise(page - kApart, 3 * kApart, MADV_DONTNEED));
  });
}

CASE("translations", "an unmapped page is there for nobody") {
  char* const page = map(kPage);
  std::atomic<int> unmapped{0};  // odd: it is
  Crew crew([&](int) {
    const int before = unmapped.load(std::memory_order_acquire);
    const bool is_read = read_fault(page).signal == 0;
    if (is_read && before % 2 == 1 && unmapped.load(std::memory_order_acquire) == before) {
      fail(__FILE__, __LINE__, "a page was read after munmap");
    }
  });
  for_a_while([&](int) {
    MUST(munmap(page, kPage));
    unmapped.fetch_add(1, std::memory_order_release);
    linger();
    unmapped.fetch_add(1, std::memory_order_release);
    map(kPage, kReadWrite, kPrivate | MAP_FIXED, -1, 0, page);
    write_word(page, 1);
  });
}

// Each of the crew counts in a word of its own, as long as it may write.
int* counter(char* page, int number) { return reinterpret_cast<int*>(page) + 16 * number; }

void count(char* page, int number) {
  int* const word = counter(page, number);
  (void)fault_of([word] { write_word(word, read_word(word) + 1); });
}

void expect_still(char* page, int words) {
  std::vector<int> before;
  for (int i = 0; i < words; i++) {
    before.push_back(read_word(counter(page, i)));
  }
  linger();
  for (int i = 0; i < words; i++) {
    if (read_word(counter(page, i)) != before[static_cast<std::size_t>(i)]) {
      fail(__FILE__, __LINE__, "a page was written that must not be");
    }
  }
}

CASE("translations", "nobody writes to a page that was made read-only") {
  char* const page = map(kPage);
  Crew crew([page](int number) { count(page, number); });
  for_a_while([&](int) {
    MUST(mprotect(page, kPage, PROT_READ));
    expect_still(page, crew.size());
    MUST(mprotect(page, kPage, kReadWrite));
    linger();
  });
}

CASE("translations", "nobody writes to the pages of a child, and no write is lost") {
  constexpr std::size_t kPages = 3;
  char* const pages = map(kPages * kPage);
  static thread_local int written[kPages];
  Crew crew([pages](int number) {
    for (std::size_t i = 0; i < kPages; i++) {
      int* const word = counter(pages + i * kPage, number);
      if (read_word(word) != written[i]) {
        fail(__FILE__, __LINE__, "a write of " + shown(written[i]) + " is lost: " + shown(read_word(word)));
      }
      write_word(word, ++written[i]);
    }
  });
  for_a_while([&](int) {
    in_child([&] {
      for (std::size_t i = 0; i < kPages; i++) {
        expect_still(pages + i * kPage, crew.size());
      }
    });
  });
}

CASE("translations", "a file that was cut is there for nobody") {
  const Folder folder;
  const int file = folder.file("cut");
  MUST(ftruncate(file, kPage));
  char* const page = map(kPage, kReadWrite, MAP_SHARED, file);
  std::atomic<int> cut{0};  // odd: it is
  Crew crew([&](int) {
    const int before = cut.load(std::memory_order_acquire);
    const bool is_read = read_fault(page).signal == 0;
    if (is_read && before % 2 == 1 && cut.load(std::memory_order_acquire) == before) {
      fail(__FILE__, __LINE__, "a page of a file was read after the file was cut");
    }
  });
  for_a_while([&](int) {
    MUST(ftruncate(file, 0));
    cut.fetch_add(1, std::memory_order_release);
    linger();
    cut.fetch_add(1, std::memory_order_release);
    MUST(ftruncate(file, kPage));
    write_word(page, 1);
  });
}

CASE("translations", "threads that map, touch and unmap at once keep what is theirs") {
  Crew crew([](int number) {
    constexpr std::size_t kPages = 8;
    char* const pages = map(kPages * kPage);
    for (std::size_t i = 0; i < kPages; i++) {
      EXPECT_EQ(read_word(pages + i * kPage), 0);
      write_word(pages + i * kPage, number + 1);
    }
    MUST(mprotect(pages + kPage, kPage, PROT_READ));
    MUST(munmap(pages + 2 * kPage, 2 * kPage));
    for (const std::size_t i : {0U, 1U, 4U, 7U}) {
      EXPECT_EQ(read_word(pages + i * kPage), number + 1);
    }
    MUST(munmap(pages, kPages * kPage));
  });
  for_a_while([](int) { poison_memory(); });
}

}  // namespace
}  // namespace guest
