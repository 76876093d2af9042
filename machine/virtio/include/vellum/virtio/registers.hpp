// A device's registers in memory space, as a driver sees them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <vellum/base/panic.hpp>
#include <vellum/base/types.hpp>

namespace vellum::virtio {

// Offsets are in bytes and aligned to the width of the access.
class Registers {
 public:
  [[nodiscard]] virtual std::uint32_t read32(unsigned offset) = 0;
  virtual void write32(unsigned offset, std::uint32_t value) = 0;
  [[nodiscard]] virtual std::uint8_t read8(unsigned offset) = 0;

 protected:
  ~Registers() = default;
};

// Registers that are mapped, uncached.
class MappedRegisters final : public Registers {
 public:
  MappedRegisters() = default;
  explicit MappedRegisters(std::span<volatile std::byte> registers) : registers_(registers) {}

  std::uint32_t read32(unsigned offset) override { return *at<std::uint32_t>(offset); }
  void write32(unsigned offset, std::uint32_t value) override { *at<std::uint32_t>(offset) = value; }
  std::uint8_t read8(unsigned offset) override { return *at<std::uint8_t>(offset); }

 private:
  template <class T>
  volatile T* at(unsigned offset) const {
    VELLUM_ASSERT(offset + sizeof(T) <= registers_.size() && offset % sizeof(T) == 0);
    return reinterpret_cast<volatile T*>(registers_.data() + offset);
  }

  std::span<volatile std::byte> registers_;
};

// Memory that driver and device share: contiguous for both.
struct SharedMemory {
  std::span<std::byte> bytes;
  PhysAddr address;

  [[nodiscard]] SharedMemory part(std::size_t offset, std::size_t size) const {
    return {.bytes = bytes.subspan(offset, size), .address = address + ByteCount(offset)};
  }
};

}  // namespace vellum::virtio
