// Times as programs pass them.
#pragma once

#include <optional>

#include <vellum/unix/processor.hpp>
#include <vellum/unix/user_memory.hpp>
#include <vellum/unix/wait_queue.hpp>

namespace vellum::unix {

inline constexpr std::int64_t kNanosecondsPerSecond = 1'000'000'000;
// Later than any deadline that anybody lives to see: what is beyond saturates.
inline constexpr Nanoseconds kForever{std::uint64_t{1} << 62};

struct LinuxTimespec {
  std::int64_t seconds;
  std::int64_t nanoseconds;
};

struct LinuxTimeval {
  std::int64_t seconds;
  std::int64_t microseconds;
};

// Errors: invalid (negative, or parts out of range).
[[nodiscard]] inline Result<Nanoseconds> to_nanoseconds(const LinuxTimespec& time) {
  if (time.seconds < 0 || time.nanoseconds < 0 || time.nanoseconds >= kNanosecondsPerSecond) {
    return Errno::invalid;
  }
  if (time.seconds >= static_cast<std::int64_t>(kForever.value()) / kNanosecondsPerSecond) {
    return kForever;
  }
  return Nanoseconds(static_cast<std::uint64_t>(time.seconds * kNanosecondsPerSecond + time.nanoseconds));
}

[[nodiscard]] inline Result<Nanoseconds> to_nanoseconds(const LinuxTimeval& time) {
  if (time.microseconds < 0 || time.microseconds >= 1'000'000) {
    return Errno::invalid;
  }
  return to_nanoseconds(LinuxTimespec{.seconds = time.seconds, .nanoseconds = time.microseconds * 1000});
}

[[nodiscard]] inline LinuxTimespec to_timespec(Nanoseconds time) {
  const auto nanoseconds = static_cast<std::int64_t>(time.value());
  return {.seconds = nanoseconds / kNanosecondsPerSecond, .nanoseconds = nanoseconds % kNanosecondsPerSecond};
}

[[nodiscard]] inline LinuxTimeval to_timeval(Nanoseconds time) {
  const LinuxTimespec spec = to_timespec(time);
  return {.seconds = spec.seconds, .microseconds = spec.nanoseconds / 1000};
}

[[nodiscard]] inline Result<Nanoseconds> read_timespec(VirtAddr from) {
  return to_nanoseconds(VELLUM_TRY(read_user<LinuxTimespec>(from)));
}

// The deadline that is so far from now.
[[nodiscard]] inline Nanoseconds after(Nanoseconds interval) { return monotonic_now() + interval; }

// When the monotonic clock shows what the other shows at a time; now where that has passed.
[[nodiscard]] inline Nanoseconds monotonic_from_realtime(Nanoseconds time) {
  const Nanoseconds realtime = realtime_now();
  return time > realtime ? after(time - realtime) : monotonic_now();
}

}  // namespace vellum::unix
