#include <vellum/base/panic.hpp>
#include <vellum/pc/clock.hpp>
#include <vellum/pc/instructions.hpp>
#include <vellum/pc/interrupts.hpp>

namespace vellum::pc {

namespace {

// The 8254 timer: channel 0 counts down at 1.193182 MHz.
constexpr std::uint16_t kTimerData = 0x40;
constexpr std::uint16_t kTimerControl = 0x43;
constexpr std::uint8_t kChannel0Rate = 0x34;  // low byte, then high byte; mode 2
constexpr std::uint8_t kLatchChannel0 = 0x00;
constexpr std::uint32_t kTimerFrequency = 1193182;
constexpr std::uint32_t kMeasured = kTimerFrequency / 500;  // 2 ms

constexpr std::uint64_t kNanosecondsPerSecond = 1'000'000'000;
constexpr unsigned kFractionBits = 24;

constinit std::uint64_t start = 0;
constinit std::uint64_t nanoseconds_per_tick = 0;  // with kFractionBits of fraction
constinit std::uint64_t local_timer_frequency = 0;

std::uint16_t read_count() {
  out8(kTimerControl, kLatchChannel0);
  const std::uint8_t low = in8(kTimerData);
  return static_cast<std::uint16_t>(in8(kTimerData) << 8 | low);
}

// The registers of the battery-backed clock [motorola/MC146818].
std::uint8_t read_calendar(std::uint8_t index) {
  out8(0x70, index);
  return in8(0x71);
}

std::uint64_t days_since_1970(std::uint64_t year, std::uint64_t month, std::uint64_t day) {
  // Counted from March on, so that the leap day is the last one.
  const std::uint64_t y = month <= 2 ? year - 1 : year;
  const std::uint64_t m = (month + 9) % 12;
  return 365 * y + y / 4 - y / 100 + y / 400 + (m * 306 + 5) / 10 + day - 1 - 719468;
}

}  // namespace

void calibrate_clock() {
  constexpr std::uint32_t kWholeCount = 0xFFFF;
  out8(kTimerControl, kChannel0Rate);
  out8(kTimerData, kWholeCount & 0xFF);
  out8(kTimerData, kWholeCount >> 8);
  set_local_timer(~0U, false);
  const std::uint16_t first = read_count();
  const std::uint64_t first_stamp = read_time_stamp();
  const std::uint32_t first_local = read_local_timer();
  std::uint32_t passed = 0;
  constexpr unsigned kMostReads = 1'000'000;
  for (unsigned reads = 0; passed < kMeasured; ++reads) {
    passed = static_cast<std::uint16_t>(first - read_count());
    if (reads == kMostReads) {
      panic("the timer chip (8254) does not count");
    }
  }
  start = read_time_stamp();
  const std::uint64_t local = first_local - read_local_timer();
  const std::uint64_t stamp_frequency = (start - first_stamp) * kTimerFrequency / passed;
  nanoseconds_per_tick = (kNanosecondsPerSecond << kFractionBits) / stamp_frequency;
  local_timer_frequency = local * kTimerFrequency / passed;
}

std::uint64_t nanoseconds_since_boot() {
  const auto ticks = static_cast<unsigned __int128>(read_time_stamp() - start);
  return static_cast<std::uint64_t>(ticks * nanoseconds_per_tick >> kFractionBits);
}

std::uint64_t read_calendar_clock() {
  constexpr std::uint8_t kStatusA = 0x0A;
  constexpr std::uint8_t kStatusB = 0x0B;
  constexpr unsigned kFields = 6;
  constexpr std::uint8_t kRegisters[kFields] = {0x00, 0x02, 0x04, 0x07, 0x08, 0x09};  // seconds to years
  constexpr unsigned kMostTries = 100'000;
  unsigned tries = 0;
  while ((read_calendar(kStatusA) & 0x80) != 0) {  // being updated, or not there
    if (++tries == kMostTries) {
      return 0;
    }
  }
  std::uint64_t fields[kFields];
  const bool binary = (read_calendar(kStatusB) & 4) != 0;
  for (unsigned i = 0; i < kFields; ++i) {
    const std::uint8_t value = read_calendar(kRegisters[i]);
    fields[i] = binary ? value : (value >> 4) * 10U + (value & 15U);
  }
  const auto [second, minute, hour, day, month, year] = fields;
  if (month < 1 || month > 12 || day < 1 || day > 31) {
    return 0;
  }
  return days_since_1970(2000 + year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
}

void stop_ticks() { set_local_timer(0, false); }

void start_ticks(std::uint64_t nanoseconds) {
  set_local_timer(static_cast<std::uint32_t>(local_timer_frequency * nanoseconds / kNanosecondsPerSecond), true);
}

}  // namespace vellum::pc
