#include "run_terminal.hpp"

#include <algorithm>

namespace vellum::kernel {

void RunTerminalPort::connect(unix::Terminal& terminal, RunHost& host) {
  terminal_ = &terminal;
  host.set_input_user(*this);
}

std::size_t RunTerminalPort::write(std::span<const std::byte> bytes) {
  if (is_unseen()) {
    return bytes.size();
  }
  const std::size_t size = std::min(bytes.size(), channel_.room());
  return size != 0 && channel_.try_send(*stream_, bytes.first(size)) ? size : 0;
}

void RunTerminalPort::input_taken(std::size_t bytes) {
  room_.fetch_add(bytes, std::memory_order_relaxed);
  on_input();
}

// The terminal answers input with echo, and tells of room meanwhile: so this may be called while it runs.
void RunTerminalPort::on_input() {
  if (terminal_ == nullptr || moving_.exchange(true, std::memory_order_acquire)) {
    return;
  }
  for (;;) {
    const std::span<const std::byte> bytes = channel_.input();
    const std::size_t size = std::min(bytes.size(), room_.load(std::memory_order_relaxed));
    if (size == 0) {
      break;
    }
    room_.fetch_sub(size, std::memory_order_relaxed);
    terminal_->input(bytes.first(size));
    channel_.take_input(size);
  }
  if (!ended_ && channel_.input_ended()) {
    ended_ = true;
    terminal_->input_ended();
  }
  moving_.store(false, std::memory_order_release);
}

void RunTerminalPort::on_window_size(std::uint32_t rows, std::uint32_t columns) {
  if (terminal_ != nullptr) {
    terminal_->set_window({.rows = static_cast<std::uint16_t>(std::min<std::uint32_t>(rows, 0xFFFF)),
                           .columns = static_cast<std::uint16_t>(std::min<std::uint32_t>(columns, 0xFFFF))});
  }
}

}  // namespace vellum::kernel
