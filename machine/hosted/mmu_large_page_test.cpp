#include <gtest/gtest.h>

#include <vellum/hosted/mmu.hpp>

#include "table_builder.hpp"

namespace vellum::hosted {
namespace {

// For each format and level that maps larger pages.
template <class F>
void for_each_large_level(auto visit) {
  for (unsigned level = 2; level <= F::kLevels; ++level) {
    if (F::maps_pages(level)) {
      visit(level, std::uint64_t{1} << F::shift(level));
    }
  }
}

template <class F>
class LargePageTest : public testing::Test {
 protected:
  // Room for two pages of 1 GB, and tables behind them.
  std::unique_ptr<Machine> machine_ = Machine::create({.memory = ByteCount(std::uint64_t{5} << 30)}).value();
  CpuScope cpu_{*machine_, CpuIndex(0)};
  TableBuilder<F> tables_{*machine_, Pfn(std::uint64_t{1} << 20)};
  Mmu<F> mmu_{*machine_};

  LargePageTest() { machine_->set_root(tables_.root()); }

  void put(std::uint64_t physical, std::uint64_t value) {
    *reinterpret_cast<std::uint64_t*>(machine_->ram() + physical) = value;
  }
  std::uint64_t read(std::uint64_t address) {
    return mmu_.template load<std::uint64_t>(VirtAddr(address), Privilege::user).value_or(~std::uint64_t{0});
  }
};

using Formats = testing::Types<Amd64, I386Pae, ToyNarrow, ToyDeep>;
TYPED_TEST_SUITE(LargePageTest, Formats);

TYPED_TEST(LargePageTest, MapsAllOfIt) {
  using F = TypeParam;
  for_each_large_level<F>([this](unsigned level, std::uint64_t size) {
    TableBuilder<F> tables(*this->machine_, this->tables_.next_table() + PageCount(level * 16));
    this->machine_->set_root(tables.root());
    tables.map(VirtAddr(size), frame_of(PhysAddr(2 * size)), EntryRights::everything(), level);
    for (const std::uint64_t offset : {std::uint64_t{0}, size / 2 + 8, size - 8}) {
      this->put(2 * size + offset, offset + 1);
      EXPECT_EQ(offset + 1, this->read(size + offset));
      const auto found = this->mmu_.access(VirtAddr(size + offset), Access::read, Privilege::user);
      ASSERT_TRUE(found.has_value());
      EXPECT_EQ(PhysAddr(2 * size + offset), found->address);
      EXPECT_EQ(level, found->level);
    }
    EXPECT_FALSE(tables.has(VirtAddr(size), level, F::kDirty));
    ASSERT_TRUE(this->mmu_.template store<std::uint8_t>(VirtAddr(2 * size - 1), 1, Privilege::user));
    EXPECT_TRUE(tables.has(VirtAddr(size), level, F::kDirty));
  });
  const Statistics statistics = this->machine_->statistics();
  EXPECT_NE(0U, statistics.large_page_hits);
}

TYPED_TEST(LargePageTest, FlushOfAnyOfItsAddressesDropsIt) {
  using F = TypeParam;
  for_each_large_level<F>([this](unsigned level, std::uint64_t size) {
    TableBuilder<F> tables(*this->machine_, this->tables_.next_table() + PageCount(level * 16));
    this->machine_->set_root(tables.root());
    tables.map(VirtAddr(size), frame_of(PhysAddr(0)), EntryRights::everything(), level);
    this->put(0, 1);
    this->put(size, 2);
    EXPECT_EQ(1U, this->read(size));
    tables.map(VirtAddr(size), frame_of(PhysAddr(size)), EntryRights::everything(), level);
    this->machine_->flush_local(flush_of(VirtAddr(size - kPageSize)));
    EXPECT_EQ(1U, this->read(size));
    this->machine_->flush_local(flush_of(VirtAddr(2 * size - kPageSize)));
    EXPECT_EQ(2U, this->read(size));
  });
}

TYPED_TEST(LargePageTest, SplittingNeedsAFlush) {
  const VirtAddr page(0);
  this->tables_.map(page, Pfn(0), EntryRights::everything(), 2);
  this->put(0, 1);
  EXPECT_EQ(1U, this->read(0));
  this->tables_.unmap(page, 2);
  this->tables_.map(page, Pfn(1));
  this->put(kPageSize, 2);
  EXPECT_EQ(1U, this->read(0));
  this->machine_->flush_local(flush_of(page));
  EXPECT_EQ(2U, this->read(0));
}

TYPED_TEST(LargePageTest, MisplacedFrameIsAReservedBit) {
  using F = TypeParam;
  if constexpr (F::shift(2) > 13) {
    // Bit 12 chooses a memory type; the next ones are reserved.
    this->tables_.entry(VirtAddr(0), 2).store(F::make_page(Pfn(2), 2, EntryRights::everything()).bits);
    const auto value = this->mmu_.template load<std::uint8_t>(VirtAddr(0), Privilege::user);
    ASSERT_FALSE(value.has_value());
    EXPECT_EQ(Fault::kPresent | Fault::kReserved | Fault::kUser, value.error().error_code);
  }
}

TEST(PaeRegisterTest, RootEntriesAreReadWhenTheRootIsLoaded) {
  const auto machine = Machine::create({}).value();
  const CpuScope cpu(*machine, CpuIndex(0));
  TableBuilder<I386Pae> tables(*machine, Pfn(64));
  Mmu<I386Pae> mmu(*machine);
  mmu.cpu().set_controls({.root_entries_in_registers = true});
  machine->set_root(tables.root());
  const VirtAddr page(0x4000'0000);
  tables.map(page, Pfn(16));  // makes a directory, and with it an entry of the root
  EXPECT_FALSE(mmu.load<std::uint8_t>(page, Privilege::user).has_value());
  machine->flush_local(flush_of(page));
  EXPECT_FALSE(mmu.load<std::uint8_t>(page, Privilege::user).has_value()) << "INVLPG does not load them";
  machine->flush_local(flush_of_everything());
  EXPECT_TRUE(mmu.load<std::uint8_t>(page, Privilege::user).has_value());
}

}  // namespace
}  // namespace vellum::hosted
