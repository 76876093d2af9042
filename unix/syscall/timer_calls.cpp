// timer_create and its family.

#include <vellum/unix/lifecycle.hpp>
#include <vellum/unix/system_call.hpp>

#include "linux_time.hpp"

namespace vellum::unix {

namespace {

// CLOCK_*.
constexpr std::int32_t kRealtime = 0;
constexpr std::int32_t kMonotonic = 1;
constexpr std::int32_t kLastClock = 11;
constexpr std::int32_t kBoottime = 7;
constexpr std::int32_t kTai = 11;

struct LinuxSignalEvent {
  std::uint64_t value;
  std::int32_t signal;
  std::int32_t notify;
  std::int32_t thread;
  std::int32_t unused[11];
};
static_assert(sizeof(LinuxSignalEvent) == 64);

// SIGEV_*.
constexpr std::int32_t kSignal = 0;
constexpr std::int32_t kNone = 1;
constexpr std::int32_t kThread = 4;

struct LinuxTimerSetting {
  LinuxTimespec interval;
  LinuxTimespec value;
};

// Error: invalid (no such clock), not_supported (one that cannot wake anybody: of time used, or coarse).
Result<void> check_clock(std::int32_t clock) {
  if (clock == kRealtime || clock == kMonotonic || clock == kBoottime || clock == kTai) {
    return {};
  }
  return clock < 0 || clock > kLastClock || clock == kTai - 1 ? Errno::invalid : Errno::not_supported;
}

// Error: invalid.
Result<PosixTimer::Notify> notification_of(const LinuxSignalEvent& event) {
  if (event.notify == kNone) {
    return PosixTimer::Notify::nothing;
  }
  if (event.signal < 1 || event.signal > signal::kLast) {
    return Errno::invalid;
  }
  if (event.notify == kSignal) {
    return PosixTimer::Notify::process;
  }
  if (event.notify != kThread) {
    return Errno::invalid;
  }
  const LockGuard guard(process_lock);
  const Thread* const thread = process_system().find_thread(ProcessId(event.thread));
  return thread != nullptr && thread->process == &this_process()
             ? Result<PosixTimer::Notify>(PosixTimer::Notify::thread)
             : Errno::invalid;
}

PosixTimer* find(std::int32_t id) VELLUM_REQUIRES(process_lock) {
  PosixTimers& timers = this_process().posix_timers;
  PosixTimer* timer = timers.all.front();
  while (timer != nullptr && timer->id != id) {
    timer = timers.all.next(*timer);
  }
  return timer;
}

Result<std::uint64_t> sys_timer_create(const Arguments& arguments) {
  const std::int32_t clock = arguments.integer(0);
  VELLUM_TRY(check_clock(clock));
  LinuxSignalEvent event = {.value = 0, .signal = signal::kAlarm.value(), .notify = kSignal, .thread = 0, .unused = {}};
  if (arguments.value[1] != 0) {
    event = VELLUM_TRY(read_user<LinuxSignalEvent>(arguments.address(1)));
  }
  const PosixTimer::Notify notify = VELLUM_TRY(notification_of(event));
  PosixTimer& timer = *VELLUM_TRY(create_posix_timer(this_process()));
  timer.clock = clock;
  timer.thread = ProcessId(event.thread);
  SignalInfo& info = timer.queued->info;
  if (notify != PosixTimer::Notify::nothing) {
    info = SignalInfo::make(Signal(static_cast<std::uint8_t>(event.signal)), SignalCode::from_timer);
  }
  info.payload.sender.process = timer.id;
  info.payload.sender.value = arguments.value[1] != 0 ? event.value : static_cast<std::uint64_t>(timer.id);
  timer.notify = notify;
  const std::int32_t id = timer.id;
  if (const Result<void> told = write_user(arguments.address(2), id); !told.ok()) {
    const LockGuard guard(process_lock);
    if (PosixTimer* const still = find(id); still != nullptr) {  // another thread may have deleted it meanwhile
      destroy_posix_timer(*still);
    }
    return told.error();
  }
  return 0;
}

LinuxTimerSetting setting_of(const PosixTimer& timer) {
  const Nanoseconds now = monotonic_now();
  const Nanoseconds left = !timer.link.is_linked() ? Nanoseconds(0)
                           : timer.deadline > now  ? timer.deadline - now
                                                   : Nanoseconds(1);
  return {.interval = to_timespec(timer.interval), .value = to_timespec(left)};
}

Result<std::uint64_t> sys_timer_settime(const Arguments& arguments) {
  constexpr std::int32_t kAbsolute = 1;
  const auto wanted = VELLUM_TRY(read_user<LinuxTimerSetting>(arguments.address(2)));
  const Nanoseconds interval = VELLUM_TRY(to_nanoseconds(wanted.interval));
  const Nanoseconds value = VELLUM_TRY(to_nanoseconds(wanted.value));
  LinuxTimerSetting before = {};
  {
    const LockGuard guard(process_lock);
    PosixTimer* const timer = find(arguments.integer(0));
    if (timer == nullptr) {
      return Errno::invalid;
    }
    before = setting_of(*timer);
    this_process().system.timers.cancel(*timer);
    timer->interval = interval;
    timer->missed = timer->overrun = 0;
    if (!value.is_zero()) {
      const bool absolute = (arguments.integer(1) & kAbsolute) != 0;
      const bool realtime = timer->clock == kRealtime || timer->clock == kTai;
      const Nanoseconds deadline = !absolute ? after(value) : realtime ? monotonic_from_realtime(value) : value;
      this_process().system.timers.set(*timer, deadline);
    }
  }
  if (arguments.value[3] != 0) {
    VELLUM_TRY(write_user(arguments.address(3), before));
  }
  return 0;
}

Result<std::uint64_t> sys_timer_gettime(const Arguments& arguments) {
  LinuxTimerSetting setting = {};
  {
    const LockGuard guard(process_lock);
    const PosixTimer* const timer = find(arguments.integer(0));
    if (timer == nullptr) {
      return Errno::invalid;
    }
    setting = setting_of(*timer);
  }
  VELLUM_TRY(write_user(arguments.address(1), setting));
  return 0;
}

Result<std::uint64_t> sys_timer_getoverrun(const Arguments& arguments) {
  constexpr std::uint32_t kMost = INT32_MAX;
  const LockGuard guard(process_lock);
  const PosixTimer* const timer = find(arguments.integer(0));
  if (timer == nullptr) {
    return Errno::invalid;
  }
  return timer->overrun < kMost ? timer->overrun : kMost;
}

Result<std::uint64_t> sys_timer_delete(const Arguments& arguments) {
  const LockGuard guard(process_lock);
  PosixTimer* const timer = find(arguments.integer(0));
  if (timer == nullptr) {
    return Errno::invalid;
  }
  destroy_posix_timer(*timer);
  return 0;
}

constexpr auto kDecimal = Shown::decimal;
constexpr auto kHex = Shown::hexadecimal;

constexpr SystemCall kCalls[] = {
    {222, "timer_create", sys_timer_create, 3, {kDecimal, kHex, kHex}},
    {223, "timer_settime", sys_timer_settime, 4, {kDecimal, Shown::flags, kHex, kHex}},
    {224, "timer_gettime", sys_timer_gettime, 2, {kDecimal, kHex}},
    {225, "timer_getoverrun", sys_timer_getoverrun, 1, {kDecimal}},
    {226, "timer_delete", sys_timer_delete, 1, {kDecimal}},
};

}  // namespace

std::span<const SystemCall> timer_calls() { return kCalls; }

}  // namespace vellum::unix
