// Files in memory: their ends, truncation, and what read and write see.
#include <sys/resource.h>

#include <utility>

#include "../support/fault.hpp"
#include "../support/memory.hpp"
#include "../support/process.hpp"

namespace guest {
namespace {

std::string letters(std::size_t pages) {
  std::string text;
  for (std::size_t page = 0; page < pages; page++) {
    text.append(kPage, static_cast<char>('a' + page));
  }
  return text;
}

CASE("file mapping", "beyond the file's last page is SIGBUS") {
  for (const int flags : {MAP_SHARED, MAP_PRIVATE}) {
    const Folder folder;
    char* pages = map(4 * kPage, kReadWrite, flags, folder.file("file", letters(2)));
    EXPECT_EQ(peek(pages + 2 * kPage - 1), 'b');
    EXPECT_FAULT(read_fault(pages + 2 * kPage + 5), SIGBUS, BUS_ADRERR, pages + 2 * kPage + 5);
    EXPECT_FAULT(write_fault(pages + 3 * kPage), SIGBUS, BUS_ADRERR, pages + 3 * kPage);
  }
}

CASE("file mapping", "the rest of the last page is zero and stays out of the file") {
  const Folder folder;
  const int file = folder.file("file", "text");
  char* page = map(kPage, kReadWrite, MAP_SHARED, file);
  EXPECT(all_bytes(page + 4, kPage - 4, '\0'));
  poke(page + 10, 'X');
  EXPECT_EQ(lseek(file, 0, SEEK_END), 4);
  char buffer[16];
  EXPECT_EQ(pread(file, buffer, sizeof buffer, 0), 4);
}

CASE("file mapping", "an empty file is SIGBUS everywhere") {
  const Folder folder;
  char* page = map(kPage, kReadWrite, MAP_SHARED, folder.file("file"));
  EXPECT_FAULT(read_fault(page), SIGBUS, BUS_ADRERR, page);
}

CASE("file mapping", "after truncation SIGBUS, also where it was touched, shared") {
  const Folder folder;
  const int file = folder.file("file", letters(4));
  char* pages = map(4 * kPage, kReadWrite, MAP_SHARED, file);
  poke(pages + 3 * kPage, 'W');
  EXPECT_EQ(peek(pages + 2 * kPage), 'c');
  MUST(ftruncate(file, 2 * kPage));
  EXPECT_EQ(peek(pages + kPage), 'b');
  EXPECT_FAULT(read_fault(pages + 2 * kPage), SIGBUS, BUS_ADRERR, pages + 2 * kPage);
  EXPECT_FAULT(read_fault(pages + 3 * kPage), SIGBUS, BUS_ADRERR, pages + 3 * kPage);
}

CASE("file mapping", "after truncation SIGBUS, also for private copies") {
  const Folder folder;
  const int file = folder.file("file", letters(4));
  char* pages = map(4 * kPage, kReadWrite, MAP_PRIVATE, file);
  poke(pages + 3 * kPage, 'W');
  poke(pages + kPage, 'W');
  MUST(ftruncate(file, 2 * kPage));
  EXPECT_EQ(peek(pages + kPage), 'W');
  EXPECT_FAULT(read_fault(pages + 3 * kPage), SIGBUS, BUS_ADRERR, pages + 3 * kPage);
}

CASE("file mapping", "truncated and grown again it is zero") {
  const Folder folder;
  const int file = folder.file("file", letters(4));
  char* pages = map(4 * kPage, kReadWrite, MAP_SHARED, file);
  EXPECT_EQ(peek(pages + 3 * kPage), 'd');
  MUST(ftruncate(file, kPage + 100));
  MUST(ftruncate(file, 4 * kPage));
  EXPECT_EQ(peek(pages + kPage + 99), 'b');
  EXPECT(all_bytes(pages + kPage + 100, 3 * kPage - 100, '\0'));
}

CASE("file mapping", "a file that grows can be seen through the mapping made before") {
  const Folder folder;
  const int file = folder.file("file");
  char* pages = map(4 * kPage, kReadWrite, MAP_SHARED, file);
  EXPECT_EQ(read_fault(pages).signal, SIGBUS);
  MUST(ftruncate(file, 2 * kPage));
  EXPECT_EQ(peek(pages + kPage), '\0');
  EXPECT_EQ(pwrite(file, "T", 1, 3 * kPage), 1);
  EXPECT_EQ(peek(pages + 3 * kPage), 'T');
  EXPECT_EQ(peek(pages + 2 * kPage), '\0');
}

CASE("file mapping", "truncation reaches all processes") {
  const Folder folder;
  const int file = folder.file("file", letters(2));
  char* pages = map(2 * kPage, kReadWrite, MAP_SHARED, file);
  const Turns turns;
  const pid_t child = start_child([&] {
    EXPECT_EQ(peek(pages + kPage), 'b');
    turns.give_parent();
    turns.await_parent();
    EXPECT_FAULT(read_fault(pages + kPage), SIGBUS, BUS_ADRERR, pages + kPage);
  });
  turns.await_child();
  MUST(ftruncate(file, 10));
  turns.give_child();
  EXPECT_EQ(status_of(child), 0);
}

CASE("file mapping", "a system call into what was truncated is EFAULT") {
  const Folder folder;
  const int file = folder.file("file", letters(1));
  char* page = map(kPage, kReadWrite, MAP_SHARED, file);
  MUST(ftruncate(file, 0));
  const int other = folder.file("other", "text");
  EXPECT_ERRNO(pread(other, page, 4, 0), EFAULT);
  EXPECT_ERRNO(pwrite(other, page, 4, 0), EFAULT);
}

CASE("file mapping", "a write by call is read by mapping, and the other way, at every page") {
  const Folder folder;
  const int file = folder.file("file", letters(6));
  char* pages = map(6 * kPage, kReadWrite, MAP_SHARED, file);
  for (int round = 0; round < 3; round++) {
    for (std::size_t page = 0; page < 6; page++) {
      const char byte = static_cast<char>('0' + round + static_cast<int>(page));
      const auto at = static_cast<off_t>(page * kPage + 17);
      EXPECT_EQ(pwrite(file, &byte, 1, at), 1);
      EXPECT_EQ(peek(pages + at), byte);
      poke(pages + at, static_cast<char>(byte + 1));
      char seen = 0;
      EXPECT_EQ(pread(file, &seen, 1, at), 1);
      EXPECT_EQ(seen, byte + 1);
    }
  }
}

CASE("file mapping", "two processes with mappings of their own see each other") {
  const Folder folder;
  close(folder.file("file", letters(1)));
  const Turns turns;
  const std::string path = folder.path("file");
  const pid_t child = start_child([&] {
    char* page = map(kPage, kReadWrite, MAP_SHARED, static_cast<int>(MUST(open(path.c_str(), O_RDWR))));
    turns.await_parent();
    EXPECT_EQ(peek(page), 'P');
    poke(page + 1, 'C');
    turns.give_parent();
  });
  char* page = map(kPage, kReadWrite, MAP_SHARED, static_cast<int>(MUST(open(path.c_str(), O_RDWR))));
  poke(page, 'P');
  turns.give_child();
  turns.await_child();
  EXPECT_EQ(peek(page + 1), 'C');
  EXPECT_EQ(status_of(child), 0);
}

CASE("file mapping", "private copies are kept apart from file and from each other") {
  const Folder folder;
  const int file = folder.file("file", letters(1));
  char* first = map(kPage, kReadWrite, MAP_PRIVATE, file);
  char* second = map(kPage, kReadWrite, MAP_PRIVATE, file);
  poke(first, '1');
  poke(second, '2');
  EXPECT_EQ(pwrite(file, "F", 1, 0), 1);
  EXPECT_EQ(peek(first), '1');
  EXPECT_EQ(peek(second), '2');
  in_child([first] { poke(first, '3'); });
  EXPECT_EQ(peek(first), '1');
}

CASE("file mapping", "the same page at several addresses") {
  const Folder folder;
  const int file = folder.file("file", letters(2));
  char* views[8];
  for (char*& view : views) {
    view = map(2 * kPage, kReadWrite, MAP_SHARED, file);
  }
  for (std::size_t i = 0; i < std::size(views); i++) {
    poke(views[i] + i, static_cast<char>('0' + i));
  }
  for (char* view : views) {
    EXPECT_EQ(std::string(view, 8), "01234567");
  }
}

CASE("file mapping", "a large file, mapped at an offset") {
  constexpr std::size_t kPages = 700;  // more than a table of pages
  const Folder folder;
  const int file = folder.file("file");
  MUST(ftruncate(file, kPages * kPage));
  for (std::size_t page = 0; page < kPages; page += 50) {
    const auto number = static_cast<int>(page);
    EXPECT_EQ(pwrite(file, &number, sizeof number, static_cast<off_t>(page * kPage)), 4);
  }
  for (const std::size_t first : {std::size_t{0}, std::size_t{50}, std::size_t{512}, std::size_t{600}}) {
    char* pages = map((kPages - first) * kPage, PROT_READ, MAP_SHARED, file, static_cast<off_t>(first * kPage));
    for (std::size_t page = (first + 49) / 50 * 50; page < kPages; page += 50) {
      EXPECT_EQ(*reinterpret_cast<int*>(pages + (page - first) * kPage), static_cast<int>(page));
    }
    MUST(munmap(pages, (kPages - first) * kPage));
  }
}

CASE("file mapping", "the program's own text is there and cannot be written") {
  auto function = reinterpret_cast<std::uintptr_t>(&letters);
  EXPECT_FAULT(write_fault(function), SIGSEGV, SEGV_ACCERR, function);
  EXPECT_EQ(read_fault(function).signal, 0);
  static const char kConstant[] = "constant";
  EXPECT_FAULT(write_fault(kConstant), SIGSEGV, SEGV_ACCERR, kConstant);
  static char variable[] = "\xC3";
  EXPECT_FAULT(execute_fault(variable), SIGSEGV, SEGV_ACCERR, variable);
}

}  // namespace
}  // namespace guest
