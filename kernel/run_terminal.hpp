// The terminal of a run: what `vellum run` shows and reads is a terminal on the host too.
#pragma once

#include <optional>

#include <vellum/run/channel.hpp>
#include <vellum/unix/terminal.hpp>

#include "run_host.hpp"

namespace vellum::kernel {

class RunTerminalPort final : public unix::TerminalPort, public InputUser {
 public:
  // What programs write, and the echo of what is typed, goes to `stream`; without one, nowhere: then only stdin is a
  // terminal on the host.
  RunTerminalPort(run::Channel& channel, std::optional<run::ToHost> stream) : channel_(channel), stream_(stream) {}

  // From now on stdin is what is typed at the terminal.
  void connect(unix::Terminal& terminal, RunHost& host);

  std::size_t write(std::span<const std::byte> bytes) override;
  unix::WaitQueue& space_queue() override { return channel_.room_queue(); }
  bool has_space() override { return is_unseen() || channel_.room() != 0; }
  void input_taken(std::size_t bytes) override;

  void on_input() override;
  void on_window_size(std::uint32_t rows, std::uint32_t columns) override;

 private:
  [[nodiscard]] bool is_unseen() const { return !stream_ || channel_.is_broken() || channel_.is_closed(*stream_); }

  run::Channel& channel_;
  const std::optional<run::ToHost> stream_;
  unix::Terminal* terminal_ = nullptr;
  // Of the terminal, for input: what it has no room for waits in the channel.
  std::atomic<std::size_t> room_{unix::Terminal::kInputSize};
  std::atomic<bool> moving_{false};
  bool ended_ = false;  // of who moves
};

}  // namespace vellum::kernel
