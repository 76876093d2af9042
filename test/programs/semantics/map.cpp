// Operations on mappings, each for every backing.
#include <sys/syscall.h>

#include "../support/fault.hpp"
#include "backing.hpp"

namespace guest {
namespace {

#define FOR_EACH_BACKING(what)                                                                      \
  static void GUEST_JOIN(backed_, __LINE__)(const Source&);                                         \
  static const Registration GUEST_JOIN(                                                             \
      registered_, __LINE__)([] { for_each_backing("map", what, GUEST_JOIN(backed_, __LINE__)); }); \
  static void GUEST_JOIN(backed_, __LINE__)([[maybe_unused]] const Source& source)

FOR_EACH_BACKING("every byte is as the backing has it") {
  const char* pages = source.map();
  for (std::size_t page = 0; page < Source::kPages; page++) {
    EXPECT(all_bytes(pages + page * kPage, kPage, source.initial(page)));
  }
}

FOR_EACH_BACKING("a page written first keeps the other bytes") {
  char* pages = source.map();
  poke(pages + 3 * kPage + 100, 'W');
  EXPECT_EQ(peek(pages + 3 * kPage + 100), 'W');
  EXPECT_EQ(peek(pages + 3 * kPage + 99), source.initial(3));
  EXPECT_EQ(peek(pages + 3 * kPage + 101), source.initial(3));
}

FOR_EACH_BACKING("a page read first can be written after") {
  char* pages = source.map();
  EXPECT_EQ(peek(pages + kPage), source.initial(1));
  poke(pages + kPage, 'W');
  EXPECT_EQ(peek(pages + kPage), 'W');
  EXPECT_EQ(peek(pages + 2 * kPage), source.initial(2));
}

FOR_EACH_BACKING("a second mapping sees a write only where shared with a name") {
  char* first = source.map();
  const char* second = source.map();
  EXPECT_EQ(peek(second), source.initial(0));
  poke(first, 'W');
  const bool seen = source.backing().shared && source.backing().kind == Backing::Kind::file;
  EXPECT_EQ(peek(second), seen ? 'W' : source.initial(0));
}

FOR_EACH_BACKING("a child's write reaches the parent only where shared") {
  char* pages = source.map();
  poke(pages + kPage, 'P');
  in_child([pages, &source] {
    EXPECT_EQ(peek(pages + kPage), 'P');
    EXPECT_EQ(peek(pages + 2 * kPage), source.initial(2));
    poke(pages + kPage, 'C');
    poke(pages + 2 * kPage, 'D');
    EXPECT_EQ(peek(pages + kPage), 'C');
  });
  EXPECT_EQ(peek(pages + kPage), source.backing().shared ? 'C' : 'P');
  EXPECT_EQ(peek(pages + 2 * kPage), source.backing().shared ? 'D' : source.initial(2));
}

FOR_EACH_BACKING("the parent's write after fork reaches the child only where shared") {
  char* pages = source.map();
  poke(pages, 'P');
  const Turns turns;
  const pid_t child = start_child([pages, &source, &turns] {
    turns.await_parent();
    EXPECT_EQ(peek(pages), source.backing().shared ? 'Q' : 'P');
    EXPECT_EQ(peek(pages + 5 * kPage), source.backing().shared ? 'R' : source.initial(5));
  });
  poke(pages, 'Q');
  poke(pages + 5 * kPage, 'R');
  turns.give_child();
  EXPECT_EQ(status_of(child), 0);
}

FOR_EACH_BACKING("made read-only, a write faults there and nowhere else") {
  char* pages = source.map();
  poke(pages + 2 * kPage, 'W');
  MUST(mprotect(pages + 2 * kPage, kPage, PROT_READ));
  EXPECT_FAULT(write_fault(pages + 2 * kPage + 7), SIGSEGV, SEGV_ACCERR, pages + 2 * kPage + 7);
  EXPECT_EQ(peek(pages + 2 * kPage), 'W');
  poke(pages + kPage, 'X');
  poke(pages + 3 * kPage, 'X');
  MUST(mprotect(pages + 2 * kPage, kPage, kReadWrite));
  poke(pages + 2 * kPage, 'Y');
  EXPECT_EQ(peek(pages + 2 * kPage), 'Y');
}

FOR_EACH_BACKING("made unreadable and back, it keeps what it held") {
  char* pages = source.map();
  poke(pages + 2 * kPage, 'W');
  MUST(mprotect(pages, Source::kPages * kPage, PROT_NONE));
  EXPECT_FAULT(read_fault(pages + 2 * kPage), SIGSEGV, SEGV_ACCERR, pages + 2 * kPage);
  EXPECT_FAULT(read_fault(pages + 4 * kPage), SIGSEGV, SEGV_ACCERR, pages + 4 * kPage);
  EXPECT_FAULT(write_fault(pages + 4 * kPage), SIGSEGV, SEGV_ACCERR, pages + 4 * kPage);
  MUST(mprotect(pages, Source::kPages * kPage, PROT_READ));
  EXPECT_EQ(peek(pages + 2 * kPage), 'W');
  EXPECT_EQ(peek(pages + 4 * kPage), source.initial(4));
}

FOR_EACH_BACKING("data does not execute until it may") {
  constexpr char kReturn = '\xC3';
  char* pages = source.map();
  poke(pages, kReturn);
  EXPECT_FAULT(execute_fault(pages), SIGSEGV, SEGV_ACCERR, pages);
  MUST(mprotect(pages, kPage, PROT_READ | PROT_EXEC));
  EXPECT_EQ(execute_fault(pages).signal, 0);
  EXPECT_FAULT(write_fault(pages), SIGSEGV, SEGV_ACCERR, pages);
}

FOR_EACH_BACKING("unmapping the middle leaves both sides") {
  char* pages = source.map();
  poke(pages + 3 * kPage, 'W');
  poke(pages + 6 * kPage, 'X');
  MUST(munmap(pages + 3 * kPage, 2 * kPage));
  EXPECT_FAULT(read_fault(pages + 3 * kPage), SIGSEGV, SEGV_MAPERR, pages + 3 * kPage);
  EXPECT_FAULT(write_fault(pages + 5 * kPage - 1), SIGSEGV, SEGV_MAPERR, pages + 5 * kPage - 1);
  EXPECT_EQ(peek(pages + 3 * kPage - 1), source.initial(2));
  EXPECT_EQ(peek(pages + 5 * kPage), source.initial(5));
  EXPECT_EQ(peek(pages + 6 * kPage), 'X');
}

FOR_EACH_BACKING("unmapping the start and the end leaves the middle") {
  char* pages = source.map();
  MUST(munmap(pages, 2 * kPage));
  MUST(munmap(pages + 6 * kPage, 2 * kPage));
  EXPECT_FAULT(read_fault(pages + 2 * kPage - 1), SIGSEGV, SEGV_MAPERR, pages + 2 * kPage - 1);
  EXPECT_FAULT(read_fault(pages + 6 * kPage), SIGSEGV, SEGV_MAPERR, pages + 6 * kPage);
  for (std::size_t page = 2; page < 6; page++) {
    EXPECT_EQ(peek(pages + page * kPage), source.initial(page));
  }
}

FOR_EACH_BACKING("MAP_FIXED replaces what was there") {
  char* pages = map(6 * kPage);
  std::memset(pages, 'O', 6 * kPage);
  EXPECT_EQ(source.map(2, kReadWrite, MAP_FIXED, pages + 2 * kPage, 4), pages + 2 * kPage);
  EXPECT_EQ(peek(pages + 2 * kPage - 1), 'O');
  EXPECT_EQ(peek(pages + 2 * kPage), source.initial(4));
  EXPECT_EQ(peek(pages + 3 * kPage), source.initial(5));
  EXPECT_EQ(peek(pages + 4 * kPage), 'O');
}

FOR_EACH_BACKING("is replaced by MAP_FIXED, in the middle") {
  char* pages = source.map();
  poke(pages + 2 * kPage, 'W');
  EXPECT_EQ(map(2 * kPage, kReadWrite, kPrivate | MAP_FIXED, -1, 0, pages + 2 * kPage), pages + 2 * kPage);
  EXPECT(all_bytes(pages + 2 * kPage, 2 * kPage, '\0'));
  EXPECT_EQ(peek(pages + kPage), source.initial(1));
  EXPECT_EQ(peek(pages + 4 * kPage), source.initial(4));
}

FOR_EACH_BACKING("MAP_FIXED_NOREPLACE takes a free place and no other") {
  char* place = free_place(4 * kPage);
  EXPECT_EQ(source.map(2, kReadWrite, MAP_FIXED_NOREPLACE, place), place);
  EXPECT_EQ(peek(place + kPage), source.initial(1));
  poke(place + kPage, 'W');
  EXPECT_ERRNO(source.try_map(2, kReadWrite, MAP_FIXED_NOREPLACE, place + kPage), EEXIST);
  EXPECT_EQ(peek(place + kPage), 'W');
  EXPECT_FAULT(read_fault(place + 2 * kPage), SIGSEGV, SEGV_MAPERR, place + 2 * kPage);
}

FOR_EACH_BACKING("a hint is taken where it is free") {
  char* place = free_place(64 * kPage);
  EXPECT_EQ(source.map(4, kReadWrite, 0, place + 16 * kPage), place + 16 * kPage);
  char* other = source.map(4, kReadWrite, 0, place + 18 * kPage);
  EXPECT(other + 4 * kPage <= place + 16 * kPage || other >= place + 20 * kPage);
  EXPECT_EQ(peek(other), source.initial(0));
}

FOR_EACH_BACKING("MAP_POPULATE holds the same") {
  char* pages = source.map(Source::kPages, kReadWrite, MAP_POPULATE);
  for (std::size_t page = 0; page < Source::kPages; page++) {
    EXPECT(all_bytes(pages + page * kPage, kPage, source.initial(page)));
    poke(pages + page * kPage, 'W');
    EXPECT_EQ(peek(pages + page * kPage), 'W');
  }
}

FOR_EACH_BACKING("MAP_NORESERVE holds the same") {
  char* pages = source.map(Source::kPages, kReadWrite, MAP_NORESERVE);
  EXPECT(all_bytes(pages + 2 * kPage, kPage, source.initial(2)));
  poke(pages, 'W');
  EXPECT_EQ(peek(pages), 'W');
}

FOR_EACH_BACKING("read(2) into it and write(2) from it") {
  char* pages = source.map();
  const Folder folder;
  const int file = folder.file("text", std::string(kPage, 'T'));
  MUST(lseek(file, 0, SEEK_SET));
  EXPECT_EQ(read(file, pages + kPage / 2, kPage), static_cast<ssize_t>(kPage));
  EXPECT_EQ(peek(pages + kPage / 2 - 1), source.initial(0));
  EXPECT(all_bytes(pages + kPage / 2, kPage, 'T'));
  EXPECT_EQ(peek(pages + kPage / 2 + kPage), source.initial(1));
  EXPECT_EQ(pwrite(file, pages + 3 * kPage, kPage, 0), static_cast<ssize_t>(kPage));
  char first = 'x';
  EXPECT_EQ(pread(file, &first, 1, kPage - 1), 1);
  EXPECT_EQ(first, source.initial(3));
}

FOR_EACH_BACKING("a page that fork shares is copied by read(2) too") {
  char* pages = source.map();
  poke(pages, 'P');
  const Folder folder;
  const int file = folder.file("text", "C");
  in_child([pages, file] { EXPECT_EQ(pread(file, pages, 1, 0), 1); });
  EXPECT_EQ(peek(pages), source.backing().shared ? 'C' : 'P');
}

FOR_EACH_BACKING("what a child unmaps or protects stays with the parent") {
  char* pages = source.map();
  poke(pages, 'P');
  in_child([pages] {
    MUST(munmap(pages, kPage));
    MUST(mprotect(pages + kPage, kPage, PROT_NONE));
    EXPECT_EQ(read_fault(pages).code, SEGV_MAPERR);
    EXPECT_EQ(read_fault(pages + kPage).code, SEGV_ACCERR);
  });
  EXPECT_EQ(peek(pages), 'P');
  poke(pages + kPage, 'W');
  EXPECT_EQ(peek(pages + kPage), 'W');
}

FOR_EACH_BACKING("without the right to read, nothing can be read") {
  const char* pages = source.map(2, PROT_NONE);
  EXPECT_FAULT(read_fault(pages), SIGSEGV, SEGV_ACCERR, pages);
  EXPECT_FAULT(write_fault(pages + kPage), SIGSEGV, SEGV_ACCERR, pages + kPage);
}

FOR_EACH_BACKING("the right to write is a right to read") {
  const char* pages = source.map(2, PROT_WRITE);
  EXPECT_EQ(peek(pages + kPage), source.initial(1));
}

FOR_EACH_BACKING("the file sees writes only of shared mappings") {
  char* pages = source.map();
  poke(pages + 2 * kPage, 'W');
  if (source.backing().kind == Backing::Kind::file) {
    EXPECT_EQ(source.in_file(2), source.backing().shared ? 'W' : 'c');
    // The file is written by a call: a shared mapping sees it; a private one does where it has no copy.
    EXPECT_EQ(pwrite(source.file(), "NN", 1, 3 * kPage), 1);
    EXPECT_EQ(pwrite(source.file(), "NN", 1, 2 * kPage), 1);
    EXPECT_EQ(peek(pages + 2 * kPage), source.backing().shared ? 'N' : 'W');
    EXPECT_EQ(peek(pages + 3 * kPage), 'N');
  }
}

FOR_EACH_BACKING("a whole mapping of many pages is written and read back") {
  constexpr std::size_t kRounds = 4;
  for (std::size_t round = 0; round < kRounds; round++) {
    char* pages = source.map();
    for (std::size_t i = 0; i < Source::kPages * kPage; i += 64) {
      poke(pages + i, static_cast<char>(i / 64 + round));
    }
    for (std::size_t i = 0; i < Source::kPages * kPage; i += 64) {
      EXPECT_EQ(peek(pages + i), static_cast<char>(i / 64 + round));
    }
    MUST(munmap(pages, Source::kPages * kPage));
  }
}

}  // namespace
}  // namespace guest
