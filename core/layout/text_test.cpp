#include <string_view>

#include <vellum/layout/text.hpp>
#include <vellum/test/test.hpp>

namespace vellum {
namespace {

using namespace literals;

// Text written by `write(TextBuffer&)`.
template <class Writer>
bool writes(std::string_view expected, Writer write) {
  char buffer[300];
  TextBuffer out(buffer);
  write(out);
  return std::string_view(out.c_str()) == expected;
}

bool size_is(std::string_view expected, ByteCount size) {
  return writes(expected, [size](TextBuffer& out) { out.size(size); });
}

bool address_is(std::string_view expected, std::uint64_t address, Arch arch) {
  return writes(expected, [address, arch](TextBuffer& out) { out.address(VirtAddr(address), arch); });
}

TEST(Text, Sizes) {
  EXPECT_TRUE(size_is("0 bytes", 0_B));
  EXPECT_TRUE(size_is("1 byte", 1_B));
  EXPECT_TRUE(size_is("1023 bytes", 1023_B));
  EXPECT_TRUE(size_is("4 KiB", 4_KiB));
  EXPECT_TRUE(size_is("1.5 MiB", 1536_KiB));
  EXPECT_TRUE(size_is("887.9 MiB", ByteCount(0x377EB000)));
  EXPECT_TRUE(size_is("1 GiB", 1_GiB - 1_B + 1_B));
  EXPECT_TRUE(size_is("1024.0 MiB", 1_GiB - 1_B));
  EXPECT_TRUE(size_is("512 GiB", 512_GiB));
  EXPECT_TRUE(size_is("16.0 EiB", ByteCount(~std::uint64_t{0})));
}

TEST(Text, NumbersAndAddresses) {
  EXPECT_TRUE(writes("0", [](TextBuffer& out) { out.decimal(0); }));
  EXPECT_TRUE(writes("18446744073709551615", [](TextBuffer& out) { out.decimal(~std::uint64_t{0}); }));
  EXPECT_TRUE(writes("0x0", [](TextBuffer& out) { out.hex(0); }));
  EXPECT_TRUE(writes("0x2a", [](TextBuffer& out) { out.hex(42); }));
  EXPECT_TRUE(writes("0xffffffffffffffff", [](TextBuffer& out) { out.hex(~std::uint64_t{0}); }));
  EXPECT_TRUE(address_is("0xFFFFFFFF.FBC00000", 0xFFFFFFFFFBC00000, Arch::amd64));
  EXPECT_TRUE(address_is("0x00000000.04000000", 0x4000000, Arch::amd64));
  EXPECT_TRUE(address_is("0xFE800000", 0xFE800000, Arch::i386));
  EXPECT_TRUE(address_is("0x100000000", 0x100000000, Arch::i386));
}

TEST(Text, WhatDoesNotFitIsCutOff) {
  char buffer[6] = {'x', 'x', 'x', 'x', 'x', 'x'};
  TextBuffer out(buffer);
  out.text("red ").text("zone");
  EXPECT_TRUE(std::string_view(out.c_str()) == "red z");
}

TEST(Text, ProblemsSayByHowMuch) {
  EXPECT_TRUE(
      writes("the kernel heap would be too small: 1 GiB of at least 3 GiB, 2 GiB are missing",
             [](TextBuffer& out) { describe(out, LayoutProblem{LayoutRule::heap_large_enough, 3_GiB, 1_GiB}); }));
  EXPECT_TRUE(writes("more memory than the processor can address: 80 GiB, at most 64 GiB", [](TextBuffer& out) {
    describe(out, LayoutProblem{LayoutRule::addressable_memory, 80_GiB, 64_GiB});
  }));
}

TEST(Text, EveryClueIsToldInASentence) {
  const auto map = AddressMap::create(KernelInputs::for_memory(Arch::amd64, 4_GiB), UserInputs{});
  ASSERT_TRUE(map.has_value());
  EXPECT_TRUE(
      writes("A null pointer plus 0x2a (42): most likely a member or an array element at that offset of something that "
             "is not there.",
             [&map](TextBuffer& out) { describe(out, *map, *explain(*map, VirtAddr(42))); }));
  for (const std::uint64_t address :
       {std::uint64_t{0}, std::uint64_t{0x7FFF'FFFFF000}, std::uint64_t{0x8000'00000000}, 0xFFFFFC7F'FF5FFFFF,
        0xFFFFFC7F'FF700000, 0xFFFFFC80'00000000, 0xFFFFFCF0'00000000, 0xFFFFFD00'00000000, 0xFFFFFDF0'00000000,
        0xFFFFFE00'01000000, ~std::uint64_t{0}}) {
    char buffer[300];
    TextBuffer out(buffer);
    describe(out, *map, *explain(*map, VirtAddr(address)));
    EXPECT_TRUE(std::string_view(out.c_str()).ends_with('.'));
    EXPECT_TRUE(std::string_view(out.c_str()).size() + 1 < sizeof buffer);
  }
}

}  // namespace
}  // namespace vellum
