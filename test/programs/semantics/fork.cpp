// fork, vfork and clone: who sees whose writes.
#include <sched.h>
#include <sys/syscall.h>

#include "../support/fault.hpp"
#include "../support/memory.hpp"
#include "../support/process.hpp"

namespace guest {
namespace {

CASE("fork", "parent first: the child keeps the old") {
  char* pages = map(2 * kPage);
  poke(pages, 'O');
  const Turns turns;
  const pid_t child = start_child([&] {
    turns.await_parent();
    EXPECT_EQ(peek(pages), 'O');
    poke(pages, 'C');
    turns.give_parent();
    turns.await_parent();
    EXPECT_EQ(peek(pages), 'C');
  });
  poke(pages, 'P');
  turns.give_child();
  turns.await_child();
  EXPECT_EQ(peek(pages), 'P');
  poke(pages, 'Q');
  turns.give_child();
  EXPECT_EQ(status_of(child), 0);
}

CASE("fork", "child first: the parent keeps the old") {
  char* pages = map(2 * kPage);
  poke(pages, 'O');
  const Turns turns;
  const pid_t child = start_child([&] {
    poke(pages, 'C');
    turns.give_parent();
    turns.await_parent();
    EXPECT_EQ(peek(pages), 'C');
  });
  turns.await_child();
  EXPECT_EQ(peek(pages), 'O');
  poke(pages, 'P');
  turns.give_child();
  EXPECT_EQ(status_of(child), 0);
  EXPECT_EQ(peek(pages), 'P');
}

CASE("fork", "after the child's end the parent writes again") {
  char* pages = map(64 * kPage);
  for (int round = 0; round < 10; round++) {
    std::memset(pages, 'a' + round, 64 * kPage);
    in_child([pages, round] { EXPECT(all_bytes(pages, 64 * kPage, static_cast<char>('a' + round))); });
  }
}

CASE("fork", "the parent ends first; the child has all") {
  char* shared = map(kPage, kReadWrite, kShared);
  char* own = map(16 * kPage);
  std::memset(own, 'O', 16 * kPage);
  int ends[2];
  MUST(pipe(ends));
  in_child([&] {
    std::memset(own, 'M', 16 * kPage);
    start_child([&] {
      usleep(20000);  // lets the one in the middle end
      EXPECT(all_bytes(own, 16 * kPage, 'M'));
      std::memset(own, 'L', 16 * kPage);
      EXPECT(all_bytes(own, 16 * kPage, 'L'));
      poke(shared, 'D');
    });
  });
  close(ends[1]);
  char c;
  EXPECT_EQ(read(ends[0], &c, 1), 0);  // once the last has ended
  EXPECT_EQ(peek(shared), 'D');
  EXPECT(all_bytes(own, 16 * kPage, 'O'));
}

void nest(char* pages, int depth) {
  poke(pages + depth, static_cast<char>('A' + depth));
  if (depth < 20) {
    in_child([pages, depth] { nest(pages, depth + 1); });
  }
  for (int i = 0; i <= depth; i++) {
    EXPECT_EQ(peek(pages + i), 'A' + i);
  }
  EXPECT_EQ(peek(pages + depth + 1), '\0');
}

CASE("fork", "twenty generations, each with its own writes") { nest(map(kPage), 0); }

CASE("fork", "forty children at once, each with its own writes") {
  constexpr int kChildren = 40;
  char* pages = map(8 * kPage);
  std::memset(pages, 'P', 8 * kPage);
  int ends[2];
  MUST(pipe(ends));
  pid_t children[kChildren];
  for (int i = 0; i < kChildren; i++) {
    children[i] = start_child([&] {
      char c;
      close(ends[1]);
      EXPECT_EQ(read(ends[0], &c, 1), 0);
      EXPECT(all_bytes(pages, 8 * kPage, 'P'));
      std::memset(pages, i, 8 * kPage);
      sched_yield();
      EXPECT(all_bytes(pages, 8 * kPage, static_cast<char>(i)));
      return i;
    });
  }
  close(ends[1]);  // all start
  for (int i = 0; i < kChildren; i++) {
    const int status = status_of(children[i]);
    EXPECT(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), i);
  }
  EXPECT(all_bytes(pages, 8 * kPage, 'P'));
}

CASE("fork", "a tree of processes counts in shared memory") {
  auto* count = reinterpret_cast<int*>(map(kPage, kReadWrite, kShared));
  for (int level = 0; level < 5; level++) {
    if (fork() == 0) {
      *reinterpret_cast<volatile int*>(map(kPage)) = level;
    }
    __atomic_add_fetch(count, 1, __ATOMIC_SEQ_CST);
  }
  while (waitpid(-1, nullptr, 0) > 0) {
  }
  if (getpid() == getpgrp()) {  // the case's own process
    EXPECT_EQ(*count, 2 + 4 + 8 + 16 + 32);
  }
}

CASE("fork", "of a large memory, written sparsely on both sides") {
  constexpr std::size_t kBytes = std::size_t{32} << 20;
  char* pages = map(kBytes);
  for (std::size_t i = 0; i < kBytes; i += kPage) {
    poke(pages + i, 'P');
  }
  const Turns turns;
  const pid_t child = start_child([&] {
    for (std::size_t i = 0; i < kBytes; i += 7 * kPage) {
      poke(pages + i, 'C');
    }
    turns.give_parent();
    turns.await_parent();
    for (std::size_t i = 0; i < kBytes; i += kPage) {
      EXPECT_EQ(peek(pages + i), i / kPage % 7 == 0 ? 'C' : 'P');
    }
  });
  turns.await_child();
  for (std::size_t i = 0; i < kBytes; i += 5 * kPage) {
    EXPECT_EQ(peek(pages + i), 'P');
    poke(pages + i, 'Q');
  }
  turns.give_child();
  EXPECT_EQ(status_of(child), 0);
  for (std::size_t i = 0; i < kBytes; i += kPage) {
    EXPECT_EQ(peek(pages + i), i / kPage % 5 == 0 ? 'Q' : 'P');
  }
}

CASE("fork", "a page of zeros that was only read is copied too") {
  char* pages = map(4 * kPage);
  EXPECT_EQ(peek(pages), '\0');
  in_child([pages] { poke(pages, 'C'); });
  EXPECT_EQ(peek(pages), '\0');
  EXPECT_EQ(peek(pages + kPage), '\0');
}

CASE("fork", "mprotect after it is each one's own") {
  char* pages = map(4 * kPage);
  poke(pages, 'O');
  const Turns turns;
  const pid_t child = start_child([&] {
    turns.await_parent();
    poke(pages, 'C');  // the parent's PROT_NONE is not ours
    EXPECT_EQ(peek(pages), 'C');
  });
  MUST(mprotect(pages, 4 * kPage, PROT_NONE));
  turns.give_child();
  EXPECT_EQ(status_of(child), 0);
  MUST(mprotect(pages, 4 * kPage, kReadWrite));
  EXPECT_EQ(peek(pages), 'O');
}

CASE("fork", "read-only is read-only in the child, and can be written once it may") {
  char* pages = map(kPage);
  poke(pages, 'O');
  MUST(mprotect(pages, kPage, PROT_READ));
  in_child([pages] {
    EXPECT_FAULT(write_fault(pages), SIGSEGV, SEGV_ACCERR, pages);
    MUST(mprotect(pages, kPage, kReadWrite));
    poke(pages, 'C');
  });
  MUST(mprotect(pages, kPage, kReadWrite));
  EXPECT_EQ(peek(pages), 'O');
}

CASE("fork", "a mapping made by the child is not the parent's") {
  char* place = free_place(4 * kPage);
  in_child([place] { poke(map(kPage, kReadWrite, kPrivate | MAP_FIXED_NOREPLACE, -1, 0, place), 'C'); });
  EXPECT_FAULT(read_fault(place), SIGSEGV, SEGV_MAPERR, place);
}

CASE("fork", "shared memory is one, also among siblings and grandchildren") {
  char* shared = map(4 * kPage, kReadWrite, kShared);
  in_child([shared] {
    poke(shared, 'A');
    in_child([shared] { poke(shared + kPage, 'B'); });
  });
  in_child([shared] {
    EXPECT_EQ(peek(shared), 'A');
    EXPECT_EQ(peek(shared + kPage), 'B');
    poke(shared + 2 * kPage, 'C');
  });
  EXPECT_EQ(peek(shared + 2 * kPage), 'C');
}

CASE("fork", "shared memory outlives the one who mapped it") {
  const Turns turns;
  char* shared = map(kPage, kReadWrite, kShared);
  const pid_t child = start_child([&] {
    turns.await_parent();
    EXPECT_EQ(peek(shared), 'P');
  });
  poke(shared, 'P');
  MUST(munmap(shared, kPage));
  turns.give_child();
  EXPECT_EQ(status_of(child), 0);
}

CASE("fork", "processes that count together lose nothing") {
  auto* count = reinterpret_cast<int*>(map(kPage, kReadWrite, kShared));
  pid_t children[4];
  for (pid_t& child : children) {
    child = start_child([count] {
      for (int i = 0; i < 2000; i++) {
        __atomic_add_fetch(count, 1, __ATOMIC_SEQ_CST);
        if (i % 100 == 0) {
          sched_yield();
        }
      }
    });
  }
  for (const pid_t child : children) {
    EXPECT_EQ(status_of(child), 0);
  }
  EXPECT_EQ(*count, 8000);
}

CASE("fork", "ids are right in parent and child") {
  const pid_t parent = getpid();
  const pid_t child = start_child([parent] {
    EXPECT(getpid() != parent);
    EXPECT_EQ(getppid(), parent);
    EXPECT_EQ(getpid(), syscall(SYS_gettid));
    EXPECT_EQ(getpgrp(), getpgid(parent));
  });
  EXPECT(child > 0 && child != parent);
  EXPECT_EQ(status_of(child), 0);
}

CASE("fork", "the raw calls fork and clone do the same") {
  char* pages = map(kPage);
  poke(pages, 'P');
  const auto child = static_cast<pid_t>(MUST(syscall(SYS_fork)));
  if (child == 0) {
    poke(pages, 'C');
    _exit(3);
  }
  EXPECT_EQ(WEXITSTATUS(status_of(child)), 3);
  const auto other = static_cast<pid_t>(MUST(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)));
  if (other == 0) {
    poke(pages, 'D');
    _exit(4);
  }
  EXPECT_EQ(WEXITSTATUS(status_of(other)), 4);
  EXPECT_EQ(peek(pages), 'P');
}

