// Signals.

#include <vellum/unix/lifecycle.hpp>
#include <vellum/unix/signal_frame.hpp>
#include <vellum/unix/signals.hpp>
#include <vellum/unix/system_call.hpp>
#include <vellum/unix/user_memory.hpp>

#include "linux_time.hpp"
#include "value_names.hpp"

namespace vellum::unix {

namespace {

constexpr std::uint64_t kSetSize = sizeof(SignalSet);

Result<Signal> signal_of(std::uint64_t number) {
  const auto value = static_cast<std::int32_t>(number);
  return value >= 1 && value <= signal::kLast ? Result<Signal>(Signal(static_cast<std::uint8_t>(value)))
                                              : Errno::invalid;
}

// Signals that a process ignores from now on are forgotten.
void forget_ignored(Process& process, Signal signal, PendingSignals::List& spent) VELLUM_REQUIRES(process_lock) {
  const SignalAction& action = process.action(signal);
  const bool ignored = action.handler == SignalAction::kIgnore ||
                       (action.handler == SignalAction::kDefault && default_action(signal) == DefaultAction::ignore);
  if (!ignored) {
    return;
  }
  process.pending.discard(SignalSet::of(signal), spent);
  process.threads.for_each([&](Thread& thread) {
    process_lock.assert_held();
    thread.pending.discard(SignalSet::of(signal), spent);
  });
}

Result<std::uint64_t> sys_rt_sigaction(const Arguments& arguments) {
  if (arguments.value[3] != kSetSize) {
    return Errno::invalid;
  }
  std::optional<SignalAction> wanted;
  if (arguments.value[1] != 0) {
    wanted = VELLUM_TRY(read_user<SignalAction>(arguments.address(1)));
  }
  const Signal signal = VELLUM_TRY(signal_of(arguments.value[0]));
  if (wanted && kUnblockable.has(signal)) {
    return Errno::invalid;
  }
  constexpr std::uint64_t kKnownFlags = SignalAction::kNoChildStop | SignalAction::kNoChildWait |
                                        SignalAction::kWithInfo | SignalAction::kRestorer | SignalAction::kOnStack |
                                        SignalAction::kRestart | SignalAction::kNoDefer | SignalAction::kResetHandler;
  Process& process = this_process();
  SignalAction before;
  PendingSignals::List spent;
  {
    const LockGuard guard(process_lock);
    SignalAction& action = process.action(signal);
    before = action;
    if (wanted) {
      action = *wanted;
      action.flags &= kKnownFlags;
      action.mask = action.mask.without(kUnblockable);
      forget_ignored(process, signal, spent);
    }
  }
  free_signals(process.system, spent);
  if (arguments.value[2] != 0) {
    VELLUM_TRY(write_user(arguments.address(2), before));
  }
  return 0;
}

Result<std::uint64_t> sys_rt_sigprocmask(const Arguments& arguments) {
  if (arguments.value[3] != kSetSize) {
    return Errno::invalid;
  }
  Thread& thread = this_thread();
  SignalSet before;
  {
    const LockGuard guard(process_lock);
    before = thread.blocked;
  }
  if (arguments.value[1] != 0) {
    const auto set = VELLUM_TRY(read_user<SignalSet>(arguments.address(1)));
    SignalSet after;
    switch (arguments.integer(0)) {
      case 0:  // SIG_BLOCK
        after = before | set;
        break;
      case 1:  // SIG_UNBLOCK
        after = before.without(set);
        break;
      case 2:  // SIG_SETMASK
        after = set;
        break;
      default:
        return Errno::invalid;
    }
    const LockGuard guard(process_lock);
    set_blocked(thread, after);
  }
  if (arguments.value[2] != 0) {
    VELLUM_TRY(write_user(arguments.address(2), before));
  }
  return 0;
}

Result<std::uint64_t> sys_rt_sigreturn(const Arguments& /*arguments*/) {
  Thread& thread = this_thread();
  UserRegisters& registers = user_registers(thread.context);
  if (!leave_handler(thread, registers)) {
    force_signal(thread, SignalInfo::make(signal::kSegmentation, SignalCode::from_kernel));
    registers.vector = 0;
  }
  return registers.rax;
}

Result<std::uint64_t> sys_rt_sigpending(const Arguments& arguments) {
  if (arguments.value[1] > kSetSize) {
    return Errno::invalid;
  }
  SignalSet pending;
  {
    const LockGuard guard(process_lock);
    pending = waiting_for(this_thread()) & this_thread().blocked;
  }
  VELLUM_TRY(copy_out(arguments.address(0), std::as_bytes(std::span(&pending, 1)).first(arguments.value[1])));
  return 0;
}

// Sleeps until a signal is to be handled.
Result<std::uint64_t> wait_for_signal() {
  const std::atomic<bool> never{false};
  (void)block_current(never, Interruptible::yes, {});
  return Errno::interrupted;
}

Result<std::uint64_t> sys_pause(const Arguments& /*arguments*/) { return wait_for_signal(); }

Result<std::uint64_t> sys_rt_sigsuspend(const Arguments& arguments) {
  if (arguments.value[1] != kSetSize) {
    return Errno::invalid;
  }
  const auto mask = VELLUM_TRY(read_user<SignalSet>(arguments.address(0)));
  begin_temporary_mask(this_thread(), mask);
  return wait_for_signal();
}

std::optional<SignalInfo> wait_for_one_of(Thread& thread, SignalSet wanted, std::optional<Nanoseconds> deadline) {
  std::optional<SignalInfo> info = take_signal(thread, wanted);
  if (info || (deadline && *deadline <= monotonic_now())) {
    return info;
  }
  {
    const LockGuard guard(process_lock);
    thread.waited_for = wanted;
  }
  // What came since the look above made the thread interrupted only if it was not blocked: look again.
  info = take_signal(thread, wanted);
  if (!info) {
    const std::atomic<bool> never{false};
    (void)block_current(never, Interruptible::yes, deadline);
    info = take_signal(thread, wanted);
  }
  const LockGuard guard(process_lock);
  thread.waited_for = {};
  reconsider(thread);
  return info;
}

Result<std::uint64_t> sys_rt_sigtimedwait(const Arguments& arguments) {
  if (arguments.value[3] != kSetSize) {
    return Errno::invalid;
  }
  const SignalSet wanted = VELLUM_TRY(read_user<SignalSet>(arguments.address(0))).without(kUnblockable);
  std::optional<Nanoseconds> deadline;
  if (arguments.value[2] != 0) {
    deadline = after(VELLUM_TRY(read_timespec(arguments.address(2))));
  }
  Thread& thread = this_thread();
  const std::optional<SignalInfo> info = wait_for_one_of(thread, wanted, deadline);
  if (!info) {
    return thread.interrupted.load(std::memory_order_acquire) ? Errno::interrupted : Errno::try_again;
  }
  if (arguments.value[1] != 0) {
    VELLUM_TRY(write_user(arguments.address(1), *info));
  }
  return static_cast<std::uint64_t>(info->number);
}

SignalInfo info_from_caller(Signal signal, SignalCode code) VELLUM_REQUIRES(process_lock) {
  const Process& self = this_process();
  return SignalInfo::from(signal, code, self.id, self.credentials.user.real);
}

// Signal 0 only asks whether it could be sent.
Result<void> send_checked(Process& target, std::uint64_t number, const SignalInfo* given)
    VELLUM_REQUIRES(process_lock) {
  const bool asks = static_cast<std::int32_t>(number) == 0;
  const Signal signal = asks ? signal::kKill : VELLUM_TRY(signal_of(number));
  if (!may_signal(this_process(), target, signal)) {
    return Errno::not_permitted;
  }
  if (!asks) {
    send_signal(target, given != nullptr ? *given : info_from_caller(signal, SignalCode::from_user));
  }
  return {};
}

Result<void> kill_many(std::uint64_t number, ProcessId group) VELLUM_REQUIRES(process_lock) {
  const bool everybody = group == ProcessId(0);
  Result<void> result = Errno::no_process;
  bool any = false;
  process_system().for_each_process([&](Process& process) {
    process_lock.assert_held();
    const bool meant = everybody ? &process != &this_process() && &process != process_system().first_process()
                                 : process.group == group;
    if (!meant) {
      return;
    }
    const Result<void> sent = send_checked(process, number, nullptr);
    any |= sent.ok();
    if (!sent.ok()) {
      result = sent;
    }
  });
  return any ? Result<void>() : result;
}

Result<std::uint64_t> sys_kill(const Arguments& arguments) {
  const std::int32_t id = arguments.integer(0);
  const std::uint64_t number = arguments.value[1];
  if (static_cast<std::int32_t>(number) != 0) {
    VELLUM_TRY(signal_of(number));
  }
  const LockGuard guard(process_lock);
  if (id > 0) {
    Process* const target = process_system().find_process(ProcessId(id));
    if (target == nullptr) {
      return Errno::no_process;
    }
    VELLUM_TRY(send_checked(*target, number, nullptr));
    return 0;
  }
  if (id == INT32_MIN) {
    return Errno::no_process;
  }
  const ProcessId group = id == -1 ? ProcessId(0) : id == 0 ? this_process().group : ProcessId(-id);
  VELLUM_TRY(kill_many(number, group));
  return 0;
}

Result<std::uint64_t> send_to_thread(std::int32_t process, std::int32_t id, std::uint64_t number,
                                     const SignalInfo* given) {
  if (id <= 0 || process < 0) {
    return Errno::invalid;
  }
  const bool asks = static_cast<std::int32_t>(number) == 0;
  const Signal signal = asks ? signal::kKill : VELLUM_TRY(signal_of(number));
  const LockGuard guard(process_lock);
  Thread* const thread = process_system().find_thread(ProcessId(id));
  if (thread == nullptr || (process != 0 && thread->process->id != ProcessId(process))) {
    return Errno::no_process;
  }
  if (!may_signal(this_process(), *thread->process, signal)) {
    return Errno::not_permitted;
  }
  if (!asks) {
    send_thread_signal(*thread, given != nullptr ? *given : info_from_caller(signal, SignalCode::from_thread));
  }
  return 0;
}

Result<std::uint64_t> sys_tkill(const Arguments& arguments) {
  return send_to_thread(0, arguments.integer(0), arguments.value[1], nullptr);
}

Result<std::uint64_t> sys_tgkill(const Arguments& arguments) {
  if (arguments.integer(0) <= 0) {
    return Errno::invalid;
  }
  return send_to_thread(arguments.integer(0), arguments.integer(1), arguments.value[2], nullptr);
}

// What a program says about a signal: it may not pretend to be the kernel or kill.
Result<SignalInfo> info_from_program(VirtAddr from, std::uint64_t number, ProcessId target) {
  SignalInfo info = VELLUM_TRY(read_user<SignalInfo>(from));
  info.number = static_cast<std::int32_t>(number);
  if ((info.code >= 0 || info.code == static_cast<std::int32_t>(SignalCode::from_thread)) &&
      target != this_process().id) {
    return Errno::not_permitted;
  }
  return info;
}

Result<std::uint64_t> sys_rt_sigqueueinfo(const Arguments& arguments) {
  const ProcessId id(arguments.integer(0));
  const SignalInfo info = VELLUM_TRY(info_from_program(arguments.address(2), arguments.value[1], id));
  const LockGuard guard(process_lock);
  Process* const target = process_system().find_process(id);
  if (target == nullptr) {
    return Errno::no_process;
  }
  VELLUM_TRY(send_checked(*target, arguments.value[1], &info));
  return 0;
}

Result<std::uint64_t> sys_rt_tgsigqueueinfo(const Arguments& arguments) {
  const ProcessId id(arguments.integer(0));
  if (id.value() <= 0) {
    return Errno::invalid;
  }
  const SignalInfo info = VELLUM_TRY(info_from_program(arguments.address(3), arguments.value[2], id));
  return send_to_thread(id.value(), arguments.integer(1), arguments.value[2], &info);
}

Result<std::uint64_t> sys_sigaltstack(const Arguments& arguments) {
  constexpr std::uint64_t kLeastStack = 2048;  // MINSIGSTKSZ
  Thread& thread = this_thread();
  const std::uint64_t pointer = user_registers(thread.context).rsp;
  const bool on_it =
      thread.alternate_stack.contains(pointer) && (thread.alternate_stack.flags & AlternateStack::kAutoDisarm) == 0;
  AlternateStack before = thread.alternate_stack;
  if (before.size == 0) {
    before.flags = AlternateStack::kDisabled;
  } else {
    before.flags = (before.flags & AlternateStack::kAutoDisarm) | (on_it ? AlternateStack::kOnStack : 0);
  }
  if (arguments.value[0] != 0) {
    AlternateStack wanted = VELLUM_TRY(read_user<AlternateStack>(arguments.address(0)));
    if (on_it) {
      return Errno::not_permitted;
    }
    const std::uint32_t mode = wanted.flags & ~AlternateStack::kAutoDisarm;
    if (mode != 0 && mode != AlternateStack::kOnStack && mode != AlternateStack::kDisabled) {
      return Errno::invalid;
    }
    if (mode == AlternateStack::kDisabled) {
      wanted = {};
    } else if (wanted.size < kLeastStack) {
      return Errno::no_memory;
    } else {
      wanted.flags &= AlternateStack::kAutoDisarm;
    }
    wanted.zero = 0;
    thread.alternate_stack = wanted;
  }
  if (arguments.value[1] != 0) {
    before.zero = 0;
    VELLUM_TRY(write_user(arguments.address(1), before));
  }
  return 0;
}

Result<std::uint64_t> sys_restart_syscall(const Arguments& /*arguments*/) { return Errno::interrupted; }

constexpr auto kDecimal = Shown::decimal;
constexpr auto kHex = Shown::hexadecimal;

constexpr SystemCall kCalls[] = {
    {13, "rt_sigaction", sys_rt_sigaction, 4, {value_names::kSignals, kHex, kHex, kDecimal}},
    {14, "rt_sigprocmask", sys_rt_sigprocmask, 4, {kDecimal, kHex, kHex, kDecimal}},
    {15, "rt_sigreturn", sys_rt_sigreturn, 0, {}},
    {34, "pause", sys_pause, 0, {}},
    {62, "kill", sys_kill, 2, {Shown::descriptor, value_names::kSignals}},
    {127, "rt_sigpending", sys_rt_sigpending, 2, {kHex, kDecimal}},
    {128, "rt_sigtimedwait", sys_rt_sigtimedwait, 4, {kHex, kHex, kHex, kDecimal}},
    {129, "rt_sigqueueinfo", sys_rt_sigqueueinfo, 3, {kDecimal, kDecimal, kHex}},
    {130, "rt_sigsuspend", sys_rt_sigsuspend, 2, {kHex, kDecimal}},
    {131, "sigaltstack", sys_sigaltstack, 2, {kHex, kHex}},
    {200, "tkill", sys_tkill, 2, {kDecimal, value_names::kSignals}},
    {219, "restart_syscall", sys_restart_syscall, 0, {}},
    {234, "tgkill", sys_tgkill, 3, {kDecimal, kDecimal, value_names::kSignals}},
    {297, "rt_tgsigqueueinfo", sys_rt_tgsigqueueinfo, 4, {kDecimal, kDecimal, kDecimal, kHex}},
};

}  // namespace

std::span<const SystemCall> signal_calls() { return kCalls; }

}  // namespace vellum::unix
