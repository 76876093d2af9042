// Transparent large pages: what a program says of them, and that nothing else shows whether there are any. Where they
// come by themselves is the kernel's choice; that they do where they are asked for is seen in smaps.
#include <sys/prctl.h>

#include "../support/fault.hpp"
#include "../support/memory.hpp"
#include "../support/process.hpp"

namespace guest {
namespace {

constexpr std::size_t kLarge = std::size_t{2} << 20;

// Memory at a multiple of a large page, with nothing mapped at either side.
char* aligned(std::size_t size) {
  char* const all = map(size + 2 * kLarge, PROT_NONE);
  char* const start = all + (kLarge - value_of(all) % kLarge) % kLarge;
  return map(size, kReadWrite, kPrivate | MAP_FIXED, -1, 0, start);
}

char* advised(std::size_t size) {
  char* const start = aligned(size);
  MUST(madvise(start, size, MADV_HUGEPAGE));
  return start;
}

// Kilobytes that smaps tells of the region that starts at an address.
long usage_of(const char* start, const char* name) {
  char wanted[32];
  std::snprintf(wanted, sizeof wanted, "%08lx-", static_cast<unsigned long>(value_of(start)));
  const std::string text = read_file("/proc/self/smaps");
  const std::size_t region = text.find(wanted);
  EXPECT(region != std::string::npos);
  return std::atol(text.c_str() + text.find(name, region) + std::strlen(name) + 1);
}

std::string flags_of(const char* start) {
  char wanted[32];
  std::snprintf(wanted, sizeof wanted, "%08lx-", static_cast<unsigned long>(value_of(start)));
  const std::string text = read_file("/proc/self/smaps");
  const std::size_t from = text.find("VmFlags:", text.find(wanted));
  return text.substr(from, text.find('\n', from) - from);
}

bool has_flag(const char* start, const char* flag) { return flags_of(start).find(flag) != std::string::npos; }

void fill(char* start, std::size_t size) {
  for (std::size_t at = 0; at < size; at += kPage) {
    poke(start + at, static_cast<char>(at / kPage % 251 + 1));
  }
}
void expect_filled(const char* start, std::size_t size, std::size_t but_from = 0, std::size_t but_size = 0) {
  for (std::size_t at = 0; at < size; at += kPage) {
    if (at < but_from || at >= but_from + but_size) {
      EXPECT_EQ(peek(start + at), static_cast<char>(at / kPage % 251 + 1));
    }
  }
}

CASE("large pages", "a write fills 2 MB where they are wanted") {
  char* const start = advised(2 * kLarge);
  poke(start + 5 * kPage, 'a');
  const bool comes = usage_of(start, "THPeligible") == 1;  // Linux has none where memory is small
  EXPECT_EQ(usage_of(start, "Rss"), comes ? 2048 : 4);
  EXPECT_EQ(usage_of(start, "AnonHugePages"), comes ? 2048 : 0);
  EXPECT(has_flag(start, " hg"));
  EXPECT_EQ(peek(start + 5 * kPage), 'a');
  EXPECT_EQ(peek(start + 6 * kPage), '\0');
  MUST(madvise(start, kLarge, MADV_DONTNEED));
  EXPECT_EQ(usage_of(start, "Rss"), 0);
  EXPECT_EQ(peek(start + 5 * kPage), '\0');
}

CASE("large pages", "and never where they are not") {
  char* const start = aligned(2 * kLarge);
  MUST(madvise(start, 2 * kLarge, MADV_NOHUGEPAGE));
  EXPECT(has_flag(start, " nh"));
  fill(start, 2 * kLarge);
  EXPECT_EQ(usage_of(start, "Rss"), 4096);
  EXPECT_EQ(usage_of(start, "AnonHugePages"), 0);
  EXPECT_EQ(usage_of(start, "THPeligible"), 0);
  MUST(madvise(start, 2 * kLarge, MADV_HUGEPAGE));
  EXPECT(has_flag(start, " hg") && !has_flag(start, " nh"));
}

CASE("large pages", "prctl forbids them, and children inherit that") {
  EXPECT_EQ(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 0);
  EXPECT_ERRNO(prctl(PR_SET_THP_DISABLE, 1, 1, 0, 0), EINVAL);
  EXPECT_ERRNO(prctl(PR_GET_THP_DISABLE, 1, 0, 0, 0), EINVAL);
  MUST(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
  in_child([] {
    char* const start = advised(kLarge);
    poke(start, 'a');
    EXPECT_EQ(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 1);
    EXPECT_EQ(usage_of(start, "Rss"), 4);
  });
  EXPECT_EQ(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 1);
  MUST(prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0));
  EXPECT_EQ(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 0);
}

CASE("large pages", "what changes a part leaves the rest as it was") {
  char* const start = advised(2 * kLarge);
  fill(start, 2 * kLarge);
  MUST(munmap(start + 3 * kPage, 2 * kPage));
  EXPECT_FAULT(read_fault(start + 3 * kPage), SIGSEGV, SEGV_MAPERR, start + 3 * kPage);
  expect_filled(start, 2 * kLarge, 3 * kPage, 2 * kPage);
  MUST(mprotect(start + kLarge + kPage, kPage, PROT_READ));
  EXPECT_FAULT(write_fault(start + kLarge + kPage), SIGSEGV, SEGV_ACCERR, start + kLarge + kPage);
  expect_filled(start, 2 * kLarge, 3 * kPage, 2 * kPage);
  poke(start + kLarge, static_cast<char>(kLarge / kPage % 251 + 1));
  MUST(madvise(start + 7 * kPage, kPage, MADV_DONTNEED));
  EXPECT_EQ(peek(start + 7 * kPage), '\0');
  expect_filled(start + kLarge, kLarge / 2, 0, kLarge / 2);
  EXPECT_EQ(peek(start + 8 * kPage), '\x09');
}

CASE("large pages", "a child and its parent do not see what the other writes") {
  char* const start = advised(2 * kLarge);
  fill(start, 2 * kLarge);
  const Turns turns;
  const pid_t child = start_child([&] {
    turns.await_parent();
    expect_filled(start, 2 * kLarge);
    poke(start + kPage, 'c');
    EXPECT_EQ(peek(start + kPage), 'c');
    EXPECT_EQ(peek(start + 2 * kPage), '\x03');
    MUST(munmap(start + kLarge, kLarge));
  });
  poke(start + 2 * kPage, 'p');
  turns.give_child();
  EXPECT_EQ(status_of(child), 0);
  EXPECT_EQ(peek(start + 2 * kPage), 'p');
  poke(start + 2 * kPage, '\x03');
  expect_filled(start, 2 * kLarge);
}

CASE("large pages", "mremap takes along what was there, whole or in part") {
  char* const start = advised(2 * kLarge);
  fill(start, 2 * kLarge);
  char* const far = aligned(2 * kLarge);
  void* const moved = mremap(start, 2 * kLarge, 2 * kLarge, MREMAP_MAYMOVE | MREMAP_FIXED, far);
  EXPECT_EQ(moved, static_cast<void*>(far));
  expect_filled(far, 2 * kLarge);
  char* const odd = aligned(2 * kLarge) + kPage;
  void* const again = mremap(far, kLarge, kLarge, MREMAP_MAYMOVE | MREMAP_FIXED, odd);
  EXPECT_EQ(again, static_cast<void*>(odd));
  expect_filled(odd, kLarge);
  EXPECT_EQ(peek(far + kLarge), static_cast<char>(kLarge / kPage % 251 + 1));
}

}  // namespace
}  // namespace guest
