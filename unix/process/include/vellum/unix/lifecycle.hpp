// How processes and threads begin, change their program, and end.
#pragma once

#include <span>
#include <string_view>

#include <vellum/unix/process_system.hpp>
#include <vellum/unix/resolve.hpp>

namespace vellum::unix {

// clone(2)'s flags, Linux's numbers.
namespace clone_flag {
inline constexpr std::uint64_t kSignalMask = 0xff;
inline constexpr std::uint64_t kMemory = 0x100;
inline constexpr std::uint64_t kPaths = 0x200;
inline constexpr std::uint64_t kFiles = 0x400;
inline constexpr std::uint64_t kHandlers = 0x800;
inline constexpr std::uint64_t kVfork = 0x4000;
inline constexpr std::uint64_t kSameParent = 0x8000;
inline constexpr std::uint64_t kThread = 0x10000;
inline constexpr std::uint64_t kSystemSemaphores = 0x40000;
inline constexpr std::uint64_t kSetTls = 0x80000;
inline constexpr std::uint64_t kParentSetTid = 0x100000;
inline constexpr std::uint64_t kChildClearTid = 0x200000;
inline constexpr std::uint64_t kDetached = 0x400000;
inline constexpr std::uint64_t kUntraced = 0x800000;
inline constexpr std::uint64_t kChildSetTid = 0x1000000;
inline constexpr std::uint64_t kClearHandlers = 0x100000000;
inline constexpr std::uint64_t kKnown = kSignalMask | kMemory | kPaths | kFiles | kHandlers | kVfork | kSameParent |
                                        kThread | kSystemSemaphores | kSetTls | kParentSetTid | kChildClearTid |
                                        kDetached | kUntraced | kChildSetTid | kClearHandlers;
}  // namespace clone_flag

struct CloneRequest {
  std::uint64_t flags = 0;
  VirtAddr stack{0};  // the child's stack pointer; 0: the parent's
  VirtAddr parent_tid{0};
  VirtAddr child_tid{0};
  std::uint64_t tls = 0;
};
// fork(2), vfork(2), clone(2): a process or a thread that goes on where the calling thread entered the kernel, with the
// result 0. Returns its id. Errors: invalid (flags that do not go together or that there are not), try_again (limits),
// no_memory; nothing changed.
[[nodiscard]] Result<ProcessId> clone_thread(const CloneRequest& request);
// Likewise; where there cannot be more threads, those who took them may be ended first.
[[nodiscard]] Result<ProcessId> clone_or_relieve(const CloneRequest& request);

class ArgumentStage;

// Strings for a new program: an array of pointers in the calling program's memory, or the kernel's own.
struct StringList {
  std::span<const std::string_view> kernel{};
  VirtAddr user{0};
  // From the `skip`th on; returns how many.
  [[nodiscard]] Result<unsigned> add_to(ArgumentStage& stage, unsigned skip) const;
};

// execve(2) for the calling thread. On success its user registers are those of the new program. Errors: execve(2)'s;
// nothing changed.
struct ExecRequest {
  Path directory;  // that a relative path starts at
  std::string_view path;
  StringList arguments;
  StringList environment;
  Ref<OpenFile> file{};  // execveat of a descriptor: in place of the path, which is empty
};
[[nodiscard]] Result<void> exec_program(const ExecRequest& request);

// The calling thread's process ends with this status, unless it ends already.
[[noreturn]] void exit_process(WaitStatus status);
// The calling thread ends; its process too if it was the last. `code` is then the process's, as exit(2) gives it.
[[noreturn]] void exit_thread(Thread& thread, int code = 0);
// Ends all processes but the calling one.
void end_other_processes(ProcessSystem& system);
// Whoever vforked the process may go on.
void end_vfork(Process& process);

// The first process: runs in a thread of its own, which execs. `failed` is told why it could not.
struct FirstProgram {
  std::string_view path;
  std::span<const std::string_view> arguments;
  std::span<const std::string_view> environment;
  FileContext files;
  Credentials credentials;
  bool unkillable = false;
  void (*failed)(Errno error) = nullptr;  // does not return
};
// Error: no_memory. `program` must live until the thread execed.
[[nodiscard]] Result<void> start_first_process(ProcessSystem& system, FirstProgram& program);

// wait4(2) and waitid(2).
struct WaitRequest {
  enum class Which : std::uint8_t { any, process, group };
  Which which = Which::any;
  ProcessId id;
  bool exited = true;
  bool stopped = false;
  bool continued = false;
  bool no_hang = false;
  bool keep = false;         // WNOWAIT
  bool clones_only = false;  // __WCLONE
  bool all_kinds = false;    // __WALL
};
struct WaitResult {
  ProcessId process;  // 0: nothing yet (no_hang)
  WaitStatus status;
  UserId user;
  Usage usage;
  enum class Event : std::uint8_t { exited, stopped, continued };
  Event event = Event::exited;
};
// Errors: no_child, interrupted.
[[nodiscard]] Result<WaitResult> wait_for_child(const WaitRequest& request);

// Used so far, by threads that run and that ended.
[[nodiscard]] Usage usage_of(Process& process) VELLUM_REQUIRES(process_lock);
// Notes how much memory the process holds now, if that is the most so far.
void note_residence(Process& process);

// posix_timer.cpp: timers of timer_create(2).
// A timer that is not set, with the lowest number that was not given out. Errors: no_memory, try_again (the limit of
// pending signals).
[[nodiscard]] Result<PosixTimer*> create_posix_timer(Process& process) VELLUM_EXCLUDES(process_lock);
void destroy_posix_timer(PosixTimer& timer) VELLUM_REQUIRES(process_lock);
void end_posix_timers(Process& process) VELLUM_REQUIRES(process_lock);

}  // namespace vellum::unix
