#include <vellum/virtio/ninep.hpp>

#include <algorithm>

namespace vellum::virtio {

namespace {
constexpr std::uint64_t kHasTag = 1;
}

Result<void> Ninep::start(Device& device, SharedMemory page) {
  VELLUM_CHECK(device.kind() == DeviceKind::ninep);
  device_ = &device;
  VELLUM_TRY(device.start(kHasTag));
  if (device.has_feature(0)) {
    tag_size_ = std::min<std::size_t>(device.config16(0), kMostTag);
    for (std::size_t i = 0; i < tag_size_; ++i) {
      tag_[i] = static_cast<char>(device.config8(static_cast<unsigned>(2 + i)));
    }
  }
  VELLUM_TRY(device.add_queue(kQueue, queue_, page, kMostPieces, Interruption::unwanted));
  device.run();
  return {};
}

Result<void> Ninep::begin(std::span<const Piece> request, std::span<const Piece> reply) {
  if (!queue_.add(request, reply)) {
    return Errno::io_error;
  }
  device_->notify(kQueue, queue_);
  return {};
}

std::optional<Result<std::size_t>> Ninep::finished() {
  if (const std::optional<Queue::Used> used = queue_.take_used()) {
    return std::size_t{used->written};
  }
  if (queue_.is_broken()) {
    return Errno::io_error;
  }
  return {};
}

}  // namespace vellum::virtio
