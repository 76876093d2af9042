#include <vellum/virtio/console.hpp>

#include <algorithm>
#include <bit>

namespace vellum::virtio {

namespace {
constexpr unsigned kEntries = 32;
static_assert(Console::kReceiveBuffers <= kEntries && Console::kSendBuffers <= kEntries);
}  // namespace

Result<void> Console::start(Device& device, SharedMemory memory) {
  VELLUM_CHECK(device.kind() == DeviceKind::console && memory.bytes.size() >= kMemory);
  device_ = &device;
  memory_ = memory;
  VELLUM_TRY(device.start(0));
  VELLUM_TRY(device.add_queue(kReceiveQueue, receiving_, page(0), kEntries, Interruption::wanted));
  VELLUM_TRY(device.add_queue(kSendQueue, sending_, page(1), kEntries, Interruption::unwanted));
  if (receiving_.entries() < kReceiveBuffers || sending_.entries() < kSendBuffers) {
    return Errno::not_supported;
  }
  idle_senders_ = (1U << kSendBuffers) - 1;
  device.run();
  for (unsigned buffer = 0; buffer < kReceiveBuffers; ++buffer) {
    offer(buffer);
  }
  device.notify(kReceiveQueue, receiving_);
  return {};
}

void Console::offer(unsigned buffer) {
  const Piece piece{.address = receive_buffer(buffer).address, .size = kPageSize};
  if (const std::optional<std::uint16_t> token = receiving_.add({}, {&piece, 1})) {
    receive_tokens_[*token] = static_cast<std::uint8_t>(buffer);
  }
}

void Console::collect_sent() {
  while (const std::optional<Queue::Used> used = sending_.take_used()) {
    idle_senders_ |= 1U << send_tokens_[used->token];
  }
}

// Moves the first bytes of head and body into a buffer and tells the device.
void Console::give(unsigned buffer, std::span<const std::byte>& head, std::span<const std::byte>& body) {
  const SharedMemory memory = send_buffer(buffer);
  std::size_t size = 0;
  for (std::span<const std::byte>* const part : {&head, &body}) {
    const std::size_t piece = std::min<std::size_t>(part->size(), kPageSize - size);
    __builtin_memcpy(memory.bytes.data() + size, part->data(), piece);
    *part = part->subspan(piece);
    size += piece;
  }
  const Piece piece{.address = memory.address, .size = static_cast<std::uint32_t>(size)};
  if (const std::optional<std::uint16_t> token = sending_.add({&piece, 1}, {})) {
    send_tokens_[*token] = static_cast<std::uint8_t>(buffer);
    idle_senders_ &= ~(1U << buffer);
  }
}

std::size_t Console::room() {
  collect_sent();
  return sending_.is_broken() ? 0 : static_cast<std::size_t>(std::popcount(idle_senders_)) * kPageSize;
}

bool Console::send(std::span<const std::byte> head, std::span<const std::byte> body) {
  const std::size_t size = head.size() + body.size();
  VELLUM_ASSERT(size <= kMostSend);
  if (room() < size) {
    return false;
  }
  while (!head.empty() || !body.empty()) {
    give(static_cast<unsigned>(std::countr_zero(idle_senders_)), head, body);
  }
  device_->notify(kSendQueue, sending_);
  return true;
}

std::size_t Console::receive(std::span<std::byte> into) {
  std::size_t received = 0;
  bool offered = false;
  while (received < into.size()) {
    if (!has_current_) {
      const std::optional<Queue::Used> used = receiving_.take_used();
      if (!used) {
        break;
      }
      has_current_ = true;
      current_ = receive_tokens_[used->token];
      current_offset_ = 0;
      current_size_ = used->written;
    }
    const std::size_t size = std::min<std::size_t>(into.size() - received, current_size_ - current_offset_);
    __builtin_memcpy(into.data() + received, receive_buffer(current_).bytes.data() + current_offset_, size);
    received += size;
    current_offset_ += static_cast<std::uint32_t>(size);
    if (current_offset_ == current_size_) {
      has_current_ = false;
      offer(current_);
      offered = true;
    }
  }
  if (offered) {
    device_->notify(kReceiveQueue, receiving_);
  }
  return received;
}

}  // namespace vellum::virtio