CASE("fork", "clone writes the child's id where it is asked to") {
  auto* ids = reinterpret_cast<int*>(map(kPage, kReadWrite, kShared));
  const unsigned long flags = CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | SIGCHLD;
  const auto child = static_cast<pid_t>(MUST(syscall(SYS_clone, flags, 0, &ids[0], &ids[1], 0)));
  if (child == 0) {
    _exit(ids[1] == syscall(SYS_getpid) ? 0 : 1);
  }
  EXPECT_EQ(ids[0], child);
  EXPECT_EQ(status_of(child), 0);
}

CASE("vfork", "the child writes in the parent's memory, the parent waits") {
  volatile int value = 1;
  const pid_t child = vfork();
  if (child == 0) {
    usleep(10000);
    value = 2;
    _exit(7);
  }
  EXPECT_EQ(value, 2);
  EXPECT_EQ(WEXITSTATUS(status_of(child)), 7);
}

CASE("vfork", "the parent goes on when the child runs another program") {
  const pid_t child = vfork();
  if (child == 0) {
    char path[] = "/proc/self/exe";
    char option[] = "--list";
    char* arguments[] = {path, option, nullptr};
    const int nowhere = open("/dev/null", O_WRONLY);
    dup2(nowhere, 1);
    execve(path, arguments, nullptr);
    _exit(99);
  }
  EXPECT(child > 0);
  EXPECT_EQ(status_of(child), 0);
}

CASE("vfork", "the parent goes on when the child is killed") {
  const pid_t child = vfork();
  if (child == 0) {
    kill(getpid(), SIGKILL);
    _exit(99);
  }
  EXPECT_EQ(WTERMSIG(status_of(child)), SIGKILL);
}

CASE("fork", "two hundred, one after the other") {
  for (int i = 0; i < 200; i++) {
    EXPECT_EQ(WEXITSTATUS(status_of(start_child([i] { return i & 0x7F; }))), i & 0x7F);
  }
}

}  // namespace
}  // namespace guest
