// The first serial port as a terminal: /dev/console of a kernel that was started by itself.
#pragma once

#include <vellum/unix/terminal.hpp>

namespace vellum::kernel {

class SerialTerminalPort final : public unix::TerminalPort {
 public:
  // From now on what arrives at the port is typed at the terminal.
  void connect(unix::Terminal& terminal);

  std::size_t write(std::span<const std::byte> bytes) override;
  unix::WaitQueue& space_queue() override { return space_; }
  bool has_space() override { return true; }

 private:
  static void on_interrupt(void* self);

  unix::Terminal* terminal_ = nullptr;
  unix::WaitQueue space_;  // never waited for: the port is written until it has taken everything
};

}  // namespace vellum::kernel
