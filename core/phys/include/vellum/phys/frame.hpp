// What the system knows about one page of physical memory: 16 bytes, one for each page, found by the page's number.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <vellum/base/panic.hpp>
#include <vellum/base/types.hpp>

namespace vellum {

// The size of a block of frames as a power of two: 0 is a page, 9 is 2 MB, 18 is 1 GB. A block is aligned to its size.
class Order {
 public:
  static constexpr unsigned kLargest = 18;

  constexpr Order() = default;
  constexpr explicit Order(unsigned value) : value_(static_cast<std::uint8_t>(value)) {
    VELLUM_ASSERT(value <= kLargest);
  }
  [[nodiscard]] constexpr unsigned value() const { return value_; }
  [[nodiscard]] constexpr PageCount pages() const { return PageCount(std::uint64_t{1} << value_); }
  [[nodiscard]] constexpr bool aligns(Pfn frame) const { return (frame.value() & (pages().value() - 1)) == 0; }
  constexpr auto operator<=>(const Order&) const = default;

 private:
  std::uint8_t value_ = 0;
};

// What a frame is used for, and with it the type of its owner. Fits four bits.
enum class FrameKind : std::uint8_t {
  free,        // in nobody's hands: free, or no memory at all (PhysicalMemory::is_managed() tells which)
  kernel,      // allocated, and its holder has assigned nothing; also the kernel's own data
  page_table,  // a page of a page table; owner: its node
  anonymous,   // private memory of programs; owner: the node that maps it, or the holder's choice
  object,      // a page of a memory object; owner: the object, index: its page
  zero_page,   // the page of zeros that reads of untouched memory share
  slab,        // memory of an object cache; owner: the slab
};

// The descriptor. A tagged word and a count:
//
//   word 0   bits 0..3    kind                                                                              o
//            bits 4..47   owner, a pointer aligned to 16 (bits 48..63 are copies of bit 47, as x86-64        o
//                         demands of an address); while share() is 0: the next frame of a chain              c
//            bits 48..52  order, of the block whose first frame this is; in its other frames nothing is said o
//            bit  53      the page is known to hold zeros                                                    c
//            bit  54      the page was filled with the pattern of freed pages                                a
//            bit  55      seen by a check                                                                    a
//   word 1   share        how many hold the frame                                                            atomic
//            index         the holder's: a page index, a slot in a node                                       o
//
//   o  written by the holder under whatever keeps the frame its own; read by anyone, who sees some past state
//   c  whoever took share to 0 and has not yet freed the frame
//   a  the allocator
//
// All bytes zero is a free frame, so zero-filled memory is an array of descriptors.
class Frame {
 public:
  // Ends a chain of frames.
  static constexpr Pfn kNoFrame = Pfn((std::uint64_t{1} << 44) - 1);

  Frame() = default;
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;

  [[nodiscard]] FrameKind kind() const { return static_cast<FrameKind>(word() & kKindMask); }
  [[nodiscard]] Order order() const { return Order(static_cast<unsigned>(word() >> kOrderShift) & kOrderMask); }
  // The owner given to assign(); the caller knows its type from kind().
  template <class T>
  [[nodiscard]] T* owner() const {
    const auto extended = static_cast<std::int64_t>(word() << kTagBits) >> kTagBits;
    return reinterpret_cast<T*>(static_cast<std::uintptr_t>(static_cast<std::uint64_t>(extended) & ~kKindMask));
  }
  [[nodiscard]] std::uint32_t index() const { return index_.load(std::memory_order_relaxed); }

  // Says what the frame is used for. `owner` is aligned to 16 or null. The order and the share count stay.
  void assign(FrameKind kind, void* owner, std::uint32_t index) {
    VELLUM_ASSERT(kind != FrameKind::free);
    const auto bits = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(owner));
    VELLUM_ASSERT((bits & kKindMask) == 0);
    set_word((word() & kTagMask) | (bits & kPointerMask) | static_cast<std::uint64_t>(kind));
    set_index(index);
  }
  void set_index(std::uint32_t index) { index_.store(index, std::memory_order_relaxed); }

