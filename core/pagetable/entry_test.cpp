#include <vellum/pagetable/entry.hpp>
#include <vellum/pagetable/formats.hpp>
#include <vellum/test/test.hpp>

namespace vellum {
namespace {

constexpr EntryRights kAllRights[] = {
    {.write = false, .execute = false, .user = true},
    {.write = true, .execute = false, .user = true},
    {.write = false, .execute = true, .user = true},
    {.write = true, .execute = true, .user = true},
};

template <class F>
void check_tables() {
  using Codec = EntryCodec<F>;
  for (unsigned level = 2; level <= F::kLevels; ++level) {
    const Pfn frame(0xABCD);
    for (const EntryRights rights : kAllRights) {
      const Entry table = Codec::table(frame, level, rights);
      EXPECT_TRUE(F::is_present(table));
      EXPECT_TRUE(Codec::state(table, level) == EntryState::table);
      EXPECT_EQ(Codec::frame(table, level), frame);
      EXPECT_TRUE(Codec::rights(table, level) == (F::restricts(level) ? rights : EntryRights::everything()));
      if (!F::restricts(level)) {
        continue;
      }
      const Entry denied = Codec::with(table, level, rights, false);
      EXPECT_FALSE(F::is_present(denied));
      EXPECT_TRUE(Codec::state(denied, level) == EntryState::table);
      EXPECT_EQ(Codec::frame(denied, level), frame);
      EXPECT_TRUE(Codec::rights(denied, level) == rights);
      EXPECT_TRUE(Codec::with(denied, level, rights, true) == table);
    }
  }
}

template <class F>
void check_pages() {
  using Codec = EntryCodec<F>;
  for (unsigned level = 1; level <= F::kLevels; ++level) {
    if (!F::maps_pages(level)) {
      continue;
    }
    const Pfn frame(entry_span<F>(level).value() * 3);
    for (const EntryRights rights : kAllRights) {
      const Entry page = Codec::page(frame, level, rights);
      EXPECT_TRUE(Codec::state(page, level) == EntryState::page);
      EXPECT_EQ(Codec::frame(page, level), frame);
      EXPECT_TRUE(Codec::rights(page, level) == rights);
      for (const EntryRights other : kAllRights) {
        EXPECT_TRUE(Codec::with(page, level, other, true) == Codec::page(frame, level, other));
        const Entry denied = Codec::with(page, level, other, false);
        EXPECT_FALSE(F::is_present(denied));
        EXPECT_TRUE(Codec::state(denied, level) == EntryState::page);
        EXPECT_EQ(Codec::frame(denied, level), frame);
        EXPECT_TRUE(Codec::rights(denied, level) == other);
        EXPECT_TRUE(Codec::with(denied, level, rights, true) == page);
      }
      // What the hardware has marked is not lost with the rights.
      const Entry marked{page.bits | F::accessed_bit(level) | F::kDirty};
      EXPECT_EQ(Codec::with(marked, level, EntryRights{.user = true}, true).bits & F::kDirty, F::kDirty);
      EXPECT_TRUE(Codec::with(Codec::with(marked, level, rights, false), level, rights, true) == marked);
    }
  }
}

template <class F>
void check_swapped() {
  using Codec = EntryCodec<F>;
  for (unsigned bit = 0; bit < 52; ++bit) {
    const SwapSlot slot(std::uint64_t{1} << bit);
    const Entry entry = Codec::swapped(slot);
    EXPECT_FALSE(F::is_present(entry));
    EXPECT_TRUE(Codec::state(entry, 1) == EntryState::swapped);
    EXPECT_EQ(Codec::swap_slot(entry), slot);
  }
  const Entry first = Codec::swapped(SwapSlot(0));
  EXPECT_TRUE(Codec::state(first, 1) == EntryState::swapped);
  EXPECT_EQ(Codec::swap_slot(first), SwapSlot(0));
  for (unsigned level = 1; level <= F::kLevels; ++level) {
    EXPECT_TRUE(Codec::state(Entry{}, level) == EntryState::empty);
  }
}

template <class F>
void check_codec() {
  check_tables<F>();
  check_pages<F>();
  check_swapped<F>();
}

TEST(EntryCodec, OfAmd64) { check_codec<Amd64>(); }
TEST(EntryCodec, OfI386Pae) { check_codec<I386Pae>(); }
TEST(EntryCodec, OfToyNarrow) { check_codec<ToyNarrow>(); }
TEST(EntryCodec, OfToyDeep) { check_codec<ToyDeep>(); }

}  // namespace
}  // namespace vellum
