#include "run_channel.hpp"

#include <new>

#include <vellum/pc/interrupts.hpp>
#include <vellum/unix/system_lock.hpp>

#include "devices.hpp"

namespace vellum::kernel {

namespace {

class ConsoleBytes final : public run::ByteChannel {
 public:
  [[nodiscard]] Result<void> start(virtio::Device& device, virtio::SharedMemory memory) {
    return console_.start(device, memory);
  }

  bool send(std::span<const std::byte> head, std::span<const std::byte> body) override {
    return console_.send(head, body);
  }
  std::size_t room() override { return console_.room(); }
  void expect_room() override { console_.expect_room(); }
  void acknowledge_interrupt() { console_.acknowledge_interrupt(); }
  std::size_t receive(std::span<std::byte> into) override { return console_.receive(into); }
  bool is_broken() const override { return console_.is_broken(); }

 private:
  virtio::Console console_;
};
static_assert(run::ByteChannel::kMostSend <= virtio::Console::kMostSend);

constinit ConsoleBytes console_bytes;
alignas(run::Channel) constinit std::byte room_for_channel[sizeof(run::Channel)] = {};
constinit run::Channel* channel = nullptr;

// Rooms for the parts of a received frame and for stdin that nobody read yet.
constexpr std::size_t kInputRoom = 65536;
constexpr Order kConsoleOrder{5};
constexpr Order kRoomsOrder{5};
static_assert(virtio::Console::kMemory <= kPageSize << kConsoleOrder.value());
static_assert(run::kMostFrameBytes + kInputRoom <= kPageSize << kRoomsOrder.value());

// Interrupts come with no lock held: they are off wherever one is.
void on_interrupt(void* /*unused*/) {
  const unix::InSystem in_system;
  console_bytes.acknowledge_interrupt();
  channel->poll();
  channel->room_queue().wake_all();
}

}  // namespace

Result<void> open_run_channel(run::Listener& listener) {
  FoundDevice* const found = find_device(virtio::DeviceKind::console, 0);
  if (found == nullptr) {
    return Errno::no_device;
  }
  const virtio::SharedMemory memory = VELLUM_TRY(allocate_shared_memory(kConsoleOrder));
  const virtio::SharedMemory rooms = VELLUM_TRY(allocate_shared_memory(kRoomsOrder));
  VELLUM_TRY(console_bytes.start(found->device, memory));
  channel = ::new (room_for_channel) run::Channel;
  channel->open(console_bytes, listener, rooms.bytes.first(run::kMostFrameBytes),
                rooms.bytes.subspan(run::kMostFrameBytes, kInputRoom));
  return pc::register_interrupt(found->place.interrupt, pc::Trigger::level, on_interrupt, nullptr);
}

run::Channel& run_channel() { return *channel; }

}  // namespace vellum::kernel
