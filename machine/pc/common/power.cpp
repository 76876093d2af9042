#include <vellum/pc/instructions.hpp>
#include <vellum/pc/power.hpp>

namespace vellum::pc {

namespace {
constexpr std::uint16_t kDebugExitPort = 0xF4;
}

void stop(Outcome outcome) {
  disable_interrupts();
  out8(kDebugExitPort, static_cast<std::uint8_t>(outcome));
  for (;;) {
    wait_for_interrupt();
  }
}

}  // namespace vellum::pc
