// A thread: what is scheduled. A program's thread belongs to a process; the kernel's own belong to none.
#pragma once

#include <atomic>
#include <optional>

#include <vellum/base/intrusive_list.hpp>
#include <vellum/base/lock.hpp>
#include <vellum/unix/processor.hpp>
#include <vellum/unix/signal.hpp>
#include <vellum/unix/timer.hpp>
#include <vellum/unix/wait_queue.hpp>

namespace vellum::unix {

class Process;
class ProcessSystem;

// One lock for all that processes and signals are to each other: who is whose child, in which group; states; handlers;
// what is pending. Held for short steps only; nothing is allocated under it.
inline constinit Spinlock process_lock{LockRank::process};

enum class ThreadState : std::uint8_t { runnable, running, blocked, ended };

// What sigaltstack(2) sets; Linux's stack_t.
struct AlternateStack {
  std::uint64_t base = 0;
  std::uint32_t flags = kDisabled;
  std::uint32_t zero = 0;
  std::uint64_t size = 0;

  static constexpr std::uint32_t kOnStack = 1;
  static constexpr std::uint32_t kDisabled = 2;
  static constexpr std::uint32_t kAutoDisarm = 1U << 31;

  // Stacks are used from their end down: the end belongs to it, the base does not.
  [[nodiscard]] bool contains(std::uint64_t pointer) const { return pointer - base - 1 < size; }
};
static_assert(sizeof(AlternateStack) == 24);

// How an interrupted system call goes on.
enum class Restart : std::uint8_t {
  none,       // it was not interrupted
  if_asked,   // again, unless a handler without SA_RESTART ran
  unhandled,  // again where no handler ran
  never,
};

// Letters say who may touch a field: o the thread itself, p holders of process_lock, s the scheduler, c constant.
class Thread final {
 public:
  Thread(ProcessSystem& its_system, Process* its_process, ProcessId its_id)
      : system(its_system), process(its_process), id(its_id) {}
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;

  ThreadContext context;         // o, s
  ProcessSystem& system;         // c
  Process* process;              // c
  ProcessId id;                  // o, p: exec makes a thread its process's first
  PageCount refused_promise{0};  // o: by the budget, and not yet told
  void (*body)(Thread&) = nullptr;
  void* body_argument = nullptr;

  // The scheduler's.
  ThreadState state = ThreadState::runnable;
  std::atomic<bool> on_cpu{false};
  unsigned cpu = 0;              // where it runs, or waits for its turn, or ran
  std::uint32_t affinity = ~0U;  // where it may run, a bit for each CPU
  ListLink run_link;
  Nanoseconds ran_since{0};
  std::atomic<std::uint64_t> ran{0};  // nanoseconds on a CPU
  std::uint64_t voluntary_switches = 0;
  std::uint64_t involuntary_switches = 0;

  // Signals.
  SignalSet blocked VELLUM_GUARDED_BY(process_lock);
  std::optional<SignalSet> blocked_before VELLUM_GUARDED_BY(process_lock);  // sigsuspend, ppoll: put back afterwards
  SignalSet waited_for VELLUM_GUARDED_BY(process_lock);                     // by sigtimedwait
  PendingSignals pending VELLUM_GUARDED_BY(process_lock);
  AlternateStack alternate_stack;  // o
  // o: of the last fault that became a signal, for handlers.
  std::uint64_t fault_vector = 0;
  std::uint64_t fault_error_code = 0;
  std::uint64_t fault_address = 0;
  // Something is to be done before the thread goes on: a signal, a stop, its end. Written under process_lock.
  std::atomic<bool> interrupted{false};
  // It must end as soon as it can.
  std::atomic<bool> dying{false};

  // o: the system call that was interrupted, and when it was to end.
  Restart restart = Restart::none;
  std::optional<Nanoseconds> restart_deadline;

  VirtAddr set_child_tid{0};    // o: where the id goes as soon as it runs, at its end
  VirtAddr clear_child_tid{0};  // o
  VirtAddr robust_list{0};      // o
  // Whoever waits for what this thread's vfork made to exec or exit.
  std::atomic<bool> vfork_over{true};
  WaitQueue vfork_waiting;

  ListLink process_link;  // p: in its process
  ListLink id_link;       // p: in the table of ids
};

}  // namespace vellum::unix
