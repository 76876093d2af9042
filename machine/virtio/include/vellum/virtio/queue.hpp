// A split virtqueue [virtio 2.6]: how driver and device hand buffers to each other.
//
//   descriptors   a table of pieces of memory, chained where a buffer has several
//   available     a ring, written by the driver: heads of chains that the device may use
//   used          a ring, written by the device: heads of chains that it is done with, and how much it wrote
//
// The three lie in one page of shared memory. What the device writes is not trusted: a ring that says what cannot be
// makes the queue broken, and it hands out nothing more.
//
// Not synchronised: the driver's lock guards it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include <vellum/virtio/registers.hpp>

namespace vellum::virtio {

struct Piece {
  PhysAddr address;
  std::uint32_t size = 0;
};

enum class Interruption : std::uint8_t { wanted, unwanted };

class Queue {
 public:
  // So many entries that all three parts fit a page.
  static constexpr unsigned kMostEntries = 128;

  Queue() = default;
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  // Lays the rings out in a page; `entries` is a power of two, at most kMostEntries.
  void initialise(SharedMemory page, unsigned entries, Interruption interruption);

  // What Device tells the device.
  [[nodiscard]] unsigned entries() const { return entries_; }
  [[nodiscard]] PhysAddr descriptors() const { return page_.address; }
  [[nodiscard]] PhysAddr available() const;
  [[nodiscard]] PhysAddr used() const;

  // Makes a buffer available: pieces that the device reads, then pieces that it writes; at least one, none empty.
  // Returns its token, which is less than entries(); nothing where there are not enough free descriptors.
  [[nodiscard]] std::optional<std::uint16_t> add(std::span<const Piece> read, std::span<const Piece> written);
  // Changes whether the device interrupts when it is done with a buffer. After `wanted`, look once more: it may have
  // been done before.
  void set_interruption(Interruption interruption);
  // Whether the device wants to be told of what was added.
  [[nodiscard]] bool wants_notification() const;

  struct Used {
    std::uint16_t token;
    std::uint32_t written;  // bytes, never more than the buffer's pieces for writing have
  };
  // A buffer that the device is done with; its descriptors are free again.
  [[nodiscard]] std::optional<Used> take_used();

  [[nodiscard]] bool is_broken() const { return broken_; }

 private:
  struct Descriptor;
  struct UsedEntry;

  [[nodiscard]] Descriptor* table() const;
  [[nodiscard]] std::uint16_t* available_ring() const;  // flags, index, heads
  [[nodiscard]] std::uint16_t* used_ring() const;       // flags, index, then UsedEntry
  void put(std::uint16_t slot, const Piece& piece, std::uint16_t flags);
  void release(std::uint16_t head);

  SharedMemory page_{};
  unsigned entries_ = 0;
  unsigned free_count_ = 0;
  std::uint16_t next_available_ = 0;  // counters of the rings, modulo 2^16
  std::uint16_t next_used_ = 0;
  std::uint16_t first_free_ = 0;
  bool broken_ = false;
  // Beside the table, which the device could write: the chains, and what the device may write into each buffer.
  std::uint16_t next_[kMostEntries] = {};
  std::uint16_t length_[kMostEntries] = {};  // descriptors of the chain that begins here; 0 where none does
  std::uint32_t writable_[kMostEntries] = {};
};

}  // namespace vellum::virtio
