// The allocated segments of an arena by start address.
#pragma once

#include <cstddef>
#include <cstdint>

#include <vellum/arena/page_source.hpp>
#include <vellum/arena/segment.hpp>

namespace vellum {

// A hash table that grows and shrinks by one bucket at a time [Litwin 1980, "Linear Hashing"], so that no operation
// pays for a rehash of all, and by single pages, so that it never needs contiguous memory. Where there is no page it
// stays as it is and its chains grow: nothing here fails. Not synchronised.
class SegmentHash {
 public:
  // Starts are multiples of 2^quantum_shift.
  SegmentHash(unsigned quantum_shift, PageSource& pages) : pages_(pages), quantum_shift_(quantum_shift) {}
  // Must be empty; it then holds no page.
  ~SegmentHash() { VELLUM_ASSERT(count_ == 0 && buckets_ == kInline); }
  SegmentHash(const SegmentHash&) = delete;
  SegmentHash& operator=(const SegmentHash&) = delete;

  void insert(Segment& segment);
  // The segment that starts at `start`, or nullptr.
  [[nodiscard]] Segment* find(VirtAddr start) const;
  // The same, taken out.
  Segment* remove(VirtAddr start);

  [[nodiscard]] std::uint64_t count() const { return count_; }
  // Panics where a segment stands in a bucket that is not its own, or the count is wrong.
  void check_invariants() const;

 private:
  static constexpr std::size_t kInline = 16;  // buckets that need no page; a power of two
  static constexpr std::size_t kPerPage = kPageSize / sizeof(void*);
  static constexpr std::size_t kPerRoot = kPerPage * kPerPage;
  static constexpr std::size_t kRoots = 8;

  struct Leaf {
    Segment* heads[kPerPage];
  };
  struct Root {
    Leaf* leaves[kPerPage];
  };

  [[nodiscard]] std::size_t index_of(VirtAddr start) const;
  [[nodiscard]] Segment*& bucket(std::size_t index) {
    return index < kInline ? inline_[index]
                           : roots_[index / kPerRoot]->leaves[index / kPerPage % kPerPage]->heads[index % kPerPage];
  }
  [[nodiscard]] Segment* bucket(std::size_t index) const { return const_cast<SegmentHash*>(this)->bucket(index); }
  [[nodiscard]] Segment** slot_of(VirtAddr start);
  [[nodiscard]] bool add_storage(std::size_t index);
  void drop_storage(std::size_t index);
  void grow();
  void shrink();

  PageSource& pages_;
  unsigned quantum_shift_;
  std::size_t low_ = kInline;      // buckets before this round of splitting: a power of two
  std::size_t buckets_ = kInline;  // low_ <= buckets_ < 2 * low_
  std::uint64_t count_ = 0;
  Segment* inline_[kInline] = {};
  Root* roots_[kRoots] = {};
};

}  // namespace vellum
