// brk, and the stack: the memory that a program has without asking.
#include <sys/resource.h>
#include <sys/syscall.h>

#include "../support/fault.hpp"
#include "../support/memory.hpp"
#include "../support/process.hpp"

namespace guest {
namespace {

char* set_break(const void* end) { return pointer_to(static_cast<std::uintptr_t>(syscall(SYS_brk, end))); }

// The end of the heap, at a page.
char* page_break() {
  char* end = set_break(nullptr);
  char* aligned = pointer_to((value_of(end) + kPage - 1) / kPage * kPage);
  EXPECT_EQ(set_break(aligned), aligned);
  return aligned;
}

CASE("brk", "grows with zeros") {
  char* start = page_break();
  EXPECT_EQ(set_break(start + 10 * kPage), start + 10 * kPage);
  EXPECT(all_bytes(start, 10 * kPage, '\0'));
  std::memset(start, 'H', 10 * kPage);
  EXPECT_EQ(set_break(nullptr), start + 10 * kPage);
}

CASE("brk", "shrinks, and is zero when it grows again") {
  char* start = page_break();
  EXPECT_EQ(set_break(start + 10 * kPage), start + 10 * kPage);
  std::memset(start, 'H', 10 * kPage);
  EXPECT_EQ(set_break(start + 4 * kPage), start + 4 * kPage);
  EXPECT_FAULT(read_fault(start + 4 * kPage), SIGSEGV, SEGV_MAPERR, start + 4 * kPage);
  EXPECT_EQ(set_break(start + 10 * kPage), start + 10 * kPage);
  EXPECT(all_bytes(start, 4 * kPage, 'H'));
  EXPECT(all_bytes(start + 4 * kPage, 6 * kPage, '\0'));
}

CASE("brk", "ends within a page") {
  char* start = page_break();
  EXPECT_EQ(set_break(start + 100), start + 100);
  poke(start + kPage - 1, 'H');  // the page is there as a whole
  EXPECT_FAULT(read_fault(start + kPage), SIGSEGV, SEGV_MAPERR, start + kPage);
}

CASE("brk", "an end below the heap changes nothing") {
  char* start = page_break();
  EXPECT_EQ(set_break(pointer_to(4096)), start);
  EXPECT_EQ(set_break(pointer_to(1)), start);
}

CASE("brk", "an end beyond all memory changes nothing") {
  char* start = page_break();
  EXPECT_EQ(set_break(pointer_to(0x7000'0000'0000)), start);
  EXPECT_EQ(set_break(pointer_to(0xFFFF'FFFF'F000'0000)), start);
  EXPECT_EQ(set_break(pointer_to(0x0001'0000'0000'0000)), start);
}

CASE("brk", "does not grow over a mapping") {
  char* start = page_break();
  map(kPage, kReadWrite, kPrivate | MAP_FIXED_NOREPLACE, -1, 0, start + 32 * kPage);
  EXPECT_EQ(set_break(start + 40 * kPage), start);
  EXPECT_EQ(set_break(start + 16 * kPage), start + 16 * kPage);
}

CASE("brk", "does not grow beyond RLIMIT_DATA") {
  in_child([] {
    char* start = page_break();
    const rlimit limit{std::size_t{16} << 20, std::size_t{16} << 20};
    MUST(setrlimit(RLIMIT_DATA, &limit));
    EXPECT_EQ(set_break(start + (std::size_t{32} << 20)), start);
    EXPECT_EQ(set_break(start + kPage), start + kPage);
  });
}

CASE("brk", "is the child's own after fork") {
  char* start = page_break();
  EXPECT_EQ(set_break(start + 2 * kPage), start + 2 * kPage);
  poke(start, 'P');
  in_child([start] {
    EXPECT_EQ(set_break(nullptr), start + 2 * kPage);
    EXPECT_EQ(set_break(start + 5 * kPage), start + 5 * kPage);
    poke(start, 'C');
    poke(start + 4 * kPage, 'C');
  });
  EXPECT_EQ(set_break(nullptr), start + 2 * kPage);
  EXPECT_EQ(peek(start), 'P');
  EXPECT_FAULT(read_fault(start + 4 * kPage), SIGSEGV, SEGV_MAPERR, start + 4 * kPage);
}

CASE("brk", "the heap does not execute") {
  char* start = page_break();
  EXPECT_EQ(set_break(start + kPage), start + kPage);
  poke(start, '\xC3');
  EXPECT_FAULT(execute_fault(start), SIGSEGV, SEGV_ACCERR, start);
}

// --- the stack

[[gnu::noinline]] int recurse(int depth) {
  volatile char frame[8192];
  frame[0] = static_cast<char>(depth);
  frame[8191] = frame[0];
  return depth == 0 ? frame[8191] : recurse(depth - 1) + frame[0] - frame[8191];
}

CASE("stack", "grows by recursion to 6 MB") { EXPECT_EQ(recurse(768), 0); }

CASE("stack", "grows where it is touched, far below") {
  char here;
  char* below = pointer_to(value_of(&here) / kPage * kPage) - (std::size_t{4} << 20);
  poke(below, 'S');
  EXPECT_EQ(peek(below), 'S');
  EXPECT_EQ(peek(below + (std::size_t{2} << 20)), '\0');
}

CASE("stack", "its pages do not execute") {
  char code[16] = {'\xC3'};
  asm volatile("" ::"r"(code) : "memory");
  EXPECT_FAULT(execute_fault(code), SIGSEGV, SEGV_ACCERR, code);
}

CASE("stack", "ends at RLIMIT_STACK, with a signal on the other stack") {
  in_child([] {
    const rlimit limit{std::size_t{1} << 20, RLIM_INFINITY};
    MUST(setrlimit(RLIMIT_STACK, &limit));
    char here;
    char* page = pointer_to(value_of(&here) / kPage * kPage);
    const char* const lowest = page - (std::size_t{2} << 20);
    Fault fault;
    while (fault.signal == 0 && page > lowest) {
      page -= kPage;
      fault = write_fault(page + 16);
    }
    EXPECT_FAULT(fault, SIGSEGV, SEGV_MAPERR, page + 16);
    EXPECT(page < &here - (std::size_t{768} << 10));
  });
}

CASE("stack", "endless recursion is caught on the other stack") {
  in_child([] {
    const rlimit limit{std::size_t{2} << 20, RLIM_INFINITY};
    MUST(setrlimit(RLIMIT_STACK, &limit));
    char here;
    const Fault fault = fault_of([] { recurse(1 << 30); });
    EXPECT_EQ(fault.signal, SIGSEGV);
    EXPECT_EQ(fault.code, SEGV_MAPERR);
    EXPECT(fault.address < value_of(&here) && fault.address > value_of(&here) - (std::size_t{3} << 20));
  });
}

CASE("stack", "endless recursion without another stack kills") {
  const pid_t child = start_child([] {
    const rlimit limit{std::size_t{1} << 20, RLIM_INFINITY};
    setrlimit(RLIMIT_STACK, &limit);
    std::signal(SIGSEGV, [](int) {});  // cannot run: there is no stack for it
    recurse(1 << 30);
  });
  const int status = status_of(child);
  EXPECT(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGSEGV);
}

CASE("stack", "a mapping that grows down grows") {
  char* place = free_place(1024 * kPage);
  char* stack = map(kPage, kReadWrite, kPrivate | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE, -1, 0, place + 1000 * kPage);
  poke(stack, 'S');
  poke(stack - 1, 'T');
  poke(stack - 4 * kPage, 'U');
  EXPECT_EQ(peek(stack - 2 * kPage), '\0');
  EXPECT_EQ(peek(stack - 1), 'T');
  EXPECT_FAULT(read_fault(stack + kPage), SIGSEGV, SEGV_MAPERR, stack + kPage);
}

CASE("stack", "keeps its guard gap to a mapping below") {
  constexpr std::size_t kGap = 256;
  char* place = free_place(1024 * kPage);
  char* stack = map(kPage, kReadWrite, kPrivate | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE, -1, 0, place + 1000 * kPage);
  char* below = map(kPage, kReadWrite, kPrivate | MAP_FIXED_NOREPLACE, -1, 0, place + 600 * kPage);
  char* lowest = below + kPage + kGap * kPage;  // that it may grow to
  EXPECT_FAULT(write_fault(lowest - 1), SIGSEGV, SEGV_MAPERR, lowest - 1);
  poke(lowest, 'S');
  EXPECT_FAULT(write_fault(lowest - 1), SIGSEGV, SEGV_MAPERR, lowest - 1);
  EXPECT_EQ(peek(stack), '\0');
  EXPECT_EQ(peek(below), '\0');
}

CASE("stack", "is the child's own after fork") {
  volatile int value = 1;
  in_child([&value] { value = 2; });
  EXPECT_EQ(value, 1);
}

}  // namespace
}  // namespace guest
