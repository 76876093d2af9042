#include <vellum/pc/instructions.hpp>
#include <vellum/pc/power.hpp>

namespace vellum::pc {

namespace {

constexpr std::uint16_t kDebugExitPort = 0xF4;

// The power-management control register where QEMU's machines pc and q35 have it, and what turns them off: sleep
// enable, with the sleep type of S5 [acpi 4.8.3.2.1].
constexpr std::uint16_t kPowerControlPort = 0x604;
constexpr std::uint16_t kSoftOff = 1U << 13;

// The keyboard controller's line to the processor's reset [ibm/at].
constexpr std::uint16_t kKeyboardCommandPort = 0x64;
constexpr std::uint8_t kPulseReset = 0xFE;

// A trap without a table for it resets the processor.
[[noreturn]] void triple_fault() {
  struct [[gnu::packed]] {
    std::uint16_t limit = 0;
    Word base = 0;
  } constexpr nothing;
  asm volatile("lidt %0; int3" : : "m"(nothing));
  for (;;) {
    wait_for_interrupt();
  }
}

}  // namespace

void stop(Outcome outcome) {
  disable_interrupts();
  out8(kDebugExitPort, static_cast<std::uint8_t>(outcome));
  for (;;) {
    wait_for_interrupt();
  }
}

void power_off() {
  disable_interrupts();
  out8(kDebugExitPort, static_cast<std::uint8_t>(Outcome::success));
  out16(kPowerControlPort, kSoftOff);
  out8(kKeyboardCommandPort, kPulseReset);
  triple_fault();
}

}  // namespace vellum::pc
