// What a program says about its memory: madvise, mlock and their kin, msync, mincore, and what the limits make of it.
#include <sys/resource.h>
#include <sys/syscall.h>

#include "../support/fault.hpp"
#include "backing.hpp"

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

namespace guest {
namespace {

#define FOR_EACH_BACKING(what)                                                                          \
  static void GUEST_JOIN(backed_, __LINE__)(const Source&);                                             \
  static const Registration GUEST_JOIN(                                                                 \
      registered_, __LINE__)([] { for_each_backing("madvise", what, GUEST_JOIN(backed_, __LINE__)); }); \
  static void GUEST_JOIN(backed_, __LINE__)([[maybe_unused]] const Source& source)

bool is_anonymous_private(const Source& source) {
  return !source.backing().shared && source.backing().kind != Backing::Kind::file;
}

bool is_mapped(const char* page) {
  unsigned char state = 0;
  return mincore(const_cast<char*>(page), kPage, &state) == 0;
}

bool is_resident(const char* page) {
  unsigned char state = 0;
  MUST(mincore(const_cast<char*>(page), kPage, &state));
  return (state & 1) != 0;
}

// Kilobytes that /proc/self/status tells.
long status_value(const char* label) {
  std::FILE* const file = std::fopen("/proc/self/status", "r");
  EXPECT(file != nullptr);
  char line[256];
  long value = -1;
  while (std::fgets(line, sizeof(line), file) != nullptr) {
    if (std::strncmp(line, label, std::strlen(label)) == 0) {
      value = std::strtol(line + std::strlen(label), nullptr, 10);
    }
  }
  std::fclose(file);
  return value;
}

FOR_EACH_BACKING("MADV_DONTNEED forgets what is private") {
  char* pages = source.map();
  poke(pages + kPage, 'W');
  poke(pages + 5 * kPage, 'V');
  MUST(madvise(pages + kPage, 3 * kPage, MADV_DONTNEED));
  EXPECT_EQ(peek(pages + kPage), source.backing().shared ? 'W' : source.initial(1));
  EXPECT_EQ(peek(pages + 5 * kPage), 'V');
  poke(pages + kPage, 'X');
  EXPECT_EQ(peek(pages + kPage), 'X');
}

FOR_EACH_BACKING("MADV_DONTNEED after fork is one's own") {
  char* pages = source.map();
  poke(pages + kPage, 'W');
  in_child([pages, &source] {
    MUST(madvise(pages, Source::kPages * kPage, MADV_DONTNEED));
    EXPECT_EQ(peek(pages + kPage), source.backing().shared ? 'W' : source.initial(1));
  });
  EXPECT_EQ(peek(pages + kPage), 'W');
}

FOR_EACH_BACKING("MADV_FREE is for private anonymous memory") {
  char* pages = source.map();
  poke(pages + kPage, 'W');
  if (!is_anonymous_private(source)) {
    EXPECT_ERRNO(madvise(pages, 4 * kPage, MADV_FREE), EINVAL);
    EXPECT_EQ(peek(pages + kPage), 'W');
    return;
  }
  MUST(madvise(pages, 4 * kPage, MADV_FREE));
  const char now = peek(pages + kPage);
  EXPECT(now == 'W' || now == '\0');
  poke(pages + kPage, 'X');
  EXPECT_EQ(peek(pages + kPage), 'X');
}

FOR_EACH_BACKING("MADV_REMOVE is for shared memory that may be written") {
  char* pages = source.map();
  poke(pages + kPage, 'W');
  if (source.backing().kind == Backing::Kind::zero_device) {
    return;  // Linux knows still that there was a device
  }
  if (!source.backing().shared) {
    EXPECT_ERRNO(madvise(pages, 4 * kPage, MADV_REMOVE), is_anonymous_private(source) ? EINVAL : EACCES);
    return;
  }
  if (source.backing().kind == Backing::Kind::file) {
    return;  // not every file system can
  }
  MUST(madvise(pages + kPage, kPage, MADV_REMOVE));
  EXPECT_EQ(peek(pages + kPage), '\0');
  poke(pages + kPage, 'V');
  MUST(mprotect(pages + kPage, kPage, PROT_READ));
  MUST(madvise(pages + kPage, kPage, MADV_REMOVE));
  EXPECT_EQ(peek(pages + kPage), '\0');
}

FOR_EACH_BACKING("MADV_DONTFORK leaves out, MADV_DOFORK puts back") {
  char* pages = source.map();
  poke(pages + kPage, 'W');
  poke(pages + 3 * kPage, 'V');
  MUST(madvise(pages + kPage, 2 * kPage, MADV_DONTFORK));
  in_child([pages] {
    EXPECT(!is_mapped(pages + kPage));
    EXPECT(!is_mapped(pages + 2 * kPage));
    EXPECT_EQ(peek(pages + 3 * kPage), 'V');
    in_child([pages] { EXPECT(!is_mapped(pages + kPage)); });
  });
  EXPECT_EQ(peek(pages + kPage), 'W');
  MUST(madvise(pages, Source::kPages * kPage, MADV_DOFORK));
  in_child([pages] { EXPECT_EQ(peek(pages + kPage), 'W'); });
}

FOR_EACH_BACKING("MADV_WIPEONFORK is for private anonymous memory") {
  char* pages = source.map();
  poke(pages + kPage, 'W');
  poke(pages + 3 * kPage, 'V');
  if (source.backing().kind == Backing::Kind::zero_device) {
    return;  // Linux knows still that there was a device
  }
  if (!is_anonymous_private(source)) {
    EXPECT_ERRNO(madvise(pages, 2 * kPage, MADV_WIPEONFORK), EINVAL);
    return;
  }
  MUST(madvise(pages, 2 * kPage, MADV_WIPEONFORK));
  in_child([pages] {
    EXPECT_EQ(peek(pages + kPage), '\0');
    EXPECT_EQ(peek(pages + 3 * kPage), 'V');
    poke(pages + kPage, 'C');
    in_child([pages] { EXPECT_EQ(peek(pages + kPage), '\0'); });
    EXPECT_EQ(peek(pages + kPage), 'C');
  });
  EXPECT_EQ(peek(pages + kPage), 'W');
  MUST(madvise(pages, 2 * kPage, MADV_KEEPONFORK));
  in_child([pages] { EXPECT_EQ(peek(pages + kPage), 'W'); });
}

FOR_EACH_BACKING("MADV_POPULATE_* bring in what may be touched so") {
  char* pages = source.map();
  MUST(madvise(pages, 2 * kPage, MADV_POPULATE_WRITE));
  EXPECT(is_resident(pages + kPage));
  EXPECT_EQ(peek(pages + kPage), source.initial(1));
  MUST(mprotect(pages + 2 * kPage, 2 * kPage, PROT_READ));
  MUST(madvise(pages + 2 * kPage, 2 * kPage, MADV_POPULATE_READ));
  EXPECT(is_resident(pages + 3 * kPage));
  EXPECT_ERRNO(madvise(pages, 4 * kPage, MADV_POPULATE_WRITE), EINVAL);
  MUST(mprotect(pages + 4 * kPage, kPage, PROT_NONE));
  EXPECT_ERRNO(madvise(pages + 4 * kPage, kPage, MADV_POPULATE_READ), EINVAL);
  MUST(munmap(pages + 6 * kPage, kPage));
  EXPECT_ERRNO(madvise(pages + 5 * kPage, 3 * kPage, MADV_POPULATE_READ), ENOMEM);
}

FOR_EACH_BACKING("locked memory is discarded only where that is said") {
  char* pages = source.map();
  poke(pages + kPage, 'W');
  MUST(mlock(pages, 2 * kPage));
  EXPECT_ERRNO(madvise(pages, 4 * kPage, MADV_DONTNEED), EINVAL);
  EXPECT_ERRNO(madvise(pages, kPage, MADV_COLD), EINVAL);
  EXPECT_ERRNO(madvise(pages, kPage, MADV_PAGEOUT), EINVAL);
  EXPECT_EQ(peek(pages + kPage), 'W');
  MUST(madvise(pages, 4 * kPage, MADV_DONTNEED_LOCKED));
  EXPECT_EQ(peek(pages + kPage), source.backing().shared ? 'W' : source.initial(1));
  MUST(munlock(pages, 2 * kPage));
  MUST(madvise(pages, 4 * kPage, MADV_DONTNEED));
  MUST(madvise(pages, 4 * kPage, MADV_COLD));
  MUST(madvise(pages, 4 * kPage, MADV_PAGEOUT));
}

FOR_EACH_BACKING("MADV_WILLNEED, MADV_COLD and MADV_PAGEOUT change nothing to be seen") {
  char* pages = source.map();
  poke(pages + kPage, 'W');
  MUST(madvise(pages, Source::kPages * kPage, MADV_WILLNEED));
  MUST(madvise(pages, Source::kPages * kPage, MADV_COLD));
  MUST(madvise(pages, Source::kPages * kPage, MADV_PAGEOUT));
  EXPECT_EQ(peek(pages + kPage), 'W');
  EXPECT_EQ(peek(pages + 2 * kPage), source.initial(2));
  in_child([pages] { EXPECT_EQ(peek(pages + kPage), 'W'); });
  MUST(munmap(pages + 4 * kPage, kPage));
  EXPECT_ERRNO(madvise(pages, 6 * kPage, MADV_WILLNEED), ENOMEM);
  EXPECT_ERRNO(madvise(pages, 6 * kPage, MADV_PAGEOUT), ENOMEM);
  MUST(mprotect(pages, kPage, PROT_NONE));
  MUST(madvise(pages, 2 * kPage, MADV_WILLNEED));
  EXPECT_EQ(peek(pages + kPage), 'W');
}

CASE("madvise", "MADV_WILLNEED brings in what files have, MADV_PAGEOUT keeps what is nowhere else") {
  char* own = map(4 * kPage);
  poke(own + kPage, 'W');
  MUST(madvise(own, 4 * kPage, MADV_WILLNEED));
  EXPECT(!is_resident(own));
  MUST(madvise(own, 4 * kPage, MADV_PAGEOUT));
  EXPECT(is_resident(own + kPage));
  MUST(mlock(own, kPage));
  EXPECT_ERRNO(madvise(own, kPage, MADV_PAGEOUT), EINVAL);
  EXPECT_ERRNO(madvise(own, kPage, MADV_COLD), EINVAL);
  const Folder folder;
  const int file = folder.file("file", std::string(3 * kPage + 10, 'f'));
  char* pages = map(6 * kPage, PROT_READ, MAP_PRIVATE, file);
  MUST(madvise(pages, 6 * kPage, MADV_WILLNEED));  // also what lies behind the end
  for (std::size_t page = 0; page < 4; ++page) {
    EXPECT(is_resident(pages + page * kPage));
  }
  EXPECT_EQ(peek(pages + 3 * kPage + 9), 'f');
}

CASE("madvise errors", "what there is not, and what does not fit") {
  char* pages = map(4 * kPage);
  EXPECT_ERRNO(madvise(pages, kPage, 5), EINVAL);
  EXPECT_ERRNO(madvise(pages, kPage, 1000), EINVAL);
  EXPECT_ERRNO(madvise(pages, kPage, -1), EINVAL);
  EXPECT_ERRNO(madvise(pages + 1, kPage, MADV_DONTNEED), EINVAL);
  EXPECT_ERRNO(madvise(pages, ~std::size_t{0}, MADV_DONTNEED), EINVAL);
  MUST(madvise(pages, 0, MADV_DONTNEED));
}

CASE("madvise errors", "what lies behind a hole is done all the same") {
  char* pages = map(4 * kPage);
  std::memset(pages, 'W', 4 * kPage);
  MUST(munmap(pages + kPage, kPage));
  EXPECT_ERRNO(madvise(pages, 4 * kPage, MADV_DONTNEED), ENOMEM);
  EXPECT_EQ(peek(pages), '\0');
  EXPECT_EQ(peek(pages + 3 * kPage), '\0');
}

// --- locking

CASE("mlock", "what is locked is present and counted") {
  char* pages = map(8 * kPage);
  EXPECT(!is_resident(pages + 2 * kPage));
  const long before = status_value("VmLck:");
  MUST(mlock(pages + 2 * kPage + 100, kPage));
  EXPECT(is_resident(pages + 2 * kPage));
  EXPECT(is_resident(pages + 3 * kPage));
  EXPECT(!is_resident(pages + 5 * kPage));
  EXPECT_EQ(status_value("VmLck:") - before, 8L);
  MUST(munlock(pages, 8 * kPage));
  EXPECT_EQ(status_value("VmLck:"), before);
}

CASE("mlock", "a hole is an error, and what lies before it is locked") {
  char* pages = map(4 * kPage);
  MUST(munmap(pages + 2 * kPage, kPage));
  EXPECT_ERRNO(mlock(pages, 4 * kPage), ENOMEM);
  EXPECT_EQ(status_value("VmLck:"), 8L);
  EXPECT_ERRNO(munlock(pages, 4 * kPage), ENOMEM);
  EXPECT_EQ(status_value("VmLck:"), 0L);
}

CASE("mlock", "what may not be touched cannot be brought in") {
  char* pages = map(2 * kPage, PROT_NONE);
  EXPECT_ERRNO(mlock(pages, 2 * kPage), ENOMEM);
  MUST(munlock(pages, 2 * kPage));
}

CASE("mlock", "on a fault, and wrong flags") {
  char* pages = map(2 * kPage);
  MUST(syscall(SYS_mlock2, pages, 2 * kPage, 1));
  EXPECT(!is_resident(pages));
  poke(pages, 'W');
  EXPECT(is_resident(pages));
  EXPECT_ERRNO(madvise(pages, kPage, MADV_DONTNEED), EINVAL);
  EXPECT_ERRNO(syscall(SYS_mlock2, pages, kPage, 2), EINVAL);
  MUST(syscall(SYS_mlock2, pages, 0, 0));
}

CASE("mlock", "a child has nothing locked") {
  char* pages = map(2 * kPage);
  MUST(mlock(pages, 2 * kPage));
  in_child([pages] {
    EXPECT_EQ(status_value("VmLck:"), 0L);
    MUST(madvise(pages, kPage, MADV_DONTNEED));
  });
  EXPECT_EQ(status_value("VmLck:"), 8L);
}

CASE("mlock", "all of it, now and later") {
  EXPECT_ERRNO(mlockall(0), EINVAL);
  EXPECT_ERRNO(mlockall(8), EINVAL);
  EXPECT_ERRNO(mlockall(4), EINVAL);
  char* before = map(2 * kPage);
  MUST(mlockall(MCL_FUTURE));
  EXPECT(!is_resident(before));
  char* after = map(2 * kPage);
  EXPECT(is_resident(after + kPage));
  EXPECT_EQ(status_value("VmLck:"), 8L);
  MUST(mlockall(MCL_CURRENT));
  EXPECT(is_resident(before + kPage));
  char* later = map(2 * kPage);
  EXPECT(!is_resident(later));
  MUST(munlockall());
  EXPECT_EQ(status_value("VmLck:"), 0L);
}

CASE("mlock", "a mapping made locked, and one that grows") {
  char* pages = map(4 * kPage, kReadWrite, kPrivate | MAP_LOCKED);
  EXPECT(is_resident(pages + 3 * kPage));
  MUST(munmap(pages + 2 * kPage, 2 * kPage));
  void* const grown = mremap(pages, 2 * kPage, 4 * kPage, 0);
  EXPECT_EQ(grown, static_cast<void*>(pages));
  EXPECT(is_resident(pages + 3 * kPage));
  EXPECT_EQ(status_value("VmLck:"), 16L);
}

CASE("mlock", "no more than the limit without the right to") {
  in_child([] {
    const rlimit limit = {4 * kPage, 4 * kPage};
    MUST(setrlimit(RLIMIT_MEMLOCK, &limit));
    char* pages = map(8 * kPage);
    MUST(mlock(pages, 6 * kPage));
    MUST(munlock(pages, 6 * kPage));
    MUST(seteuid(1000));
    MUST(mlock(pages, 4 * kPage));
    MUST(mlock(pages + kPage, 3 * kPage));
    EXPECT_ERRNO(mlock(pages, 5 * kPage), ENOMEM);
    EXPECT_ERRNO(mlockall(MCL_CURRENT), ENOMEM);
    EXPECT_ERRNO(syscall(SYS_mmap, 0, kPage, kReadWrite, kPrivate | MAP_LOCKED, -1, 0), EAGAIN);
    MUST(munmap(pages + 4 * kPage, 4 * kPage));
    EXPECT_ERRNO(syscall(SYS_mremap, pages, 4 * kPage, 5 * kPage, MREMAP_MAYMOVE), EAGAIN);
    MUST(munlock(pages, 4 * kPage));
    MUST(mlock(pages, 4 * kPage));
  });
}

CASE("mlock", "a stack does not grow beyond the limit") {
  in_child([] {
    const rlimit limit = {4 * kPage, 4 * kPage};
    MUST(setrlimit(RLIMIT_MEMLOCK, &limit));
    char* const place = free_place(1000 * kPage);
    char* stack =
        map(2 * kPage, kReadWrite, kPrivate | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE, -1, 0, place + 900 * kPage);
    MUST(mlock(stack, 2 * kPage));
    MUST(seteuid(1000));
    EXPECT_FAULT(write_fault(stack - 3 * kPage), SIGSEGV, SEGV_MAPERR, stack - 3 * kPage);
    poke(stack - 2 * kPage, 'x');
    EXPECT_FAULT(write_fault(stack - 3 * kPage), SIGSEGV, SEGV_MAPERR, stack - 3 * kPage);
    MUST(seteuid(0));
    poke(stack - 3 * kPage, 'y');
  });
}

CASE("mlock", "nothing where the limit is nothing") {
  in_child([] {
    const rlimit limit = {0, 0};
    MUST(setrlimit(RLIMIT_MEMLOCK, &limit));
    char* pages = map(2 * kPage);
    MUST(seteuid(1000));
    EXPECT_ERRNO(mlock(pages, kPage), EPERM);
    EXPECT_ERRNO(mlockall(MCL_CURRENT), EPERM);
    EXPECT_ERRNO(syscall(SYS_mmap, 0, kPage, kReadWrite, kPrivate | MAP_LOCKED, -1, 0), EPERM);
    MUST(munlock(pages, kPage));
  });
}

// --- msync, mincore

CASE("msync errors", "each") {
  char* pages = map(4 * kPage);
  EXPECT_ERRNO(msync(pages, kPage, 8), EINVAL);
  EXPECT_ERRNO(msync(pages, kPage, MS_SYNC | MS_ASYNC), EINVAL);
  EXPECT_ERRNO(msync(pages + 1, kPage, MS_SYNC), EINVAL);
  EXPECT_ERRNO(msync(free_place(kPage), kPage, MS_SYNC), ENOMEM);
  MUST(msync(pages, 0, MS_SYNC));
  MUST(mlock(pages + 2 * kPage, kPage));
  MUST(msync(pages, 4 * kPage, MS_SYNC));
  EXPECT_ERRNO(msync(pages, 4 * kPage, MS_SYNC | MS_INVALIDATE), EBUSY);
  MUST(msync(pages, 2 * kPage, MS_INVALIDATE));
}

CASE("mincore", "what was touched is there, and nothing else") {
  char* pages = map(6 * kPage);
  poke(pages + kPage, 'W');
  EXPECT_EQ(peek(pages + 3 * kPage), '\0');
  unsigned char state[6] = {9, 9, 9, 9, 9, 9};
  MUST(mincore(pages, 6 * kPage, state));
  const unsigned char wanted[6] = {0, 1, 0, 1, 0, 0};
  EXPECT_EQ(std::memcmp(state, wanted, sizeof(state)), 0);
  MUST(madvise(pages, 6 * kPage, MADV_DONTNEED));
  EXPECT(!is_resident(pages + kPage));
}

CASE("mincore errors", "each") {
  char* pages = map(4 * kPage);
  unsigned char state[4];
  EXPECT_ERRNO(mincore(pages + 1, kPage, state), EINVAL);
  EXPECT_ERRNO(mincore(free_place(kPage), kPage, state), ENOMEM);
  MUST(munmap(pages + 2 * kPage, kPage));
  EXPECT_ERRNO(mincore(pages, 4 * kPage, state), ENOMEM);
  EXPECT_ERRNO(syscall(SYS_mincore, pages, kPage, free_place(kPage)), EFAULT);
  MUST(syscall(SYS_mincore, pages, 0, state));
}

// --- limits

void set_limit(int resource, std::size_t bytes) {
  const rlimit limit = {bytes, RLIM_INFINITY};
  MUST(setrlimit(static_cast<__rlimit_resource>(resource), &limit));
}

CASE("limits", "RLIMIT_AS holds mmap, mremap and brk") {
  in_child([] {
    char* pages = map(8 * kPage);
    MUST(munmap(pages + 4 * kPage, 4 * kPage));
    set_limit(RLIMIT_AS, static_cast<std::size_t>(status_value("VmSize:")) * 1024 + 2 * kPage);
    EXPECT_ERRNO(syscall(SYS_mmap, 0, 16 * kPage, kReadWrite, kPrivate, -1, 0), ENOMEM);
    EXPECT_ERRNO(syscall(SYS_mremap, pages, 4 * kPage, 8 * kPage, 0), ENOMEM);
    MUST(syscall(SYS_mremap, pages, 4 * kPage, 5 * kPage, 0));
    const long end = syscall(SYS_brk, 0);
    EXPECT_EQ(syscall(SYS_brk, end + 64 * static_cast<long>(kPage)), end);
    set_limit(RLIMIT_AS, RLIM_INFINITY);
  });
}

CASE("limits", "RLIMIT_DATA holds private memory that may be written") {
  in_child([] {
    char* pages = map(8 * kPage);
    char* readable = map(16 * kPage, PROT_READ);
    MUST(munmap(pages + 4 * kPage, 4 * kPage));
    set_limit(RLIMIT_DATA, static_cast<std::size_t>(status_value("VmData:")) * 1024 + 2 * kPage);
    EXPECT_ERRNO(syscall(SYS_mmap, 0, 16 * kPage, kReadWrite, kPrivate, -1, 0), ENOMEM);
    MUST(syscall(SYS_mmap, 0, 16 * kPage, kReadWrite, kShared, -1, 0));
    MUST(syscall(SYS_mmap, 0, 16 * kPage, PROT_READ, kPrivate, -1, 0));
    EXPECT_ERRNO(mprotect(readable, 16 * kPage, kReadWrite), ENOMEM);
    EXPECT_ERRNO(syscall(SYS_mremap, pages, 4 * kPage, 8 * kPage, 0), ENOMEM);
    MUST(syscall(SYS_mremap, pages, 4 * kPage, 5 * kPage, 0));
    set_limit(RLIMIT_DATA, RLIM_INFINITY);
    MUST(mprotect(readable, 16 * kPage, kReadWrite));
  });
}

}  // namespace
}  // namespace guest
