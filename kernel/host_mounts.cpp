#include "host_mounts.hpp"

#include <new>

#include <vellum/host/host_files.hpp>
#include <vellum/pc/machine.hpp>
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
  [[nodiscard]] bool is_started() const { return started_; }
  [[nodiscard]] std::string_view tag() const { return device_.tag(); }

  [[nodiscard]] Result<void> start(virtio::Device& device) {
    const virtio::SharedMemory page = VELLUM_TRY(allocate_shared_memory(Order(0)));
    VELLUM_TRY(device_.start(device, page));
    started_ = true;
    return {};
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
    return device_.exchange({&asked, 1}, std::span(reply).first(body.empty() ? 1 : 2));
  }

 private:
  virtio::Ninep device_;
  bool started_ = false;
  alignas(host::HostFiles) std::byte room_for_files_[sizeof(host::HostFiles)] = {};
};

constinit Mount mounts[kMostMounts];

}  // namespace

Result<unix::Lower*> open_host_mount(Kernel& kernel, std::string_view tag) {
  for (unsigned i = 0; i < kMostMounts; ++i) {
    FoundDevice* const found = find_device(virtio::DeviceKind::ninep, i);
    if (found == nullptr) {
      break;
    }
    Mount& mount = mounts[i];
    if (!mount.is_started()) {
      VELLUM_TRY(mount.start(found->device));
    }
    if (mount.tag() == tag) {
      return mount.open(kernel);
    }
  }
  return Errno::no_device;
}

}  // namespace vellum::kernel
