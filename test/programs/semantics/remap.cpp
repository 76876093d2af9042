// mremap: for every backing, and the error of each wrong argument.
#include <sys/syscall.h>

#include "../support/fault.hpp"
#include "backing.hpp"

namespace guest {
namespace {

#define FOR_EACH_BACKING(what)                                                                         \
  static void GUEST_JOIN(backed_, __LINE__)(const Source&);                                            \
  static const Registration GUEST_JOIN(                                                                \
      registered_, __LINE__)([] { for_each_backing("mremap", what, GUEST_JOIN(backed_, __LINE__)); }); \
  static void GUEST_JOIN(backed_, __LINE__)([[maybe_unused]] const Source& source)

constexpr int kMove = MREMAP_MAYMOVE;
constexpr int kTo = MREMAP_MAYMOVE | MREMAP_FIXED;
constexpr int kKeep = MREMAP_MAYMOVE | MREMAP_DONTUNMAP;

long raw_remap(const void* from, std::size_t old_size, std::size_t new_size, int flags, const void* to = nullptr) {
  return syscall(SYS_mremap, from, old_size, new_size, flags, to);
}

char* remap(const void* from, std::size_t old_size, std::size_t new_size, int flags, const void* to = nullptr) {
  const long at = raw_remap(from, old_size, new_size, flags, to);
  MUST(at);
  return pointer_to(static_cast<std::uintptr_t>(at));
}

bool is_mapped(const char* page) {
  unsigned char state = 0;
  return mincore(const_cast<char*>(page), kPage, &state) == 0;
}

FOR_EACH_BACKING("a mapping moved keeps what it held") {
  char* pages = source.map();
  poke(pages + 2 * kPage, 'W');
  char* const to = free_place(64 * kPage) + 32 * kPage;
  EXPECT_EQ(remap(pages, Source::kPages * kPage, Source::kPages * kPage, kTo, to), to);
  EXPECT_EQ(peek(to + 2 * kPage), 'W');
  EXPECT_EQ(peek(to + 3 * kPage), source.initial(3));
  poke(to + 3 * kPage, 'X');
  EXPECT_EQ(peek(to + 3 * kPage), 'X');
  EXPECT_FAULT(read_fault(pages), SIGSEGV, SEGV_MAPERR, pages);
}

FOR_EACH_BACKING("a part moved leaves the rest") {
  char* pages = source.map();
  poke(pages + 2 * kPage, 'W');
  poke(pages + 5 * kPage, 'V');
  char* const to = free_place(64 * kPage) + 31 * kPage;
  EXPECT_EQ(remap(pages + 2 * kPage, 2 * kPage, 2 * kPage, kTo, to), to);
  EXPECT_EQ(peek(to), 'W');
  EXPECT_EQ(peek(to + kPage), source.initial(3));
  EXPECT_EQ(peek(pages + kPage), source.initial(1));
  EXPECT_EQ(peek(pages + 5 * kPage), 'V');
  EXPECT(!is_mapped(pages + 2 * kPage));
  EXPECT(!is_mapped(pages + 3 * kPage));
}

FOR_EACH_BACKING("shrunk, the end is gone") {
  char* pages = source.map();
  poke(pages + kPage, 'W');
  EXPECT_EQ(remap(pages, Source::kPages * kPage, 2 * kPage, 0), pages);
  EXPECT_EQ(peek(pages + kPage), 'W');
  EXPECT(!is_mapped(pages + 2 * kPage));
}

FOR_EACH_BACKING("grown where there is room, it stays") {
  char* pages = source.map();
  poke(pages + kPage, 'W');
  MUST(munmap(pages + 4 * kPage, 4 * kPage));
  EXPECT_EQ(remap(pages, 4 * kPage, 6 * kPage, 0), pages);
  EXPECT_EQ(peek(pages + kPage), 'W');
  EXPECT_EQ(peek(pages + 5 * kPage), source.initial(5));
}

FOR_EACH_BACKING("grown where there is none, it moves only if it may") {
  char* pages = source.map();
  poke(pages + kPage, 'W');
  MUST(mprotect(pages + 4 * kPage, kPage, PROT_READ));
  EXPECT_ERRNO(raw_remap(pages, 4 * kPage, 6 * kPage, 0), ENOMEM);
  char* const to = remap(pages, 4 * kPage, 6 * kPage, kMove);
  EXPECT(to != pages);
  EXPECT_EQ(peek(to + kPage), 'W');
  EXPECT_EQ(peek(to + 5 * kPage), source.initial(5));
  EXPECT(!is_mapped(pages));
  EXPECT_EQ(peek(pages + 4 * kPage), source.initial(4));
}

FOR_EACH_BACKING("the source may stay, with nothing in it") {
  char* pages = source.map();
  poke(pages + kPage, 'W');
  const char* to = remap(pages, Source::kPages * kPage, Source::kPages * kPage, kKeep);
  EXPECT_EQ(peek(to + kPage), 'W');
  EXPECT_EQ(peek(pages + kPage), source.backing().shared ? 'W' : source.initial(1));
  poke(pages + 2 * kPage, 'V');
  EXPECT_EQ(peek(to + 2 * kPage), source.backing().shared ? 'V' : source.initial(2));
}

FOR_EACH_BACKING("without an old size, shared memory is mapped once more") {
  char* pages = source.map();
  if (!source.backing().shared) {
    EXPECT_ERRNO(raw_remap(pages, 0, 2 * kPage, kMove), EINVAL);
    return;
  }
  char* const to = remap(pages + kPage, 0, 2 * kPage, kMove);
  poke(to, 'W');
  EXPECT_EQ(peek(pages + kPage), 'W');
  poke(pages + 2 * kPage, 'V');
  EXPECT_EQ(peek(to + kPage), 'V');
}

FOR_EACH_BACKING("a child keeps its mapping where it was") {
  char* pages = source.map();
  poke(pages + kPage, 'W');
  const Turns turns;
  const pid_t child = start_child([pages, &turns] {
    turns.await_parent();
    EXPECT_EQ(peek(pages + kPage), 'W');
  });
  char* const to = remap(pages, Source::kPages * kPage, Source::kPages * kPage, kKeep);
  MUST(munmap(pages, Source::kPages * kPage));
  EXPECT_EQ(peek(to + kPage), 'W');
  turns.give_child();
  EXPECT_EQ(status_of(child), 0);
}

CASE("mremap", "megabytes keep what they held, over and over") {
  constexpr std::size_t kStep = std::size_t{3} << 20;
  std::size_t size = 2 * kStep;
  char* at = map(size);
  for (std::size_t page = 0; page < size / kPage; page += 7) {
    poke(at + page * kPage, static_cast<char>('a' + page % 26));
  }
  for (int round = 0; round < 5; round++) {
    char* const to = map(size + kStep);
    EXPECT_EQ(remap(at, size, size + kStep, kTo, to), to);
    EXPECT(!is_mapped(at));
    at = to;
    size += kStep;
  }
  for (std::size_t page = 0; page < 2 * kStep / kPage; page++) {
    const char wanted = page % 7 == 0 ? static_cast<char>('a' + page % 26) : '\0';
    if (peek(at + page * kPage) != wanted) {
      EXPECT_EQ(peek(at + page * kPage), wanted);
    }
  }
  EXPECT_EQ(peek(at + size - 1), '\0');
}

CASE("mremap", "protections go along") {
  char* pages = map(4 * kPage);
  poke(pages, 'W');
  MUST(mprotect(pages, 4 * kPage, PROT_READ));
  char* const to = remap(pages, 4 * kPage, 4 * kPage, kKeep);
  EXPECT_EQ(peek(to), 'W');
  EXPECT_FAULT(write_fault(to), SIGSEGV, SEGV_ACCERR, to);
  MUST(mprotect(to, 4 * kPage, kReadWrite));
  poke(to, 'X');
}

CASE("mremap errors", "an address within a page") {
  char* pages = map(4 * kPage);
  EXPECT_ERRNO(raw_remap(pages + 8, kPage, 2 * kPage, kMove), EINVAL);
}

CASE("mremap errors", "no new size") { EXPECT_ERRNO(raw_remap(map(kPage), kPage, 0, kMove), EINVAL); }

CASE("mremap errors", "a new size that wraps around") {
  EXPECT_ERRNO(raw_remap(map(kPage), kPage, ~std::size_t{0}, kMove), EINVAL);
}

CASE("mremap errors", "flags that there are not") { EXPECT_ERRNO(raw_remap(map(kPage), kPage, kPage, 8), EINVAL); }

CASE("mremap errors", "a fixed target that may not move") {
  EXPECT_ERRNO(raw_remap(map(kPage), kPage, kPage, MREMAP_FIXED, free_place(kPage)), EINVAL);
}

CASE("mremap errors", "to keep the source and not to move") {
  EXPECT_ERRNO(raw_remap(map(kPage), kPage, kPage, MREMAP_DONTUNMAP), EINVAL);
}

CASE("mremap errors", "to keep the source and to grow") {
  EXPECT_ERRNO(raw_remap(map(kPage), kPage, 2 * kPage, kKeep), EINVAL);
}

CASE("mremap errors", "nothing mapped there") {
  EXPECT_ERRNO(raw_remap(free_place(kPage), kPage, 2 * kPage, kMove), EFAULT);
}

CASE("mremap errors", "growing what spans two mappings") {
  char* pages = map(4 * kPage);
  MUST(mprotect(pages + 2 * kPage, 2 * kPage, PROT_READ));
  EXPECT_ERRNO(raw_remap(pages, 4 * kPage, 5 * kPage, kMove), EFAULT);
}

CASE("mremap", "shrinking what spans two mappings is no error") {
  char* pages = map(4 * kPage);
  MUST(mprotect(pages + 2 * kPage, 2 * kPage, PROT_READ));
  EXPECT_EQ(remap(pages, 4 * kPage, kPage, 0), pages);
  EXPECT(!is_mapped(pages + kPage));
  EXPECT(!is_mapped(pages + 3 * kPage));
}

CASE("mremap errors", "a target that overlaps the source") {
  char* pages = map(8 * kPage);
  EXPECT_ERRNO(raw_remap(pages, 4 * kPage, 4 * kPage, kTo, pages + 3 * kPage), EINVAL);
  EXPECT_ERRNO(raw_remap(pages + 4 * kPage, 4 * kPage, 4 * kPage, kTo, pages + kPage), EINVAL);
}

CASE("mremap errors", "a target within a page") {
  EXPECT_ERRNO(raw_remap(map(kPage), kPage, kPage, kTo, free_place(kPage) + 1), EINVAL);
}

CASE("mremap errors", "a target in the hole") {
  EXPECT_ERRNO(raw_remap(map(kPage), kPage, kPage, kTo, pointer_to(0x0000'8000'0000'0000)), EINVAL);
}

CASE("mremap errors", "a target that goes although the source is wrong") {
  char* pages = map(4 * kPage);
  MUST(mprotect(pages + 2 * kPage, 2 * kPage, PROT_READ));
  char* const to = map(4 * kPage);
  EXPECT_ERRNO(raw_remap(pages, 4 * kPage, 4 * kPage, kTo, to), EFAULT);
  EXPECT(!is_mapped(to));
  EXPECT(is_mapped(pages));
}

CASE("mremap errors", "more than memory could ever hold") {
  EXPECT_ERRNO(raw_remap(map(kPage), kPage, std::size_t{1} << 45, kMove), ENOMEM);
}

}  // namespace
}  // namespace guest
