// The table of Linux system calls (x86-64 numbers) that the kernel dispatches on.
#pragma once

#include <cstdint>
#include <span>

#include <vellum/base/result.hpp>
#include <vellum/base/types.hpp>

namespace vellum::unix {

struct Arguments {
  std::uint64_t value[6];
  [[nodiscard]] VirtAddr address(unsigned i) const { return VirtAddr(value[i]); }
  [[nodiscard]] int integer(unsigned i) const { return static_cast<int>(value[i]); }
};

// Does the call for the calling thread; the value or the error becomes the program's result.
using Handler = Result<std::uint64_t> (*)(const Arguments&);

// How an argument is shown by --strace.
enum class Shown : std::uint8_t { decimal, hexadecimal, text, descriptor, bytes, flags };

struct SystemCall {
  std::uint16_t number;
  const char* name;
  Handler handler;
  std::uint8_t argument_count;
  Shown shown[6];
};

// Each subject has a table in a file of its own; together they are the calls that there are.
[[nodiscard]] std::span<const SystemCall> file_calls();       // open, close, dup, fcntl, ... (descriptors)
[[nodiscard]] std::span<const SystemCall> transfer_calls();   // read, write, sendfile, getdents, ... (bytes)
[[nodiscard]] std::span<const SystemCall> path_calls();       // mkdir, rename, chdir, mount, ... (names)
[[nodiscard]] std::span<const SystemCall> attribute_calls();  // stat, access, chmod, utimensat, ...
[[nodiscard]] std::span<const SystemCall> event_calls();      // poll, select, pipe, eventfd, ...
[[nodiscard]] std::span<const SystemCall> socket_calls();     // socket, bind, ...: refused
[[nodiscard]] std::span<const SystemCall> segment_calls();    // shmget, shmat, shmdt, shmctl
[[nodiscard]] std::span<const SystemCall> remote_calls();     // process_vm_readv, process_vm_writev
[[nodiscard]] std::span<const SystemCall> memory_calls();     // mmap, munmap, mprotect, brk, ...
[[nodiscard]] std::span<const SystemCall> process_calls();    // fork, exec, wait, exit, threads
[[nodiscard]] std::span<const SystemCall> identity_calls();   // users, groups, process groups, sessions
[[nodiscard]] std::span<const SystemCall> schedule_calls();   // limits, usage, priorities, CPUs
[[nodiscard]] std::span<const SystemCall> signal_calls();     // sigaction, kill, ...
[[nodiscard]] std::span<const SystemCall> time_calls();       // clocks, sleep, timers
[[nodiscard]] std::span<const SystemCall> system_calls();     // uname, sysinfo, reboot, getrandom, ...

}  // namespace vellum::unix
