// What explain says of the addresses that people ask about.
#include <vellum/layout/explain.hpp>
#include <vellum/test/test.hpp>

namespace vellum {
namespace {

using namespace literals;

AddressMap map_for(Arch arch, UserModel model) {
  UserInputs user;
  user.model = model;
  const auto map = AddressMap::create(KernelInputs::for_memory(arch, 4_GiB), user);
  VELLUM_CHECK(map.has_value());
  return *map;
}

AddressMap wide() { return map_for(Arch::amd64, UserModel::illumos); }

struct Case {
  std::uint64_t address;
  RegionId region;
  Clue clue;
  std::uint64_t value;
};

void expect_explained(const AddressMap& map, std::span<const Case> cases) {
  for (const Case& expected : cases) {
    const auto explanation = explain(map, VirtAddr(expected.address));
    ASSERT_TRUE(explanation.has_value());
    EXPECT_TRUE(explanation->region->row->id == expected.region);
    EXPECT_TRUE(explanation->clue == expected.clue);
    EXPECT_EQ(explanation->clue_value, expected.value);
  }
}

TEST(Explain, AddressesOfThe64BitKernel) {
  constexpr Case kCases[] = {
      {0, RegionId::invalid, Clue::null_pointer, 0},
      {0x2A, RegionId::invalid, Clue::null_pointer, 0x2A},
      {0xFFFF, RegionId::invalid, Clue::null_pointer, 0xFFFF},
      {0x10000, RegionId::low_programs, Clue::none, 0},
      {0x3FFFFFF, RegionId::low_programs, Clue::none, 0},
      {0x4000000, RegionId::user_memory, Clue::none, 0},
      {0x00007FFF'FFFFEFFF, RegionId::user_memory, Clue::none, 0},
      {0x00007FFF'FFFFF000, RegionId::hole_guard, Clue::end_of_low_half, 0x1000},
      {0x00007FFF'FFFFFFFF, RegionId::hole_guard, Clue::end_of_low_half, 1},
      {0x00008000'00000000, RegionId::va_hole, Clue::tagged_pointer, 0},
      {0xBEEF0000'04000123, RegionId::va_hole, Clue::tagged_pointer, 0x4000123},
      {0xFFFF7FFF'FFFFFFFF, RegionId::va_hole, Clue::tagged_pointer, 0x7FFF'FFFFFFFF},
      {0xFFFF8000'00000000, RegionId::shared_objects, Clue::none, 0},
      {0xFFFFFC7F'FF5FFFFF, RegionId::stack_guard, Clue::stack_overflow, 1},
      {0xFFFFFC7F'FF500000, RegionId::stack_guard, Clue::stack_overflow, 0x100000},
      {0xFFFFFC7F'FF4FFFFF, RegionId::stack_room, Clue::none, 0},
      {0xFFFFFC7F'FF600000, RegionId::user_stack, Clue::on_stack, 0x800000},
      {0xFFFFFC7F'FFDFFFFF, RegionId::user_stack, Clue::on_stack, 1},
      {0xFFFFFC7F'FFE00000, RegionId::limit_gap, Clue::overran_user_half, 0},
      {0xFFFFFC80'00000000, RegionId::red_zone, Clue::overran_user_half, 0x200000},
      {0xFFFFFCFF'FFFFFFFF, RegionId::red_zone, Clue::overran_user_half, 0x80'001FFFFF},
      {0xFFFFFD00'00000000, RegionId::segkpm, Clue::physical_memory, 0},
      {0xFFFFFD00'FFFFFFFF, RegionId::segkpm, Clue::physical_memory, 0xFFFFFFFF},
      {0xFFFFFD01'00000000, RegionId::segkpm_room, Clue::beyond_memory, 0x1'00000000},
      {0xFFFFFE00'00000000, RegionId::valloc, Clue::none, 0},
      {0xFFFFFE00'01000000, RegionId::segkp, Clue::kernel_stack, 0},
      {0xFFFFFFFF'C0000000, RegionId::core_heap, Clue::none, 0},
      {0xFFFFFFFF'BFFFFFFF, RegionId::kernel_heap, Clue::none, 0},
      {0xFFFFFFFF'FC000000, RegionId::unused, Clue::none, 0},
      {0xFFFFFFFF'FFFFF000, RegionId::arguments, Clue::none, 0},
      {0xFFFFFFFF'FFFFF001, RegionId::arguments, Clue::negative_number, 4095},
      {0xFFFFFFFF'FFFFFFFF, RegionId::arguments, Clue::negative_number, 1},
  };
  expect_explained(wide(), kCases);
}

TEST(Explain, AddressesOfThe32BitKernel) {
  constexpr Case kCases[] = {
      {0x2A, RegionId::invalid, Clue::null_pointer, 0x2A},
      {0x08047FFF, RegionId::user_stack, Clue::on_stack, 1},
      {0x08048000, RegionId::user_memory, Clue::none, 0},
      {0x07847FFF, RegionId::stack_guard, Clue::stack_overflow, 1},
      {0x00010000, RegionId::stack_room, Clue::none, 0},
      {0xD2000000, RegionId::red_zone, Clue::overran_user_half, 0},
      {0xD2001FFF, RegionId::red_zone, Clue::overran_user_half, 0x1FFF},
      {0xD2002000, RegionId::segmap, Clue::none, 0},
      {0xFFFFFFEA, RegionId::arguments, Clue::negative_number, 22},
  };
  expect_explained(map_for(Arch::i386, UserModel::illumos), kCases);
  EXPECT_FALSE(explain(map_for(Arch::i386, UserModel::illumos), VirtAddr(0x1'00000000)).has_value());
}

TEST(Explain, AddressesOfOtherUserHalves) {
  constexpr Case kLinux[] = {
      {0x00007FFF'FFFFEFFF, RegionId::user_stack, Clue::on_stack, 1},
      {0x00007FFF'FF7FEFFF, RegionId::stack_guard, Clue::stack_overflow, 1},
      {0x00005555'55554000, RegionId::user_memory, Clue::none, 0},
      {0x00000000'00400000, RegionId::low_programs, Clue::none, 0},
      {0xFFFFFC7F'FFDFFFFF, RegionId::out_of_reach, Clue::none, 0},
      {0xFFFFFC80'00000000, RegionId::red_zone, Clue::none, 0},
  };
  expect_explained(map_for(Arch::amd64, UserModel::linux_low), kLinux);
  constexpr Case kProgram32[] = {
      {0xFEFFEFFF, RegionId::user_memory, Clue::none, 0},
      {0xFEFFF000, RegionId::out_of_reach, Clue::none, 0},
      {0x1'00000000, RegionId::out_of_reach, Clue::none, 0},
      {0x00007FFF'FFFFFFFF, RegionId::out_of_reach, Clue::none, 0},
      {0x00008000'00000000, RegionId::va_hole, Clue::tagged_pointer, 0},
      {0x08047000, RegionId::user_stack, Clue::on_stack, 0x1000},
  };
  expect_explained(map_for(Arch::amd64, UserModel::program32), kProgram32);
}

TEST(Explain, NeighboursPassOverWhatIsUnused) {
  const AddressMap map = wide();
  const auto between = explain(map, VirtAddr(0xFFFFFFFF'FC000010));
  ASSERT_TRUE(between.has_value());
  EXPECT_TRUE(between->above->row->id == RegionId::debugger);
  EXPECT_EQ(between->to_above, 56_MiB - 16_B);
  EXPECT_TRUE(between->below->row->id == RegionId::kernel_data);
  EXPECT_EQ(between->to_below, 16_B);

  const auto debugger = explain(map, VirtAddr(0xFFFFFFFF'FF800000));
  ASSERT_TRUE(debugger.has_value());
  EXPECT_TRUE(debugger->below->row->id == RegionId::kernel_data);
  EXPECT_EQ(debugger->to_below, 56_MiB);

  const auto lowest = explain(map, VirtAddr(0));
  ASSERT_TRUE(lowest.has_value());
  EXPECT_TRUE(lowest->below == nullptr);
  EXPECT_EQ(lowest->to_above, 64_KiB);
  const auto highest = explain(map, VirtAddr(~std::uint64_t{0}));
  ASSERT_TRUE(highest.has_value());
  EXPECT_TRUE(highest->above == nullptr);
}

struct Access6 {
  RegionId region;
  Outcome user_read, user_write, user_execute, kernel_read, kernel_write, kernel_execute;
};

TEST(Explain, WhatAnAccessLeadsTo) {
  using enum Outcome;
  constexpr Access6 kExpected[] = {
      {RegionId::kernel_text, signal_unmapped, signal_unmapped, signal_unmapped, works_where_used, panics,
       works_where_used},
      {RegionId::kernel_data, signal_unmapped, signal_unmapped, signal_unmapped, works_where_used, works_where_used,
       panics},
      {RegionId::segkpm, signal_unmapped, signal_unmapped, signal_unmapped, works_on_memory, works_on_memory, panics},
      {RegionId::device, signal_unmapped, signal_unmapped, signal_unmapped, touches_device, touches_device, panics},
      {RegionId::segkp, signal_unmapped, signal_unmapped, signal_unmapped, pages_in, pages_in, panics},
      {RegionId::segmap, signal_unmapped, signal_unmapped, signal_unmapped, reads_file, reads_file, panics},
      {RegionId::red_zone, signal_unmapped, signal_unmapped, signal_unmapped, copy_fails_or_panics,
       copy_fails_or_panics, panics},
      {RegionId::unused, signal_unmapped, signal_unmapped, signal_unmapped, copy_fails_or_panics, copy_fails_or_panics,
       panics},
      {RegionId::va_hole, signal_non_canonical, signal_non_canonical, signal_non_canonical, copy_fails_or_panics,
       copy_fails_or_panics, panics},
      {RegionId::user_stack, grows_stack, grows_stack, signal_denied, only_in_user_copy, only_in_user_copy, panics},
      {RegionId::user_memory, as_mapped, as_mapped, as_mapped, only_in_user_copy, only_in_user_copy, panics},
      {RegionId::invalid, signal_unmapped, signal_unmapped, signal_unmapped, copy_fails_or_panics, copy_fails_or_panics,
       panics},
  };
  const AddressMap map = wide();
  for (const Access6& row : kExpected) {
    const LayoutRegion* region = map.find(row.region);
    ASSERT_TRUE(region != nullptr);
    EXPECT_TRUE(outcome_of(*region, Privilege::user, Access::read) == row.user_read);
    EXPECT_TRUE(outcome_of(*region, Privilege::user, Access::write) == row.user_write);
    EXPECT_TRUE(outcome_of(*region, Privilege::user, Access::execute) == row.user_execute);
    EXPECT_TRUE(outcome_of(*region, Privilege::kernel, Access::read) == row.kernel_read);
    EXPECT_TRUE(outcome_of(*region, Privilege::kernel, Access::write) == row.kernel_write);
    EXPECT_TRUE(outcome_of(*region, Privilege::kernel, Access::execute) == row.kernel_execute);
  }
}

}  // namespace
}  // namespace vellum
