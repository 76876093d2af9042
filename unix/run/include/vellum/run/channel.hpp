// The kernel's end of the run protocol.
//
// Frames go out whole; a sender waits while the host takes nothing: briefly by polling, then, where it may sleep,
// asleep. Frames come in when somebody polls: the device's interrupt, the timer's, whoever waits. The host may send no
// more bytes of stdin than it was given credit for, so what comes always has room.
//
// Locks: two of rank leaf, one for sending and one for the input. One CPU at a time polls; it calls the listener with
// neither lock held.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include <vellum/base/lock.hpp>
#include <vellum/base/result.hpp>
#include <vellum/run/frame_reader.hpp>
#include <vellum/run/protocol.hpp>
#include <vellum/unix/types.hpp>
#include <vellum/unix/wait_queue.hpp>

namespace vellum::run {

// Who is told of what came from the host. Called from interrupts too: does not sleep.
class Listener {
 public:
  // The texts of the request; cut anywhere into parts. They stay only for
  // the call.
  enum class Part : bool { more_follows, last };
  virtual void on_start(std::span<const std::byte> texts, Part part) = 0;
  // Bytes of stdin, or their end, can be taken.
  virtual void on_input() = 0;
  virtual void on_signal(unix::Signal signal) = 0;
  // Nobody reads what is sent to a stream any longer: is_closed() of it became true.
  virtual void on_output_closed() = 0;
  virtual void on_window_size(std::uint32_t rows, std::uint32_t columns) = 0;
  // False where more questions wait for an answer than may.
  [[nodiscard]] virtual bool on_inspect(const InspectRequest& request) = 0;
  virtual void on_go_on() = 0;
  // The host broke the protocol, or is gone: nothing comes any more, and what is sent is lost.
  virtual void on_failure() = 0;

 protected:
  ~Listener() = default;
};

class Channel {
 public:
  static constexpr std::size_t kMostBody = ByteChannel::kMostSend - sizeof(FrameHeader);

  Channel() = default;
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  // All outlive this. `frame_room` holds kMostFrameBytes; `input_room` what the host may send ahead of stdin, a power
  // of two.
  void open(ByteChannel& bytes, Listener& listener, std::span<std::byte> frame_room, std::span<std::byte> input_room);

  // Sends a frame. The body is at most kMostBody bytes. Never sleeps, but waits until the host took enough. A channel
  // that is broken swallows what is sent.
  void send(ToHost kind, std::span<const std::byte> body);
  void send(ToHost kind, std::string_view text) { send(kind, std::as_bytes(std::span(text))); }
  void send(ToHost kind, std::uint32_t number) { send(kind, std::as_bytes(std::span(&number, 1))); }
  // The same at once or not at all.
  [[nodiscard]] bool try_send(ToHost kind, std::span<const std::byte> body) VELLUM_EXCLUDES(send_lock_);

  // Waits by polling until the host has taken everything that was sent.
  void flush() VELLUM_EXCLUDES(send_lock_);

  // For threads: waits asleep until there is room to send, if need be, and returns how large a body may be; the queue
  // is woken by whoever handles the device's interrupt. Errors: interrupted; try_again (there is no room, and `wait` is
  // no); broken_pipe (the host closed this stream, or is gone).
  enum class Wait : bool { no, yes };
  [[nodiscard]] Result<std::size_t> wait_for_room(ToHost stream, Wait wait) VELLUM_EXCLUDES(send_lock_);
  // Woken when there may be room to send, or sending has ended.
  [[nodiscard]] unix::WaitQueue& room_queue() { return room_queue_; }
  // The largest body that there is room for; 0 where it is less than a few KB: then the queue is woken once there is.
  [[nodiscard]] std::size_t room() VELLUM_EXCLUDES(send_lock_);

  // Looks for what came, and tells the listener. Callable from interrupts.
  void poll() VELLUM_EXCLUDES(input_lock_, send_lock_);

  // Gives the host its first credit: from now on stdin comes.
  void accept_input() VELLUM_EXCLUDES(input_lock_, send_lock_);
  // Bytes of stdin that came and that nobody took; more may lie behind them. One reader at a time: they stay until
  // take_input() takes them, or some of them, and gives the host new credit.
  [[nodiscard]] std::span<const std::byte> input() VELLUM_EXCLUDES(input_lock_);
  void take_input(std::size_t size) VELLUM_EXCLUDES(input_lock_, send_lock_);
  [[nodiscard]] std::size_t input_size() VELLUM_EXCLUDES(input_lock_);
  // All bytes were taken and no more will come.
  [[nodiscard]] bool input_ended() VELLUM_EXCLUDES(input_lock_);

  // Whether the host's end of `output` or `error_output` was closed.
  [[nodiscard]] bool is_closed(ToHost stream) const {
    return closed_[stream == ToHost::error_output ? 1 : 0].load(std::memory_order_relaxed);
  }

  // The device failed or the host broke the protocol; then stdin has ended too.
  [[nodiscard]] bool is_broken() const { return broken_.load(std::memory_order_relaxed); }

 private:
  // False: the host broke the protocol.
  [[nodiscard]] bool dispatch(const Frame& frame);
  [[nodiscard]] bool dispatch_inspect(const Frame& frame);
  [[nodiscard]] bool dispatch_numbers(const Frame& frame);
  [[nodiscard]] bool store_input(std::span<const std::byte> bytes) VELLUM_EXCLUDES(input_lock_);
  void end_input() VELLUM_EXCLUDES(input_lock_);
  void fail();

  ByteChannel* bytes_ = nullptr;
  Listener* listener_ = nullptr;
  Spinlock send_lock_{LockRank::leaf};
  unix::WaitQueue room_queue_;
  std::atomic<bool> broken_{false};
  std::atomic<bool> polling_{false};
  std::atomic<bool> closed_[2] = {};  // output, error_output
  FrameReader reader_;                // of whoever polls

  Spinlock input_lock_{LockRank::leaf};
  // A ring: bytes from input_start_ on, modulo its size.
  std::span<std::byte> input_ VELLUM_GUARDED_BY(input_lock_);
  std::size_t input_start_ VELLUM_GUARDED_BY(input_lock_) = 0;
  std::size_t input_size_ VELLUM_GUARDED_BY(input_lock_) = 0;
  bool input_ended_ VELLUM_GUARDED_BY(input_lock_) = false;
  std::size_t credit_ VELLUM_GUARDED_BY(input_lock_) = 0;  // bytes that the host may still send
};

}  // namespace vellum::run
