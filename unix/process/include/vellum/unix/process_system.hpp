// All the processes of a system.
//
// Concepts. A thread is what is scheduled; a process is what has an id, files, signal handlers, a parent, and one or
// more threads; a program is an address space with what exec put into it, which a process shares with its threads and,
// for the time of a vfork, with its child. A process that has ended is a zombie until its parent has asked for its
// status.
//
// Locks, outermost first:
//   process_lock   relations, states, signals (thread.hpp)
//     a queue's lock   (rank wait_queue)
//       TimerQueue     (rank timer)
//         Scheduler    (rank scheduler)
// Callbacks of timers run with the queue's lock held, and those of interval timers with process_lock too: it is taken
// before the timers are looked at.
//
// Never: sleeps with a lock held; trusts a number from a program; lets a process's end fail.
#pragma once

#include <vellum/space/system.hpp>
#include <vellum/unix/files.hpp>
#include <vellum/unix/futex.hpp>
#include <vellum/unix/process.hpp>
#include <vellum/unix/run_reporter.hpp>
#include <vellum/unix/scheduler.hpp>
#include <vellum/unix/shared_segments.hpp>
#include <vellum/unix/terminal.hpp>
#include <vellum/unix/timer.hpp>
#include <vellum/unix/user_faults.hpp>

namespace vellum::unix {

// Where exec puts what.
struct ProgramLayout {
  SpaceLayout space;
  VirtAddr stack_top;
  VirtAddr program_base;  // of position-independent programs
};

struct SystemConfig {
  VirtualMemory<Format>& memory;
  PageSource& source;
  PageSource& argument_source;  // what exec gathers arguments and environments in
  Files& files;
  RunReporter& reporter;
  vellum::Node* kernel_root;  // whose mappings all spaces have
  ProgramLayout layout;
};

class ProcessSystem {
 public:
  static constexpr std::int32_t kMostIds = 4194304;  // pid_max

  explicit ProcessSystem(const SystemConfig& config);
  ProcessSystem(const ProcessSystem&) = delete;
  ProcessSystem& operator=(const ProcessSystem&) = delete;

  // Becomes the system that the ports of processor.hpp, wait_queue.hpp and file_caller.hpp speak to, and runs threads
  // for good. `first` is the first thread's body; it may sleep, and start the first process.
  // Error: no_memory.
  [[nodiscard]] Result<void> run(void (*first)(Thread&), void* argument);
  // A thread of the kernel's own. Error: no_memory.
  [[nodiscard]] Result<Thread*> start_kernel_thread(void (*body)(Thread&), void* argument);

  // Processes and threads by id; null where there is none. A thread's id finds the thread, a process's the process.
  [[nodiscard]] Process* find_process(ProcessId id) VELLUM_REQUIRES(process_lock);
  [[nodiscard]] Thread* find_thread(ProcessId id) VELLUM_REQUIRES(process_lock);
  [[nodiscard]] Process* first_process() const { return first_; }

  // Objects, not yet in any table; a thread has a stack and is prepared to call its body. Errors: no_memory; try_again
  // where there are as many threads as there can be.
  [[nodiscard]] Result<Process*> create_process();
  [[nodiscard]] Result<Thread*> create_thread(Process* process);
  void destroy_process(Process& process);
  void destroy_thread(Thread& thread);
  // Gives a new thread its id (a process's first thread has the process's) and makes it findable; likewise a process.
  void enter(Process& process, Process* parent) VELLUM_REQUIRES(process_lock);
  void enter(Thread& thread) VELLUM_REQUIRES(process_lock);
  void leave(Process& process) VELLUM_REQUIRES(process_lock);
  void leave(Thread& thread) VELLUM_REQUIRES(process_lock);
  // exec by another thread than the first: it takes the first's id over.
  void rename_thread(Thread& thread, ProcessId id) VELLUM_REQUIRES(process_lock);

  [[nodiscard]] Result<Program*> create_program(Space& space) { return programs.create(space); }
  static void retain(Program& program) { program.references.fetch_add(1, std::memory_order_relaxed); }
  // With the last reference the space ends; no thread may run it.
  void release(Program& program);

  template <class Visitor>
  void for_each_process(Visitor visit) VELLUM_REQUIRES(process_lock) {
    all_.for_each(visit);
  }

  VirtualMemory<Format>& memory;
  PageSource& source;
  PageSource& argument_source;
  Files& files;
  RunReporter& reporter;
  vellum::Node* kernel_root;
  ProgramLayout layout;
  bool trace = false;  // --strace
  // The terminal that a session may have; it is told when the session's leader has ended. Null where there is none.
  Terminal* terminal = nullptr;
  char host_name[65] = "vellum";
  char domain_name[65] = "(none)";

  TimerQueue timers;
  bool real_timer_expired VELLUM_GUARDED_BY(process_lock) = false;  // one with an interval
  Scheduler scheduler;
  FutexTable futexes;
  SharedSegments segments;
  UserFaults user_faults;
  PendingSignals::Cache queued_signals;
  TypedCache<PosixTimer> posix_timers;
  TypedCache<Program> programs;

  // Figures since boot.
  std::atomic<std::uint64_t> processes_made{0};
  std::uint64_t ended_for_memory VELLUM_GUARDED_BY(process_lock) = 0;  // processes, by relieve_memory()
  std::atomic<bool> has_told_of_budget{false};                         // that the budget of promises refused something
  std::atomic<std::uint64_t> ticks{0};                                 // of the CPU that keeps the time
  std::atomic<std::uint64_t> minor_faults{0};
  std::atomic<std::uint64_t> major_faults{0};
  std::atomic<std::uint64_t> least_free{~std::uint64_t{0}};  // pages, as far as ticks saw
  std::atomic<std::int32_t> last_id{0};
  std::atomic<std::uint32_t> thread_count{0};
  std::uint32_t most_threads = 0;
  std::uint32_t load[3] = {};  // runnable threads times 2048, averaged over 1, 5, 15 minutes

 private:
  static constexpr unsigned kBuckets = 256;
  [[nodiscard]] static unsigned bucket(ProcessId id) { return static_cast<unsigned>(id.value()) % kBuckets; }
  [[nodiscard]] ProcessId next_id() VELLUM_REQUIRES(process_lock);
  [[nodiscard]] bool is_used(ProcessId id) VELLUM_REQUIRES(process_lock);

  TypedCache<Thread> threads_;
  TypedCache<Process> processes_;
  Process* first_ = nullptr;
  bool ids_wrapped_ VELLUM_GUARDED_BY(process_lock) = false;
  IntrusiveList<Process, &Process::all_link> all_ VELLUM_GUARDED_BY(process_lock);  // by age
  IntrusiveList<Process, &Process::id_link> process_ids_[kBuckets] VELLUM_GUARDED_BY(process_lock);
  IntrusiveList<Thread, &Thread::id_link> thread_ids_[kBuckets] VELLUM_GUARDED_BY(process_lock);
};

// The system that install made current.
[[nodiscard]] ProcessSystem& process_system();

}  // namespace vellum::unix
