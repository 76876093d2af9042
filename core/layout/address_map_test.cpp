// Properties of every map, over memory sizes, kernels and user models.
#include <vellum/layout/address_map.hpp>
#include <vellum/test/test.hpp>

namespace vellum {
namespace {

using namespace literals;

struct Kind {
  Arch arch;
  UserModel model;
};

constexpr Kind kKinds[] = {{Arch::amd64, UserModel::illumos},
                           {Arch::amd64, UserModel::linux_low},
                           {Arch::amd64, UserModel::program32},
                           {Arch::i386, UserModel::illumos}};

std::expected<AddressMap, LayoutProblem> map_for(Kind kind, ByteCount memory) {
  UserInputs user;
  user.model = kind.model;
  return AddressMap::create(KernelInputs::for_memory(kind.arch, memory), user);
}

// Sizes that leave a different remainder at every boundary, from a fixed seed (Marsaglia's xorshift64).
class Sizes {
 public:
  // Spread evenly over the orders of magnitude up to 2^max_bits.
  ByteCount next(unsigned max_bits) {
    const std::uint64_t bits = random() % (max_bits - 25) + 26;
    return ByteCount((std::uint64_t{1} << bits) + random() % (std::uint64_t{1} << bits));
  }

 private:
  std::uint64_t random() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_;
  }

