// The virtio devices that the loader told of.
#pragma once

#include <vellum/virtio/console.hpp>
#include <vellum/virtio/device.hpp>

#include "kernel.hpp"

namespace vellum::kernel {

// A device that answers, with what its driver needs to reach it.
struct FoundDevice {
  virtio::MappedRegisters registers;
  virtio::Device device;
  virtio::DevicePlace place;
};

// Finds the devices; once, at boot. Says on the console which it cannot use. Errors: no_memory.
[[nodiscard]] Result<void> find_devices(const char* command_line);

// The devices of a kind, in the order of the command line: the one with the number `index`, or null.
[[nodiscard]] FoundDevice* find_device(virtio::DeviceKind kind, unsigned index);

// Memory that a device can reach, zeroed, for good; 2^order pages. Error: no_memory.
[[nodiscard]] Result<virtio::SharedMemory> allocate_shared_memory(Order order);

}  // namespace vellum::kernel
