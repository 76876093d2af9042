#include <vellum/pagetable/formats.hpp>
#include <vellum/test/test.hpp>

namespace vellum {
namespace {

constexpr EntryRights kAllRights[] = {
    {.write = false, .execute = false, .user = false}, {.write = true, .execute = false, .user = false},
    {.write = false, .execute = true, .user = false},  {.write = true, .execute = true, .user = false},
    {.write = false, .execute = false, .user = true},  {.write = true, .execute = false, .user = true},
    {.write = false, .execute = true, .user = true},   {.write = true, .execute = true, .user = true},
};

// Each level begins where the one below ends, and all together cut the whole address.
template <class F>
void check_levels() {
  EXPECT_EQ(F::shift(1), 12U);
  for (unsigned level = 1; level < F::kLevels; ++level) {
    EXPECT_EQ(F::shift(level) + F::index_bits(level), F::shift(level + 1));
    EXPECT_EQ(entry_span<F>(level + 1), entry_span<F>(level) * entry_count<F>(level));
  }
  EXPECT_EQ(F::shift(F::kLevels) + F::index_bits(F::kLevels), F::kVirtualBits);
  EXPECT_EQ(entry_span<F>(1), PageCount(1));
  // Every bit of an address belongs to the index of one level.
  for (unsigned bit = 12; bit < F::kVirtualBits; ++bit) {
    const VirtAddr address(std::uint64_t{1} << bit);
    unsigned owners = 0;
    for (unsigned level = 1; level <= F::kLevels; ++level) {
      const unsigned index = entry_index<F>(address, level);
      EXPECT_LT(index, entry_count<F>(level));
      EXPECT_EQ(index, entry_index<F>(vpn_of<F>(address), level));
      owners += index != 0 ? 1 : 0;
      if (index != 0) {
        EXPECT_EQ(index, 1U << (bit - F::shift(level)));
      }
    }
    EXPECT_EQ(owners, 1U);
  }
}

// Every frame and every right comes back out of the entry that it was put into, and nothing else changes with it.
template <class F>
void check_entries() {
  for (unsigned level = 1; level <= F::kLevels; ++level) {
    EXPECT_FALSE(F::is_present(Entry{}));
    for (unsigned bit = 0; bit < 40; ++bit) {
      const Pfn frame(std::uint64_t{1} << bit);
      const Entry table = F::make_table(frame, level, EntryRights::everything());
      EXPECT_TRUE(F::is_present(table));
      EXPECT_EQ(F::frame(table, level), frame);
      if (level > 1) {
        EXPECT_FALSE(F::is_page(table, level));
      }
      if (F::maps_pages(level) && frame.value() % entry_span<F>(level).value() == 0) {
        const Entry page = F::make_page(frame, level, EntryRights::everything());
        EXPECT_TRUE(F::is_present(page));
        EXPECT_TRUE(F::is_page(page, level));
        EXPECT_EQ(F::frame(page, level), frame);
      }
    }
    for (const EntryRights rights : kAllRights) {
      if (F::maps_pages(level)) {
        EXPECT_TRUE(F::rights(F::make_page(Pfn(0), level, rights), level) == rights);
      }
      if (F::restricts(level)) {
        EXPECT_TRUE(F::rights(F::make_table(Pfn(1), level, rights), level) == rights);
      }
    }
    // What the hardware marks is neither frame nor right.
    const Entry plain = F::make_table(Pfn(5), level, EntryRights::everything());
    const Entry marked{plain.bits | F::accessed_bit(level) | (F::restricts(level) ? F::kDirty : 0)};
    EXPECT_EQ(F::frame(marked, level), Pfn(5));
    EXPECT_TRUE(F::rights(marked, level) == EntryRights::everything());
    EXPECT_EQ(plain.bits & F::accessed_bit(level), 0U);
  }
  EXPECT_TRUE(F::maps_pages(1));
  EXPECT_FALSE(F::maps_pages(F::kLevels));
}

// Page numbers follow each other without a break, and lead back to the address.
template <class F>
void check_page_numbers() {
  constexpr std::uint64_t kPages = std::uint64_t{1} << (F::kVirtualBits - kPageShift);
  EXPECT_EQ(vpn_of<F>(VirtAddr(0)), Vpn(0));
  EXPECT_EQ(vpn_of<F>(VirtAddr(kPageSize - 1)), Vpn(0));
  for (const std::uint64_t page : {std::uint64_t{0}, std::uint64_t{1}, kPages / 2 - 1, kPages / 2, kPages - 1}) {
    const VirtAddr address = address_of<F>(Vpn(page));
    EXPECT_TRUE(is_canonical<F>(address));
    EXPECT_EQ(vpn_of<F>(address), Vpn(page));
    EXPECT_EQ(vpn_of<F>(address + ByteCount(kPageSize - 1)), Vpn(page));
  }
}

template <class F>
void check_format() {
  check_levels<F>();
  check_entries<F>();
  check_page_numbers<F>();
}

TEST(Format, Amd64IsConsistent) { check_format<Amd64>(); }
TEST(Format, I386PaeIsConsistent) { check_format<I386Pae>(); }
TEST(Format, ToyNarrowIsConsistent) { check_format<ToyNarrow>(); }
TEST(Format, ToyDeepIsConsistent) { check_format<ToyDeep>(); }

// [intel/vol3 tables 4-15 to 4-20]: the bits themselves.
TEST(Format, Amd64HasTheManualsBits) {
  const EntryRights none{};
  EXPECT_EQ(Amd64::make_page(Pfn(0x12345), 1, EntryRights::everything()).bits, 0x1234'5007U);
  EXPECT_EQ(Amd64::make_page(Pfn(0x12345), 1, none).bits, 0x8000'0000'1234'5001U);
  EXPECT_EQ(Amd64::make_page(Pfn(0x12200), 2, EntryRights::everything()).bits, 0x1220'0087U);
  EXPECT_EQ(Amd64::make_page(Pfn(0x40000), 3, EntryRights{.user = true}).bits, 0x8000'0000'4000'0085U);
  EXPECT_EQ(Amd64::make_table(Pfn(0x12345), 4, EntryRights::everything()).bits, 0x1234'5007U);
  EXPECT_EQ(Amd64::accessed_bit(1), 0x20U);
  EXPECT_EQ(Amd64::accessed_bit(4), 0x20U);
  EXPECT_EQ(std::uint64_t{Amd64::kDirty}, 0x40U);
  EXPECT_TRUE(Amd64::maps_pages(3));
  EXPECT_FALSE(Amd64::maps_pages(4));
  EXPECT_EQ(entry_span<Amd64>(2), PageCount(512));
  EXPECT_EQ(entry_span<Amd64>(3), PageCount(512 * 512));
  // Bits that software or the memory type own change nothing.
  const Entry decorated{0x07F0'0000'1234'5E1F};
  EXPECT_EQ(Amd64::frame(decorated, 1), Pfn(0x12345));
  EXPECT_TRUE(Amd64::rights(decorated, 1) == EntryRights::everything());
}

// [intel/vol3 4.4.1]: the root's entries have a present bit and a frame; the rest is reserved.
TEST(Format, TheRootOfPaeDeniesNothing) {
  for (const EntryRights rights : kAllRights) {
    EXPECT_EQ(I386Pae::make_table(Pfn(0x54321), 3, rights).bits, 0x5432'1001U);
    EXPECT_TRUE(I386Pae::rights(I386Pae::make_table(Pfn(7), 3, rights), 3) == EntryRights::everything());
  }
  EXPECT_FALSE(I386Pae::restricts(3));
  EXPECT_TRUE(I386Pae::restricts(2));
  EXPECT_TRUE(I386Pae::maps_pages(2));
  EXPECT_EQ(I386Pae::accessed_bit(3), 0U);
  EXPECT_EQ(I386Pae::accessed_bit(2), 0x20U);
  EXPECT_FALSE(I386Pae::is_page(Entry{0x81}, 3));
  EXPECT_EQ(entry_count<I386Pae>(3), 4U);
  EXPECT_FALSE(ToyNarrow::restricts(3));
  EXPECT_TRUE(ToyDeep::restricts(5));
}

TEST(Format, CanonicalAddressesOfAmd64SurroundTheHole) {
  EXPECT_TRUE(is_canonical<Amd64>(VirtAddr(0)));
  EXPECT_TRUE(is_canonical<Amd64>(VirtAddr(0x0000'7FFF'FFFF'FFFF)));
  EXPECT_FALSE(is_canonical<Amd64>(VirtAddr(0x0000'8000'0000'0000)));
  EXPECT_FALSE(is_canonical<Amd64>(VirtAddr(0xFFFF'7FFF'FFFF'FFFF)));
  EXPECT_TRUE(is_canonical<Amd64>(VirtAddr(0xFFFF'8000'0000'0000)));
  EXPECT_TRUE(is_canonical<Amd64>(VirtAddr(~std::uint64_t{0})));
  for (unsigned bit = 48; bit < 64; ++bit) {
    EXPECT_FALSE(is_canonical<Amd64>(VirtAddr(std::uint64_t{1} << bit)));
  }
  EXPECT_EQ(address_of<Amd64>(Vpn(0x7'FFFF'FFFF)), VirtAddr(0x0000'7FFF'FFFF'F000));
  EXPECT_EQ(address_of<Amd64>(Vpn(0x8'0000'0000)), VirtAddr(0xFFFF'8000'0000'0000));
  EXPECT_EQ(vpn_of<Amd64>(VirtAddr(~std::uint64_t{0})), Vpn(0xF'FFFF'FFFF));
}

TEST(Format, CanonicalAddressesOfPaeHave32Bits) {
  EXPECT_TRUE(is_canonical<I386Pae>(VirtAddr(0xFFFF'FFFF)));
  EXPECT_FALSE(is_canonical<I386Pae>(VirtAddr(0x1'0000'0000)));
  EXPECT_FALSE(is_canonical<I386Pae>(VirtAddr(~std::uint64_t{0})));
  EXPECT_EQ(address_of<I386Pae>(Vpn(0xF'FFFF)), VirtAddr(0xFFFF'F000));
}

TEST(Format, RightsCombineByAnd) {
  for (const EntryRights a : kAllRights) {
    EXPECT_TRUE((a & EntryRights::everything()) == a);
    EXPECT_TRUE((a & EntryRights{}) == EntryRights{});
    for (const EntryRights b : kAllRights) {
      const EntryRights both = a & b;
      EXPECT_EQ(both.write, a.write && b.write);
      EXPECT_EQ(both.execute, a.execute && b.execute);
      EXPECT_EQ(both.user, a.user && b.user);
    }
  }
}

}  // namespace
}  // namespace vellum
