// A run of addresses or pages, held as start and size so that a range may end at the very top of the address space.
#pragma once

#include <vellum/base/result.hpp>
#include <vellum/base/types.hpp>

namespace vellum {

// [start, start + size). Membership works modulo 2^64, so a range that ends at 2^64 needs no special case; such a
// range's end() is 0, its last() is not.
template <class Position, class Size>
class Range {
 public:
  constexpr Range() = default;

  // Errors: invalid where start + size lies beyond 2^64.
  [[nodiscard]] static constexpr Result<Range> checked(Position start, Size size) {
    if (!size.is_zero() && start.value() + (size.value() - 1) < start.value()) {
      return Errno::invalid;
    }
    return Range(start, size);
  }
  // For ranges known to be sound; panics otherwise.
  [[nodiscard]] static constexpr Range must(Position start, Size size) {
    VELLUM_CHECK(size.is_zero() || start.value() + (size.value() - 1) >= start.value());
    return Range(start, size);
  }
  // Half-open bounds, start <= end.
  [[nodiscard]] static constexpr Range between(Position start, Position end) {
    VELLUM_ASSERT(start <= end);
    return Range(start, end - start);
  }

  [[nodiscard]] constexpr Position start() const { return start_; }
  [[nodiscard]] constexpr Size size() const { return size_; }
  [[nodiscard]] constexpr bool empty() const { return size_.is_zero(); }
  // One past the last position; 0 for a range that ends at 2^64.
  [[nodiscard]] constexpr Position end() const { return start_ + size_; }
  // The last position inside; the range must not be empty.
  [[nodiscard]] constexpr Position last() const {
    VELLUM_ASSERT(!empty());
    return start_ + (size_ - Size(1));
  }

  [[nodiscard]] constexpr bool contains(Position position) const {
    return position.value() - start_.value() < size_.value();
  }
  [[nodiscard]] constexpr bool contains(const Range& other) const {
    return other.empty() || (contains(other.start_) && other.size_ <= size_ - (other.start_ - start_));
  }
  [[nodiscard]] constexpr bool overlaps(const Range& other) const {
    return !empty() && !other.empty() && (contains(other.start_) || other.contains(start_));
  }
  [[nodiscard]] constexpr Range intersection(const Range& other) const {
    if (!overlaps(other)) {
      return {};
    }
    const Position from = contains(other.start_) ? other.start_ : start_;
    const Position to = contains(other.last()) ? other.last() : last();
    return Range(from, (to - from) + Size(1));
  }

  constexpr bool operator==(const Range&) const = default;

 private:
  constexpr Range(Position start, Size size) : start_(start), size_(size) {}

  Position start_{};
  Size size_{};
};

using VirtRange = Range<VirtAddr, ByteCount>;
using PhysRange = Range<PhysAddr, ByteCount>;
using FrameRange = Range<Pfn, PageCount>;
using IndexRange = Range<PageIndex, PageCount>;

}  // namespace vellum
