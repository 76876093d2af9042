// The floating addresses against the published worked values.
#include <vellum/layout/address_map.hpp>
#include <vellum/test/test.hpp>

namespace vellum {
namespace {

using namespace literals;

constexpr ByteCount kMegabyte = 1_MiB;

Landmarks landmarks_of(const KernelInputs& inputs) {
  const auto map = AddressMap::create(inputs, UserInputs{});
  EXPECT_TRUE(map.has_value());
  return map.has_value() ? map->landmarks() : Landmarks{};
}

// Rounded, as the source of these values prints them.
std::uint64_t gigabytes(ByteCount size) { return (size.value() + (std::uint64_t{1} << 29)) >> 30; }

struct Worked64 {
  ByteCount memory;
  std::uint64_t user_limit, kernelbase, segkpm_base, valloc_base, valloc_megabytes, segkp_base, segkvmm_base,
      segzio_base, toxic_addr, segmap_start, kernelheap, heap_gigabytes;
};

constexpr Worked64 kWorked64[] = {
    {1_GiB, 0xFFFFFC7F'FFE00000, 0xFFFFFC80'00000000, 0xFFFFFD00'00000000, 0xFFFFFE00'00000000, 32, 0xFFFFFE00'02000000,
     0xFFFFFE00'41800000, 0xFFFFFE01'41800000, 0xFFFFFE01'A0C00000, 0xFFFFFE01'E0C00000, 0xFFFFFE01'E4C00000, 2039},
    {4_GiB, 0xFFFFFC7F'FFE00000, 0xFFFFFC80'00000000, 0xFFFFFD00'00000000, 0xFFFFFE00'00000000, 122,
     0xFFFFFE00'07A00000, 0xFFFFFE00'87A00000, 0xFFFFFE04'85A00000, 0xFFFFFE06'04E00000, 0xFFFFFE06'44E00000,
     0xFFFFFE06'48E00000, 2022},
    {256_GiB, 0xFFFFFC7F'FFE00000, 0xFFFFFC80'00000000, 0xFFFFFD00'00000000, 0xFFFFFE00'00000000, 7810,
     0xFFFFFE01'E8200000, 0xFFFFFE02'68200000, 0xFFFFFF02'66200000, 0xFFFFFF62'65600000, 0xFFFFFF62'A5600000,
     0xFFFFFF62'A9600000, 628},
    {512_GiB, 0xFFFFFA7F'FFE00000, 0xFFFFFA80'00000000, 0xFFFFFB00'00000000, 0xFFFFFB80'00000000, 15618,
     0xFFFFFB83'D0200000, 0xFFFFFB84'50200000, 0xFFFFFD84'4E200000, 0xFFFFFE44'4D600000, 0xFFFFFE44'8D600000,
     0xFFFFFE44'91600000, 1773},
    {4_TiB, 0xFFFFDE7F'FFE00000, 0xFFFFDE80'00000000, 0xFFFFDF00'00000000, 0xFFFFE300'00000000, 124932,
     0xFFFFE31E'80400000, 0xFFFFE31F'00400000, 0xFFFFF31E'FE400000, 0xFFFFF91E'FD800000, 0xFFFFF91F'3D800000,
     0xFFFFF91F'41800000, 7042},
};

TEST(Formulas64, WorkedRowsComeOutExactly) {
  for (const Worked64& row : kWorked64) {
    KernelInputs inputs = KernelInputs::for_memory(Arch::amd64, row.memory);
    inputs.tables_size = kMegabyte * row.valloc_megabytes;
    const Landmarks at = landmarks_of(inputs);
    EXPECT_EQ(at.user_limit.value(), row.user_limit);
    EXPECT_EQ(at.kernelbase.value(), row.kernelbase);
    EXPECT_EQ(at.segkpm_base.value(), row.segkpm_base);
    EXPECT_EQ(at.valloc_base.value(), row.valloc_base);
    EXPECT_EQ(at.segkp_base.value(), row.segkp_base);
    EXPECT_EQ(at.segkvmm_base.value(), row.segkvmm_base);
    EXPECT_EQ(at.segzio_base.value(), row.segzio_base);
    EXPECT_EQ(at.toxic_addr.value(), row.toxic_addr);
    EXPECT_EQ(at.segmap_start.value(), row.segmap_start);
    EXPECT_EQ(at.kernelheap.value(), row.kernelheap);
    EXPECT_EQ(gigabytes(at.ekernelheap - at.kernelheap), row.heap_gigabytes);
    EXPECT_EQ((at.segkpm_end - at.segkpm_base).value(), row.memory.value());
  }
}

struct Vector64 {
  ByteCount memory;
  std::uint64_t segkpm_base, valloc_base, kernelbase;
};

constexpr Vector64 kVectors64[] = {
    {256_GiB + 4_MiB, 0xFFFFFC80'00000000, 0xFFFFFCC0'40000000, 0xFFFFFC00'00000000},
    {320_GiB, 0xFFFFFC80'00000000, 0xFFFFFCD0'00000000, 0xFFFFFC00'00000000},
    {384_GiB, 0xFFFFFC00'00000000, 0xFFFFFC60'00000000, 0xFFFFFB80'00000000},
    {1_TiB, 0xFFFFF700'00000000, 0xFFFFF800'00000000, 0xFFFFF680'00000000},
    {2_TiB, 0xFFFFEF00'00000000, 0xFFFFF100'00000000, 0xFFFFEE80'00000000},
    {8_TiB, 0xFFFFBF00'00000000, 0xFFFFC700'00000000, 0xFFFFBE80'00000000},
    {16_TiB, 0xFFFF8100'00000000, 0xFFFF9100'00000000, 0xFFFF8080'00000000},
};

TEST(Formulas64, BasesMoveDownWithMemory) {
  for (const Vector64& vector : kVectors64) {
    const Landmarks at = landmarks_of(KernelInputs::for_memory(Arch::amd64, vector.memory));
    EXPECT_EQ(at.segkpm_base.value(), vector.segkpm_base);
    EXPECT_EQ(at.valloc_base.value(), vector.valloc_base);
    EXPECT_EQ(at.kernelbase.value(), vector.kernelbase);
    EXPECT_EQ(at.user_limit.value(), vector.kernelbase - 0x200000);
  }
}

TEST(Formulas64, OnePageBeyond256GigabytesMovesTheBasesByOneRootEntry) {
  const Landmarks below = landmarks_of(KernelInputs::for_memory(Arch::amd64, 256_GiB));
  const Landmarks above = landmarks_of(KernelInputs::for_memory(Arch::amd64, 256_GiB + 4_KiB));
  EXPECT_EQ(below.segkpm_base - above.segkpm_base, 512_GiB);
}

TEST(Formulas64, HoleInPhysicalMemoryCountsForTheDirectMapOnly) {
  KernelInputs inputs = KernelInputs::for_memory(Arch::amd64, 3_GiB);
  const Landmarks without = landmarks_of(inputs);
  inputs.physical_top = 260_GiB;
  inputs.tables_size = own_tables_size(3_GiB);
  const Landmarks with = landmarks_of(inputs);
  EXPECT_EQ(with.segkpm_end - with.segkpm_base, 260_GiB);
  EXPECT_EQ(with.segzio_base - with.segkvmm_base, without.segzio_base - without.segkvmm_base);
}

TEST(Formulas64, TunedSizesAreHeeded) {
  KernelInputs inputs = KernelInputs::for_memory(Arch::amd64, 16_GiB);
  inputs.segkp_size = 4_GiB + 1_B;
  inputs.segkvmm_size = 5_GiB;
  inputs.segzio_size = 1_GiB;
  inputs.segmap_size = 100_MiB + 1_B;
  const Landmarks at = landmarks_of(inputs);
  EXPECT_EQ(at.segkvmm_base - at.segkp_base, 4_GiB + 2_MiB);
  EXPECT_EQ(at.segzio_base - at.segkvmm_base, 5_GiB);
  EXPECT_EQ(at.toxic_addr - at.segzio_base, 1_GiB);
  EXPECT_EQ(at.kernelheap - at.segmap_start, 102_MiB);
}

TEST(Formulas64, MinimaHold) {
  KernelInputs inputs = KernelInputs::for_memory(Arch::amd64, 64_MiB);
  inputs.segkvmm_size = 1_MiB;
  inputs.segzio_size = 1_MiB;
  inputs.segmap_size = 1_MiB;
  const Landmarks at = landmarks_of(inputs);
  EXPECT_EQ(at.segkvmm_base - at.segkp_base, 200_MiB);
  EXPECT_EQ(at.segzio_base - at.segkvmm_base, 4_GiB);
  EXPECT_EQ(at.toxic_addr - at.segzio_base, 400_MiB);
  EXPECT_EQ(at.segmap_start - at.toxic_addr, 1_GiB);
  EXPECT_EQ(at.kernelheap - at.segmap_start, 64_MiB);
}

TEST(Formulas64, SegkpSizeOutsideItsBoundsIsNotHeededAndNoted) {
  for (const ByteCount size : {200_MiB - 1_B, 8_GiB + 1_B, ByteCount(~std::uint64_t{0})}) {
    KernelInputs inputs = KernelInputs::for_memory(Arch::amd64, 16_GiB);
    inputs.segkp_size = size;
    const auto map = AddressMap::create(inputs, UserInputs{});
    ASSERT_TRUE(map.has_value());
    EXPECT_TRUE(map->notes().segkp_size_ignored);
    EXPECT_EQ(map->landmarks().segkvmm_base - map->landmarks().segkp_base, 2_GiB);
  }
  KernelInputs inputs = KernelInputs::for_memory(Arch::amd64, 16_GiB);
  inputs.segkp_size = 8_GiB;
  const auto map = AddressMap::create(inputs, UserInputs{});
  ASSERT_TRUE(map.has_value());
  EXPECT_FALSE(map->notes().segkp_size_ignored);
  EXPECT_EQ(map->landmarks().segkvmm_base - map->landmarks().segkp_base, 8_GiB);
}

TEST(Formulas64, KernelbaseCannotBeChosen) {
  KernelInputs inputs = KernelInputs::for_memory(Arch::amd64, 1_GiB);
  inputs.kernelbase = VirtAddr(0xC0000000);
  const auto map = AddressMap::create(inputs, UserInputs{});
  ASSERT_TRUE(map.has_value());
  EXPECT_TRUE(map->notes().kernelbase_ignored);
  EXPECT_EQ(map->landmarks().kernelbase, VirtAddr(0xFFFFFC80'00000000));
}

struct Worked32 {
  ByteCount memory;
  std::uint64_t valloc_hundredths_of_megabytes, valloc_base, kernelbase, segmap_start, kernelheap, ekernelheap;
};

constexpr Worked32 kWorked32[] = {
    {512_MiB, 1004, 0xFDC00000, 0xD2800000, 0xD2802000, 0xD3800000, 0xF9C00000},
    {1_GiB, 2016, 0xFD200000, 0xD1400000, 0xD1402000, 0xD2400000, 0xF9200000},
    {2_GiB, 4041, 0xFBE00000, 0xCEC00000, 0xCEC02000, 0xCFC00000, 0xF7E00000},
    {4_GiB, 8091, 0xF9600000, 0xC9C00000, 0xC9C02000, 0xCAC00000, 0xF5600000},
    {8_GiB, 16190, 0xF4600000, 0xBFC00000, 0xBFC02000, 0xC0C00000, 0xF0600000},
};

TEST(Formulas32, WorkedRowsComeOutExactly) {
  for (const Worked32& row : kWorked32) {
    KernelInputs inputs = KernelInputs::for_memory(Arch::i386, row.memory);
    inputs.tables_size = kMegabyte * row.valloc_hundredths_of_megabytes / 100;
    const Landmarks at = landmarks_of(inputs);
    EXPECT_EQ(at.valloc_base.value(), row.valloc_base);
    EXPECT_EQ(at.kernelbase.value(), row.kernelbase);
    EXPECT_EQ(at.user_limit.value(), row.kernelbase);
    EXPECT_EQ(at.segmap_start.value(), row.segmap_start);
    EXPECT_EQ(at.kernelheap.value(), row.kernelheap);
    EXPECT_EQ(at.ekernelheap.value(), row.ekernelheap);
  }
}

// The table in the comment of illumos's startup.c counts the 80-byte page structures alone, and nothing between the
// heap and the kernel's text.
struct Comment32 {
  ByteCount memory;
  std::uint64_t kernelbase, heap_megabytes;
};

constexpr Comment32 kComment32[] = {
    {512_MiB, 0xD2C00000, 674}, {1_GiB, 0xD1800000, 684},   {2_GiB, 0xCF000000, 704},
    {4_GiB, 0xCA000000, 744},   {6_GiB, 0xC5000000, 784},   {8_GiB, 0xC0000000, 824},
    {16_GiB, 0xAC000000, 984},  {32_GiB, 0x84000000, 1304}, {64_GiB, 0x34000000, 1944},
};

TEST(Formulas32, CommentsModelComesOutExactly) {
  for (const Comment32& row : kComment32) {
    KernelInputs inputs = KernelInputs::for_memory(Arch::i386, row.memory);
    const ByteCount page_structures = ByteCount(80) * whole_pages(row.memory).value();
    inputs.tables_size = page_structures;
    const Landmarks at = landmarks_of(inputs);
    EXPECT_EQ(at.kernelbase.value(), row.kernelbase);
    EXPECT_EQ(i386_layout::kKernelText - page_structures - at.kernelheap, kMegabyte * row.heap_megabytes);
  }
}

TEST(Formulas32, KernelbaseCanBeChosenWithinBounds) {
  KernelInputs inputs = KernelInputs::for_memory(Arch::i386, 1_GiB);
  inputs.kernelbase = VirtAddr(0xC33FFFFF);
  EXPECT_EQ(landmarks_of(inputs).kernelbase, VirtAddr(0xC3000000));
  EXPECT_EQ(landmarks_of(inputs).segmap_start, VirtAddr(0xC3002000));  // the tables' own example

  inputs.kernelbase = VirtAddr(0xE0400000);
  auto map = AddressMap::create(inputs, UserInputs{});
  ASSERT_TRUE(map.has_value());
  EXPECT_TRUE(map->notes().kernelbase_lowered);
  EXPECT_EQ(map->landmarks().kernelbase, VirtAddr(0xE0000000));

  inputs.kernelbase = VirtAddr(0xBFC00000);
  map = AddressMap::create(inputs, UserInputs{});
  ASSERT_TRUE(map.has_value());
  EXPECT_TRUE(map->notes().kernelbase_below_abi);
  EXPECT_FALSE(map->notes().kernelbase_lowered);
}

TEST(Formulas32, DebugKernelsDefaultIsAnInput) {
  KernelInputs inputs = KernelInputs::for_memory(Arch::i386, 1_GiB);
  inputs.default_kernelbase = VirtAddr(0xC8000000);
  inputs.tables_size = 20_MiB;
  EXPECT_EQ(landmarks_of(inputs).kernelbase, VirtAddr(0xC5800000));
}

TEST(Formulas32, TunedSegmapGrowsFromKernelbase) {
  KernelInputs inputs = KernelInputs::for_memory(Arch::i386, 1_GiB);
  inputs.segmap_size = 31_MiB;
  const Landmarks at = landmarks_of(inputs);
  EXPECT_EQ(at.kernelheap - at.kernelbase, 32_MiB);
}

TEST(Tables, SixteenBytesForEachPageByDefault) {
  EXPECT_EQ(own_tables_size(4_GiB), 16_MiB);
  const Landmarks at = landmarks_of(KernelInputs::for_memory(Arch::amd64, 4_GiB));
  EXPECT_EQ(at.valloc_end - at.valloc_base, 16_MiB);
}

// The user half, with the sizes that illumos uses: the stack's limit 10 MB, 256 MB of guard, no window.
TEST(UserHalf, IllumosStackAndGuard) {
  UserInputs user;
  user.stack_limit = 10_MiB;
  user.stack_guard = 256_MiB;
  user.stack_window = 0_B;
  const auto map = AddressMap::create(KernelInputs::for_memory(Arch::amd64, 4_GiB), user);
  ASSERT_TRUE(map.has_value());
  EXPECT_EQ(map->landmarks().stack_top, VirtAddr(0xFFFFFC7F'FFE00000));
  EXPECT_EQ(map->landmarks().stack_start, VirtAddr(0xFFFFFC7F'FF400000));
  EXPECT_EQ(map->landmarks().guard_start, VirtAddr(0xFFFFFC7F'EF400000));
  EXPECT_EQ(map->landmarks().mapping_top, VirtAddr(0xFFFFFC7F'EF400000));
}

// What a Linux kernel without randomisation shows in /proc/self/maps: the stack ends at 0x7ffffffff000, the first
// mapping at 0x7ffff7fff000.
TEST(UserHalf, LinuxModelIsThatOfLinux) {
  UserInputs user;
  user.model = UserModel::linux_low;
  const auto map = AddressMap::create(KernelInputs::for_memory(Arch::amd64, 4_GiB), user);
  ASSERT_TRUE(map.has_value());
  EXPECT_EQ(map->landmarks().stack_top, VirtAddr(0x7FFF'FFFFF000));
  EXPECT_EQ(map->landmarks().stack_start, VirtAddr(0x7FFF'FF7FF000));
  EXPECT_EQ(map->landmarks().mapping_top, VirtAddr(0x7FFF'F7FFF000));
}

TEST(UserHalf, StackOf32BitProgramLiesBelowItsText) {
  UserInputs user;
  user.model = UserModel::program32;
  const auto on_64_bits = AddressMap::create(KernelInputs::for_memory(Arch::amd64, 4_GiB), user);
  const auto on_32_bits = AddressMap::create(KernelInputs::for_memory(Arch::i386, 4_GiB), UserInputs{});
  ASSERT_TRUE(on_64_bits.has_value() && on_32_bits.has_value());
  EXPECT_EQ(on_64_bits->landmarks().stack_top, VirtAddr(0x08048000));
  EXPECT_EQ(on_32_bits->landmarks().stack_top, VirtAddr(0x08048000));
  EXPECT_EQ(on_64_bits->landmarks().mapping_top, VirtAddr(0xFEFFF000));
  EXPECT_EQ(on_32_bits->landmarks().mapping_top, on_32_bits->landmarks().kernelbase);
}

TEST(UserHalf, UnlimitedStackLeavesRoomForMappings) {
  for (const ByteCount memory : {1_GiB, 16_TiB}) {
    for (const UserModel model : {UserModel::illumos, UserModel::linux_low, UserModel::program32}) {
      UserInputs user;
      user.model = model;
      user.stack_limit = user.stack_guard = user.stack_window = ByteCount(~std::uint64_t{0});
      const auto map = AddressMap::create(KernelInputs::for_memory(Arch::amd64, memory), user);
      ASSERT_TRUE(map.has_value());
      EXPECT_TRUE(map->find(RegionId::user_stack) != nullptr);
      const LayoutRegion* mappings =
          map->find(model == UserModel::illumos ? RegionId::shared_objects : RegionId::user_memory);
      ASSERT_TRUE(mappings != nullptr);
      EXPECT_GE(mappings->range.size(), 64_GiB / (model == UserModel::program32 ? 32 : 1));
    }
  }
}

}  // namespace
}  // namespace vellum
