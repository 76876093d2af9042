#include <gtest/gtest.h>

#include <array>
#include <thread>
#include <vector>

#include <vellum/hosted/mmu.hpp>

#include "table_builder.hpp"

namespace vellum::hosted {
namespace {

using namespace literals;

TEST(MachineTest, TerabytesCostNothingUntilTouched) {
  const auto machine = Machine::create({.memory = 2_TiB});
  ASSERT_TRUE(machine.ok());
  const Pfn last = frame_of((*machine)->ram_end()) - PageCount(1);
  (*machine)->window(last).data()[0] = std::byte{1};
  EXPECT_EQ(std::byte{0}, (*machine)->window(Pfn(0)).data()[0]);
  EXPECT_EQ(std::byte{1}, (*machine)->window(last).data()[0]);
}

TEST(MachineTest, RefusesImpossibleConfigurations) {
  EXPECT_EQ(Errno::invalid, Machine::create({.memory = 0_B}).error());
  EXPECT_EQ(Errno::invalid, Machine::create({.memory = 5000_B}).error());
  EXPECT_EQ(Errno::invalid, Machine::create({.cpus = 0}).error());
  EXPECT_EQ(Errno::invalid, Machine::create({.cpus = kMaxCpus + 1}).error());
  const std::array kOverlapping = {PhysRange::must(PhysAddr(0x2000), 8_KiB), PhysRange::must(PhysAddr(0x3000), 8_KiB)};
  EXPECT_EQ(Errno::invalid, Machine::create({.ranges = kOverlapping}).error());
  const std::array kUnaligned = {PhysRange::must(PhysAddr(0x2100), 8_KiB)};
  EXPECT_EQ(Errno::invalid, Machine::create({.ranges = kUnaligned}).error());
}

TEST(MachineTest, PcMemoryHasTheHoles) {
  const auto machine = Machine::create({.memory = 6_GiB, .layout = RamLayout::pc}).value();
  const auto ranges = machine->ram_ranges();
  ASSERT_EQ(3U, ranges.size());
  EXPECT_EQ(PhysRange::must(PhysAddr(0), 640_KiB), ranges[0]);
  EXPECT_EQ(PhysRange::must(PhysAddr((1_MiB).value()), 3_GiB - 1_MiB), ranges[1]);
  EXPECT_EQ(PhysAddr((4_GiB).value()), ranges[2].start());
  EXPECT_EQ(6_GiB, ranges[0].size() + ranges[1].size() + ranges[2].size());
  EXPECT_EQ(ranges[2].end(), machine->ram_end());
  machine->window(frame_of(ranges[2].last())).data()[0] = std::byte{1};
  EXPECT_EXIT(
      machine->window(frame_of(PhysAddr((3_GiB).value()))).data()[0] = std::byte{1}, [](int) { return true; }, "");
}

TEST(MachineTest, ScopesNestAndSayWhichCpu) {
  const auto first = Machine::create({.cpus = 3}).value();
  const auto second = Machine::create({.cpus = 2}).value();
  const CpuScope zero(*first, CpuIndex(0));
  EXPECT_EQ(CpuIndex(0), first->current_cpu());
  {
    const CpuScope two(*first, CpuIndex(2));
    EXPECT_EQ(CpuIndex(2), first->current_cpu());
    const CpuScope other(*second, CpuIndex(1));
    EXPECT_EQ(CpuIndex(1), second->current_cpu());
    EXPECT_EQ(CpuIndex(2), first->current_cpu());
    const CpuScope again(*first, CpuIndex(0));
    EXPECT_EQ(CpuIndex(0), first->current_cpu());
  }
  EXPECT_EQ(CpuIndex(0), first->current_cpu());
  EXPECT_TRUE(first->cpu(CpuIndex(0)).is_driven_by_caller());
  EXPECT_FALSE(first->cpu(CpuIndex(2)).is_driven_by_caller());
}

TEST(MachineDeathTest, WithoutAScopeThereIsNoCpu) {
  const auto machine = Machine::create({}).value();
  EXPECT_DEATH(static_cast<void>(machine->current_cpu()), "CpuScope is missing");
}

TEST(MachineDeathTest, ACpuHasOneDriver) {
  const auto machine = Machine::create({}).value();
  EXPECT_DEATH(
      {
        const CpuScope mine(*machine, CpuIndex(0));
        std::jthread([&] { const CpuScope theirs(*machine, CpuIndex(0)); });
      },
      "driver_");
}

#if VELLUM_DEBUG
TEST(MachineDeathTest, SectionsMustBeLeft) {
  const auto machine = Machine::create({.cpus = 2}).value();
  const CpuScope cpu(*machine, CpuIndex(0));
  EXPECT_DEATH(machine->leave_section(), "section_depth_");
  EXPECT_DEATH(
      {
        const CpuScope other(*machine, CpuIndex(1));
        machine->enter_section();
      },
      "section_depth_");
}
#endif

TEST(FailureInjectorTest, FailsTheNthOnly) {
  FailureInjector injector;
  injector.fail_nth(3);
  std::vector<bool> answers;
  for (int i = 0; i < 5; ++i) {
    answers.push_back(injector.permits());
  }
  EXPECT_EQ((std::vector<bool>{true, true, false, true, true}), answers);
  EXPECT_EQ(5U, injector.asks());
  EXPECT_EQ(1U, injector.failures());
  injector.off();
  EXPECT_TRUE(injector.permits());
  EXPECT_EQ(0U, injector.asks());
}

TEST(FailureInjectorTest, RandomFailuresFollowTheSeed) {
  const auto answers = [](std::uint64_t seed) {
    FailureInjector injector;
    injector.fail_randomly(1, 4, seed);
    std::vector<bool> result;
    for (int i = 0; i < 1000; ++i) {
      result.push_back(injector.permits());
    }
    EXPECT_GT(injector.failures(), 180U);
    EXPECT_LT(injector.failures(), 320U);
    return result;
  };
  EXPECT_EQ(answers(1), answers(1));
  EXPECT_NE(answers(1), answers(2));
}

TEST(RemoteFlushTest, ReachesOnlyCpusThatRunTheRoot) {
  const auto machine = Machine::create({.cpus = 3}).value();
  TableBuilder<Amd64> tables(*machine, Pfn(64));
  TableBuilder<Amd64> other(*machine, Pfn(128));
  const VirtAddr page(kPageSize);
  tables.map(page, Pfn(16));
  other.map(page, Pfn(16));
  const auto run = [&](unsigned cpu, auto body) {
    const CpuScope scope(*machine, CpuIndex(cpu));
    Mmu<Amd64> mmu(*machine);
    body(mmu);
  };
  const auto readable = [&](Mmu<Amd64>& mmu) { return mmu.load<std::uint8_t>(page, Privilege::user).has_value(); };
  run(1, [&](Mmu<Amd64>& mmu) {
    machine->set_root(tables.root());
    EXPECT_TRUE(readable(mmu));
  });
  run(2, [&](Mmu<Amd64>& mmu) {
    machine->set_root(other.root());
    EXPECT_TRUE(readable(mmu));
  });
  tables.unmap(page);
  other.unmap(page);
  run(0, [&](Mmu<Amd64>&) {
    CpuSet cpus;
    cpus.add(CpuIndex(1));
    cpus.add(CpuIndex(2));
    machine->flush_remote(cpus, tables.root(), flush_of(page));
  });
  run(1, [&](Mmu<Amd64>& mmu) { EXPECT_FALSE(readable(mmu)); });
  run(2, [&](Mmu<Amd64>& mmu) { EXPECT_TRUE(readable(mmu)) << "runs another root"; });
  EXPECT_EQ(2U, machine->statistics().shootdowns_sent);
  EXPECT_EQ(2U, machine->cpu(CpuIndex(0)).statistics().shootdowns_sent);
  EXPECT_EQ(1U, machine->statistics().shootdowns_served);
}

}  // namespace
}  // namespace vellum::hosted
