// Time: the processor's time-stamp counter, measured once against the timer chip.
#pragma once

#include <cstdint>

namespace vellum::pc {

// Measures how fast the time-stamp counter and the local APIC's timer run, against the 8254 timer [intel/8254]; takes 2
// ms. The local APIC must have been found (start_interrupts).
void calibrate_clock();

// Nanoseconds since calibrate_clock().
[[nodiscard]] std::uint64_t nanoseconds_since_boot();
// Seconds since 1970 by the battery-backed clock; 0 where there is none.
[[nodiscard]] std::uint64_t read_calendar_clock();

// Starts interrupts of the local APIC's timer, so many nanoseconds apart, on the calling CPU; and ends them.
void start_ticks(std::uint64_t nanoseconds);
void stop_ticks();

}  // namespace vellum::pc
