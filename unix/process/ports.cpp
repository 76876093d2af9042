// What files ask of processes (file_caller.hpp), and what the processor's clock tells them.

#include <vellum/unix/file_caller.hpp>
#include <vellum/unix/lifecycle.hpp>
#include <vellum/unix/signals.hpp>

namespace vellum::unix {

namespace {

FileCredentials credentials_for_files(const Process& process, UserId user, GroupId group, Capabilities held)
    VELLUM_REQUIRES(process_lock) {
  return {.user = user,
          .group = group,
          .groups = process.calling_groups(),
          .superuser = held.has(Capability::override_access)};
}

SignalInfo kernel_info(Signal signal) { return SignalInfo::make(signal, SignalCode::from_kernel); }

}  // namespace

FileContext& calling_files() { return this_process().files; }

FileCredentials calling_credentials() {
  if (this_thread().process == nullptr) {
    return {.superuser = true};  // the kernel's own threads
  }
  const Process& process = this_process();
  const LockGuard guard(process_lock);
  const Credentials& who = process.credentials;
  return credentials_for_files(process, who.user.file_system, who.group.file_system, who.capabilities.effective);
}

FileCredentials calling_real_credentials() {
  const Process& process = this_process();
  const LockGuard guard(process_lock);
  const Credentials& who = process.credentials;
  const bool is_superuser = who.user.real == UserId(0);
  return credentials_for_files(process, who.user.real, who.group.real,
                               is_superuser ? who.capabilities.permitted : Capabilities::none());
}

std::uint64_t calling_open_file_limit() {
  const LockGuard guard(process_lock);
  return this_process().limits[Resource::files].soft;
}

ByteCount calling_file_size_limit() {
  if (this_thread().process == nullptr) {
    return ByteCount(~std::uint64_t{0});
  }
  const LockGuard guard(process_lock);
  return ByteCount(this_process().limits[Resource::file_size].soft);
}

ProcessId calling_process() { return this_process().id; }
ProcessId calling_thread() { return this_thread().id; }

void raise_signal(Signal signal) {
  const LockGuard guard(process_lock);
  const Process& process = this_process();
  send_thread_signal(this_thread(),
                     SignalInfo::from(signal, SignalCode::from_user, process.id, process.credentials.user.real));
}

ProcessId calling_group() {
  const LockGuard guard(process_lock);
  return this_process().group;
}

ProcessId calling_session() {
  const LockGuard guard(process_lock);
  return this_process().session;
}

bool calling_leads_session() {
  const LockGuard guard(process_lock);
  return this_process().session == this_process().id;
}

bool calling_resists(Signal signal) {
  const LockGuard guard(process_lock);
  return this_thread().blocked.has(signal) || this_process().action(signal).handler == SignalAction::kIgnore;
}

bool calling_group_is_orphaned() {
  const LockGuard guard(process_lock);
  return is_orphaned(this_process().system, this_process().group);
}

bool group_is_in_session(ProcessId group, ProcessId session) {
  const LockGuard guard(process_lock);
  bool found = false;
  process_system().for_each_process([&](Process& process) {
    process_lock.assert_held();
    found |= process.group == group && process.session == session;
  });
  return found;
}

void signal_group(ProcessId group, Signal signal) {
  const LockGuard guard(process_lock);
  signal_group_locked(process_system(), group, kernel_info(signal));
}

namespace {

// Counts down a timer of setitimer(2) that runs with the process.
void run_timer(Process& process, IntervalTimers::Virtual& timer, Signal signal) VELLUM_REQUIRES(process_lock) {
  if (timer.left.is_zero()) {
    return;
  }
  if (timer.left > kTickLength) {
    timer.left -= kTickLength;
    return;
  }
  timer.left = timer.interval;
  send_plain_signal(process, signal);
}

void charge(Process& process) VELLUM_REQUIRES(process_lock) {
  constexpr std::uint64_t kTicksPerSecond = 100;
  const std::uint64_t ticks = process.user_ticks.fetch_add(1, std::memory_order_relaxed) + 1;
  run_timer(process, process.timers.user, signal::kVirtualAlarm);
  run_timer(process, process.timers.processing, signal::kProfiling);
  const Limit& limit = process.limits[Resource::cpu_seconds];
  if (ticks % kTicksPerSecond == 0 && limit.soft != Limit::kInfinite) {
    const std::uint64_t seconds = ticks / kTicksPerSecond;
    if (seconds >= limit.hard) {
      kill_process(process);
    } else if (seconds >= limit.soft) {
      send_plain_signal(process, signal::kCpuLimit);
    }
  }
}

// Linux's averages: 11 bits after the point, every 5 seconds.
void average_load(ProcessSystem& system) {
  constexpr std::uint32_t kDecay[] = {1884, 2014, 2037};
  constexpr std::uint32_t kOne = 2048;
  const std::uint32_t now = (system.scheduler.runnable() + system.scheduler.running()) * kOne;
  for (unsigned i = 0; i < 3; ++i) {
    system.load[i] = (system.load[i] * kDecay[i] + now * (kOne - kDecay[i])) / kOne;
  }
}

}  // namespace

namespace {

// Interval timers that expired; not from within their callback, which has the queue's lock.
void set_again(ProcessSystem& system) VELLUM_REQUIRES(process_lock) {
  if (!system.real_timer_expired) {
    return;
  }
  system.real_timer_expired = false;
  system.for_each_process([&](Process& process) {
    process_lock.assert_held();
    IntervalTimers::Real& real = process.timers.real;
    if (std::exchange(real.again, false)) {
      system.timers.set(real, real.deadline + real.interval);
    }
    process.posix_timers.all.for_each([&](PosixTimer& timer) {
      if (std::exchange(timer.again, false)) {
        system.timers.set(timer, timer.next);
      }
    });
  });
}

void note_memory(ProcessSystem& system, Thread& thread) {
  const std::uint64_t free = system.memory.memory.free_count().value();
  if (free < system.least_free.load(std::memory_order_relaxed)) {
    system.least_free.store(free, std::memory_order_relaxed);
  }
  if (thread.process != nullptr) {
    note_residence(*thread.process);
  }
}

}  // namespace

void on_tick() {
  constexpr std::uint64_t kTicksPerAverage = 500;
  constexpr std::uint64_t kTicksPerLook = 4;
  Thread* const thread = current_thread();
  if (thread == nullptr) {
    return;
  }
  ProcessSystem& system = thread->system;
  const bool keeps_time = system.scheduler.keeps_time();
  const std::uint64_t ticks = system.ticks.fetch_add(keeps_time ? 1 : 0, std::memory_order_relaxed);
  if (keeps_time && ticks % kTicksPerAverage == 0) {
    average_load(system);
  }
  {
    const LockGuard guard(process_lock);
    if (thread->process != nullptr) {
      charge(*thread->process);
    }
    if (keeps_time) {
      system.timers.expire(monotonic_now());
      set_again(system);
    }
  }
  if (ticks % kTicksPerLook == 0) {
    note_memory(system, *thread);
  }
  system.memory.settle();
  system.scheduler.tick();
}

}  // namespace vellum::unix
