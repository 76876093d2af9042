#include "table_builder.hpp"

#include <gtest/gtest.h>

#include <array>
#include <vector>
#include <vellum/hosted/mmu.hpp>

namespace vellum::hosted {
namespace {

template <class F>
class MmuTest : public testing::Test {
 protected:
  static constexpr VirtAddr kPage = VirtAddr(kPageSize);
  static constexpr Pfn kTables = Pfn(64);
  static constexpr Pfn kData = Pfn(16);
  static constexpr Pfn kOther = Pfn(17);

  MmuTest() { machine_->set_root(tables_.root()); }

  void put(Pfn frame, std::uint64_t value) {
    *reinterpret_cast<std::uint64_t*>(machine_->window(frame).data()) = value;
  }
  // Error code of a faulting read by the kernel, or -1.
  int read_fault(VirtAddr address) {
    const auto value = mmu_.template load<std::uint64_t>(address, Privilege::kernel);
    return value ? -1 : static_cast<int>(value.error().error_code);
  }
  std::uint64_t read(VirtAddr address) {
    const auto value = mmu_.template load<std::uint64_t>(address, Privilege::user);
    EXPECT_TRUE(value.has_value());
    return value.value_or(~std::uint64_t{0});
  }

  std::unique_ptr<Machine> machine_ = Machine::create({.memory = ByteCount(2U << 20), .cpus = 2}).value();
  CpuScope cpu_{*machine_, CpuIndex(0)};
  TableBuilder<F> tables_{*machine_, kTables};
  Mmu<F> mmu_{*machine_};
};

using Formats = testing::Types<Amd64, I386Pae, ToyNarrow, ToyDeep>;
TYPED_TEST_SUITE(MmuTest, Formats);

TYPED_TEST(MmuTest, TranslatesAndCountsHitsAndMisses) {
  this->tables_.map(this->kPage, this->kData);
  const auto address = this->kPage + ByteCount(0x128);
  ASSERT_TRUE(this->mmu_.template store<std::uint32_t>(address, 0xCAFE, Privilege::user));
  EXPECT_EQ(0xCAFEU, *reinterpret_cast<std::uint32_t*>(this->machine_->window(this->kData).data() + 0x128));
  EXPECT_EQ(1U, this->machine_->statistics().tlb_misses);
  EXPECT_EQ(TypeParam::kLevels, this->machine_->statistics().entries_walked);
  EXPECT_EQ(0xCAFEU, this->read(address.align_down(ByteCount(8))));
  EXPECT_EQ(1U, this->machine_->statistics().tlb_hits);
  const auto translation = this->mmu_.access(address, Access::read, Privilege::user);
  ASSERT_TRUE(translation.has_value());
  EXPECT_EQ(vellum::address_of(this->kData) + ByteCount(0x128), translation->address);
  EXPECT_EQ(1U, translation->level);
}

TYPED_TEST(MmuTest, FaultNamesAddressAndAccess) {
  const auto address = this->kPage + ByteCount(8);
  const auto stored = this->mmu_.template store<std::uint8_t>(address, 1, Privilege::user);
  ASSERT_FALSE(stored.has_value());
  EXPECT_EQ((Fault{.address = address,
                   .kind = FaultKind::page,
                   .access = Access::write,
                   .privilege = Privilege::user,
                   .error_code = Fault::kWrite | Fault::kUser}),
            stored.error());
  const auto fetched = this->mmu_.template fetch<std::uint8_t>(address, Privilege::kernel);
  ASSERT_FALSE(fetched.has_value());
  EXPECT_EQ(Fault::kFetch, fetched.error().error_code);
  EXPECT_EQ(2U, this->machine_->statistics().faults);
}

TYPED_TEST(MmuTest, NothingIsRememberedOfAnAbsentPage) {
  EXPECT_EQ(0, this->read_fault(this->kPage));
  this->tables_.map(this->kPage, this->kData);
  this->put(this->kData, 7);
  EXPECT_EQ(7U, this->read(this->kPage));
}

TYPED_TEST(MmuTest, StaleTranslationServesUntilFlushed) {
  this->put(this->kData, 1);
  this->put(this->kOther, 2);
  this->tables_.map(this->kPage, this->kData);
  EXPECT_EQ(1U, this->read(this->kPage));
  this->tables_.map(this->kPage, this->kOther);
  EXPECT_EQ(1U, this->read(this->kPage));
  this->machine_->flush_local(flush_of(this->kPage + ByteCount(kPageSize)));
  EXPECT_EQ(1U, this->read(this->kPage)) << "the flush of another page";
  this->machine_->flush_local(flush_of(this->kPage));
  EXPECT_EQ(2U, this->read(this->kPage));
  this->tables_.unmap(this->kPage);
  EXPECT_EQ(2U, this->read(this->kPage));
  this->machine_->flush_local(flush_of_everything());
  EXPECT_EQ(0, this->read_fault(this->kPage));
}

TYPED_TEST(MmuTest, AllPagesOfAFlushedRangeGo) {
  for (std::uint64_t i = 0; i < 8; ++i) {
    this->tables_.map(VirtAddr(i * kPageSize), this->kData);
    this->read(VirtAddr(i * kPageSize));
    this->tables_.unmap(VirtAddr(i * kPageSize));
  }
  TlbFlush flush = flush_of(VirtRange::must(VirtAddr(kPageSize), ByteCount(3 * kPageSize)));
  flush.ranges[1] = VirtRange::must(VirtAddr(6 * kPageSize + 5), ByteCount(1));
  flush.range_count = 2;
  this->machine_->flush_local(flush);
  for (std::uint64_t i = 0; i < 8; ++i) {
    const bool gone = (i >= 1 && i <= 3) || i == 6;
    const auto value = this->mmu_.template load<std::uint8_t>(VirtAddr(i * kPageSize), Privilege::user);
    EXPECT_EQ(gone, !value.has_value()) << i;
  }
  // More pages than the TLB has.
  this->machine_->flush_local(flush_of(VirtRange::must(VirtAddr(0), ByteCount(std::uint64_t{1} << 32))));
  EXPECT_EQ(0, this->read_fault(VirtAddr(0)));
}

TYPED_TEST(MmuTest, StaleTablePointerServesUntilFlushed) {
  using F = TypeParam;
  for (unsigned level = 2; level <= F::kLevels; ++level) {
    const VirtAddr sibling = this->kPage + ByteCount(kPageSize);
    this->tables_.map(this->kPage, this->kData);
    this->tables_.map(sibling, this->kData);
    this->machine_->flush_local(flush_of_everything());
    this->put(this->kData, 1);
    EXPECT_EQ(1U, this->read(this->kPage));
    // Nothing of the sibling is cached but the tables that it shares with the page.
    auto above = this->tables_.entry(sibling, level);
    const std::uint64_t before = above.exchange(0);
    EXPECT_EQ(1U, this->read(sibling)) << level;
    this->machine_->flush_local(flush_of(sibling));
    EXPECT_EQ(0, this->read_fault(sibling)) << level;
    EXPECT_EQ(1U, this->read(this->kPage)) << "only the sibling and the tables above it were flushed";
    above.store(before);
  }
}

TYPED_TEST(MmuTest, LoadingARootForgetsAll) {
  this->put(this->kOther, 2);
  this->tables_.map(this->kPage, this->kData);
  this->read(this->kPage);
  TableBuilder<TypeParam> other(*this->machine_, Pfn(128));
  other.map(this->kPage, this->kOther);
  this->machine_->set_root(other.root());
  EXPECT_EQ(2U, this->read(this->kPage));
  this->tables_.unmap(this->kPage);
  this->machine_->set_root(this->tables_.root());
  EXPECT_EQ(0, this->read_fault(this->kPage));
}

TYPED_TEST(MmuTest, AccessedAndDirtyAreSetOnceUntilFlushed) {
  using F = TypeParam;
  this->tables_.map(this->kPage, this->kData);
  this->read(this->kPage);
  for (unsigned level = 1; level <= F::kLevels; ++level) {
    EXPECT_EQ(F::accessed_bit(level) != 0, this->tables_.has(this->kPage, level, X86EntryBits::kAccessed)) << level;
  }
  EXPECT_FALSE(this->tables_.has(this->kPage, 1, F::kDirty));
  ASSERT_TRUE(this->mmu_.template store<std::uint8_t>(this->kPage, 1, Privilege::user));
  EXPECT_TRUE(this->tables_.has(this->kPage, 1, F::kDirty)) << "the first write looks at the table again";

  this->tables_.map(this->kPage, this->kData);  // both bits clear
  ASSERT_TRUE(this->mmu_.template store<std::uint8_t>(this->kPage, 1, Privilege::user));
  EXPECT_FALSE(this->tables_.has(this->kPage, 1, F::kDirty | X86EntryBits::kAccessed)) << "known to be dirty";
  this->machine_->flush_local(flush_of(this->kPage));
  ASSERT_TRUE(this->mmu_.template store<std::uint8_t>(this->kPage, 1, Privilege::user));
  EXPECT_TRUE(this->tables_.has(this->kPage, 1, F::kDirty));
}

TYPED_TEST(MmuTest, AFaultSetsNoBits) {
  using F = TypeParam;
  this->tables_.map(this->kPage, this->kData, {.write = false, .execute = true, .user = true});
  EXPECT_FALSE(this->mmu_.template store<std::uint8_t>(this->kPage, 1, Privilege::user).has_value());
  EXPECT_FALSE(this->tables_.has(this->kPage, 1, F::kDirty | X86EntryBits::kAccessed));
}

TYPED_TEST(MmuTest, FirstWriteAfterUnmappingSeesTheTable) {
  this->tables_.map(this->kPage, this->kData);
  this->read(this->kPage);
  this->tables_.unmap(this->kPage);
  this->read(this->kPage);
  const auto stored = this->mmu_.template store<std::uint8_t>(this->kPage, 1, Privilege::user);
  ASSERT_FALSE(stored.has_value()) << "the dirty bit must be set in memory, where there is nothing";
  EXPECT_EQ(Fault::kWrite | Fault::kUser, stored.error().error_code);
}

TYPED_TEST(MmuTest, StaleDenialFaultsOnceThough) {
  const EntryRights read_only = {.write = false, .execute = true, .user = true};
  this->tables_.map(this->kPage, this->kData, read_only);
  this->read(this->kPage);
  this->tables_.map(this->kPage, this->kData);
  int faults = 0;
  const auto stored = this->mmu_.template store<std::uint8_t>(this->kPage, 1, Privilege::user, [&](const Fault& fault) {
    EXPECT_EQ(Fault::kPresent | Fault::kWrite | Fault::kUser, fault.error_code);
    ++faults;
    return AfterFault::retry;
  });
  EXPECT_TRUE(stored.has_value());
  EXPECT_EQ(1, faults);
}

TYPED_TEST(MmuTest, RightsAreThoseOfAllLevels) {
  using F = TypeParam;
  constexpr std::array<EntryRights, 3> kDenials = {EntryRights{.write = false, .execute = true, .user = true},
                                                   EntryRights{.write = true, .execute = false, .user = true},
                                                   EntryRights{.write = true, .execute = true, .user = false}};
  constexpr std::array<std::array<bool, 3>, 3> kPermitted = {
      {{true, false, true}, {true, true, false}, {false, false, false}}};  // read, write, execute by a user
  this->tables_.map(this->kPage, this->kData);
  for (unsigned level = 1; level <= F::kLevels; ++level) {
    if (!F::restricts(level)) {
      continue;
    }
    for (std::size_t i = 0; i < kDenials.size(); ++i) {
      auto entry = this->tables_.entry(this->kPage, level);
      const std::uint64_t before = entry.load();
      const Pfn frame = F::frame({before}, level);
      entry.store(level == 1 ? F::make_page(frame, level, kDenials[i]).bits
                             : F::make_table(frame, level, kDenials[i]).bits);
      this->machine_->flush_local(flush_of_everything());
      EXPECT_EQ(kPermitted[i][0], this->mmu_.access(this->kPage, Access::read, Privilege::user).has_value());
      EXPECT_EQ(kPermitted[i][1], this->mmu_.access(this->kPage, Access::write, Privilege::user).has_value());
      EXPECT_EQ(kPermitted[i][2], this->mmu_.access(this->kPage, Access::execute, Privilege::user).has_value());
      entry.store(before);
    }
  }
}

// What [intel/vol3 4.6.1] says, row by row, with IA32_EFER.NXE = 1.
bool manual_permits(Access access, Privilege privilege, EntryRights rights, const CpuControls& controls) {
  const bool supervisor_mode_address = !rights.user;
  const bool smap_stops = controls.deny_user_access && !controls.user_access_permitted;
  if (privilege == Privilege::kernel) {
    switch (access) {
      case Access::read:
        return supervisor_mode_address || !smap_stops;
      case Access::write:
        if (supervisor_mode_address) {
          return controls.write_protect ? rights.write : true;
        }
        return controls.write_protect ? rights.write && !smap_stops : !smap_stops;
      case Access::execute:
        if (supervisor_mode_address) {
          return rights.execute;
        }
        return !controls.deny_user_execute && rights.execute;
    }
  }
  switch (access) {
    case Access::read:
      return !supervisor_mode_address;
    case Access::write:
      return !supervisor_mode_address && rights.write;
    case Access::execute:
      return !supervisor_mode_address && rights.execute;
  }
  return false;
}

TYPED_TEST(MmuTest, EveryProtectionCombination) {
  for (unsigned bits = 0; bits < 128; ++bits) {
    const EntryRights rights = {.write = (bits & 1) != 0, .execute = (bits & 2) != 0, .user = (bits & 4) != 0};
    const CpuControls controls = {.write_protect = (bits & 8) != 0,
                                  .deny_user_execute = (bits & 16) != 0,
                                  .deny_user_access = (bits & 32) != 0,
                                  .user_access_permitted = (bits & 64) != 0};
    for (const Access access : {Access::read, Access::write, Access::execute}) {
      for (const Privilege privilege : {Privilege::user, Privilege::kernel}) {
        const bool expected = manual_permits(access, privilege, rights, controls);
        const std::uint32_t code = Fault::kPresent | (access == Access::write ? Fault::kWrite : 0) |
                                   (access == Access::execute ? Fault::kFetch : 0) |
                                   (privilege == Privilege::user ? Fault::kUser : 0);
        for (const bool cached : {false, true}) {
          this->tables_.map(this->kPage, this->kData, rights);
          this->machine_->flush_local(flush_of_everything());
          if (cached) {
            this->mmu_.cpu().set_controls({.deny_user_access = false});
            EXPECT_EQ(-1, this->read_fault(this->kPage));
          }
          this->mmu_.cpu().set_controls(controls);
          const auto result = this->mmu_.access(this->kPage, access, privilege);
          EXPECT_EQ(expected, result.has_value()) << "combination " << bits << ", cached " << cached;
          if (!result) {
            EXPECT_EQ(code, result.error().error_code);
          }
        }
      }
    }
  }
}

TYPED_TEST(MmuTest, AddressesBeyondTheFormatAreRefused) {
  using F = TypeParam;
  const std::uint64_t beyond = std::uint64_t{1} << (F::kSignExtended ? F::kVirtualBits - 1 : F::kVirtualBits);
  for (const std::uint64_t bad : {beyond, beyond + 3 * kPageSize, std::uint64_t{1} << 62}) {
    const auto value = this->mmu_.template load<std::uint8_t>(VirtAddr(bad), Privilege::user);
    ASSERT_FALSE(value.has_value());
    EXPECT_EQ(FaultKind::general_protection, value.error().kind);
    EXPECT_EQ(0U, value.error().error_code);
  }
  // The last address below, and at the top of the upper half.
  const VirtAddr last(beyond - kPageSize);
  this->put(this->kData, 5);
  this->tables_.map(last, this->kData);
  EXPECT_EQ(5U, this->read(last));
  if (F::kSignExtended) {
    const VirtAddr top(~std::uint64_t{0} - (kPageSize - 1));
    this->tables_.map(top, this->kData);
    EXPECT_EQ(5U, this->read(top));
  }
}

TYPED_TEST(MmuTest, ReservedBitsFault) {
  using F = TypeParam;
  std::vector<std::pair<unsigned, std::uint64_t>> bad;
  for (unsigned level = 2; level <= F::kLevels; ++level) {
    if (!F::restricts(level)) {
      bad.emplace_back(level, X86EntryBits::kWrite);
      bad.emplace_back(level, X86EntryBits::kNoExecute);
    } else if (!F::maps_pages(level)) {
      bad.emplace_back(level, X86EntryBits::kPageSize);
    }
  }
  if (!F::restricts(F::kLevels)) {
    bad.emplace_back(1, std::uint64_t{1} << 62);
  }
  this->tables_.map(this->kPage, this->kData);
  for (const auto& [level, bit] : bad) {
    auto entry = this->tables_.entry(this->kPage, level);
    const std::uint64_t before = entry.load();
    entry.store(before | bit);
    this->machine_->flush_local(flush_of_everything());
    EXPECT_EQ(static_cast<int>(Fault::kPresent | Fault::kReserved), this->read_fault(this->kPage)) << level;
    entry.store(before);
  }
  EXPECT_EQ(0U, this->read(this->kPage));
}

TYPED_TEST(MmuTest, UnalignedAccessesAndCopiesCrossPages) {
  const VirtAddr next = this->kPage + ByteCount(kPageSize);
  this->tables_.map(this->kPage, this->kData);
  const VirtAddr across = next - ByteCount(3);
  int faults = 0;
  const auto map_it = [&](const Fault& fault) {
    ++faults;
    this->tables_.map(fault.address.page(), this->kOther);
    return AfterFault::retry;
  };
  EXPECT_FALSE(this->mmu_.template store<std::uint64_t>(across, 0x8877665544332211, Privilege::user).has_value());
  EXPECT_EQ(std::byte{0}, this->machine_->window(this->kData).data()[kPageSize - 3]) << "half a store";
  ASSERT_TRUE(this->mmu_.template store<std::uint64_t>(across, 0x8877665544332211, Privilege::user, map_it));
  EXPECT_EQ(1, faults);
  EXPECT_EQ(0x8877665544332211U, *this->mmu_.template load<std::uint64_t>(across, Privilege::user));
  EXPECT_EQ(std::byte{0x11}, this->machine_->window(this->kData).data()[kPageSize - 3]);
  EXPECT_EQ(std::byte{0x44}, this->machine_->window(this->kOther).data()[0]);

  std::array<std::byte, 6000> out;
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] = static_cast<std::byte>(i * 7);
  }
  std::array<std::byte, 6000> in{};
  ASSERT_TRUE(this->mmu_.copy_out(this->kPage + ByteCount(13), out, Privilege::user));
  ASSERT_TRUE(this->mmu_.copy_in(in, this->kPage + ByteCount(13), Privilege::user));
  EXPECT_EQ(out, in);
  EXPECT_FALSE(this->mmu_.copy_in(in, next, Privilege::user).has_value());
}

TYPED_TEST(MmuTest, AddsAtomically) {
  this->tables_.map(this->kPage, this->kData);
  EXPECT_EQ(0U, *this->mmu_.template fetch_add<std::uint16_t>(this->kPage, 5, Privilege::user));
  EXPECT_EQ(5U, *this->mmu_.template fetch_add<std::uint16_t>(this->kPage, 1, Privilege::user));
  EXPECT_TRUE(this->tables_.has(this->kPage, 1, TypeParam::kDirty));
}

}  // namespace
}  // namespace vellum::hosted
