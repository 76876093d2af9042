// What reaches into other processes, and what would reach other machines.
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "../support/memory.hpp"
#include "../support/process.hpp"

namespace guest {
namespace {

long move(long call, pid_t process, char* own, std::size_t own_size, char* other, std::size_t other_size,
          unsigned long flags = 0) {
  const iovec here = {own, own_size};
  const iovec there = {other, other_size};
  return syscall(call, process, &here, 1UL, &there, 1UL, flags);
}

// A child that waits until it is killed.
pid_t waiting_child() {
  return start_child([] { pause(); });
}
void end(pid_t child) {
  MUST(kill(child, SIGKILL));
  EXPECT_EQ(status_of(child), SIGKILL);
}

CASE("process_vm", "reads and writes another's memory") {
  char* const memory = map(3 * kPage);
  std::memset(memory, 'a', 3 * kPage);
  const pid_t child = waiting_child();
  std::memset(memory, 'b', 3 * kPage);
  char* const buffer = map(3 * kPage);
  EXPECT_EQ(move(SYS_process_vm_readv, child, buffer + 5, 2 * kPage, memory + 100, 2 * kPage), 2 * kPage);
  EXPECT(all_bytes(buffer + 5, 2 * kPage, 'a'));
  EXPECT_EQ(peek(buffer + 5 + 2 * kPage), 0);
  EXPECT_EQ(move(SYS_process_vm_writev, child, memory, kPage, memory + kPage, kPage), kPage);
  EXPECT_EQ(move(SYS_process_vm_readv, child, buffer, 3 * kPage, memory, 3 * kPage), 3 * kPage);
  EXPECT(all_bytes(buffer, kPage, 'a'));
  EXPECT(all_bytes(buffer + kPage, kPage, 'b'));
  EXPECT(all_bytes(buffer + 2 * kPage, kPage, 'a'));
  EXPECT(all_bytes(memory, 3 * kPage, 'b'));
  end(child);
}

CASE("process_vm", "moves between lists of stretches") {
  char* const memory = map(kPage);
  std::memcpy(memory, "0123456789", 10);
  char first[3] = {};
  char second[8] = {};
  const iovec here[] = {{first, 3}, {nullptr, 0}, {second, 8}};
  const iovec there[] = {{memory + 8, 2}, {memory, 4}, {memory, 0}, {memory + 6, 1}};
  EXPECT_EQ(syscall(SYS_process_vm_readv, getpid(), here, 3UL, there, 4UL, 0UL), 7);
  EXPECT_EQ(std::string(first, 3), "890");
  EXPECT_EQ(std::string(second, 4), "1236");
}

CASE("process_vm", "tells how far it came") {
  char* const memory = map(3 * kPage);
  char* const buffer = map(3 * kPage);
  MUST(munmap(memory + kPage, kPage));
  const pid_t self = getpid();
  EXPECT_EQ(move(SYS_process_vm_readv, self, buffer, 3 * kPage, memory, 3 * kPage), kPage);
  EXPECT_ERRNO(move(SYS_process_vm_readv, self, buffer, kPage, memory + kPage, kPage), EFAULT);
  EXPECT_ERRNO(move(SYS_process_vm_writev, self, buffer, 5, pointer_to(8), 5), EFAULT);
  MUST(mprotect(memory, kPage, PROT_READ));
  EXPECT_ERRNO(move(SYS_process_vm_writev, self, buffer, 5, memory, 5), EFAULT);
  EXPECT_EQ(move(SYS_process_vm_readv, self, buffer, 5, memory, 5), 5);
}

CASE("process_vm", "checks its arguments") {
  char byte = 0;
  const pid_t self = getpid();
  EXPECT_ERRNO(move(SYS_process_vm_readv, self, &byte, 1, &byte, 1, 1), EINVAL);
  EXPECT_EQ(move(SYS_process_vm_readv, 4194303, &byte, 0, &byte, 1), 0);
  EXPECT_EQ(move(SYS_process_vm_readv, 4194303, &byte, 1, &byte, 0), 0);
  EXPECT_ERRNO(move(SYS_process_vm_readv, 4194303, &byte, 1, &byte, 1), ESRCH);
  const iovec one = {&byte, 1};
  EXPECT_ERRNO(syscall(SYS_process_vm_readv, self, &one, 1025UL, &one, 1UL, 0UL), EINVAL);
  EXPECT_ERRNO(syscall(SYS_process_vm_readv, self, &one, 1UL, &one, 1025UL, 0UL), EINVAL);
  EXPECT_ERRNO(syscall(SYS_process_vm_readv, self, 16UL, 1UL, &one, 1UL, 0UL), EFAULT);
  EXPECT_ERRNO(syscall(SYS_process_vm_readv, self, &one, 1UL, 16UL, 1UL, 0UL), EFAULT);
}

CASE("process_vm", "is for the same user") {
  const pid_t child = waiting_child();
  in_child([&] {
    MUST(setgid(12345));
    MUST(setuid(12345));
    char byte = 0;
    EXPECT_ERRNO(move(SYS_process_vm_readv, child, &byte, 1, &byte, 1), EPERM);
    EXPECT_EQ(move(SYS_process_vm_readv, getpid(), &byte, 1, &byte, 1), 1);
  });
  end(child);
}

CASE("process_vm", "is not for who may less") {
  const Turns turns;
  const pid_t child = start_child([&] {
    MUST(prctl(PR_SET_KEEPCAPS, 1));
    MUST(setgid(12345));
    MUST(setuid(12345));
    MUST(prctl(PR_SET_DUMPABLE, 1));
    turns.give_parent();
    pause();
  });
  turns.await_child();
  in_child([&] {
    MUST(prctl(PR_SET_KEEPCAPS, 1));
    MUST(setgid(12345));
    MUST(setuid(12345));
    char byte = 0;
    EXPECT_EQ(move(SYS_process_vm_readv, child, &byte, 1, &byte, 1), 1);
  });
  in_child([&] {
    MUST(setgid(12345));
    MUST(setuid(12345));
    char byte = 0;
    EXPECT_ERRNO(move(SYS_process_vm_readv, child, &byte, 1, &byte, 1), EPERM);
  });
  end(child);
}

CASE("sockets", "calls for sockets refuse what is none") {
  int ends[2];
  MUST(pipe(ends));
  int size = 0;
  EXPECT_ERRNO(getsockopt(ends[0], SOL_SOCKET, SO_TYPE, &size, reinterpret_cast<socklen_t*>(&size)), ENOTSOCK);
  EXPECT_ERRNO(getpeername(ends[0], nullptr, nullptr), ENOTSOCK);
  EXPECT_ERRNO(listen(ends[0], 1), ENOTSOCK);
  EXPECT_ERRNO(shutdown(ends[0], SHUT_RD), ENOTSOCK);
  EXPECT_ERRNO(shutdown(1000, SHUT_RD), EBADF);
  EXPECT_ERRNO(getpeername(1000, nullptr, nullptr), EBADF);
  EXPECT_ERRNO(send(ends[1], "x", 1, 0), ENOTSOCK);
}

CASE("sockets", "families and types that there are not") {
  EXPECT_ERRNO(socket(1000, SOCK_STREAM, 0), EAFNOSUPPORT);
  EXPECT_ERRNO(socket(-1, SOCK_STREAM, 0), EAFNOSUPPORT);
  EXPECT_ERRNO(socket(AF_UNIX, 11, 0), EINVAL);
  EXPECT_ERRNO(socket(AF_UNIX, SOCK_STREAM | 0x100, 0), EINVAL);
  EXPECT_ERRNO(socket(AF_ASH, SOCK_STREAM, 0), EAFNOSUPPORT);
}

}  // namespace
}  // namespace guest
