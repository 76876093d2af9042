// A virtio device that carries messages of 9P, and a name for the mount (QEMU's virtio-9p).
//
// Not synchronised: whoever uses it has a lock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include <vellum/virtio/device.hpp>

namespace vellum::virtio {

class Ninep {
 public:
  static constexpr std::size_t kMostTag = 64;
  // The most pieces of one exchange.
  static constexpr unsigned kMostPieces = 64;

  // `device` was opened and is one; it and `page`, a page for the queue, outlive this. Errors: not_supported,
  // no_such_device.
  [[nodiscard]] Result<void> start(Device& device, SharedMemory page);

  // What the host calls the mount; cut off after kMostTag bytes.
  [[nodiscard]] std::string_view tag() const { return {tag_, tag_size_}; }

  // Hands a request to the host, with room for the reply; one at a time. Error: io_error: the device broke the rules,
  // now or before.
  [[nodiscard]] Result<void> begin(std::span<const Piece> request, std::span<const Piece> reply);
  // The size of the reply, once it is there. Error: io_error.
  [[nodiscard]] std::optional<Result<std::size_t>> finished();

  // Whether the device interrupts when a reply is there. After `wanted`, ask finished() once more.
  void set_interruption(Interruption interruption) { queue_.set_interruption(interruption); }
  // After an interrupt.
  void acknowledge_interrupt() { (void)device_->acknowledge_interrupt(); }

 private:
  static constexpr unsigned kQueue = 0;

  Device* device_ = nullptr;
  Queue queue_;
  char tag_[kMostTag] = {};
  std::size_t tag_size_ = 0;
};

}  // namespace vellum::virtio
