// How a run of the kernel ends.
#pragma once

#include <cstdint>

namespace vellum::pc {

// What the device isa-debug-exit of QEMU is told; QEMU's exit status is twice the value plus one: 33 or 35.
enum class Outcome : std::uint8_t { success = 0x10, failure = 0x11 };

// Ends QEMU where it has `-device isa-debug-exit,iobase=0xf4,iosize=0x04`; elsewhere stops the CPU.
[[noreturn]] void stop(Outcome outcome);

// Ends the machine by whatever it has for that: the device above, ACPI as QEMU's machines have it, else a reset (which
// ends QEMU started with -no-reboot).
[[noreturn]] void power_off();

}  // namespace vellum::pc
