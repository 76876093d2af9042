#include <vellum/phys/physical_memory.hpp>
#include <vellum/test/test.hpp>

namespace vellum {
namespace {

// A frame with one holder, without an allocator.
struct Held {
  alignas(Frame) unsigned char bytes[sizeof(Frame)] = {};
  Frame& frame = *reinterpret_cast<Frame*>(bytes);
  Held() { *reinterpret_cast<std::uint32_t*>(bytes + 8) = 1; }
};

void* pointer(std::uint64_t value) { return reinterpret_cast<void*>(static_cast<std::uintptr_t>(value)); }

TEST(Frame, ZeroBytesAreAFreeFrame) {
  const unsigned char bytes[sizeof(Frame)] = {};
  const Frame& frame = *reinterpret_cast<const Frame*>(bytes);
  EXPECT_TRUE(frame.kind() == FrameKind::free);
  EXPECT_EQ(frame.share(), 0U);
  EXPECT_TRUE(frame.owner<void>() == nullptr);
}

TEST(Frame, KeepsPointersOfKernelsAndOfProcesses) {
  Held held;
  for (const std::uint64_t value :
       {std::uint64_t{0}, std::uint64_t{0x10}, std::uint64_t{0xC0123450}, std::uint64_t{0x7FFFFFFFFFF0},
        std::uint64_t{0xFFFF800000000000}, std::uint64_t{0xFFFFFE8123456780}, std::uint64_t{0xFFFFFFFFFFFFFFF0}}) {
    held.frame.assign(FrameKind::slab, pointer(value), 0x89ABCDEF);
    EXPECT_TRUE(held.frame.kind() == FrameKind::slab);
    EXPECT_TRUE(held.frame.owner<void>() == pointer(value));
    EXPECT_EQ(held.frame.index(), 0x89ABCDEFU);
    EXPECT_EQ(held.frame.share(), 1U);
    EXPECT_TRUE(held.frame.order() == Order(0));
  }
}

TEST(Frame, LastHolderIsTold) {
  Held held;
  held.frame.retain();
  held.frame.retain();
  EXPECT_EQ(held.frame.share(), 3U);
  EXPECT_FALSE(held.frame.release());
  EXPECT_FALSE(held.frame.release());
  EXPECT_EQ(held.frame.share(), 1U);
  EXPECT_TRUE(held.frame.release());
  EXPECT_EQ(held.frame.share(), 0U);
}

TEST(Frame, ChainTakesThePlaceOfTheOwnerAndKeepsTheKind) {
  Held held;
  held.frame.assign(FrameKind::anonymous, pointer(0xC0123450), 7);
  EXPECT_TRUE(held.frame.release());
  for (const Pfn next : {Pfn(0), Pfn(1), Pfn(0xFFFFFFFFF), Frame::kNoFrame}) {
    held.frame.set_next(next);
    EXPECT_TRUE(held.frame.next() == next);
    EXPECT_TRUE(held.frame.kind() == FrameKind::anonymous);
  }
}

}  // namespace
}  // namespace vellum
