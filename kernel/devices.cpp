#include "devices.hpp"

#include <vellum/pc/console.hpp>
#include <vellum/pc/machine.hpp>

#include "device_registers.hpp"
#include "io_buffers.hpp"

namespace vellum::kernel {

namespace {

// As many as QEMU's microvm has room for.
constexpr unsigned kMostDevices = 24;

constinit FoundDevice devices[kMostDevices];
constinit unsigned device_count = 0;

Result<void> add_device(const virtio::DevicePlace& place) {
  if (device_count == kMostDevices) {
    pc::print_line("virtio: too many devices; the one at ", place.registers.start(), " is left out");
    return {};
  }
  FoundDevice& found = devices[device_count];
  const ByteCount size = place.registers.size();
  std::byte* const registers = VELLUM_TRY(map_device_registers(place.registers.start(), size));
  found.registers = virtio::MappedRegisters({registers, static_cast<std::size_t>(size.value())});
  found.place = place;
  const Result<void> opened = found.device.open(found.registers);
  if (opened.ok()) {
    ++device_count;
  } else if (opened.error() == Errno::not_supported) {
    pc::print_line("virtio: the device at ", place.registers.start(),
                   " has the legacy form: start QEMU with -global virtio-mmio.force-legacy=false");
  }
  return {};
}

}  // namespace

Result<void> find_devices(const char* command_line) {
  virtio::DevicePlace place;
  while (virtio::next_device(command_line, place)) {
    VELLUM_TRY(add_device(place));
  }
  return {};
}

FoundDevice* find_device(virtio::DeviceKind kind, unsigned index) {
  for (unsigned i = 0; i < device_count; ++i) {
    if (devices[i].device.kind() == kind && index-- == 0) {
      return &devices[i];
    }
  }
  return nullptr;
}

Result<virtio::SharedMemory> allocate_shared_memory(Order order) {
  const IoBuffer buffer = VELLUM_TRY(allocate_io_buffer(order));
  return virtio::SharedMemory{.bytes = {reinterpret_cast<std::byte*>(buffer.range.start().value()),
                                        static_cast<std::size_t>(buffer.range.size().value())},
                              .address = buffer.address};
}

}  // namespace vellum::kernel
