#include "host_mounts.hpp"

#include <new>

#include <vellum/host/host_files.hpp>
#include <vellum/pc/cpus.hpp>
#include <vellum/pc/interrupts.hpp>
#include <vellum/pc/machine.hpp>
#include <vellum/unix/system_lock.hpp>
#include <vellum/unix/wait_queue.hpp>
#include <vellum/virtio/ninep.hpp>

#include "devices.hpp"
#include "io_buffers.hpp"

namespace vellum::kernel {

namespace {

// As many as microvm has room for besides the console.
constexpr unsigned kMostMounts = 8;

// Memory of a mount: its messages and windows.
constexpr Order kMemoryOrder{8};
constexpr std::size_t kWindowedMemory = host::HostFiles::kMessages + 7 * host::HostFiles::kWindow;
static_assert(kWindowedMemory <= kPageSize << kMemoryOrder.value());

// Buffers are of segzio, or memory that the direct map shows.
virtio::Piece piece_of(std::span<const std::byte> bytes) {
  if (bytes.empty()) {
    return {};
  }
  return {.address = physical_address(bytes.data()), .size = static_cast<std::uint32_t>(bytes.size())};
}

class Mount final : public host::Transport {
 public:
  [[nodiscard]] std::string_view tag() const { return device_.tag(); }

  [[nodiscard]] Result<void> start(FoundDevice& found) {
    const virtio::SharedMemory page = VELLUM_TRY(allocate_shared_memory(Order(0)));
    VELLUM_TRY(device_.start(found.device, page));
    return pc::register_interrupt(found.place.interrupt, pc::Trigger::level, on_interrupt, this);
  }

  [[nodiscard]] Result<unix::Lower*> open(Kernel& kernel) {
    const virtio::SharedMemory memory = VELLUM_TRY(allocate_shared_memory(kMemoryOrder));
    auto* const files =
        ::new (room_for_files_) host::HostFiles(*this, memory.bytes.first(kWindowedMemory), kernel.source);
    VELLUM_TRY(files->start());
    return files;
  }

  Result<std::size_t> exchange(std::span<const std::byte> request, std::span<std::byte> head,
                               std::span<std::byte> body) override {
    const virtio::Piece asked = piece_of(request);
    const virtio::Piece reply[] = {piece_of(head), piece_of(body)};
    VELLUM_TRY(device_.begin({&asked, 1}, std::span(reply).first(body.empty() ? 1 : 2)));
    // Without PAUSE, and so without relax(): for it QEMU's emulation takes the very lock that whoever answers needs.
    const unix::Nanoseconds begin = unix::monotonic_now();
    while (unix::monotonic_now() - begin < kPatience) {
      if (const std::optional<Result<std::size_t>> size = device_.finished()) {
        return *size;
      }
      pc::answer_if_asked();
    }
    return wait_asleep();
  }

 private:
  // A reply mostly takes less; then waiting for it awake is faster: going to sleep and being woken costs as much again.
  static constexpr unix::Nanoseconds kPatience{500'000};

  static void on_interrupt(void* self) {
    const unix::InSystem in_system;
    auto& mount = *static_cast<Mount*>(self);
    mount.device_.acknowledge_interrupt();
    mount.replied_.wake_all();
  }

  [[nodiscard]] Result<std::size_t> wait_asleep() {
    unix::Sleep sleep(unix::Interruptible::no);
    const unix::Sleep::In in(sleep, replied_);
    device_.set_interruption(virtio::Interruption::wanted);
    for (;;) {
      if (const std::optional<Result<std::size_t>> size = device_.finished()) {
        device_.set_interruption(virtio::Interruption::unwanted);
        return *size;
      }
      (void)sleep.until();
    }
  }

  virtio::Ninep device_;
  unix::WaitQueue replied_;
  alignas(host::HostFiles) std::byte room_for_files_[sizeof(host::HostFiles)] = {};
};

alignas(Mount) constinit std::byte rooms[kMostMounts][sizeof(Mount)] = {};
constinit Mount* mounts[kMostMounts] = {};

}  // namespace

Result<unix::Lower*> open_host_mount(Kernel& kernel, std::string_view tag) {
  for (unsigned i = 0; i < kMostMounts; ++i) {
    FoundDevice* const found = find_device(virtio::DeviceKind::ninep, i);
    if (found == nullptr) {
      break;
    }
    if (mounts[i] == nullptr) {
      Mount* const mount = ::new (rooms[i]) Mount;
      VELLUM_TRY(mount->start(*found));
      mounts[i] = mount;
    }
    if (mounts[i]->tag() == tag) {
      return mounts[i]->open(kernel);
    }
  }
  return Errno::no_device;
}

}  // namespace vellum::kernel
