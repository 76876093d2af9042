// What happens before a thread goes on in user mode: its turn may be over, its process may have to stop or end, a
// signal may have a handler.

#include <vellum/unix/lifecycle.hpp>
#include <vellum/unix/signals.hpp>

namespace vellum::unix {

namespace {

constexpr std::uint64_t kSystemCallInstructionSize = 2;

enum class Handled : std::uint8_t { no, yes };

// An interrupted system call ends with an error, or is made again.
void settle_restart(Thread& thread, UserRegisters& registers, Handled handled, const SignalAction& action) {
  const Restart restart = std::exchange(thread.restart, Restart::none);
  if (restart == Restart::none || !registers.in_system_call()) {
    return;
  }
  const bool again = handled == Handled::no ? restart != Restart::never
                                            : restart == Restart::if_asked && action.has(SignalAction::kRestart);
  if (again) {
    registers.rax = registers.error_code;  // the call's number
    registers.rip -= kSystemCallInstructionSize;
  } else {
    thread.restart_deadline.reset();
  }
}

void tell_parent_of_stop(Process& process) VELLUM_REQUIRES(process_lock) {
  Process* const parent = process.parent;
  if (parent == nullptr) {
    return;
  }
  if (!parent->action(signal::kChild).has(SignalAction::kNoChildStop)) {
    SignalInfo info = SignalInfo::make(signal::kChild, SignalCode::child_stopped);
    info.payload.child.process = process.id.value();
    info.payload.child.user = process.credentials.user.real.value();
    info.payload.child.status = process.stop_signal.value();
    send_signal(*parent, info);
  }
  parent->child_events.wake_all();
}

void stop_process(Thread& thread, Signal signal) {
  const LockGuard guard(process_lock);
  Process& process = *thread.process;
  if (process.exiting || process.stopped) {
    return;
  }
  if (signal != signal::kStop && is_orphaned(process.system, process.group)) {
    return;
  }
  process.stopped = true;
  process.stop_unreported = true;
  process.continue_unreported = false;
  process.stop_signal = signal;
  process.threads.for_each([](Thread& other) {
    process_lock.assert_held();
    reconsider(other);
    unblock(other);
  });
  tell_parent_of_stop(process);
}

[[nodiscard]] bool is_stopped(const Process& process) {
  const LockGuard guard(process_lock);
  return process.stopped;
}

void wait_while_stopped(Thread& thread) {
  Process& process = *thread.process;
  if (!is_stopped(process)) {
    return;
  }
  Sleep sleep(Interruptible::by_death);
  const Sleep::In in(sleep, process.continue_queue);
  while (is_stopped(process) && sleep.until() == Wakeup::woken) {
  }
}

// What is to be done about a signal that was taken.
struct Decision {
  SignalAction action;
  SignalSet mask_before;
};

Decision decide(Thread& thread, Signal signal) {
  const LockGuard guard(process_lock);
  SignalAction& action = thread.process->action(signal);
  const Decision decision = {.action = action, .mask_before = thread.blocked_before.value_or(thread.blocked)};
  if (action.handler > SignalAction::kIgnore && action.has(SignalAction::kResetHandler)) {
    action.handler = SignalAction::kDefault;
  }
  return decision;
}

void run_handler(Thread& thread, UserRegisters& registers, const Decision& decision, const SignalInfo& info) {
  const SignalAction& action = decision.action;
  settle_restart(thread, registers, Handled::yes, action);
  if (!enter_handler(thread, registers, action, info, decision.mask_before)) {
    if (info.signal() == signal::kSegmentation) {
      const LockGuard guard(process_lock);
      thread.process->action(signal::kSegmentation).handler = SignalAction::kDefault;
    }
    force_signal(thread, SignalInfo::make(signal::kSegmentation, SignalCode::from_kernel));
    return;
  }
  const LockGuard guard(process_lock);
  thread.blocked_before.reset();
  SignalSet blocked = thread.blocked | action.mask;
  if (!action.has(SignalAction::kNoDefer)) {
    blocked.add(info.signal());
  }
  set_blocked(thread, blocked);
}

// The default action.
void act(Thread& thread, Signal signal) {
  switch (default_action(signal)) {
    case DefaultAction::ignore:
    case DefaultAction::resume:
      return;
    case DefaultAction::stop:
      stop_process(thread, signal);
      return;
    case DefaultAction::terminate:
    case DefaultAction::dump:
      break;
  }
  {
    const LockGuard guard(process_lock);
    if (thread.process->unkillable && !kSynchronous.has(signal)) {
      return;
    }
  }
  exit_process(WaitStatus::killed(signal));
}

// One signal, if there is one; true where a handler is to run.
bool handle_one(Thread& thread, UserRegisters& registers, bool& any) {
  SignalSet deliverable;
  {
    const LockGuard guard(process_lock);
    deliverable = waiting_for(thread).without(thread.blocked);
  }
  any = false;
  if (deliverable.empty()) {
    return false;
  }
  const std::optional<SignalInfo> info = take_signal(thread, deliverable);
  if (!info) {
    return false;
  }
  any = true;
  const Decision decision = decide(thread, info->signal());
  if (decision.action.handler == SignalAction::kIgnore) {
    return false;
  }
  if (decision.action.handler == SignalAction::kDefault) {
    act(thread, info->signal());
    return false;
  }
  run_handler(thread, registers, decision, *info);
  return true;
}

}  // namespace

void before_user_mode(UserRegisters& registers) {
  Thread& thread = this_thread();
  if (thread.system.scheduler.turn_is_over()) {
    thread.system.scheduler.yield();
  }
  bool handled = false;
  while (thread.interrupted.load(std::memory_order_acquire)) {
    if (thread.dying.load(std::memory_order_acquire)) {
      exit_thread(thread);
    }
    wait_while_stopped(thread);
    bool any = false;
    handled |= handle_one(thread, registers, any);
    const LockGuard guard(process_lock);
    reconsider(thread);
  }
  if (!handled) {
    settle_restart(thread, registers, Handled::no, {});
    end_temporary_mask(thread);
  }
}

}  // namespace vellum::unix
