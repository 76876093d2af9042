// mmap, munmap and mprotect: where mappings go, and the error of each wrong argument.
#include <sys/resource.h>
#include <sys/syscall.h>

#include "../support/fault.hpp"
#include "../support/memory.hpp"
#include "../support/process.hpp"

namespace guest {
namespace {

constexpr std::uintptr_t kHole = 0x0000'8000'0000'0000;      // not canonical
constexpr std::uintptr_t kLastPage = 0xFFFF'FFFF'FFFF'F000;  // of all addresses, the kernel's
constexpr std::uintptr_t kKernel = 0xFFFF'FFFF'FB80'0000;

long raw_map(std::uintptr_t at, std::size_t bytes, int prot, int flags, int file = -1, std::uint64_t offset = 0) {
  return syscall(SYS_mmap, at, bytes, prot, flags, file, offset);
}

CASE("mmap errors", "no length") { EXPECT_ERRNO(raw_map(0, 0, kReadWrite, kPrivate), EINVAL); }

CASE("mmap errors", "neither shared nor private") {
  EXPECT_ERRNO(raw_map(0, kPage, kReadWrite, MAP_ANONYMOUS), EINVAL);
}

CASE("mmap errors", "a length that wraps around") {
  EXPECT_ERRNO(raw_map(0, ~std::size_t{0}, kReadWrite, kPrivate), ENOMEM);
}

CASE("mmap errors", "a length greater than the address space") {
  EXPECT_ERRNO(raw_map(0, std::size_t{1} << 62, PROT_NONE, kPrivate | MAP_NORESERVE), ENOMEM);
}

CASE("mmap errors", "more than memory could ever hold") {
  EXPECT_ERRNO(raw_map(0, std::size_t{1} << 45, kReadWrite, kPrivate), ENOMEM);
}

CASE("mmap errors", "a fixed address within a page") {
  EXPECT_ERRNO(raw_map(value_of(free_place(kPage)) + 1, kPage, kReadWrite, kPrivate | MAP_FIXED), EINVAL);
}

CASE("mmap errors", "a fixed address within a page, without replacing") {
  EXPECT_ERRNO(raw_map(value_of(free_place(kPage)) + 8, kPage, kReadWrite, kPrivate | MAP_FIXED_NOREPLACE), EINVAL);
}

CASE("mmap errors", "a fixed address in the hole") {
  EXPECT_ERRNO(raw_map(kHole, kPage, kReadWrite, kPrivate | MAP_FIXED), ENOMEM);
}

CASE("mmap errors", "a fixed range that reaches into the hole") {
  EXPECT_ERRNO(raw_map(kHole - 2 * kPage, 4 * kPage, kReadWrite, kPrivate | MAP_FIXED), ENOMEM);
}

CASE("mmap errors", "the last page below the hole") {
  EXPECT_ERRNO(raw_map(kHole - kPage, kPage, kReadWrite, kPrivate | MAP_FIXED), ENOMEM);
}

CASE("mmap errors", "a fixed address in the kernel") {
  EXPECT_ERRNO(raw_map(kKernel, kPage, kReadWrite, kPrivate | MAP_FIXED), ENOMEM);
}

CASE("mmap errors", "a fixed range that wraps around") {
  EXPECT_ERRNO(raw_map(kLastPage, 2 * kPage, kReadWrite, kPrivate | MAP_FIXED), ENOMEM);
}

CASE("mmap errors", "the lowest page, not as root") {
  in_child([] {
    if (geteuid() == 0) {
      MUST(setuid(65534));
    }
    EXPECT_ERRNO(raw_map(0, kPage, kReadWrite, kPrivate | MAP_FIXED), EPERM);
  });
}

CASE("mmap errors", "no such file") { EXPECT_ERRNO(raw_map(0, kPage, PROT_READ, MAP_PRIVATE, 999), EBADF); }

CASE("mmap errors", "an offset within a page") {
  const Folder folder;
  EXPECT_ERRNO(raw_map(0, kPage, PROT_READ, MAP_PRIVATE, folder.file("file", "text"), 512), EINVAL);
}

CASE("mmap errors", "an offset beyond what files can have") {
  const Folder folder;
  const int file = folder.file("file", "text");
  EXPECT_ERRNO(raw_map(0, 2 * kPage, PROT_READ, MAP_PRIVATE, file, 0x7FFF'FFFF'FFFF'F000), EOVERFLOW);
}

CASE("mmap errors", "a file that is not open for reading") {
  const Folder folder;
  close(folder.file("file", "text"));
  const int file = static_cast<int>(MUST(open(folder.path("file").c_str(), O_WRONLY)));
  EXPECT_ERRNO(raw_map(0, kPage, PROT_READ, MAP_PRIVATE, file), EACCES);
  EXPECT_ERRNO(raw_map(0, kPage, PROT_WRITE, MAP_SHARED, file), EACCES);
}

CASE("mmap errors", "writing to a file that is not open for writing") {
  const Folder folder;
  close(folder.file("file", "text"));
  const int file = static_cast<int>(MUST(open(folder.path("file").c_str(), O_RDONLY)));
  EXPECT_ERRNO(raw_map(0, kPage, kReadWrite, MAP_SHARED, file), EACCES);
  char* shared = map(kPage, PROT_READ, MAP_SHARED, file);
  EXPECT_ERRNO(mprotect(shared, kPage, kReadWrite), EACCES);
  EXPECT_EQ(peek(shared), 't');
  char* own = map(kPage, PROT_READ, MAP_PRIVATE, file);
  MUST(mprotect(own, kPage, kReadWrite));
  poke(own, 'W');
  EXPECT_EQ(peek(shared), 't');
}

CASE("mmap errors", "a folder") {
  const int folder = static_cast<int>(MUST(open("/tmp", O_RDONLY | O_DIRECTORY)));
  EXPECT_ERRNO(raw_map(0, kPage, PROT_READ, MAP_PRIVATE, folder), ENODEV);
}

CASE("mmap errors", "a pipe") {
  int ends[2];
  MUST(pipe(ends));
  EXPECT_ERRNO(raw_map(0, kPage, PROT_READ, MAP_PRIVATE, ends[0]), ENODEV);
}

CASE("mmap errors", "shared memory that grows down") {
  EXPECT_ERRNO(raw_map(0, kPage, kReadWrite, kShared | MAP_GROWSDOWN), EINVAL);
}

CASE("mmap errors", "a file that grows down") {
  const Folder folder;
  EXPECT_ERRNO(raw_map(0, kPage, PROT_READ, MAP_PRIVATE | MAP_GROWSDOWN, folder.file("file", "text")), EINVAL);
}

CASE("mmap errors", "a flag that a validating map does not know") {
  const Folder folder;
  const int file = folder.file("file", "text");
  EXPECT_ERRNO(raw_map(0, kPage, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC, file), EOPNOTSUPP);
  EXPECT_EQ(peek(map(kPage, PROT_READ, MAP_SHARED_VALIDATE, file)), 't');
}

CASE("mmap errors", "more than RLIMIT_AS") {
  in_child([] {
    const rlimit limit{std::size_t{64} << 20, std::size_t{64} << 20};
    MUST(setrlimit(RLIMIT_AS, &limit));
    MUST(munmap(map(std::size_t{16} << 20), std::size_t{16} << 20));
    EXPECT_ERRNO(raw_map(0, std::size_t{65} << 20, kReadWrite, kPrivate), ENOMEM);
    EXPECT_ERRNO(raw_map(0, std::size_t{65} << 20, PROT_NONE, kPrivate), ENOMEM);
  });
}

CASE("mmap", "the file may be closed, and unlinked") {
  const Folder folder;
  const int file = folder.file("file", "text");
  char* text = map(kPage, kReadWrite, MAP_SHARED, file);
  close(file);
  MUST(unlink(folder.path("file").c_str()));
  EXPECT_EQ(std::string(text, 4), "text");
  poke(text, 'T');
  EXPECT_EQ(std::string(text, 4), "Text");
}

CASE("mmap", "a length is rounded up to pages") {
  char* pages = map(kPage + 1);
  poke(pages + 2 * kPage - 1, 'W');
  EXPECT_EQ(read_fault(pages + kPage).signal, 0);
  MUST(munmap(pages, kPage + 1));
  EXPECT_FAULT(read_fault(pages + 2 * kPage - 1), SIGSEGV, SEGV_MAPERR, pages + 2 * kPage - 1);
}

CASE("mmap", "a hint that is no page's address is rounded") {
  char* place = free_place(16 * kPage);
  void* got = mmap(place + 8 * kPage + 5, kPage, kReadWrite, kPrivate, -1, 0);
  EXPECT(got != MAP_FAILED);
  EXPECT_EQ(value_of(got) % kPage, 0);
}

CASE("mmap", "a hint beyond the end is no error") {
  void* got = mmap(pointer_to(kKernel), kPage, kReadWrite, kPrivate, -1, 0);
  EXPECT(got != MAP_FAILED && value_of(got) < kKernel);
  poke(static_cast<char*>(got), 'W');
}

CASE("mmap", "many mappings are all different and zero") {
  constexpr int kCount = 200;
  char* all[kCount];
  for (int i = 0; i < kCount; i++) {
    all[i] = map(kPage * static_cast<std::size_t>(1 + i % 3), kReadWrite, i % 2 != 0 ? kPrivate : kShared);
    EXPECT_EQ(*reinterpret_cast<int*>(all[i]), 0);
    *reinterpret_cast<int*>(all[i]) = i;
  }
  for (int i = 0; i < kCount; i++) {
    EXPECT_EQ(*reinterpret_cast<int*>(all[i]), i);
  }
}

CASE("mmap", "a huge reservation costs nothing and its ends can be used") {
  constexpr std::size_t kHuge = std::size_t{1} << 44;  // 16 TB
  char* pages = map(kHuge, kReadWrite, kPrivate | MAP_NORESERVE);
  poke(pages, 'F');
  poke(pages + kHuge / 2 + 5, 'M');
  poke(pages + kHuge - 1, 'L');
  EXPECT_EQ(peek(pages), 'F');
  EXPECT_EQ(peek(pages + kHuge - 1), 'L');
  in_child([pages] {
    EXPECT_EQ(peek(pages + kHuge / 2 + 5), 'M');
    poke(pages + kHuge / 4, 'C');
  });
  EXPECT_EQ(peek(pages + kHuge / 4), '\0');
  MUST(munmap(pages + kPage, kHuge - 2 * kPage));
  EXPECT_EQ(peek(pages + kHuge - 1), 'L');
  EXPECT_FAULT(read_fault(pages + kHuge / 2), SIGSEGV, SEGV_MAPERR, pages + kHuge / 2);
}

CASE("mmap", "a freed place gives zeros when it is mapped again") {
  for (int i = 0; i < 8; i++) {
    char* pages = map(16 * kPage);
    EXPECT(all_bytes(pages, 16 * kPage, '\0'));
    std::memset(pages, 'F', 16 * kPage);
    MUST(munmap(pages, 16 * kPage));
  }
}

CASE("mmap", "a large page's worth, written everywhere, in part unmapped") {
  constexpr std::size_t kLarge = std::size_t{2} << 20;
  char* pages = map(2 * kLarge);
  char* aligned = pointer_to((value_of(pages) + kLarge - 1) / kLarge * kLarge);
  for (std::size_t i = 0; i < kLarge; i += kPage) {
    poke(aligned + i, static_cast<char>(i / kPage));
  }
  MUST(munmap(aligned + 100 * kPage, kPage));
  MUST(mprotect(aligned + 200 * kPage, kPage, PROT_READ));
  EXPECT_FAULT(read_fault(aligned + 100 * kPage), SIGSEGV, SEGV_MAPERR, aligned + 100 * kPage);
  EXPECT_FAULT(write_fault(aligned + 200 * kPage), SIGSEGV, SEGV_ACCERR, aligned + 200 * kPage);
  for (std::size_t i = 0; i < kLarge; i += kPage) {
    if (i / kPage != 100) {
      EXPECT_EQ(peek(aligned + i), static_cast<char>(i / kPage));
    }
  }
}

CASE("munmap", "nothing there is no error") {
  char* place = free_place(4 * kPage);
  MUST(munmap(place, 4 * kPage));
}

CASE("munmap", "over several mappings and holes") {
  char* pages = map(9 * kPage);
  MUST(munmap(pages + kPage, kPage));
  MUST(munmap(pages + 4 * kPage, kPage));
  MUST(mprotect(pages + 6 * kPage, kPage, PROT_READ));
  MUST(munmap(pages + kPage, 7 * kPage));
  EXPECT_EQ(read_fault(pages).signal, 0);
  for (std::size_t page = 1; page < 8; page++) {
    EXPECT_FAULT(read_fault(pages + page * kPage), SIGSEGV, SEGV_MAPERR, pages + page * kPage);
  }
  EXPECT_EQ(read_fault(pages + 8 * kPage).signal, 0);
}

CASE("munmap errors", "an address within a page") {
  char* pages = map(2 * kPage);
  EXPECT_ERRNO(munmap(pages + 1, kPage), EINVAL);
  poke(pages, 'W');
}

CASE("munmap errors", "no length") { EXPECT_ERRNO(munmap(map(kPage), 0), EINVAL); }

CASE("munmap errors", "beyond the end") {
  EXPECT_ERRNO(syscall(SYS_munmap, kKernel, kPage), EINVAL);
  EXPECT_ERRNO(syscall(SYS_munmap, kLastPage, 2 * kPage), EINVAL);
  EXPECT_ERRNO(syscall(SYS_munmap, value_of(map(kPage)), ~std::size_t{0} - kPage), EINVAL);
}

CASE("mprotect", "no length is no error") { MUST(mprotect(map(kPage), 0, PROT_NONE)); }

CASE("mprotect", "each right by itself, and back") {
  char* pages = map(3 * kPage);
  poke(pages + kPage, '\xC3');
  for (int round = 0; round < 4; round++) {
    MUST(mprotect(pages + kPage, kPage, PROT_READ));
    EXPECT_EQ(write_fault(pages + kPage).code, SEGV_ACCERR);
    MUST(mprotect(pages + kPage, kPage, PROT_READ | PROT_EXEC));
    EXPECT_EQ(execute_fault(pages + kPage).signal, 0);
    MUST(mprotect(pages + kPage, kPage, PROT_NONE));
    EXPECT_EQ(read_fault(pages + kPage).code, SEGV_ACCERR);
    EXPECT_EQ(execute_fault(pages + kPage).code, SEGV_ACCERR);
    MUST(mprotect(pages + kPage, kPage, kReadWrite));
    EXPECT_EQ(peek(pages + kPage), '\xC3');
    poke(pages + kPage, '\xC3');
  }
}

CASE("mprotect", "in stripes, and whole again") {
  constexpr std::size_t kCount = 64;
  char* pages = map(kCount * kPage);
  for (std::size_t i = 0; i < kCount; i++) {
    poke(pages + i * kPage, static_cast<char>(i));
  }
  for (std::size_t i = 0; i < kCount; i += 2) {
    MUST(mprotect(pages + i * kPage, kPage, PROT_READ));
  }
  for (std::size_t i = 0; i < kCount; i++) {
    EXPECT_EQ(write_fault(pages + i * kPage + 1).signal, i % 2 == 0 ? SIGSEGV : 0);
  }
  MUST(mprotect(pages, kCount * kPage, kReadWrite));
  for (std::size_t i = 0; i < kCount; i++) {
    EXPECT_EQ(peek(pages + i * kPage), static_cast<char>(i));
    poke(pages + i * kPage, 'W');
  }
}

CASE("mprotect", "what is before a hole is changed all the same") {
  char* pages = map(4 * kPage);
  MUST(munmap(pages + 2 * kPage, kPage));
  EXPECT_ERRNO(mprotect(pages, 4 * kPage, PROT_READ), ENOMEM);
  EXPECT_FAULT(write_fault(pages + kPage), SIGSEGV, SEGV_ACCERR, pages + kPage);
  poke(pages + 3 * kPage, 'W');
}

CASE("mprotect errors", "a hole at the start") {
  char* place = free_place(2 * kPage);
  EXPECT_ERRNO(mprotect(place, kPage, PROT_READ), ENOMEM);
}

CASE("mprotect errors", "an address within a page") { EXPECT_ERRNO(mprotect(map(kPage) + 1, 1, PROT_READ), EINVAL); }

CASE("mprotect errors", "rights that there are not") { EXPECT_ERRNO(mprotect(map(kPage), kPage, 0x8000), EINVAL); }

CASE("mprotect errors", "growing up and down") {
  EXPECT_ERRNO(mprotect(map(kPage), kPage, PROT_READ | PROT_GROWSDOWN | PROT_GROWSUP), EINVAL);
}

CASE("mprotect errors", "a range that wraps around") {
  EXPECT_ERRNO(syscall(SYS_mprotect, value_of(map(kPage)), ~std::size_t{0} - kPage, PROT_READ), ENOMEM);
}

CASE("mprotect errors", "kernel addresses and the hole") {
  EXPECT_ERRNO(syscall(SYS_mprotect, kKernel, kPage, kReadWrite), ENOMEM);
  EXPECT_ERRNO(syscall(SYS_mprotect, kHole, kPage, kReadWrite), ENOMEM);
}

}  // namespace
}  // namespace guest
