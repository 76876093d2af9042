#include <vellum/virtio/console.hpp>

#include <algorithm>
#include <bit>

namespace vellum::virtio {

// [virtio 5.3.6.2]
struct Console::ControlMessage {
  std::uint32_t port;
  std::uint16_t event;
  std::uint16_t value;
};

namespace {

constexpr unsigned kEntries = 16;
static_assert(Console::kReceiveBuffers <= kEntries && Console::kSendBuffers <= kEntries);

constexpr std::uint64_t kMultiport = 2;
constexpr unsigned kMultiportBit = 1;

// Queues of the device.
constexpr unsigned kControlReceiveQueue = 2;
constexpr unsigned kControlSendQueue = 3;
constexpr unsigned kReceiveQueue = 4;  // of port 1
constexpr unsigned kSendQueue = 5;

constexpr std::uint32_t kPort = 1;

constexpr std::uint16_t kDeviceReady = 0;
constexpr std::uint16_t kPortAdded = 1;
constexpr std::uint16_t kPortReady = 3;
constexpr std::uint16_t kPortOpen = 6;

// Control messages lie in one page: first what comes, a name may follow the message; then what goes.
constexpr unsigned kControlBuffers = 8;
constexpr std::size_t kControlBufferSize = 256;
constexpr std::size_t kControlSlot = 8;
static_assert(kControlBuffers * kControlBufferSize + kEntries * kControlSlot <= kPageSize);

}  // namespace

Result<void> Console::start(Device& device, SharedMemory memory) {
  VELLUM_CHECK(device.kind() == DeviceKind::console && memory.bytes.size() >= kMemory);
  device_ = &device;
  memory_ = memory;
  VELLUM_TRY(device.start(kMultiport));
  if (!device.has_feature(kMultiportBit)) {
    device.give_up();
    return Errno::no_such_device;
  }
  VELLUM_TRY(add_queues());
  idle_senders_ = (1U << kSendBuffers) - 1;
  device.run();
  for (unsigned buffer = 0; buffer < kReceiveBuffers; ++buffer) {
    offer(buffer);
  }
  for (unsigned buffer = 0; buffer < kControlBuffers; ++buffer) {
    offer_control(buffer);
  }
  device.notify(kReceiveQueue, receiving_);
  device.notify(kControlReceiveQueue, control_receiving_);
  send_control(0, kDeviceReady);
  answer_control();
  return {};
}

Result<void> Console::add_queues() {
  struct {
    unsigned index;
    Queue& queue;
    Page page;
    Interruption interruption;
  } const queues[] = {
      {kControlReceiveQueue, control_receiving_, control_receiving, Interruption::wanted},
      {kControlSendQueue, control_sending_, control_sending, Interruption::unwanted},
      {kReceiveQueue, receiving_, receiving, Interruption::wanted},
      {kSendQueue, sending_, sending, Interruption::unwanted},
  };
  for (const auto& entry : queues) {
    VELLUM_TRY(device_->add_queue(entry.index, entry.queue, page(entry.page), kEntries, entry.interruption));
    if (entry.queue.entries() != kEntries) {
      return Errno::not_supported;
    }
  }
  return {};
}

SharedMemory Console::control_buffer(unsigned index) const {
  return page(control).part(index * kControlBufferSize, kControlBufferSize);
}

void Console::offer_control(unsigned buffer) {
  const Piece piece{.address = control_buffer(buffer).address, .size = kControlBufferSize};
  if (const std::optional<std::uint16_t> token = control_receiving_.add({}, {&piece, 1})) {
    control_tokens_[*token] = static_cast<std::uint8_t>(buffer);
  }
}

// Slots are used in turn: no more messages are under way than there are entries.
void Console::send_control(std::uint32_t port, std::uint16_t event) {
  while (control_sending_.take_used()) {
  }
  static_assert(sizeof(ControlMessage) == kControlSlot);
  const ControlMessage message{.port = port, .event = event, .value = 1};
  const SharedMemory slot = page(control).part(
      kControlBuffers * kControlBufferSize + (control_slot_++ % kEntries) * kControlSlot, kControlSlot);
  __builtin_memcpy(slot.bytes.data(), &message, sizeof(message));
  const Piece piece{.address = slot.address, .size = kControlSlot};
  if (control_sending_.add({&piece, 1}, {})) {
    device_->notify(kControlSendQueue, control_sending_);
  }
}

void Console::answer(const ControlMessage& message) {
  if (message.port != kPort) {
    return;
  }
  if (message.event == kPortAdded) {
    send_control(kPort, kPortReady);
    send_control(kPort, kPortOpen);
  } else if (message.event == kPortOpen && message.value == 0) {
    closed_ = true;
  }
}

void Console::answer_control() {
  bool offered = false;
  while (const std::optional<Queue::Used> used = control_receiving_.take_used()) {
    const unsigned buffer = control_tokens_[used->token];
    ControlMessage message{};
    if (used->written >= sizeof(message)) {
      __builtin_memcpy(&message, control_buffer(buffer).bytes.data(), sizeof(message));
      answer(message);
    }
    offer_control(buffer);
    offered = true;
  }
  if (offered) {
    device_->notify(kControlReceiveQueue, control_receiving_);
  }
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
  answer_control();
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
