// The device's side of virtio-mmio: registers that answer, and rings that are served through the addresses that the
// driver gave, as a device would.
#pragma once

#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <vellum/virtio/device.hpp>

namespace vellum::virtio {

// Memory that driver and device share; the device knows it by other addresses than the driver.
class FakeMemory {
 public:
  explicit FakeMemory(std::size_t pages) : bytes_((pages + 1) * kPageSize) {}

  [[nodiscard]] SharedMemory shared() {
    const auto raw = reinterpret_cast<std::uintptr_t>(bytes_.data());
    std::byte* const aligned = bytes_.data() + (round_up(raw, kPageSize) - raw);
    return {.bytes = {aligned, bytes_.size() - kPageSize}, .address = kStart};
  }
  [[nodiscard]] std::byte* at(std::uint64_t address, std::size_t size) {
    VELLUM_CHECK(address >= kStart.value() && address + size <= kStart.value() + bytes_.size() - kPageSize);
    return shared().bytes.data() + (address - kStart.value());
  }

 private:
  static constexpr PhysAddr kStart{0x1'2345'6000};
  std::vector<std::byte> bytes_;
};

class FakeDevice final : public Registers {
 public:
  FakeDevice(DeviceKind its_kind, FakeMemory& memory) : kind(its_kind), memory_(memory) {}

  struct Ring {
    std::uint32_t entries = 0;
    bool ready = false;
    std::uint64_t descriptors = 0, available = 0, used = 0;
    std::uint16_t taken = 0;
    std::uint16_t given = 0;
  };
  struct Buffer {
    std::uint16_t head = 0;
    std::string read;  // what the driver gave
    std::vector<std::pair<std::uint64_t, std::uint32_t>> room;
  };

  // The next buffer that the driver made available.
  bool take(unsigned index, Buffer& buffer) {
    Ring& ring = rings[index];
    if (word(ring.available + 2) == ring.taken) {
      return false;
    }
    buffer = {.head = word(ring.available + 4 + 2ULL * (ring.taken++ % ring.entries)), .read = {}, .room = {}};
    std::uint16_t slot = buffer.head;
    for (;;) {
      const std::byte* const descriptor = memory_.at(ring.descriptors + 16ULL * slot, 16);
      std::uint64_t address = 0;
      std::uint32_t size = 0;
      std::uint16_t flags = 0;
      std::memcpy(&address, descriptor, 8);
      std::memcpy(&size, descriptor + 8, 4);
      std::memcpy(&flags, descriptor + 12, 2);
      if ((flags & 2) != 0) {
        buffer.room.emplace_back(address, size);
      } else {
        buffer.read.append(reinterpret_cast<const char*>(memory_.at(address, size)), size);
      }
      if ((flags & 1) == 0) {
        return true;
      }
      std::memcpy(&slot, descriptor + 14, 2);
    }
  }
  void fill(const Buffer& buffer, std::string_view bytes) {
    for (const auto& [address, size] : buffer.room) {
      const std::size_t piece = std::min<std::size_t>(size, bytes.size());
      std::memcpy(memory_.at(address, size), bytes.data(), piece);
      bytes.remove_prefix(piece);
    }
  }
  void give_back(unsigned index, std::uint32_t head, std::uint32_t written) {
    Ring& ring = rings[index];
    std::byte* const entry = memory_.at(ring.used + 4 + 8ULL * (ring.given++ % ring.entries), 8);
    std::memcpy(entry, &head, 4);
    std::memcpy(entry + 4, &written, 4);
    std::memcpy(memory_.at(ring.used + 2, 2), &ring.given, 2);
  }
  // Whether the driver wants interrupts for a queue.
  [[nodiscard]] bool wants_interrupts(unsigned index) { return (word(rings[index].available) & 1) == 0; }
  void refuse_notifications(unsigned index) {
    const std::uint16_t flags = 1;
    std::memcpy(memory_.at(rings[index].used, 2), &flags, 2);
  }

  std::uint32_t read32(unsigned offset) override {
    switch (offset) {
      case 0x000:
        return magic;
      case 0x004:
        return version;
      case 0x008:
        return static_cast<std::uint32_t>(kind);
      case 0x010:
        return static_cast<std::uint32_t>(offered >> (32 * offered_half_));
      case 0x034:
        return most_entries;
      case 0x044:
        return rings[queue_].ready ? 1 : 0;
      case 0x060:
        return interrupt;
      case 0x070:
        return status;
      default:
        return 0;
    }
  }
  void write32(unsigned offset, std::uint32_t value) override {
    Ring& ring = rings[queue_];
    const auto set_half = [&](std::uint64_t& address, unsigned half) {
      address = (address & ~(0xFFFFFFFFULL << (32 * half))) | std::uint64_t{value} << (32 * half);
    };
    switch (offset) {
      case 0x014:
        offered_half_ = value;
        break;
      case 0x024:
        accepted_half_ = value;
        break;
      case 0x020:
        set_half(accepted, accepted_half_);
        break;
      case 0x030:
        queue_ = value;
        break;
      case 0x038:
        ring.entries = value;
        break;
      case 0x044:
        ring.ready = value == 1;
        break;
      case 0x050:
        notified.push_back(value);
        if (on_notify) {
          on_notify(value);
        }
        break;
      case 0x064:
        interrupt &= ~value;
        break;
      case 0x070:
        status = refuses_features && (value & 8) != 0 ? value & ~8U : value;
        break;
      case 0x080:
        set_half(ring.descriptors, 0);
        break;
      case 0x084:
        set_half(ring.descriptors, 1);
        break;
      case 0x090:
        set_half(ring.available, 0);
        break;
      case 0x094:
        set_half(ring.available, 1);
        break;
      case 0x0A0:
        set_half(ring.used, 0);
        break;
      case 0x0A4:
        set_half(ring.used, 1);
        break;
      default:
        break;
    }
  }
  std::uint8_t read8(unsigned offset) override { return static_cast<std::uint8_t>(config.at(offset - 0x100)); }

  std::uint32_t magic = 0x74726976;
  std::uint32_t version = 2;
  DeviceKind kind;
  std::uint64_t offered = 1ULL << 32;
  std::uint64_t accepted = 0;
  std::uint32_t most_entries = 1024;
  std::uint32_t status = 0;
  std::uint32_t interrupt = 0;
  bool refuses_features = false;
  std::string config;
  std::map<unsigned, Ring> rings;
  std::vector<std::uint32_t> notified;
  std::function<void(std::uint32_t)> on_notify;

 private:
  std::uint16_t word(std::uint64_t address) {
    std::uint16_t value = 0;
    std::memcpy(&value, memory_.at(address, 2), 2);
    return value;
  }

  FakeMemory& memory_;
  std::uint32_t offered_half_ = 0;
  std::uint32_t accepted_half_ = 0;
  unsigned queue_ = 0;
};

}  // namespace vellum::virtio