  // How many hold the frame. 1 means that the caller, being a holder, is the only one.
  [[nodiscard]] std::uint32_t share() const { return share_.load(std::memory_order_acquire); }
  // One holder more. The caller holds the frame, or holds the lock without which its holder does not let go.
  void retain() {
    const std::uint32_t before = share_.fetch_add(1, std::memory_order_relaxed);
    VELLUM_ASSERT(before != 0);
    VELLUM_CHECK(before != UINT32_MAX);
  }
  // One holder less. True where that was the last: the caller must now free the frame, and sees all that the other
  // holders did to it. The only holder need not fear a race, so it writes without a locked instruction.
  [[nodiscard]] bool release() {
    if (share() == 1) {
      release_last();
      return true;
    }
    const std::uint32_t before = share_.fetch_sub(1, std::memory_order_acq_rel);
    VELLUM_ASSERT(before != 0);
    return before == 1;
  }

  // The same for a caller who knows to be the only holder.
  void release_last() {
    VELLUM_ASSERT(share() == 1);
    share_.store(0, std::memory_order_relaxed);
  }

  // Links frames on their way to be freed, without memory of their own: only while share() is 0. Takes the place of
  // the owner; the kind stays.
  void set_next(Pfn next) {
    VELLUM_ASSERT(share() == 0 && next <= kNoFrame);
    set_word((word() & (kTagMask | kKindMask)) | (next.value() << kKindBits));
  }
  [[nodiscard]] Pfn next() const {
    VELLUM_ASSERT(share() == 0);
    return Pfn((word() & kPointerMask) >> kKindBits);
  }

 private:
  friend class PhysicalMemory;
  friend class Reservation;
  friend struct FrameLayout;

  static constexpr unsigned kKindBits = 4;
  static constexpr unsigned kTagBits = 16;
  static constexpr unsigned kOrderShift = 64 - kTagBits;
  static constexpr std::uint64_t kKindMask = (std::uint64_t{1} << kKindBits) - 1;
  static constexpr std::uint64_t kTagMask = ~std::uint64_t{0} << kOrderShift;
  static constexpr std::uint64_t kPointerMask = ~(kTagMask | kKindMask);
  static constexpr unsigned kOrderMask = 31;
  static constexpr std::uint64_t kZeroed = std::uint64_t{1} << 53;
  static constexpr std::uint64_t kPoisoned = std::uint64_t{1} << 54;
  static constexpr std::uint64_t kSeen = std::uint64_t{1} << 55;

  [[nodiscard]] std::uint64_t word() const { return word_.load(std::memory_order_relaxed); }
  void set_word(std::uint64_t word) { word_.store(word, std::memory_order_relaxed); }

  // The tags, for the allocator.
  [[nodiscard]] bool has(std::uint64_t tag) const { return (word() & tag) != 0; }
  void add_tag(std::uint64_t tag) { set_word(word() | tag); }
  void remove_tag(std::uint64_t tag) { set_word(word() & ~tag); }
  void unlink() { set_word(word() & ~kPointerMask); }

  void begin_use(Order order, std::uint32_t share) {
    set_word((std::uint64_t{order.value()} << kOrderShift) | static_cast<std::uint64_t>(FrameKind::kernel));
    share_.store(share, std::memory_order_relaxed);
    set_index(0);
  }
  void end_use() {
    set_word(0);
    share_.store(0, std::memory_order_relaxed);
  }

  std::atomic<std::uint64_t> word_{0};
  std::atomic<std::uint32_t> share_{0};
  std::atomic<std::uint32_t> index_{0};
};

struct FrameLayout {
  static_assert(sizeof(Frame) == 16);
  static_assert(offsetof(Frame, word_) == 0);
  static_assert(offsetof(Frame, share_) == 8);
  static_assert(offsetof(Frame, index_) == 12);
  static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
};

}  // namespace vellum
