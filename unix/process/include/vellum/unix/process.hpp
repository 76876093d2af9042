// A process: a program that runs, by one thread or several, and what the system keeps for it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>

#include <vellum/base/intrusive_list.hpp>
#include <vellum/unix/credentials.hpp>
#include <vellum/unix/file_table.hpp>
#include <vellum/unix/program.hpp>
#include <vellum/unix/thread.hpp>

namespace vellum::unix {

// The status that wait(2) gives, in Linux's encoding.
class WaitStatus {
 public:
  constexpr WaitStatus() = default;
  [[nodiscard]] static constexpr WaitStatus exited(int code) { return WaitStatus((code & 0xff) << 8); }
  [[nodiscard]] static constexpr WaitStatus killed(Signal signal) { return WaitStatus(signal.value()); }
  [[nodiscard]] static constexpr WaitStatus stopped(Signal signal) { return WaitStatus(signal.value() << 8 | 0x7f); }
  [[nodiscard]] static constexpr WaitStatus continued() { return WaitStatus(0xffff); }

  [[nodiscard]] constexpr std::int32_t value() const { return value_; }
  [[nodiscard]] constexpr bool is_exit() const { return (value_ & 0x7f) == 0; }
  [[nodiscard]] constexpr int code() const { return (value_ >> 8) & 0xff; }
  [[nodiscard]] constexpr Signal signal() const { return Signal(static_cast<std::uint8_t>(value_ & 0x7f)); }

 private:
  constexpr explicit WaitStatus(int value) : value_(value) {}
  std::int32_t value_ = 0;
};

// What a process used, or its children that were waited for.
struct Usage {
  std::uint64_t user_nanoseconds = 0;
  std::uint64_t system_nanoseconds = 0;
  std::uint64_t minor_faults = 0;
  std::uint64_t major_faults = 0;
  std::uint64_t most_resident = 0;  // pages, of the largest

  void add(const Usage& other);
};

enum class ProcessState : std::uint8_t { alive, zombie };

// setitimer(2)'s three.
struct IntervalTimers {
  struct Virtual {
    Nanoseconds left{0};  // 0: not set
    Nanoseconds interval{0};
  };
  struct Real : Timer {
    Process* process = nullptr;
    Nanoseconds interval{0};
    bool again = false;  // it has expired, and is to be set again
  };
  Real real;
  Virtual user;        // ITIMER_VIRTUAL: while the program computes
  Virtual processing;  // ITIMER_PROF: and the kernel for it
};

// A timer of timer_create(2).
struct PosixTimer : Timer, SignalLender {
  enum class Notify : std::uint8_t { nothing, process, thread };
  PosixTimer(Process& its_process, QueuedSignal& its_signal) : process(its_process), queued(&its_signal) {}

  Process& process;
  ListLink process_link;
  std::int32_t id = 0;
  std::int32_t clock = 0;  // CLOCK_*
  Notify notify = Notify::nothing;
  ProcessId thread;  // that is told
  QueuedSignal* const queued;
  Nanoseconds interval{0};
  Nanoseconds next{0};  // where it has expired, and is to be set again
  bool again = false;
};

struct PosixTimers {
  IntrusiveList<PosixTimer, &PosixTimer::process_link> all;
  std::int32_t next_id = 0;
  std::uint64_t count = 0;
};

// Letters as for Thread: c constant, o the process's own threads, p process_lock.
class Process final {
 public:
  explicit Process(ProcessSystem& its_system) : system(its_system) {}
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  ProcessSystem& system;  // c
  ProcessId id;           // c, once it is entered

  // Relations.
  Process* parent VELLUM_GUARDED_BY(process_lock) = nullptr;  // null: the first process
  ListLink sibling_link;
  IntrusiveList<Process, &Process::sibling_link> children VELLUM_GUARDED_BY(process_lock);
  ProcessId group VELLUM_GUARDED_BY(process_lock);
  ProcessId session VELLUM_GUARDED_BY(process_lock);
  // The first process has it because its own parent is gone; and being no init, it knows nothing of it: nobody waits.
  bool adopted VELLUM_GUARDED_BY(process_lock) = false;
  bool executed VELLUM_GUARDED_BY(process_lock) = false;  // since its parent made it: setpgid asks
  IntrusiveList<Thread, &Thread::process_link> threads VELLUM_GUARDED_BY(process_lock);
  unsigned thread_count VELLUM_GUARDED_BY(process_lock) = 0;
  unsigned live_threads VELLUM_GUARDED_BY(process_lock) = 0;  // that have not begun to end
  ListLink all_link;                                          // p
  ListLink id_link;                                           // p

