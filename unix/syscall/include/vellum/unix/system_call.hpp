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

// A value of an argument that has a name: a flag, or one of several choices.
struct NamedValue {
  std::uint64_t value;
  const char* name;
  const char* remark = "";  // what becomes of it here, where that is not what everybody knows of Linux
};

// The named values of an argument. Within the bits of `choice` each is one of several; outside, each is a flag.
struct ValueNames {
  std::span<const NamedValue> values;
  std::uint64_t choice = 0;
};

// How an argument is shown by --strace, and in the table of calls.
class Shown {
 public:
  enum Kind : std::uint8_t { decimal, hexadecimal, text, descriptor, bytes, flags };

  constexpr Shown() = default;
  constexpr Shown(Kind kind) : kind_(kind) {}
  constexpr Shown(const ValueNames& names) : kind_(flags), names_(&names) {}

  [[nodiscard]] constexpr Kind kind() const { return kind_; }
  // Null where values have no names.
  [[nodiscard]] constexpr const ValueNames* names() const { return names_; }

 private:
  Kind kind_ = decimal;
  const ValueNames* names_ = nullptr;
};

// Where a call is served when there are several CPUs (system_lock.hpp).
enum class Served : std::uint8_t {
  in_system,  // one at a time, as all of unix/
  // At once, by any number of CPUs: the handler uses the space of the calling program, what never changes, and what has
  // a lock of its own; for all else it enters the system itself.
  beside_system,
};

struct SystemCall {
  std::uint16_t number;
  const char* name;
  Handler handler;
  std::uint8_t argument_count;
  Shown shown[6];
  Served served = Served::in_system;
};

// Each subject has a table in a file of its own; together they are the calls that there are.
[[nodiscard]] std::span<const SystemCall> file_calls();           // open, close, dup, fcntl, ... (descriptors)
[[nodiscard]] std::span<const SystemCall> transfer_calls();       // read, write, sendfile, getdents, ... (bytes)
[[nodiscard]] std::span<const SystemCall> path_calls();           // mkdir, rename, chdir, mount, ... (names)
[[nodiscard]] std::span<const SystemCall> attribute_calls();      // stat, access, chmod, utimensat, ...
[[nodiscard]] std::span<const SystemCall> event_calls();          // poll, select, pipe, eventfd, ...
[[nodiscard]] std::span<const SystemCall> socket_calls();         // socket, bind, ...: refused
[[nodiscard]] std::span<const SystemCall> segment_calls();        // shmget, shmat, shmdt, shmctl
[[nodiscard]] std::span<const SystemCall> remote_calls();         // process_vm_readv, process_vm_writev
[[nodiscard]] std::span<const SystemCall> memory_calls();         // mmap, munmap, mprotect, mremap, brk
[[nodiscard]] std::span<const SystemCall> memory_advice_calls();  // madvise, msync, mincore
[[nodiscard]] std::span<const SystemCall> memory_lock_calls();    // mlock, munlock, ...
[[nodiscard]] std::span<const SystemCall> user_fault_calls();     // userfaultfd
[[nodiscard]] std::span<const SystemCall> process_calls();        // fork, exec, wait, exit, threads
[[nodiscard]] std::span<const SystemCall> identity_calls();       // users, groups, process groups, sessions
[[nodiscard]] std::span<const SystemCall> capability_calls();     // the superuser's rights one by one
[[nodiscard]] std::span<const SystemCall> schedule_calls();       // limits, usage, priorities, CPUs
[[nodiscard]] std::span<const SystemCall> signal_calls();         // sigaction, kill, ...
[[nodiscard]] std::span<const SystemCall> time_calls();           // clocks, sleep, timers
[[nodiscard]] std::span<const SystemCall> timer_calls();          // timer_create, ...
[[nodiscard]] std::span<const SystemCall> system_calls();         // uname, sysinfo, reboot, getrandom, ...

// All calls, one after the other; for a table of them.
template <class Visit>
void for_each_system_call(Visit visit) {
  for (const std::span<const SystemCall> calls :
       {file_calls(),   transfer_calls(),      path_calls(),        attribute_calls(),  event_calls(),
        memory_calls(), process_calls(),       identity_calls(),    capability_calls(), schedule_calls(),
        signal_calls(), time_calls(),          system_calls(),      socket_calls(),     segment_calls(),
        remote_calls(), memory_advice_calls(), memory_lock_calls(), user_fault_calls(), timer_calls()}) {
    for (const SystemCall& call : calls) {
      visit(call);
    }
  }
}

}  // namespace vellum::unix
