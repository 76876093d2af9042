#include <vellum/virtio/queue.hpp>

#include <atomic>

namespace vellum::virtio {

// [virtio 2.6.5]
struct Queue::Descriptor {
  std::uint64_t address;
  std::uint32_t size;
  std::uint16_t flags;
  std::uint16_t next;
};

// [virtio 2.6.8]
struct Queue::UsedEntry {
  std::uint32_t head;
  std::uint32_t written;
};

namespace {

constexpr std::uint16_t kChained = 1;
constexpr std::uint16_t kDeviceWrites = 2;

constexpr std::uint16_t kNoInterrupt = 1;     // flag of the available ring
constexpr std::uint16_t kNoNotification = 1;  // flag of the used ring

constexpr std::size_t kDescriptorSize = 16;
constexpr unsigned kRingHeader = 2;  // 16-bit words: flags, index

constexpr std::size_t available_offset(unsigned entries) { return kDescriptorSize * entries; }
constexpr std::size_t used_offset(unsigned entries) {
  return static_cast<std::size_t>(round_up(available_offset(entries) + 2 * (kRingHeader + entries + 1), 4));
}
static_assert(used_offset(Queue::kMostEntries) + 2 * (kRingHeader + 1) + 8 * Queue::kMostEntries <= kPageSize);

std::uint16_t load(std::uint16_t& word) { return std::atomic_ref(word).load(std::memory_order_acquire); }
void store(std::uint16_t& word, std::uint16_t value) { std::atomic_ref(word).store(value, std::memory_order_release); }

}  // namespace

void Queue::initialise(SharedMemory page, unsigned entries, Interruption interruption) {
  static_assert(sizeof(Descriptor) == kDescriptorSize && sizeof(UsedEntry) == 8);
  VELLUM_CHECK(is_power_of_two(entries) && entries <= kMostEntries && page.bytes.size() >= kPageSize);
  page_ = page;
  entries_ = entries;
  free_count_ = entries;
  next_available_ = next_used_ = first_free_ = 0;
  broken_ = false;
  __builtin_memset(page.bytes.data(), 0, page.bytes.size());
  for (unsigned i = 0; i < entries; ++i) {
    next_[i] = static_cast<std::uint16_t>(i + 1);
    length_[i] = 0;
  }
  set_interruption(interruption);
}

void Queue::set_interruption(Interruption interruption) {
  store(available_ring()[0], interruption == Interruption::unwanted ? kNoInterrupt : 0);
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

PhysAddr Queue::available() const { return page_.address + ByteCount(available_offset(entries_)); }
PhysAddr Queue::used() const { return page_.address + ByteCount(used_offset(entries_)); }

Queue::Descriptor* Queue::table() const { return reinterpret_cast<Descriptor*>(page_.bytes.data()); }
std::uint16_t* Queue::available_ring() const {
  return reinterpret_cast<std::uint16_t*>(page_.bytes.data() + available_offset(entries_));
}
std::uint16_t* Queue::used_ring() const {
  return reinterpret_cast<std::uint16_t*>(page_.bytes.data() + used_offset(entries_));
}

void Queue::put(std::uint16_t slot, const Piece& piece, std::uint16_t flags) {
  VELLUM_ASSERT(piece.size != 0);
  table()[slot] = {.address = piece.address.value(), .size = piece.size, .flags = flags, .next = next_[slot]};
}

std::optional<std::uint16_t> Queue::add(std::span<const Piece> read, std::span<const Piece> written) {
  const std::size_t count = read.size() + written.size();
  VELLUM_ASSERT(count != 0);
  if (count > free_count_ || broken_) {
    return {};
  }
  const std::uint16_t head = first_free_;
  std::uint16_t slot = head;
  writable_[head] = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const bool last = i + 1 == count;
    const bool device_writes = i >= read.size();
    const Piece& piece = device_writes ? written[i - read.size()] : read[i];
    put(slot, piece, static_cast<std::uint16_t>((last ? 0U : kChained) | (device_writes ? kDeviceWrites : 0U)));
    writable_[head] += device_writes ? piece.size : 0;
    slot = next_[slot];
  }
  first_free_ = slot;
  free_count_ -= static_cast<unsigned>(count);
  length_[head] = static_cast<std::uint16_t>(count);

  std::uint16_t* const ring = available_ring();
  ring[kRingHeader + next_available_ % entries_] = head;
  store(ring[1], ++next_available_);
  return head;
}

bool Queue::wants_notification() const {
  // The device sees what was added, or this sees that the device wants to be told [virtio 2.6.13.4].
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return (load(used_ring()[0]) & kNoNotification) == 0;
}

void Queue::release(std::uint16_t head) {
  std::uint16_t last = head;
  for (unsigned i = 1; i < length_[head]; ++i) {
    last = next_[last];
  }
  free_count_ += length_[head];
  length_[head] = 0;
  next_[last] = first_free_;
  first_free_ = head;
}

std::optional<Queue::Used> Queue::take_used() {
  std::uint16_t* const ring = used_ring();
  if (broken_ || load(ring[1]) == next_used_) {
    return {};
  }
  // Read once: what was checked is what is used.
  auto& entry = reinterpret_cast<UsedEntry*>(ring + kRingHeader)[next_used_ % entries_];
  const std::uint32_t head = std::atomic_ref(entry.head).load(std::memory_order_relaxed);
  const std::uint32_t written = std::atomic_ref(entry.written).load(std::memory_order_relaxed);
  if (head >= entries_ || length_[head] == 0 || written > writable_[head]) {
    broken_ = true;
    return {};
  }
  ++next_used_;
  release(static_cast<std::uint16_t>(head));
  return Used{.token = static_cast<std::uint16_t>(head), .written = written};
}

}  // namespace vellum::virtio
