// A virtio device with registers in memory space [virtio 4.2], of the modern form (version 2). QEMU's microvm has the
// legacy form unless it is started with `-global virtio-mmio.force-legacy=false`.
#pragma once

#include <cstdint>

#include <vellum/base/range.hpp>
#include <vellum/base/result.hpp>
#include <vellum/virtio/queue.hpp>
#include <vellum/virtio/registers.hpp>

namespace vellum::virtio {

// [virtio 5]
enum class DeviceKind : std::uint32_t { none = 0, console = 3, ninep = 9 };

// Where a device is: what the loader says of it on the kernel's command line.
struct DevicePlace {
  PhysRange registers;
  unsigned interrupt = 0;  // the line of the interrupt controller
};

// Calls visit(const DevicePlace&) for each word `virtio_mmio.device=SIZE@ADDRESS:LINE` of a command line, in order;
// SIZE and ADDRESS are decimal or, with 0x, hexadecimal; SIZE may end in K. Words that say it in another way are
// skipped.
template <class Visitor>
void for_each_device(const char* command_line, Visitor visit);

class Device {
 public:
  Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  // Looks whether a device is there. Errors: no_device; not_supported: it is there in the legacy form.
  [[nodiscard]] Result<void> open(Registers& registers);
  [[nodiscard]] DeviceKind kind() const { return kind_; }

  // Resets the device and agrees on features: those of `wanted` that it offers. Error: not_supported.
  [[nodiscard]] Result<void> start(std::uint64_t wanted);
  [[nodiscard]] bool has_feature(unsigned bit) const { return (features_ >> bit & 1) != 0; }
  // Between start() and run(). Takes at most `most` entries. Errors: no_such_device: the device has no such queue.
  [[nodiscard]] Result<void> add_queue(unsigned index, Queue& queue, SharedMemory page, unsigned most,
                                       Interruption interruption);
  void run();
  // The device failed, or the driver gives up.
  void give_up();

  // Tells the device of what was added to a queue, if it wants to know.
  void notify(unsigned index, const Queue& queue);
  // Why the device interrupted; takes the interrupt back. True where it used a buffer.
  bool acknowledge_interrupt();

  // Bytes of the device's configuration.
  [[nodiscard]] std::uint8_t config8(unsigned offset);
  [[nodiscard]] std::uint16_t config16(unsigned offset);

 private:
  void add_status(std::uint32_t bits);
  void write_address(unsigned offset, PhysAddr address);

  Registers* registers_ = nullptr;
  DeviceKind kind_ = DeviceKind::none;
  std::uint64_t features_ = 0;
};

// The first device word at or after *at; moves *at behind it. False where there is none.
[[nodiscard]] bool next_device(const char*& at, DevicePlace& place);

template <class Visitor>
void for_each_device(const char* command_line, Visitor visit) {
  DevicePlace place;
  while (next_device(command_line, place)) {
    visit(static_cast<const DevicePlace&>(place));
  }
}

}  // namespace vellum::virtio
