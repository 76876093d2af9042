// The end of threads and processes.

#include <vellum/unix/futex.hpp>
#include <vellum/unix/lifecycle.hpp>
#include <vellum/unix/signals.hpp>
#include <vellum/unix/user_memory.hpp>

namespace vellum::unix {

namespace {

void tell_others_to_end(Process& process, const Thread& self) VELLUM_REQUIRES(process_lock) {
  process.threads.for_each([&](Thread& thread) {
    process_lock.assert_held();
    if (&thread != &self) {
      thread.dying.store(true, std::memory_order_release);
      thread.interrupted.store(true, std::memory_order_release);
      unblock(thread);
      thread.system.scheduler.notice(thread);
    }
  });
}

// Tells whoever waits for the thread in user mode, as pthread_join does.
void clear_tid(Thread& thread) {
  if (thread.clear_child_tid.value() == 0) {
    return;
  }
  bool shared = false;
  {
    const LockGuard guard(process_lock);
    shared =
        thread.process->program->references.load(std::memory_order_relaxed) > 1 || thread.process->thread_count > 1;
  }
  if (shared && write_user<std::int32_t>(thread.clear_child_tid, 0).ok()) {
    (void)wake_futex(*thread.process->program, thread.clear_child_tid, 1);
  }
}

void leave_program(Thread& thread) {
  Process& process = *thread.process;
  use_space(thread.context, nullptr);
  Program* program = nullptr;
  {
    const LockGuard guard(process_lock);
    program = std::exchange(process.program, nullptr);
  }
  end_vfork(process);
  process.system.release(*program);
}

// Children of a process that ends become the first process's.
void give_children_away(Process& process) VELLUM_REQUIRES(process_lock) {
  Process* const heir = process.system.first_process();
  bool zombies = false;
  while (Process* const child = process.children.pop_front()) {
    child->parent = heir;
    heir->children.push_back(*child);
    child->exit_signal = signal::kChild;
    if (child->state == ProcessState::alive && child->parent_death_signal.value() != 0) {
      send_signal(*child, SignalInfo::from(child->parent_death_signal, SignalCode::from_user, process.id,
                                           process.credentials.user.real));
    }
    child->adopted = !heir->unkillable;
    if (child->state == ProcessState::zombie && child->adopted) {
      process.system.leave(*child);
      process.system.destroy_process(*child);
      continue;
    }
    zombies |= child->state == ProcessState::zombie;
  }
  if (zombies) {
    send_plain_signal(*heir, signal::kChild);
    heir->child_events.wake_all();
  }
}

// A group with stopped members that nobody looks after any more is told to hang up and go on.
void release_orphans(ProcessSystem& system, ProcessId group, const Process& leaving) VELLUM_REQUIRES(process_lock) {
  bool stopped = false;
  system.for_each_process([&](Process& process) {
    process_lock.assert_held();
    stopped |= process.group == group && &process != &leaving && process.stopped;
  });
  if (stopped && is_orphaned(system, group, &leaving)) {
    signal_group_locked(system, group, SignalInfo::make(signal::kHangup, SignalCode::from_kernel));
    signal_group_locked(system, group, SignalInfo::make(signal::kContinue, SignalCode::from_kernel));
  }
}

SignalInfo end_info(Process& process, const Usage& usage) VELLUM_REQUIRES(process_lock) {
  SignalInfo info = SignalInfo::make(process.exit_signal,
                                     process.status.is_exit() ? SignalCode::child_exited : SignalCode::child_killed);
  constexpr std::uint64_t kClockTick = 10'000'000;
  info.payload.child.process = process.id.value();
  info.payload.child.user = process.credentials.user.real.value();
  info.payload.child.status = process.status.is_exit() ? process.status.code() : process.status.signal().value();
  info.payload.child.user_time = static_cast<std::int64_t>(usage.user_nanoseconds / kClockTick);
  info.payload.child.system_time = static_cast<std::int64_t>(usage.system_nanoseconds / kClockTick);
  return info;
}

// Tells the parent; true where it does not want to know, so that nothing remains of the process.
bool tell_parent_of_end(Process& process) VELLUM_REQUIRES(process_lock) {
  Process* const parent = process.parent;
  if (parent == nullptr) {
    return false;
  }
  bool unwanted = process.adopted;
  if (process.exit_signal.value() != 0 && !unwanted) {
    const SignalAction& action = parent->action(signal::kChild);
    unwanted = process.exit_signal == signal::kChild &&
               (action.handler == SignalAction::kIgnore || action.has(SignalAction::kNoChildWait));
    if (!(process.exit_signal == signal::kChild && action.handler == SignalAction::kIgnore)) {
      send_signal(*parent, end_info(process, usage_of(process)));
    }
  }
  parent->child_events.wake_all();
  return unwanted;
}

// Everything that the process holds but for what its parent may ask for.
void end_process(Process& process) {
  FileContext files;  // ends without the lock
  const LockGuard guard(process_lock);
  std::swap(files, process.files);
  process.system.timers.cancel(process.timers.real);
  end_posix_timers(process);
}

void end_session(const Process& process) {
  ProcessId session;
  {
    const LockGuard guard(process_lock);
    session = process.session;
  }
  if (session == process.id && process.system.terminal != nullptr) {
    process.system.terminal->session_ended(session);
  }
}

// Only then what it held is its own: a child that did not exec shares its parent's memory.
bool did_exec(const Process& process) {
  const LockGuard guard(process_lock);
  return process.executed;
}

// The last step: true where the caller is to destroy the process.
bool become_zombie(Process& process) VELLUM_REQUIRES(process_lock) {
  const ProcessId group = process.group;
  process.children.for_each([&](Process& child) {
    process_lock.assert_held();
    if (child.group != group && child.session == process.session) {
      release_orphans(process.system, child.group, process);
    }
  });
  if (process.parent != nullptr && process.parent->group != group && process.parent->session == process.session) {
    release_orphans(process.system, group, process);
  }
  give_children_away(process);
  process.state = ProcessState::zombie;
  const bool unwanted = tell_parent_of_end(process);
  if (unwanted) {
    process.system.leave(process);
  }
  return unwanted;
}

void end_first_process(Process& process) {
  end_other_processes(process.system);
  WaitStatus status;
  {
    const LockGuard guard(process_lock);
    status = process.status;
  }
  process.system.reporter.first_process_ended(process, status);
}

}  // namespace

void end_vfork(Process& process) {
  const LockGuard guard(process_lock);
  if (Thread* const parent = std::exchange(process.vfork_parent, nullptr); parent != nullptr) {
    parent->vfork_over.store(true, std::memory_order_release);
    parent->vfork_waiting.wake_all();
  }
}

void exit_process(WaitStatus status) {
  Thread& self = this_thread();
  {
    const LockGuard guard(process_lock);
    Process& process = *self.process;
    if (!process.exiting) {
      process.exiting = true;
      process.status = status;
      process.stopped = false;
      process.continue_queue.wake_all();
      tell_others_to_end(process, self);
    }
  }
  exit_thread(self);
}

void exit_thread(Thread& self, int code) {
  Process& process = *self.process;
  leave_robust_futexes(self);
  clear_tid(self);
  bool last = false;
  {
    const LockGuard guard(process_lock);
    last = --process.live_threads == 0;
    if (last && !process.exiting) {
      process.exiting = true;
      process.status = WaitStatus::exited(code);
    }
  }
  if (last) {
    if (&process == process.system.first_process()) {
      process.system.reporter.first_process_ends(process);
    }
    end_session(process);
    end_process(process);
    if (did_exec(process)) {
      note_residence(process);
    }
    leave_program(self);
    if (&process == process.system.first_process()) {
      end_first_process(process);
    }
  } else {
    use_space(self.context, nullptr);
  }
  PendingSignals::List spent;
  bool unwanted = false;
  {
    const LockGuard guard(process_lock);
    self.pending.discard(SignalSet(~std::uint64_t{0}), spent);
    process.ended_threads_ran.fetch_add(
        self.ran.load(std::memory_order_relaxed) + (monotonic_now() - self.ran_since).value(),
        std::memory_order_relaxed);
    process.system.leave(self);
    process.thread_events.wake_all();
    if (last) {
      process.pending.discard(SignalSet(~std::uint64_t{0}), spent);
      unwanted = become_zombie(process);
    }
  }
  ProcessSystem& system = self.system;
  free_signals(system, spent);
  if (unwanted) {
    system.destroy_process(process);
  }
  system.scheduler.exit_current();
}

// Kills everybody else, and waits a while for them to be gone.
void end_other_processes(ProcessSystem& system) {
  constexpr unsigned kPatience = 200;
  const Process& self = this_process();
  const std::atomic<bool> never{false};
  for (unsigned round = 0; round < kPatience; ++round) {
    unsigned left = 0;
    {
      const LockGuard guard(process_lock);
      system.for_each_process([&](Process& process) {
        process_lock.assert_held();
        if (&process != &self && process.state == ProcessState::alive) {
          kill_process(process);
          ++left;
        }
      });
    }
    if (left == 0) {
      return;
    }
    (void)block_current(never, Interruptible::no, monotonic_now() + kTickLength);
  }
}

}  // namespace vellum::unix
