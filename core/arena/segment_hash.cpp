#include <new>

#include <vellum/arena/segment_hash.hpp>

namespace vellum {

std::size_t SegmentHash::index_of(VirtAddr start) const {
  // Fibonacci hashing [Knuth, volume 3, 6.4]: the upper half of the product depends on every bit of the address.
  const std::uint64_t product = (start.value() >> quantum_shift_) * 0x9e3779b97f4a7c15U;
  const auto hash = static_cast<std::size_t>(product >> 32);
  const std::size_t index = hash & (2 * low_ - 1);
  return index < buckets_ ? index : index - low_;
}

Segment** SegmentHash::slot_of(VirtAddr start) {
  Segment** slot = &bucket(index_of(start));
  while (*slot != nullptr && (*slot)->range.start() != start) {
    slot = &(*slot)->chained;
  }
  return slot;
}

Segment* SegmentHash::find(VirtAddr start) const { return *const_cast<SegmentHash*>(this)->slot_of(start); }

void SegmentHash::insert(Segment& segment) {
  Segment*& head = bucket(index_of(segment.range.start()));
  segment.chained = head;
  head = &segment;
  if (++count_ > buckets_) {
    grow();
  }
}

Segment* SegmentHash::remove(VirtAddr start) {
  Segment** const slot = slot_of(start);
  Segment* const segment = *slot;
  if (segment != nullptr) {
    *slot = segment->chained;
    segment->chained = nullptr;
    // At a half, not at the whole, so that a count that swings about one size moves no bucket to and fro. Two rounds at
    // most: the buckets then never lag behind.
    --count_;
    while (count_ < buckets_ / 2 && buckets_ > kInline) {
      shrink();
    }
  }
  return segment;
}

bool SegmentHash::add_storage(std::size_t index) {
  if (index / kPerRoot >= kRoots) {
    return false;
  }
  Root*& root = roots_[index / kPerRoot];
  const bool new_root = root == nullptr;
  if (new_root) {
    Result<std::byte*> page = pages_.allocate(0);
    if (!page.ok()) {
      return false;
    }
    root = ::new (*page) Root;
  }
  // A leaf begins with the first bucket of its page, the first leaf behind the inline buckets.
  if (index % kPerPage == 0 || index == kInline) {
    Result<std::byte*> page = pages_.allocate(0);
    if (!page.ok()) {
      if (new_root) {
        pages_.free(reinterpret_cast<std::byte*>(root), 0);
        root = nullptr;
      }
      return false;
    }
    root->leaves[index / kPerPage % kPerPage] = ::new (*page) Leaf;
  }
  bucket(index) = nullptr;
  return true;
}

void SegmentHash::drop_storage(std::size_t index) {
  Root*& root = roots_[index / kPerRoot];
  if (index % kPerPage == 0 || index == kInline) {
    pages_.free(reinterpret_cast<std::byte*>(root->leaves[index / kPerPage % kPerPage]), 0);
  }
  if (index % kPerRoot == 0 || index == kInline) {
    pages_.free(reinterpret_cast<std::byte*>(root), 0);
    root = nullptr;
  }
}

void SegmentHash::grow() {
  if (!add_storage(buckets_)) {
    return;
  }
  Segment* rest = bucket(buckets_ - low_);
  bucket(buckets_ - low_) = nullptr;
  ++buckets_;
  while (rest != nullptr) {
    Segment* const segment = rest;
    rest = segment->chained;
    Segment*& head = bucket(index_of(segment->range.start()));
    segment->chained = head;
    head = segment;
  }
  if (buckets_ == 2 * low_) {
    low_ = buckets_;
  }
}

void SegmentHash::shrink() {
  if (buckets_ == low_) {
    low_ /= 2;
  }
  --buckets_;
  Segment** end = &bucket(buckets_ - low_);
  while (*end != nullptr) {
    end = &(*end)->chained;
  }
  *end = bucket(buckets_);
  drop_storage(buckets_);
}

void SegmentHash::check_invariants() const {
  VELLUM_CHECK(low_ <= buckets_ && buckets_ < 2 * low_);
  std::uint64_t found = 0;
  for (std::size_t index = 0; index < buckets_; ++index) {
    for (const Segment* segment = bucket(index); segment != nullptr; segment = segment->chained) {
      VELLUM_CHECK(index_of(segment->range.start()) == index && segment->is_allocated());
      ++found;
    }
  }
  VELLUM_CHECK(found == count_);
}

}  // namespace vellum
