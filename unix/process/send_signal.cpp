#include <vellum/unix/signals.hpp>

namespace vellum::unix {

namespace {

// Whether the process as it is now would not notice the signal. What a thread blocks is kept: it may look later.
bool is_ignored(Process& process, Thread& thread, Signal signal) VELLUM_REQUIRES(process_lock) {
  if (thread.blocked.has(signal) || thread.waited_for.has(signal)) {
    return false;
  }
  const SignalAction& action = process.action(signal);
  if (action.handler == SignalAction::kDefault) {
    return default_action(signal) == DefaultAction::ignore || default_action(signal) == DefaultAction::resume ||
           (process.unkillable && !kUnblockable.has(signal));
  }
  return action.handler == SignalAction::kIgnore;
}

void interrupt(Thread& thread) VELLUM_REQUIRES(process_lock) {
  thread.interrupted.store(true, std::memory_order_release);
  unblock(thread);
  thread.system.scheduler.notice(thread);
}

// The thread that is to take a signal of the process: the first, or another that does not block it.
Thread* taker(Process& process, Signal signal) VELLUM_REQUIRES(process_lock) {
  Thread* thread = process.threads.front();
  for (; thread != nullptr; thread = process.threads.next(*thread)) {
    if (!thread->blocked.has(signal) || thread->waited_for.has(signal)) {
      return thread;
    }
  }
  return nullptr;
}

void discard_pending(Process& process, SignalSet unwanted) VELLUM_REQUIRES(process_lock) {
  PendingSignals::List spent;
  process.pending.discard(unwanted, spent);
  process.threads.for_each([&](Thread& thread) {
    process_lock.assert_held();
    thread.pending.discard(unwanted, spent);
  });
  free_signals(process.system, spent);
}

void tell_parent_of_continue(Process& process) VELLUM_REQUIRES(process_lock) {
  Process* const parent = process.parent;
  if (parent == nullptr) {
    return;
  }
  if (!parent->action(signal::kChild).has(SignalAction::kNoChildStop)) {
    SignalInfo info = SignalInfo::make(signal::kChild, SignalCode::child_continued);
    info.payload.child.process = process.id.value();
    info.payload.child.user = process.credentials.user.real.value();
    info.payload.child.status = signal::kContinue.value();
    send_signal(*parent, info);
  }
  parent->child_events.wake_all();
}

// What a signal does as soon as it is sent: a stop cancels a waiting continue, and the other way round.
void prepare(Process& process, Signal signal) VELLUM_REQUIRES(process_lock) {
  if (kStopSignals.has(signal)) {
    if (!process.unkillable || signal == signal::kStop) {
      discard_pending(process, SignalSet::of(signal::kContinue));
    }
  } else if (signal == signal::kContinue) {
    discard_pending(process, kStopSignals);
    if (process.stopped) {
      process.stopped = false;
      process.stop_unreported = false;
      process.continue_unreported = true;
      process.continue_queue.wake_all();
      tell_parent_of_continue(process);
    }
  }
}

enum class Keep : std::uint8_t { info, number_only };

// `lent`: to be queued instead of a copy of the information, by who may not allocate.
void send(Process& process, Thread* only, const SignalInfo& info, Keep keep, QueuedSignal* lent = nullptr)
    VELLUM_REQUIRES(process_lock) {
  const Signal signal = info.signal();
  if (process.state != ProcessState::alive || process.exiting || process.threads.empty()) {
    return;
  }
  prepare(process, signal);
  if (process.unkillable && kUnblockable.has(signal)) {
    return;
  }
  if (signal == signal::kKill) {
    kill_process(process);
    return;
  }
  Thread& judged = only != nullptr ? *only : *process.threads.front();
  if (is_ignored(process, judged, signal)) {
    return;
  }
  PendingSignals& pending = only != nullptr ? only->pending : process.pending;
  QueuedSignal* queued = lent;
  const bool waits_once = signal.value() < signal::kFirstRealtime;
  if (keep == Keep::info && !(waits_once && pending.set().has(signal))) {
    if (const Result<QueuedSignal*> made = process.system.queued_signals.create(); made.ok()) {
      queued = made.value();
      queued->info = info;
    }
  }
  const bool kept = pending.add(signal, queued);
  if (lent != nullptr) {
    lent->lender->is_lent = kept;
  } else if (!kept && queued != nullptr) {
    process.system.queued_signals.destroy(queued);
  }
  Thread* const thread = only != nullptr ? only : taker(process, signal);
  if (thread != nullptr && (!thread->blocked.has(signal) || thread->waited_for.has(signal))) {
    interrupt(*thread);
  }
}

}  // namespace

void send_signal(Process& process, const SignalInfo& info) { send(process, nullptr, info, Keep::info); }
void send_thread_signal(Thread& thread, const SignalInfo& info) { send(*thread.process, &thread, info, Keep::info); }
void send_plain_signal(Process& process, Signal signal) {
  send(process, nullptr, SignalInfo::make(signal, SignalCode::from_kernel), Keep::number_only);
}

void send_lent_signal(Process& process, Thread* only, QueuedSignal& lent) {
  send(process, only, lent.info, Keep::number_only, &lent);
}

void kill_process(Process& process) {
  if (process.state != ProcessState::alive) {
    return;
  }
  if (!process.exiting) {
    process.exiting = true;
    process.status = WaitStatus::killed(signal::kKill);
  }
  process.threads.for_each([](Thread& thread) {
    process_lock.assert_held();
    thread.dying.store(true, std::memory_order_release);
    interrupt(thread);
  });
  process.stopped = false;
  process.continue_queue.wake_all();
}

void signal_group_locked(ProcessSystem& system, ProcessId group, const SignalInfo& info) {
  system.for_each_process([&](Process& process) {
    process_lock.assert_held();
    if (process.group == group) {
      send_signal(process, info);
    }
  });
}

bool may_signal(const Process& sender, const Process& target, Signal signal) {
  const Identities<UserId>& from = sender.credentials.user;
  const Identities<UserId>& to = target.credentials.user;
  if (sender.credentials.has(Capability::kill) || from.effective == to.saved || from.effective == to.real ||
      from.real == to.saved || from.real == to.real) {
    return true;
  }
  return signal == signal::kContinue && sender.session == target.session;
}

void force_signal(Thread& thread, const SignalInfo& info) {
  const LockGuard guard(process_lock);
  Process& process = *thread.process;
  SignalAction& action = process.action(info.signal());
  if (action.handler == SignalAction::kIgnore || thread.blocked.has(info.signal())) {
    action.handler = SignalAction::kDefault;
    process.unkillable = false;
    SignalSet blocked = thread.blocked;
    blocked.remove(info.signal());
    thread.blocked = blocked;
  } else if (action.handler == SignalAction::kDefault) {
    process.unkillable = false;
  }
  send_thread_signal(thread, info);
}

bool is_orphaned(ProcessSystem& system, ProcessId group, const Process* leaving) {
  bool orphaned = true;
  system.for_each_process([&](Process& process) {
    process_lock.assert_held();
    if (process.group != group || &process == leaving || process.state != ProcessState::alive ||
        process.parent == nullptr) {
      return;
    }
    const Process& parent = *process.parent;
    // The first process looks after what it inherits as little as Linux's does; where it is an ordinary program, as a
    // shell that was started alone, it does look after its own jobs.
    const bool looks_after = &parent != system.first_process() || (!parent.unkillable && !process.adopted);
    if (looks_after && parent.group != group && parent.session == process.session) {
      orphaned = false;
    }
  });
  return orphaned;
}

SignalSet waiting_for(Thread& thread) { return thread.pending.set() | thread.process->pending.set(); }

bool must_end(Thread& thread) {
  if (!thread.interrupted.load(std::memory_order_acquire)) [[likely]] {
    return false;
  }
  if (thread.dying.load(std::memory_order_acquire)) {
    return true;
  }
  const LockGuard guard(process_lock);
  Process& process = *thread.process;
  for (SignalSet waiting = waiting_for(thread).without(thread.blocked); !waiting.empty();) {
    const Signal signal = waiting.first();
    const DefaultAction action = default_action(signal);
    const bool ends = action == DefaultAction::terminate || action == DefaultAction::dump;
    if (ends && process.action(signal).handler == SignalAction::kDefault && !process.unkillable) {
      return true;
    }
    waiting.remove(signal);
  }
  return false;
}

void reconsider(Thread& thread) {
  const bool interrupted = thread.dying.load(std::memory_order_relaxed) || thread.process->stopped ||
                           !waiting_for(thread).without(thread.blocked).empty();
  thread.interrupted.store(interrupted, std::memory_order_release);
  if (interrupted) {
    thread.system.scheduler.notice(thread);
  }
}

void set_blocked(Thread& thread, SignalSet blocked) {
  thread.blocked = blocked.without(kUnblockable);
  reconsider(thread);
}

std::optional<SignalInfo> take_signal(Thread& thread, SignalSet wanted) {
  std::optional<SignalInfo> info;
  QueuedSignal* spent = nullptr;
  {
    const LockGuard guard(process_lock);
    for (PendingSignals* pending : {&thread.pending, &thread.process->pending}) {
      const SignalSet ready = pending->set() & wanted;
      if (!ready.empty()) {
        const SignalSet first = ready & kSynchronous;
        info = pending->take((first.empty() ? ready : first).first(), spent);
        break;
      }
    }
    reconsider(thread);
  }
  if (spent != nullptr) {
    thread.system.queued_signals.destroy(spent);
  }
  return info;
}

void free_signals(ProcessSystem& system, PendingSignals::List& spent) {
  while (QueuedSignal* const queued = spent.pop_front()) {
    system.queued_signals.destroy(queued);
  }
}

void begin_temporary_mask(Thread& thread, SignalSet blocked) {
  const LockGuard guard(process_lock);
  thread.blocked_before = thread.blocked;
  set_blocked(thread, blocked);
}

void end_temporary_mask(Thread& thread) {
  const LockGuard guard(process_lock);
  if (thread.blocked_before) {
    const SignalSet before = *thread.blocked_before;
    thread.blocked_before.reset();
    set_blocked(thread, before);
  }
}

}  // namespace vellum::unix
