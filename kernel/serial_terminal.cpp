#include "serial_terminal.hpp"

#include <vellum/pc/console.hpp>
#include <vellum/pc/interrupts.hpp>
#include <vellum/unix/system_lock.hpp>

namespace vellum::kernel {

namespace {

constexpr unsigned kSerialLine = 4;  // of the first port, since the PC/AT

}  // namespace

void SerialTerminalPort::connect(unix::Terminal& terminal) {
  terminal_ = &terminal;
  if (pc::register_interrupt(kSerialLine, pc::Trigger::edge, on_interrupt, this).ok()) {
    pc::console().enable_input();
  } else {
    pc::print_line("console: the serial port has no interrupt line, so nothing can be typed");
  }
}

std::size_t SerialTerminalPort::write(std::span<const std::byte> bytes) {
  for (const std::byte byte : bytes) {
    pc::console().write_byte(static_cast<std::uint8_t>(byte));
  }
  return bytes.size();
}

void SerialTerminalPort::on_interrupt(void* self) {
  const unix::InSystem in_system;
  while (const std::optional<std::uint8_t> byte = pc::console().read_byte()) {
    const std::byte typed{*byte};
    static_cast<SerialTerminalPort*>(self)->terminal_->input({&typed, 1});
  }
}

}  // namespace vellum::kernel
