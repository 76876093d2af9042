#include <vellum/arena/segment_hash.hpp>
#include <vellum/test/test.hpp>

#include "array_pages.hpp"

namespace vellum {
namespace {

using literals::operator""_pages;

constexpr unsigned kSegments = 5000;
using Source = ArrayPages<64>;

// Lives for good; too big for a kernel's stack and data.
Source& source() {
  static Source* const pages = new Source;
  return *pages;
}

// Segments with gaps between them, so that there are addresses to miss.
struct Segments {
  Segments() {
    for (unsigned i = 0; i < kSegments; ++i) {
      all[i].range = VirtRange::must(start(i), ByteCount(kPageSize));
      all[i].kind = Segment::Kind::allocated;
    }
  }
  static VirtAddr start(unsigned i) { return VirtAddr(0xffff'8000'0000'0000 + std::uint64_t{i} * 3 * kPageSize); }
  Segment all[kSegments];
};

Segments& segments() {
  static Segments made;
  return made;
}

TEST(SegmentHash, FindsEachSegmentAndNothingElse) {
  SegmentHash hash(kPageShift, source());
  for (Segment& segment : segments().all) {
    hash.insert(segment);
  }
  hash.check_invariants();
  EXPECT_EQ(hash.count(), kSegments);
  for (unsigned i = 0; i < kSegments; ++i) {
    EXPECT_EQ(hash.find(Segments::start(i)), &segments().all[i]);
    EXPECT_TRUE(hash.find(Segments::start(i) + ByteCount(kPageSize)) == nullptr);
  }
  for (unsigned i = 0; i < kSegments; ++i) {
    EXPECT_EQ(hash.remove(Segments::start(i)), &segments().all[i]);
    EXPECT_TRUE(hash.remove(Segments::start(i)) == nullptr);
  }
  hash.check_invariants();
}

TEST(SegmentHash, HoldsABucketForEachSegmentAndGivesThemBack) {
  SegmentHash hash(kPageShift, source());
  for (unsigned i = 0; i < 16; ++i) {
    hash.insert(segments().all[i]);
  }
  EXPECT_EQ(source().pages_out(), 0_pages);
  for (unsigned i = 16; i < kSegments; ++i) {
    hash.insert(segments().all[i]);
  }
  const PageCount most = source().pages_out();
  EXPECT_GE(most, pages_for(ByteCount(kSegments * sizeof(void*))));
  for (unsigned i = 0; i < kSegments * 3 / 4; ++i) {
    static_cast<void>(hash.remove(Segments::start(i)));
  }
  EXPECT_LT(source().pages_out(), most);
  hash.check_invariants();
  for (unsigned i = kSegments * 3 / 4; i < kSegments; ++i) {
    static_cast<void>(hash.remove(Segments::start(i)));
  }
  EXPECT_EQ(source().pages_out(), 0_pages);
}

TEST(SegmentHash, WorksOnWithoutPages) {
  for (std::uint64_t permitted = 0; permitted < 4; ++permitted) {
    SegmentHash hash(kPageShift, source());
    source().permit(permitted);
    for (unsigned i = 0; i < 1500; ++i) {
      hash.insert(segments().all[i]);
    }
    hash.check_invariants();
    for (unsigned i = 0; i < 1500; ++i) {
      EXPECT_EQ(hash.find(Segments::start(i)), &segments().all[i]);
    }
    for (unsigned i = 0; i < 1500; ++i) {
      EXPECT_EQ(hash.remove(Segments::start(i)), &segments().all[i]);
    }
    EXPECT_EQ(source().pages_out(), 0_pages);
    source().permit_all();
  }
}

}  // namespace
}  // namespace vellum
