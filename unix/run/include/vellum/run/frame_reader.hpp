// Frames out of a stream of bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include <vellum/run/protocol.hpp>

namespace vellum::run {

// The device that carries the frames, or a test's. Called with the channel's locks held: never sleeps.
class ByteChannel {
 public:
  // The most bytes of one send().
  static constexpr std::size_t kMostSend = 65536;

  // Sends `head` and then `body`: all or, where there is no room now (false), nothing.
  [[nodiscard]] virtual bool send(std::span<const std::byte> head, std::span<const std::byte> body) = 0;
  // There shall be an interrupt once there may be room again. Try to send once more after this.
  virtual void expect_room() = 0;
  // Bytes that a send() would take now, at most kMostSend.
  [[nodiscard]] virtual std::size_t room() = 0;
  // Bytes that came, at most as many as `into` holds.
  [[nodiscard]] virtual std::size_t receive(std::span<std::byte> into) = 0;
  // It failed for good.
  [[nodiscard]] virtual bool is_broken() const = 0;

 protected:
  ~ByteChannel() = default;
};

struct Frame {
  ToKernel kind;
  std::span<const std::byte> body;  // until the next frame is asked for
};

// Puts frames together. What the other side sends is checked: after a header that is not one, nothing more comes.
class FrameReader {
 public:
  // Holds the body of a frame: kMostFrameBytes.
  void set_room(std::span<std::byte> room) { room_ = room; }

  // The next frame, if all of it has come.
  [[nodiscard]] std::optional<Frame> next(ByteChannel& channel);
  [[nodiscard]] bool is_broken() const { return broken_; }

 private:
  std::span<std::byte> room_;
  std::byte head_[sizeof(FrameHeader)] = {};
  std::size_t got_ = 0;  // of header and body
  bool broken_ = false;
};

}  // namespace vellum::run
