#include <sys/mman.h>

#include <cstring>
#include <set>
#include <thread>
#include <vector>

#include <vellum/phys/physical_memory.hpp>
#include <vellum/test/system.hpp>
#include <vellum/test/test.hpp>

namespace vellum {
namespace {

using namespace literals;

std::unique_ptr<Machine> machine_of(ByteCount memory) {
  hosted::MachineConfig config;
  config.memory = memory;
  return std::move(hosted::Machine::create(config)).value();
}

std::byte* bytes_at(PhysicalMemory& memory, Pfn pfn) { return memory.machine().window(pfn).data(); }

void soil(PhysicalMemory& memory, Pfn pfn) { std::memset(bytes_at(memory, pfn), 0x5A, kPageSize); }

bool is_zero(PhysicalMemory& memory, Pfn pfn) {
  const std::byte* bytes = bytes_at(memory, pfn);
  return std::all_of(bytes, bytes + kPageSize, [](std::byte byte) { return byte == std::byte{0}; });
}

std::vector<Pfn> allocate_all(PhysicalMemory& memory, Contents contents = Contents::any) {
  std::vector<Pfn> taken;
  for (Result<Pfn> pfn = memory.allocate(contents); pfn.ok(); pfn = memory.allocate(contents)) {
    taken.push_back(*pfn);
  }
  return taken;
}

void free_all(PhysicalMemory& memory, const std::vector<Pfn>& frames) {
  for (const Pfn pfn : frames) {
    memory.free(pfn);
  }
}

TEST(PhysicalMemory, APageIsHeldOnceAndBelongsToTheKernel) {
  test::System system;
  PhysicalMemory& memory = system.memory();
  const Pfn pfn = memory.allocate(Contents::any).value();
  EXPECT_EQ(memory.frame(pfn).kind(), FrameKind::kernel);
  EXPECT_EQ(memory.frame(pfn).share(), 1U);
  EXPECT_EQ(memory.free_count(), memory.total_count() - 1_pages);
  memory.free(pfn);
  EXPECT_EQ(memory.frame(pfn).kind(), FrameKind::free);
  EXPECT_EQ(memory.free_count(), memory.total_count());
}

TEST(PhysicalMemory, EveryFrameCanBeAllocatedOnceAndBlocksFormAgain) {
  test::System system({.memory = 1_GiB, .cpus = 2});
  PhysicalMemory& memory = system.memory();
  const std::vector<Pfn> taken = allocate_all(memory);
  EXPECT_EQ(taken.size(), memory.total_count().value());
  EXPECT_EQ(std::set(taken.begin(), taken.end()).size(), taken.size());
  EXPECT_EQ(memory.free_count(), 0_pages);
  EXPECT_EQ(memory.allocate(Contents::zeroed).error(), Errno::no_memory);
  EXPECT_EQ(memory.allocate_block(Order(1), Contents::any).error(), Errno::no_memory);
  free_all(memory, taken);
  EXPECT_EQ(memory.free_count(), memory.total_count());
  memory.check_invariants();
  const Pfn block = memory.allocate_block(Order(18), Contents::any).value();
  memory.free_block(block, Order(18));
}

TEST(PhysicalMemory, TheLeastThatWasFreeIsRemembered) {
  test::System system({.memory = 64_MiB, .cpus = 1});
  PhysicalMemory& memory = system.memory();
  const PageCount total = memory.total_count();
  EXPECT_EQ(memory.least_free_count(), total);
  const Pfn block = memory.allocate_block(Order(10), Contents::any).value();
  EXPECT_EQ(memory.least_free_count(), total - 1024_pages);
  memory.free_block(block, Order(10));
  EXPECT_EQ(memory.least_free_count(), total - 1024_pages);
  const std::vector<Pfn> taken = allocate_all(memory);
  EXPECT_EQ(memory.least_free_count(), 0_pages);
  free_all(memory, taken);
  EXPECT_EQ(memory.least_free_count(), 0_pages);
  memory.drain_caches();
  memory.forget_least_free();
  EXPECT_EQ(memory.least_free_count(), total);
}

TEST(PhysicalMemory, TheLastFreedPageIsTheFirstUsedAgain) {
  test::System system;
  PhysicalMemory& memory = system.memory();
  const Pfn first = memory.allocate(Contents::any).value();
  const Pfn second = memory.allocate(Contents::any).value();
  memory.free(first);
  EXPECT_EQ(memory.allocate(Contents::any).value(), first);
  memory.free(first);
  memory.free(second);
}

TEST(PhysicalMemory, ZeroedPagesHoldZerosWhoeverHadThemBefore) {
  test::System system({.memory = 4_MiB});
  PhysicalMemory& memory = system.memory();
  for (int round = 0; round < 3; ++round) {
    const std::vector<Pfn> taken = allocate_all(memory, Contents::zeroed);
    EXPECT_EQ(taken.size(), memory.total_count().value());
    for (const Pfn pfn : taken) {
      ASSERT_TRUE(is_zero(memory, pfn));
      soil(memory, pfn);
    }
    free_all(memory, taken);
  }
}

TEST(PhysicalMemory, APageFreedAsZerosIsNotClearedAgain) {
  test::System system;
  PhysicalMemory& memory = system.memory();
  const Pfn pfn = memory.allocate(Contents::zeroed).value();
  memory.free_zeroed(pfn);
  soil(memory, pfn);  // against the promise, to see that nobody clears it
  EXPECT_EQ(memory.allocate(Contents::zeroed).value(), pfn);
  EXPECT_FALSE(is_zero(memory, pfn));
  memory.free(pfn);
}

TEST(PhysicalMemory, IdleCpusClearPagesAhead) {
  test::System system({.memory = 64_MiB});
  PhysicalMemory& memory = system.memory();
  std::vector<Pfn> taken = allocate_all(memory);
  for (const Pfn pfn : taken) {
    soil(memory, pfn);
  }
  free_all(memory, taken);
  EXPECT_EQ(memory.prezero(10_pages), 10_pages);
  PageCount filled = 10_pages;
  for (PageCount more = memory.prezero(1000_pages); !more.is_zero(); more = memory.prezero(1000_pages)) {
    filled += more;
  }
  EXPECT_GE(filled, memory.total_count() / 32);
  EXPECT_LT(filled, memory.total_count() / 16);
  EXPECT_EQ(memory.free_count(), memory.total_count());
  memory.check_invariants();
  taken.clear();
  for (std::uint64_t i = 0; i < filled.value() + 100; ++i) {
    taken.push_back(memory.allocate(Contents::zeroed).value());
    ASSERT_TRUE(is_zero(memory, taken.back()));
  }
  free_all(memory, taken);
}

TEST(PhysicalMemory, PagesClearedAheadServeEveryRequestWhenNothingElseIsLeft) {
  test::System system({.memory = 8_MiB});
  PhysicalMemory& memory = system.memory();
  free_all(memory, allocate_all(memory));
  (void)memory.prezero(64_pages);
  const std::vector<Pfn> taken = allocate_all(memory);
  EXPECT_EQ(taken.size(), memory.total_count().value());
  free_all(memory, taken);
  (void)memory.prezero(64_pages);
  const Pfn block = memory.allocate_block(Order(10), Contents::any).value();
  memory.free_block(block, Order(10));
}

TEST(PhysicalMemory, BlocksOfEachOrder) {
  test::System system({.memory = 2_GiB});
  PhysicalMemory& memory = system.memory();
  for (unsigned log = 1; log <= Order::kLargest; ++log) {
    const Order order(log);
    const Contents contents = log <= 12 ? Contents::zeroed : Contents::any;  // more would take long
    const Pfn block = memory.allocate_block(order, contents).value();
    EXPECT_TRUE(order.aligns(block));
    EXPECT_EQ(memory.frame(block).order(), order);
    EXPECT_EQ(memory.frame(block).share(), 1U);
    EXPECT_EQ(memory.free_count(), memory.total_count() - order.pages());
    soil(memory, block + (order.pages() - 1_pages));
    memory.free_block(block, order);
    const Pfn again = memory.allocate_block(order, contents).value();
    EXPECT_EQ(again, block);
    EXPECT_EQ(is_zero(memory, again + (order.pages() - 1_pages)), contents == Contents::zeroed);
    memory.free_block(again, order);
  }
}

TEST(PhysicalMemory, ASplitBlockIsFreedPageByPage) {
  test::System system;
  PhysicalMemory& memory = system.memory();
  const Pfn block = memory.allocate_block(Order(9), Contents::any).value();
  alignas(16) char owner = 0;
  memory.frame(block).assign(FrameKind::anonymous, &owner, 100);
  memory.split_block(block, Order(9));
  for (std::uint32_t i = 0; i < 512; ++i) {
    Frame& frame = memory.frame(block + PageCount(i));
    EXPECT_EQ(frame.kind(), FrameKind::anonymous);
    EXPECT_EQ(frame.owner<char>(), &owner);
    EXPECT_EQ(frame.index(), 100 + i);
    EXPECT_EQ(frame.order(), Order(0));
    EXPECT_TRUE(frame.release());
    memory.free(block + PageCount(i));
  }
  system.check_all_free();
}

TEST(PhysicalMemory, OrAsTheBlockThatItWas) {
  test::System system({.memory = 4_MiB, .cpus = 1});
  PhysicalMemory& memory = system.memory();
  for (int round = 0; round < 8; ++round) {
    const Pfn block = memory.allocate_block(Order(9), Contents::zeroed, Effort::none).value();
    memory.frame(block).assign(FrameKind::anonymous, nullptr, 0);
    memory.split_block(block, Order(9));
    EXPECT_EQ(memory.level_without(memory.total_count()), MemoryLevel::critical);
    memory.free_split_block(block, Order(9));
  }
  system.check_all_free();
}

TEST(PhysicalMemory, AReservationCannotFailAndGivesBackTheRest) {
  test::System system({.memory = 1_MiB, .cpus = 1});
  PhysicalMemory& memory = system.memory();
  {
    Reservation reservation = memory.reserve(5_pages).value();
    EXPECT_EQ(memory.free_count(), memory.total_count() - 5_pages);
    const std::vector<Pfn> others = allocate_all(memory);
    EXPECT_EQ(others.size(), memory.total_count().value() - 5);
    system.machine().failures().fail_nth(1);
    const Pfn first = reservation.take(Contents::zeroed);
    const Pfn second = reservation.take(Contents::any);
    system.machine().failures().off();
    EXPECT_EQ(memory.frame(first).share(), 1U);
    EXPECT_EQ(memory.frame(second).kind(), FrameKind::kernel);
    EXPECT_TRUE(is_zero(memory, first));
    EXPECT_EQ(reservation.count(), 3_pages);
    EXPECT_EQ(memory.reserve(1_pages).error(), Errno::no_memory);
    Reservation moved = std::move(reservation);
    EXPECT_EQ(moved.count(), 3_pages);
    moved.finish();
    EXPECT_EQ(memory.free_count(), 3_pages);
    EXPECT_EQ(memory.reserve(4_pages).error(), Errno::no_memory);
    EXPECT_EQ(memory.free_count(), 3_pages);
    free_all(memory, others);
    memory.free(first);
    memory.free(second);
  }
  EXPECT_EQ(memory.free_count(), memory.total_count());
}

TEST(PhysicalMemory, AnyAllocationCanBeMadeToFail) {
  test::System system;
  PhysicalMemory& memory = system.memory();
  hosted::FailureInjector& failures = system.machine().failures();
  failures.fail_nth(1);
  EXPECT_EQ(memory.allocate(Contents::any).error(), Errno::no_memory);
  failures.fail_nth(1);
  EXPECT_EQ(memory.allocate_block(Order(3), Contents::any).error(), Errno::no_memory);
  failures.fail_nth(1);
  EXPECT_EQ(memory.reserve(3_pages).error(), Errno::no_memory);
  failures.count();
  memory.free(memory.allocate(Contents::any).value());
  memory.free_block(memory.allocate_block(Order(0), Contents::any).value(), Order(0));
  memory.free_block(memory.allocate_block(Order(2), Contents::any).value(), Order(2));
  (void)memory.reserve(3_pages).value();
  EXPECT_EQ(failures.asks(), 4U);
  failures.off();
}

TEST(PhysicalMemory, LevelFallsThroughTheWatermarks) {
  test::System system({.memory = 256_MiB});
  PhysicalMemory& memory = system.memory();
  const Watermarks marks = memory.watermarks();
  EXPECT_EQ(marks.high, memory.total_count() / 64);
  EXPECT_LT(marks.low, marks.high);
  EXPECT_LT(marks.minimum, marks.low);
  std::set<MemoryLevel> seen;
  std::vector<Pfn> taken;
  MemoryLevel before = memory.level();
  EXPECT_EQ(before, MemoryLevel::plenty);
  for (Result<Pfn> pfn = memory.allocate(Contents::any); pfn.ok(); pfn = memory.allocate(Contents::any)) {
    taken.push_back(*pfn);
    EXPECT_GE(memory.level(), before);
    before = memory.level();
    seen.insert(before);
  }
  EXPECT_EQ(seen.size(), 4U);
  free_all(memory, taken);
  EXPECT_EQ(memory.level(), MemoryLevel::plenty);
}

TEST(PhysicalMemory, SixteenTerabytesStartQuickly) {
  const std::unique_ptr<Machine> machine = machine_of(1_MiB);  // nobody looks into the pages
  const hosted::CpuScope scope(*machine, CpuIndex(0));
  const RawMemoryEntry entry{PhysAddr(0), 16_TiB, MemoryKind::usable};
  const MemoryMap map = MemoryMap::from_firmware({&entry, 1}).value();
  const hosted::HostArea area = std::move(hosted::HostArea::create(PhysicalMemory::area_size(map, 1)).value());
  PhysicalMemory& memory =
      **PhysicalMemory::create(*machine, map, {area.data(), area.size().value()}, {.area = Contents::zeroed});
  EXPECT_EQ(memory.total_count(), PageCount(std::uint64_t{1} << 32));
  const Pfn low = memory.allocate(Contents::zeroed).value();
  const Pfn huge = memory.allocate_block(Order(18), Contents::zeroed).value();
  std::vector<unsigned char> resident((area.size().value() >> kPageShift) + 1);
  ASSERT_EQ(::mincore(area.data(), area.size().value(), resident.data()), 0);
  const auto pages =
      std::count_if(resident.begin(), resident.end(), [](unsigned char page) { return (page & 1U) != 0; });
  EXPECT_LT(pages, 128);
  memory.free(low);
  memory.free_block(huge, Order(18));
  memory.drain_caches();
  EXPECT_EQ(memory.free_count(), memory.total_count());
}

TEST(PhysicalMemory, RefusesAnAreaThatIsTooSmallAndAnEmptyMap) {
  const std::unique_ptr<Machine> machine = machine_of(1_MiB);
  const RawMemoryEntry entry{PhysAddr(0), 1_MiB, MemoryKind::usable};
  const MemoryMap map = MemoryMap::from_firmware({&entry, 1}).value();
  const ByteCount size = PhysicalMemory::area_size(map, 1);
  const hosted::HostArea area = std::move(hosted::HostArea::create(size).value());
  EXPECT_EQ(PhysicalMemory::create(*machine, map, {area.data(), size.value() - 1}).error(), Errno::invalid);
  EXPECT_EQ(PhysicalMemory::create(*machine, map, {area.data() + 8, size.value() - 8}).error(), Errno::invalid);
  EXPECT_EQ(PhysicalMemory::create(*machine, MemoryMap(), {area.data(), size.value()}).error(), Errno::no_memory);
}

TEST(PhysicalMemory, AnAreaOfGarbageWillDo) {
  const std::unique_ptr<Machine> machine = machine_of(256_MiB);
  const hosted::CpuScope scope(*machine, CpuIndex(0));
  const RawMemoryEntry entries[] = {{PhysAddr(0x3000), 200_MiB, MemoryKind::usable},
                                    {PhysAddr(0x8000000 - 0x5000), 0x5000_B, MemoryKind::reserved}};
  const MemoryMap map = MemoryMap::from_firmware(entries).value();
  const ByteCount size = PhysicalMemory::area_size(map, 1);
  const hosted::HostArea area = std::move(hosted::HostArea::create(size).value());
  std::memset(area.data(), 0xA5, size.value());
  PhysicalMemory& memory = **PhysicalMemory::create(*machine, map, {area.data(), size.value()});
  const std::vector<Pfn> taken = allocate_all(memory);
  EXPECT_EQ(taken.size(), map.total().value());
  free_all(memory, taken);
  memory.check_invariants();
  EXPECT_EQ(memory.free_count(), map.total());
}

TEST(PhysicalMemory, TwoCpusNeverGetTheSameFrame) {
  test::System system({.memory = 32_MiB, .cpus = 3});
  PhysicalMemory& memory = system.memory();
  const auto work = [&](unsigned cpu) {
    const hosted::CpuScope scope(system.machine(), CpuIndex(cpu));
    std::vector<Pfn> held;
    std::uint32_t random = cpu;
    for (int i = 0; i < 60000; ++i) {
      random = random * 1664525 + 1013904223;
      if (!held.empty() && (random >> 16) % 5 < 2) {
        const Pfn pfn = held.back();
        held.pop_back();
        ASSERT_EQ(*reinterpret_cast<unsigned*>(bytes_at(memory, pfn)), cpu);
        memory.free(pfn);
      } else if (const Result<Pfn> pfn = memory.allocate((random & 256U) != 0 ? Contents::any : Contents::zeroed)) {
        *reinterpret_cast<unsigned*>(bytes_at(memory, pfn.value())) = cpu;
        held.push_back(pfn.value());
      } else {
        free_all(memory, held);
        held.clear();
      }
      if ((random >> 12) % 512 == 0) {
        if (const Result<Pfn> block = memory.allocate_block(Order(9), Contents::any)) {
          memory.free_block(block.value(), Order(9));
        }
        (void)memory.prezero(16_pages);
      }
    }
    free_all(memory, held);
  };
  std::thread first(work, 1);
  std::thread second(work, 2);
  first.join();
  second.join();
  memory.check_invariants();
  EXPECT_EQ(memory.free_count(), memory.total_count());
}

TEST(PhysicalMemory, PoisonSurvivesHonestUse) {
  test::System system({.memory = 4_MiB, .cpus = 1, .poison = Poison::on});
  PhysicalMemory& memory = system.memory();
  for (int round = 0; round < 3; ++round) {
    const std::vector<Pfn> taken = allocate_all(memory, round == 1 ? Contents::zeroed : Contents::any);
    for (const Pfn pfn : taken) {
      soil(memory, pfn);
    }
    free_all(memory, taken);
    (void)memory.prezero(40_pages);
    const Pfn block = memory.allocate_block(Order(8), Contents::zeroed).value();
    soil(memory, block + 17_pages);
    memory.free_block(block, Order(8));
    (void)memory.reserve(30_pages).value();
  }
}

using PhysicalMemoryDeathTest = testing::Test;

TEST(PhysicalMemoryDeathTest, WritingToFreedMemoryIsFound) {
  test::System system({.memory = 4_MiB, .cpus = 1, .poison = Poison::on});
  PhysicalMemory& memory = system.memory();
  const Pfn pfn = memory.allocate(Contents::any).value();
  memory.free(pfn);
  EXPECT_DEATH(
      {
        bytes_at(memory, pfn)[100] = std::byte{1};
        (void)memory.allocate(Contents::any);
      },
      "page_holds");
}

TEST(PhysicalMemoryDeathTest, AFalsePromiseOfZerosIsFound) {
  test::System system({.memory = 4_MiB, .cpus = 1, .poison = Poison::on});
  PhysicalMemory& memory = system.memory();
  const Pfn pfn = memory.allocate(Contents::any).value();
  soil(memory, pfn);
  EXPECT_DEATH(memory.free_zeroed(pfn), "page_holds");
  memory.free(pfn);
}

TEST(PhysicalMemoryDeathTest, FreeingTwiceIsFound) {
  test::System system;
  PhysicalMemory& memory = system.memory();
  const Pfn pfn = memory.allocate(Contents::any).value();
  memory.free(pfn);
  EXPECT_DEATH(memory.free(pfn), "FrameKind::free");
  const Pfn block = memory.allocate_block(Order(4), Contents::any).value();
  EXPECT_DEATH(memory.free_block(block, Order(3)), "order");
  EXPECT_DEATH(memory.free_block(block + 8_pages, Order(3)), "FrameKind::free");
  memory.free_block(block, Order(4));
  EXPECT_DEATH(memory.free_block(block, Order(4)), "FrameKind::free");
}

}  // namespace
}  // namespace vellum
