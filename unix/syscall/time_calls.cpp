// Clocks, sleep, interval timers.

#include <algorithm>

#include <vellum/unix/lifecycle.hpp>
#include <vellum/unix/signals.hpp>
#include <vellum/unix/system_call.hpp>

#include "linux_time.hpp"

namespace vellum::unix {

namespace {

// CLOCK_*.
constexpr std::int32_t kRealtime = 0;
constexpr std::int32_t kMonotonic = 1;
constexpr std::int32_t kProcessTime = 2;
constexpr std::int32_t kThreadTime = 3;
constexpr std::int32_t kMonotonicRaw = 4;
constexpr std::int32_t kRealtimeCoarse = 5;
constexpr std::int32_t kMonotonicCoarse = 6;
constexpr std::int32_t kBoottime = 7;
constexpr std::int32_t kTai = 11;

Nanoseconds thread_time(const Thread& thread) {
  return Nanoseconds(thread.ran.load(std::memory_order_relaxed)) + (monotonic_now() - thread.ran_since);
}

Nanoseconds process_time() {
  const LockGuard guard(process_lock);
  const Usage usage = usage_of(this_process());
  return Nanoseconds(usage.user_nanoseconds + usage.system_nanoseconds);
}

// Error: invalid.
Result<Nanoseconds> clock_now(std::int32_t clock) {
  switch (clock) {
    case kRealtime:
    case kRealtimeCoarse:
    case kTai:
      return realtime_now();
    case kMonotonic:
    case kMonotonicRaw:
    case kMonotonicCoarse:
    case kBoottime:
      return monotonic_now();
    case kProcessTime:
      return process_time();
    case kThreadTime:
      return thread_time(this_thread());
    default:
      return Errno::invalid;
  }
}

Result<std::uint64_t> sys_clock_gettime(const Arguments& arguments) {
  const Nanoseconds now = VELLUM_TRY(clock_now(arguments.integer(0)));
  VELLUM_TRY(write_user(arguments.address(1), to_timespec(now)));
  return 0;
}

Result<std::uint64_t> sys_clock_getres(const Arguments& arguments) {
  const std::int32_t clock = arguments.integer(0);
  VELLUM_TRY(clock_now(clock));
  const bool coarse = clock == kRealtimeCoarse || clock == kMonotonicCoarse;
  if (arguments.value[1] != 0) {
    VELLUM_TRY(write_user(arguments.address(1), to_timespec(coarse ? kTickLength : Nanoseconds(1))));
  }
  return 0;
}

Result<std::uint64_t> sys_clock_settime(const Arguments& arguments) {
  VELLUM_TRY(read_timespec(arguments.address(1)));
  return arguments.integer(0) == kRealtime ? Errno::not_permitted : Errno::invalid;
}

Result<std::uint64_t> sys_gettimeofday(const Arguments& arguments) {
  if (arguments.value[0] != 0) {
    VELLUM_TRY(write_user(arguments.address(0), to_timeval(realtime_now())));
  }
  if (arguments.value[1] != 0) {
    VELLUM_TRY(write_user(arguments.address(1), std::uint64_t{0}));  // UTC
  }
  return 0;
}

Result<std::uint64_t> sys_settimeofday(const Arguments& /*arguments*/) { return Errno::not_permitted; }

Result<std::uint64_t> sys_time(const Arguments& arguments) {
  const std::int64_t seconds = to_timespec(realtime_now()).seconds;
  if (arguments.value[0] != 0) {
    VELLUM_TRY(write_user(arguments.address(0), seconds));
  }
  return static_cast<std::uint64_t>(seconds);
}

constexpr std::uint64_t kClockTick = 10'000'000;

Result<std::uint64_t> sys_times(const Arguments& arguments) {
  struct {
    std::int64_t user, system, children_user, children_system;
  } times = {};
  {
    const LockGuard guard(process_lock);
    const Usage usage = usage_of(this_process());
    const Usage& children = this_process().children_usage;
    times.user = static_cast<std::int64_t>(usage.user_nanoseconds / kClockTick);
    times.system = static_cast<std::int64_t>(usage.system_nanoseconds / kClockTick);
    times.children_user = static_cast<std::int64_t>(children.user_nanoseconds / kClockTick);
    times.children_system = static_cast<std::int64_t>(children.system_nanoseconds / kClockTick);
  }
  if (arguments.value[0] != 0) {
    VELLUM_TRY(write_user(arguments.address(0), times));
  }
  return monotonic_now().value() / kClockTick;
}

// Sleeps until the monotonic clock shows `deadline`; tells the rest of an interval that a signal ended.
Result<std::uint64_t> sleep_until(Nanoseconds deadline, VirtAddr rest) {
  Thread& self = this_thread();
  const std::atomic<bool> never{false};
  if (block_current(never, Interruptible::yes, deadline) != Wakeup::signal) {
    self.restart_deadline.reset();
    return 0;
  }
  if (rest.value() != 0) {
    const Nanoseconds now = monotonic_now();
    VELLUM_TRY(write_user(rest, to_timespec(deadline > now ? deadline - now : Nanoseconds(0))));
  }
  return Errno::interrupted;
}

Result<std::uint64_t> sleep_for(Nanoseconds interval, VirtAddr rest) {
  Thread& self = this_thread();
  self.restart_deadline = self.restart_deadline.value_or(after(interval));
  return sleep_until(*self.restart_deadline, rest);
}

Result<std::uint64_t> sys_nanosleep(const Arguments& arguments) {
  return sleep_for(VELLUM_TRY(read_timespec(arguments.address(0))), arguments.address(1));
}

Result<std::uint64_t> sys_clock_nanosleep(const Arguments& arguments) {
  constexpr std::int32_t kAbsolute = 1;
  const std::int32_t clock = arguments.integer(0);
  VELLUM_TRY(clock_now(clock));
  if (clock == kThreadTime || clock == kMonotonicRaw || clock == kRealtimeCoarse || clock == kMonotonicCoarse) {
    return clock == kThreadTime ? Errno::invalid : Errno::not_supported;
  }
  const Nanoseconds time = VELLUM_TRY(read_timespec(arguments.address(2)));
  if ((arguments.integer(1) & kAbsolute) == 0) {
    return sleep_for(time, arguments.address(3));
  }
  const bool realtime = clock == kRealtime || clock == kTai;
  return sleep_until(realtime ? monotonic_from_realtime(time) : time, VirtAddr(0));
}

struct LinuxIntervalTimer {
  LinuxTimeval interval;
  LinuxTimeval value;
};

// A signal for a timer that has run out; again after its interval.
void real_timer_expired(Timer& timer) VELLUM_NO_THREAD_SAFETY_ANALYSIS {  // on_tick() holds process_lock
  auto& real = static_cast<IntervalTimers::Real&>(timer);
  send_plain_signal(*real.process, signal::kAlarm);
  real.again = !real.interval.is_zero();
  real.process->system.real_timer_expired |= real.again;
}

Nanoseconds left(const Timer& timer) {
  const Nanoseconds now = monotonic_now();
  return !timer.link.is_linked() ? Nanoseconds(0) : timer.deadline > now ? timer.deadline - now : Nanoseconds(1000);
}

struct TimerSetting {
  Nanoseconds value;
  Nanoseconds interval;
};

TimerSetting exchange_real(Process& process, const TimerSetting* wanted) VELLUM_REQUIRES(process_lock) {
  IntervalTimers::Real& real = process.timers.real;
  const TimerSetting before = {.value = left(real), .interval = real.interval};
  if (wanted != nullptr) {
    process.system.timers.cancel(real);
    real.interval = wanted->interval;
    real.expired = real_timer_expired;
    if (!wanted->value.is_zero()) {
      process.system.timers.set(real, after(wanted->value));
    }
  }
  return before;
}

TimerSetting exchange_virtual(IntervalTimers::Virtual& timer, const TimerSetting* wanted) {
  const TimerSetting before = {.value = timer.left, .interval = timer.interval};
  if (wanted != nullptr) {
    timer = {.left = wanted->value, .interval = wanted->interval};
  }
  return before;
}

// Error: invalid (which).
Result<TimerSetting> exchange_timer(std::int32_t which, const TimerSetting* wanted) {
  Process& process = this_process();
  const LockGuard guard(process_lock);
  switch (which) {
    case 0:
      return exchange_real(process, wanted);
    case 1:
      return exchange_virtual(process.timers.user, wanted);
    case 2:
      return exchange_virtual(process.timers.processing, wanted);
    default:
      return Errno::invalid;
  }
}

LinuxIntervalTimer shown(const TimerSetting& setting) {
  return {.interval = to_timeval(setting.interval), .value = to_timeval(setting.value)};
}

Result<std::uint64_t> sys_getitimer(const Arguments& arguments) {
  const TimerSetting setting = VELLUM_TRY(exchange_timer(arguments.integer(0), nullptr));
  VELLUM_TRY(write_user(arguments.address(1), shown(setting)));
  return 0;
}

Result<std::uint64_t> sys_setitimer(const Arguments& arguments) {
  TimerSetting wanted;
  if (arguments.value[1] != 0) {
    const auto given = VELLUM_TRY(read_user<LinuxIntervalTimer>(arguments.address(1)));
    wanted.value = VELLUM_TRY(to_nanoseconds(given.value));
    wanted.interval = VELLUM_TRY(to_nanoseconds(given.interval));
  }
  const TimerSetting before = VELLUM_TRY(exchange_timer(arguments.integer(0), &wanted));
  if (arguments.value[2] != 0) {
    VELLUM_TRY(write_user(arguments.address(2), shown(before)));
  }
  return 0;
}

Result<std::uint64_t> sys_alarm(const Arguments& arguments) {
  const std::uint64_t seconds = std::min<std::uint64_t>(arguments.value[0] & 0xffffffff, INT32_MAX);
  constexpr std::uint64_t kSecond = kNanosecondsPerSecond;
  const TimerSetting wanted = {.value = Nanoseconds(seconds * kSecond), .interval = Nanoseconds(0)};
  const TimerSetting before = VELLUM_TRY(exchange_timer(0, &wanted));
  const std::uint64_t rest = (before.value.value() + kSecond / 2) / kSecond;
  return before.value.is_zero() ? 0 : std::max<std::uint64_t>(rest, 1);
}

constexpr auto kDecimal = Shown::decimal;
constexpr auto kHex = Shown::hexadecimal;

constexpr SystemCall kCalls[] = {
    {35, "nanosleep", sys_nanosleep, 2, {kHex, kHex}},
    {36, "getitimer", sys_getitimer, 2, {kDecimal, kHex}},
    {37, "alarm", sys_alarm, 1, {kDecimal}},
    {38, "setitimer", sys_setitimer, 3, {kDecimal, kHex, kHex}},
    {96, "gettimeofday", sys_gettimeofday, 2, {kHex, kHex}},
    {100, "times", sys_times, 1, {kHex}},
    {164, "settimeofday", sys_settimeofday, 2, {kHex, kHex}},
    {201, "time", sys_time, 1, {kHex}},
    {227, "clock_settime", sys_clock_settime, 2, {kDecimal, kHex}},
    {228, "clock_gettime", sys_clock_gettime, 2, {kDecimal, kHex}},
    {229, "clock_getres", sys_clock_getres, 2, {kDecimal, kHex}},
    {230, "clock_nanosleep", sys_clock_nanosleep, 4, {kDecimal, Shown::flags, kHex, kHex}},
};

}  // namespace

std::span<const SystemCall> time_calls() { return kCalls; }

}  // namespace vellum::unix