  std::uint64_t state_ = 0x9E3779B97F4A7C15;
};

// Each address in exactly one region: the regions follow each other without a gap, from the top to 0.
void expect_whole_space_covered(const AddressMap& map) {
  VirtAddr expected_end = map.space_end();
  for (const LayoutRegion& region : map.regions()) {
    EXPECT_FALSE(region.range.empty());
    EXPECT_EQ(region.range.end(), expected_end);
    EXPECT_TRUE(region.range.start().is_page_aligned());
    expected_end = region.range.start();
  }
  EXPECT_EQ(expected_end, VirtAddr(0));
}

void expect_found_at_its_borders(const AddressMap& map) {
  for (const LayoutRegion& region : map.regions()) {
    EXPECT_TRUE(map.find(region.range.start()) == &region);
    EXPECT_TRUE(map.find(region.range.start() + 1_B) == &region);
    EXPECT_TRUE(map.find(region.range.last()) == &region);
    EXPECT_TRUE(map.find(region.range.last() - 1_B) == &region);
    const bool is_highest = &region == map.regions().data();
    EXPECT_TRUE(map.find(region.range.end()) == (is_highest ? map.find(map.space_end()) : &region - 1));
    if (region.range.start() != VirtAddr(0)) {
      EXPECT_TRUE(map.find(region.range.start() - 1_B) == &region + 1);
    }
  }
}

void expect_ordered_64(const AddressMap& map) {
  const Landmarks& at = map.landmarks();
  const VirtAddr ascending[] = {amd64_layout::kHoleEnd,  at.user_limit,
                                at.kernelbase,           at.segkpm_base,
                                at.valloc_base,          at.segkp_base,
                                at.segkvmm_base,         at.segzio_base,
                                at.toxic_addr,           at.segmap_start,
                                at.kernelheap,           amd64_layout::kCoreHeap,
                                amd64_layout::kMiscBase, amd64_layout::kKernelText};
  for (std::size_t i = 1; i < std::size(ascending); ++i) {
    EXPECT_LT(ascending[i - 1], ascending[i]);
  }
  EXPECT_TRUE(at.kernelbase.is_aligned(512_GiB));
  EXPECT_TRUE(at.segkpm_base.is_aligned(512_GiB));
  for (std::size_t i = 1; i < std::size(ascending) - 2; ++i) {
    EXPECT_TRUE(ascending[i].is_aligned(2_MiB));
  }
  EXPECT_LE(at.segkpm_end, at.valloc_base);
  EXPECT_LE(map.physical_top(), at.segkpm_end - at.segkpm_base);
  EXPECT_LE(map.physical_top(), at.ekernelheap - at.kernelheap + 16_MiB);
  EXPECT_EQ(map.find(RegionId::device)->range.size(), 1_GiB);
  EXPECT_EQ(map.find(RegionId::red_zone)->range.size(), 512_GiB);
}

void expect_ordered_32(const AddressMap& map) {
  const Landmarks& at = map.landmarks();
  EXPECT_TRUE(at.kernelbase.is_aligned(4_MiB));
  EXPECT_EQ(at.segmap_start, at.kernelbase + 8_KiB);
  EXPECT_LT(at.segmap_start, at.kernelheap);
  EXPECT_LE(at.kernelheap + 128_MiB, at.ekernelheap);
  EXPECT_EQ(at.ekernelheap + 64_MiB, at.valloc_base);
  EXPECT_LE(at.valloc_end, i386_layout::kMiscBase);
  EXPECT_EQ(map.find(RegionId::red_zone)->range.size(), 8_KiB);
}

void expect_sound(const AddressMap& map) {
  expect_whole_space_covered(map);
  expect_found_at_its_borders(map);
  map.arch() == Arch::amd64 ? expect_ordered_64(map) : expect_ordered_32(map);
}

constexpr ByteCount kSupported64 = 16_TiB;
constexpr ByteCount kSupported32 = 16_GiB;

TEST(AddressMap, SoundForEverySupportedSize) {
  Sizes sizes;
  for (const Kind kind : kKinds) {
    const ByteCount most = kind.arch == Arch::amd64 ? kSupported64 : kSupported32;
    for (int i = 0; i < 2000; ++i) {
      const ByteCount memory = sizes.next(kind.arch == Arch::amd64 ? 44 : 34);
      if (memory >= 64_MiB && memory <= most) {
        const auto map = map_for(kind, memory);
        ASSERT_TRUE(map.has_value());
        expect_sound(*map);
      }
    }
  }
}

TEST(AddressMap, SoundAroundEveryPowerOfTwo) {
  for (const Kind kind : kKinds) {
    const ByteCount most = kind.arch == Arch::amd64 ? kSupported64 : kSupported32;
    for (ByteCount power = 64_MiB; power <= most; power = power * 2) {
      for (const ByteCount memory :
           {power - 1_B, power - 4_KiB, power, power + 1_B, power + 4_KiB, power + power / 2}) {
        if (memory >= 64_MiB && memory <= most) {
          const auto map = map_for(kind, memory);
          ASSERT_TRUE(map.has_value());
          expect_sound(*map);
        }
      }
    }
  }
}

// Beyond what is supported, sound all the same or refused with a reason; and once refused, never accepted again.
TEST(AddressMap, LargerMemoryIsSoundOrRefusedWithItsReason) {
  for (const Kind kind : kKinds) {
    const bool wide = kind.arch == Arch::amd64;
    const ByteCount step = wide ? 64_GiB : 256_MiB;
    bool refused = false;
    for (ByteCount memory = wide ? kSupported64 : kSupported32; memory < (wide ? 40_TiB : 80_GiB); memory += step) {
      const auto map = map_for(kind, memory);
      if (map.has_value()) {
        EXPECT_FALSE(refused);
        expect_sound(*map);
      } else {
        refused = true;
        EXPECT_GT(map.error().required, map.error().available);
      }
    }
    EXPECT_TRUE(refused);
  }
}

TEST(AddressMap, RandomHugeSizesNeverWrap) {
  Sizes sizes;
  for (const Kind kind : kKinds) {
    for (int i = 0; i < 2000; ++i) {
      const auto map = map_for(kind, sizes.next(63));
      if (map.has_value()) {
        expect_sound(*map);
      } else {
        EXPECT_GT(map.error().required, map.error().available);
      }
    }
  }
}

TEST(AddressMap, SaysWhichRuleFailedAndByHowMuch) {
  const Kind wide = kKinds[0];
  const Kind narrow = kKinds[3];

  auto map = map_for(wide, 18_TiB);
  ASSERT_FALSE(map.has_value());
  EXPECT_TRUE(map.error().rule == LayoutRule::heap_large_enough);
  EXPECT_EQ(map.error().required, 18_TiB - 8_MiB - 4_KiB);

  // Where the original's arithmetic wraps around and hands out addresses of the lower half.
  map = map_for(wide, 20_TiB);
  ASSERT_FALSE(map.has_value());
  EXPECT_TRUE(map.error().rule == LayoutRule::regions_fit);

  map = map_for(wide, (1_TiB * 4096) + 4_KiB);
  ASSERT_FALSE(map.has_value());
  EXPECT_TRUE(map.error().rule == LayoutRule::addressable_memory);
  EXPECT_EQ(map.error().required - map.error().available, 4_KiB);

  map = map_for(narrow, 64_GiB + 4_KiB);
  ASSERT_FALSE(map.has_value());
  EXPECT_TRUE(map.error().rule == LayoutRule::addressable_memory);

  map = map_for(wide, 16_MiB - 1_B);
  ASSERT_FALSE(map.has_value());
  EXPECT_TRUE(map.error().rule == LayoutRule::enough_memory);
  EXPECT_EQ(map.error().required - map.error().available, 4_KiB);
  EXPECT_TRUE(map_for(wide, 16_MiB).has_value());

  map = map_for({Arch::i386, UserModel::linux_low}, 1_GiB);
  ASSERT_FALSE(map.has_value());
  EXPECT_TRUE(map.error().rule == LayoutRule::model_fits_arch);
}

TEST(AddressMap, SizesThatCannotFitAreRefused) {
  constexpr ByteCount kEverything{~std::uint64_t{0}};
  const KernelInputs plain64 = KernelInputs::for_memory(Arch::amd64, 4_GiB);
  for (auto member : {&KernelInputs::tables_size, &KernelInputs::segkvmm_size, &KernelInputs::segzio_size,
                      &KernelInputs::segmap_size}) {
    for (const ByteCount size : {kEverything, kEverything - 4_MiB, 128_TiB, 2_TiB}) {
      KernelInputs inputs = plain64;
      inputs.*member = size;
      const auto map = AddressMap::create(inputs, UserInputs{});
      ASSERT_FALSE(map.has_value());
      EXPECT_TRUE(map.error().rule == LayoutRule::regions_fit);
    }
  }
  KernelInputs plain32 = KernelInputs::for_memory(Arch::i386, 4_GiB);
  plain32.kernelbase = VirtAddr(0xC0000000);
  for (auto member : {&KernelInputs::tables_size, &KernelInputs::segmap_size}) {
    for (const ByteCount size : {kEverything, 4_GiB, 3_GiB, 1_GiB}) {
      KernelInputs inputs = plain32;
      inputs.*member = size;
      const auto map = AddressMap::create(inputs, UserInputs{});
      ASSERT_FALSE(map.has_value());
      EXPECT_TRUE(map.error().rule == LayoutRule::regions_fit);
    }
  }
  KernelInputs all = plain64;
  all.usable_pages = PageCount(~std::uint64_t{0});
  EXPECT_FALSE(AddressMap::create(all, UserInputs{}).has_value());
}

TEST(AddressMap, NarrowKernelNeedsAUserHalfAndAHeap) {
  KernelInputs inputs = KernelInputs::for_memory(Arch::i386, 1_GiB);
  inputs.kernelbase = VirtAddr(0x0FC00000);
  auto map = AddressMap::create(inputs, UserInputs{});
  ASSERT_FALSE(map.has_value());
  EXPECT_TRUE(map.error().rule == LayoutRule::user_space_large_enough);
  EXPECT_EQ(map.error().required - map.error().available, 4_MiB);

  inputs.kernelbase = VirtAddr(0xE0000000);
  inputs.tables_size = 300_MiB;
  map = AddressMap::create(inputs, UserInputs{});
  ASSERT_FALSE(map.has_value());
  EXPECT_TRUE(map.error().rule == LayoutRule::heap_large_enough);
}

TEST(AddressMap, NothingAboveTheFourGigabytesOfI386) {
  const auto map = map_for(kKinds[3], 1_GiB);
  ASSERT_TRUE(map.has_value());
  EXPECT_TRUE(map->find(VirtAddr(0xFFFFFFFF)) != nullptr);
  EXPECT_TRUE(map->find(VirtAddr(0x1'00000000)) == nullptr);
  EXPECT_TRUE(map->find(VirtAddr(~std::uint64_t{0})) == nullptr);
}

// Each row of the two tables, by name and, where it does not float, by address.
struct Named {
  RegionId id;
  std::uint64_t start;
};

constexpr std::uint64_t kFloats = ~std::uint64_t{0};

void expect_all(const AddressMap& map, std::span<const Named> expected) {
  std::size_t next = 0;  // in the order of the tables: from high to low, parts after the region that they live in
  for (const Named& named : expected) {
    bool found = false;
    for (; next < map.regions().size() && !found; ++next) {
      const LayoutRegion& region = map.regions()[next];
      found = region.row->id == named.id && (named.start == kFloats || region.range.start() == VirtAddr(named.start));
      for (const RegionRow& part : region.parts) {
        found = found || (part.id == named.id &&
                          (named.start == kFloats || part.start.in(map.landmarks()) == VirtAddr(named.start)));
      }
      if (found) {
        break;  // another part may follow in the same region
      }
    }
    EXPECT_TRUE(found);
  }
}

TEST(AddressMap, HasEveryRowOfThe64BitTable) {
  constexpr Named kTable[] = {{RegionId::arguments, 0xFFFFFFFF'FFC00000},
                              {RegionId::debugger, 0xFFFFFFFF'FF800000},
                              {RegionId::unused, 0xFFFFFFFF'FC000000},
                              {RegionId::kernel_data, 0xFFFFFFFF'FBC00000},
                              {RegionId::kernel_text, 0xFFFFFFFF'FB800000},
                              {RegionId::debug_info, 0xFFFFFFFF'FB7FF000},
                              {RegionId::gdt, 0xFFFFFFFF'FB7FE000},
                              {RegionId::idt, 0xFFFFFFFF'FB7FD000},
                              {RegionId::ldt, 0xFFFFFFFF'FB7ED000},
                              {RegionId::tss, 0xFFFFFFFF'FB7EC000},
                              {RegionId::double_fault_tss, 0xFFFFFFFF'FB7EB000},
                              {RegionId::heap_text, 0xFFFFFFFF'F77EB000},
                              {RegionId::core_heap, 0xFFFFFFFF'C0000000},
                              {RegionId::kernel_heap, kFloats},
                              {RegionId::segmap, kFloats},
                              {RegionId::device, kFloats},
                              {RegionId::segzio, kFloats},
                              {RegionId::segkvmm, kFloats},
                              {RegionId::segkp, kFloats},
                              {RegionId::valloc, 0xFFFFFE00'00000000},
                              {RegionId::segkpm, 0xFFFFFD00'00000000},
                              {RegionId::red_zone, 0xFFFFFC80'00000000},
                              {RegionId::limit_gap, 0xFFFFFC7F'FFE00000},
                              {RegionId::user_stack, kFloats},
                              {RegionId::shared_objects, 0xFFFF8000'00000000},
                              {RegionId::va_hole, 0x00008000'00000000},
                              {RegionId::user_heap, kFloats},
                              {RegionId::user_data, kFloats},
                              {RegionId::user_text, 0x00000000'04000000},
                              {RegionId::invalid, 0}};
  const auto map = map_for(kKinds[0], 16_GiB);
  ASSERT_TRUE(map.has_value());
  expect_all(*map, kTable);
}

TEST(AddressMap, HasEveryRowOfThe32BitTable) {
  constexpr Named kTable[] = {{RegionId::arguments, 0xFFC00000},
                              {RegionId::debugger, 0xFF800000},
                              {RegionId::kernel_data, 0xFEC00000},
                              {RegionId::kernel_text, 0xFE800000},
                              {RegionId::debug_info, 0xFE7FF000},
                              {RegionId::gdt, 0xFE7FE000},
                              {RegionId::idt, 0xFE7FD000},
                              {RegionId::tss, 0xFE7FC000},
                              {RegionId::double_fault_tss, 0xFE7FB000},
                              {RegionId::valloc, kFloats},
                              {RegionId::kernel_heap, kFloats},
                              {RegionId::segkp, kFloats},
                              {RegionId::segmap, kFloats},
                              {RegionId::red_zone, kFloats},
                              {RegionId::shared_objects, kFloats},
                              {RegionId::user_heap, kFloats},
                              {RegionId::user_data, kFloats},
                              {RegionId::user_text, 0x08048000},
                              {RegionId::user_stack, kFloats},
                              {RegionId::invalid, 0}};
  const auto map = map_for(kKinds[3], 1_GiB);
  ASSERT_TRUE(map.has_value());
  expect_all(*map, kTable);
  EXPECT_EQ(map->find(RegionId::user_stack)->range.end(), VirtAddr(0x08048000));
}

TEST(AddressMap, NoPageIsBothWritableAndExecutableInTheKernel) {
  for (const Kind kind : {kKinds[0], kKinds[3]}) {
    const auto map = map_for(kind, 4_GiB);
    ASSERT_TRUE(map.has_value());
    for (const LayoutRegion& region : map->regions()) {
      if (region.row->accessor == Accessor::kernel) {
        EXPECT_FALSE(region.row->rights.can_write() && region.row->rights.can_execute());
      }
      EXPECT_EQ(region.row->accessor == Accessor::nobody, region.row->rights.is_none());
    }
  }
}

}  // namespace
}  // namespace vellum