  // What it runs. Null once it has ended. Changed under process_lock by the process itself.
  Program* program = nullptr;
  FileContext files;  // o; empty once it has ended

  // Life.
  ProcessState state VELLUM_GUARDED_BY(process_lock) = ProcessState::alive;
  WaitStatus status VELLUM_GUARDED_BY(process_lock);
  bool exiting VELLUM_GUARDED_BY(process_lock) = false;       // all its threads are to end
  Thread* execing VELLUM_GUARDED_BY(process_lock) = nullptr;  // the one that is to remain
  Signal exit_signal VELLUM_GUARDED_BY(process_lock) = signal::kChild;
  WaitQueue child_events;   // a child ended, stopped or went on
  WaitQueue thread_events;  // one of its threads ended
  Thread* vfork_parent VELLUM_GUARDED_BY(process_lock) = nullptr;

  // Stops.
  bool stopped VELLUM_GUARDED_BY(process_lock) = false;
  bool stop_unreported VELLUM_GUARDED_BY(process_lock) = false;
  bool continue_unreported VELLUM_GUARDED_BY(process_lock) = false;
  Signal stop_signal VELLUM_GUARDED_BY(process_lock);
  WaitQueue continue_queue;

  // Signals.
  std::array<SignalAction, signal::kLast> actions VELLUM_GUARDED_BY(process_lock) = {};
  PendingSignals pending VELLUM_GUARDED_BY(process_lock);

  Credentials credentials VELLUM_GUARDED_BY(process_lock);
  Limits limits VELLUM_GUARDED_BY(process_lock);
  char name[16] = {};    // o: as the kernel calls it (comm)
  bool dumpable = true;  // o, p
  // How much rather than others it is to be ended when memory is used up, in thousandths of all memory; -1000: never.
  // And how little it may say itself.
  std::int16_t oom_adjustment VELLUM_GUARDED_BY(process_lock) = 0;
  std::int16_t least_oom_adjustment VELLUM_GUARDED_BY(process_lock) = 0;
  bool no_new_privileges = false;  // o: exec grants none (PR_SET_NO_NEW_PRIVS)
  Signal parent_death_signal;      // o, p; 0: none
  // The system depends on it (init): it dies of no signal that it did not ask for or cause.
  bool unkillable VELLUM_GUARDED_BY(process_lock) = false;

  // Use.
  Nanoseconds started{0};  // c
  std::atomic<std::uint64_t> user_ticks{0};
  std::atomic<std::uint64_t> ended_threads_ran{0};  // nanoseconds
  std::atomic<std::uint64_t> minor_faults{0};
  std::atomic<std::uint64_t> major_faults{0};
  std::uint64_t most_resident = 0;  // pages, of the programs that it ran before
  Usage children_usage VELLUM_GUARDED_BY(process_lock);
  IntervalTimers timers VELLUM_GUARDED_BY(process_lock);
  PosixTimers posix_timers VELLUM_GUARDED_BY(process_lock);

  [[nodiscard]] SignalAction& action(Signal signal) VELLUM_REQUIRES(process_lock) {
    return actions[signal.value() - 1U];
  }
  void set_name(std::string_view path);
  // Good as long as nobody changes the credentials: for the process's own threads.
  [[nodiscard]] std::span<const GroupId> calling_groups() const VELLUM_REQUIRES(process_lock) {
    return std::span(credentials.groups).first(credentials.group_count);
  }
  // Gives the process other credentials. Where that changes what it may do to others, what was agreed on with who it
  // was before holds no more: it may not be looked into, and its parent's death is no signal (Linux's commit_creds).
  void commit(const Credentials& changed) VELLUM_REQUIRES(process_lock);
  [[nodiscard]] std::uint64_t data_limit() const {
    const LockGuard guard(process_lock);
    return limits[Resource::data].soft;
  }
};

// Of the calling thread, which must be a program's.
[[nodiscard]] Thread& this_thread();
[[nodiscard]] Process& this_process();

}  // namespace vellum::unix
