// A stream of bytes in each direction: one port of a virtio console [virtio 5.3].
//
// The port is number 1 of a device with the multiport feature (QEMU's virtserialport). A device's port 0, which a
// device without that feature has alone, is for consoles, and QEMU drops what a console sends while its other side
// takes nothing; what a port sends waits.
//
// Not synchronised: whoever uses it has a lock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <vellum/virtio/device.hpp>

namespace vellum::virtio {

class Console {
 public:
  static constexpr unsigned kReceiveBuffers = 11;
  static constexpr unsigned kSendBuffers = 16;
  static constexpr std::size_t kMostSend = kSendBuffers * kPageSize;
  // A page for each queue, for the control messages, and for each buffer.
  static constexpr std::size_t kMemory = (5 + kReceiveBuffers + kSendBuffers) * kPageSize;

  // `device` was opened and is a console; it and the memory (kMemory bytes) outlive this. Errors: not_supported,
  // no_such_device: it has no port 1.
  [[nodiscard]] Result<void> start(Device& device, SharedMemory memory);

  // Hands `head` and then `body` to the device, at most kMostSend bytes together: all of it, or nothing where there is
  // no room (false) because the other side did not take what was sent before.
  [[nodiscard]] bool send(std::span<const std::byte> head, std::span<const std::byte> body);
  // Bytes that send() would take now.
  [[nodiscard]] std::size_t room();
  // Has the device interrupt once it took something: for who waits to send. Try once more after this.
  void expect_room() { sending_.set_interruption(Interruption::wanted); }
  // Bytes that came, at most as many as `into` holds.
  [[nodiscard]] std::size_t receive(std::span<std::byte> into);

  // The device broke the rules, or the other side closed the port: nothing is sent or comes any more.
  [[nodiscard]] bool is_broken() const { return closed_ || sending_.is_broken() || receiving_.is_broken(); }
  // After an interrupt.
  void acknowledge_interrupt() {
    (void)device_->acknowledge_interrupt();
    sending_.set_interruption(Interruption::unwanted);
  }

 private:
  enum Page : unsigned { receiving, sending, control_receiving, control_sending, control, first_buffer };
  struct ControlMessage;

  [[nodiscard]] SharedMemory page(unsigned index) const { return memory_.part(index * kPageSize, kPageSize); }
  [[nodiscard]] SharedMemory receive_buffer(unsigned index) const { return page(first_buffer + index); }
  [[nodiscard]] SharedMemory send_buffer(unsigned index) const { return page(first_buffer + kReceiveBuffers + index); }
  [[nodiscard]] SharedMemory control_buffer(unsigned index) const;
  void offer(unsigned buffer);
  void collect_sent();
  void give(unsigned buffer, std::span<const std::byte>& head, std::span<const std::byte>& body);
  [[nodiscard]] Result<void> add_queues();
  void offer_control(unsigned buffer);
  void send_control(std::uint32_t port, std::uint16_t event);
  void answer_control();
  void answer(const ControlMessage& message);

  Device* device_ = nullptr;
  SharedMemory memory_{};
  Queue receiving_;
  Queue sending_;
  Queue control_receiving_;
  Queue control_sending_;
  // By token: the buffer that a chain stands for.
  std::uint8_t receive_tokens_[Queue::kMostEntries] = {};
  std::uint8_t send_tokens_[Queue::kMostEntries] = {};
  std::uint8_t control_tokens_[Queue::kMostEntries] = {};
  unsigned control_slot_ = 0;
  bool closed_ = false;
  std::uint32_t idle_senders_ = 0;  // a bit for each buffer that the device has not
  // The part of a received buffer that was not taken yet.
  bool has_current_ = false;
  std::uint8_t current_ = 0;
  std::uint32_t current_offset_ = 0;
  std::uint32_t current_size_ = 0;
};

}  // namespace vellum::virtio
