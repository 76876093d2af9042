// What threads must not see of each other's flushes. Most of its worth is under a thread sanitizer.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

#include <vellum/hosted/mmu.hpp>

#include "table_builder.hpp"

namespace vellum::hosted {
namespace {

constexpr VirtAddr kPage = VirtAddr(5 * kPageSize);
constexpr int kRounds = 500;

CpuSet cpus_from(unsigned first, unsigned last) {
  CpuSet set;
  for (unsigned i = first; i <= last; ++i) {
    set.add(CpuIndex(i));
  }
  return set;
}

// One CPU moves a page from frame to frame and spoils the old one as soon as the shootdown has returned; the others
// read, write and count through it all the time.
TEST(ShootdownTest, NobodyTouchesAFrameAfterTheFlush) {
  const auto machine = Machine::create({.cpus = 3}).value();
  TableBuilder<Amd64> tables(*machine, Pfn(64));
  tables.map(kPage, Pfn(0));
  std::atomic<bool> stop{false};
  std::vector<std::jthread> readers;
  for (unsigned cpu = 1; cpu <= 2; ++cpu) {
    readers.emplace_back([&, cpu] {
      const CpuScope scope(*machine, CpuIndex(cpu));
      machine->set_root(tables.root());
      Mmu<Amd64> mmu(*machine);
      for (std::uint64_t i = 0; !stop.load(std::memory_order_relaxed); ++i) {
        EXPECT_NE(0xDEAD'DEAD'DEAD'DEADU, mmu.load<std::uint64_t>(kPage, Privilege::user).value());
        EXPECT_TRUE(mmu.store(kPage + ByteCount(8 * cpu), i, Privilege::user).has_value());
      }
    });
  }
  {
    const CpuScope scope(*machine, CpuIndex(0));
    machine->set_root(tables.root());
    for (int round = 0; round < kRounds; ++round) {
      const Pfn old_frame(static_cast<std::uint64_t>(round) % 2);
      const Pfn new_frame(static_cast<std::uint64_t>(round + 1) % 2);
      std::memset(machine->window(new_frame).data(), 0, kPageSize);
      tables.map(kPage, new_frame);
      machine->flush_remote(cpus_from(1, 2), tables.root(), flush_of(kPage));
      std::memset(machine->window(old_frame).data(), 0xDE, kPageSize);
      std::ranges::fill(std::span(reinterpret_cast<std::uint64_t*>(machine->window(old_frame).data()), 512),
                        0xDEAD'DEAD'DEAD'DEAD);
      std::this_thread::yield();
    }
  }
  stop = true;
  readers.clear();
  EXPECT_GT(machine->statistics().shootdowns_served, 0U);
}

// Two CPUs shoot each other's translations down while both run.
TEST(ShootdownTest, CpusFlushEachOther) {
  const auto machine = Machine::create({.cpus = 2}).value();
  TableBuilder<I386Pae> tables(*machine, Pfn(64));
  tables.map(kPage, Pfn(1));
  const auto body = [&](unsigned me) {
    const CpuScope scope(*machine, CpuIndex(me));
    machine->set_root(tables.root());
    Mmu<I386Pae> mmu(*machine);
    for (int i = 0; i < kRounds; ++i) {
      EXPECT_TRUE(mmu.fetch_add<std::uint32_t>(kPage, 1, Privilege::user).has_value());
      machine->flush_remote(cpus_from(1 - me, 1 - me), tables.root(), flush_of(kPage));
      if (i % 16 == 0) {
        machine->set_root(tables.root());
      }
    }
  };
  {
    const std::jthread other(body, 1);
    body(0);
  }
  EXPECT_EQ(std::uint32_t{2 * kRounds}, *reinterpret_cast<std::uint32_t*>(machine->window(Pfn(1)).data()));
}

// CPUs change hands while others flush them.
TEST(ShootdownTest, DriversComeAndGo) {
  const auto machine = Machine::create({.cpus = 3}).value();
  TableBuilder<Amd64> tables(*machine, Pfn(64));
  tables.map(kPage, Pfn(1));
  std::atomic<bool> stop{false};
  const auto body = [&](unsigned cpu) {
    while (!stop.load(std::memory_order_relaxed)) {
      const CpuScope scope(*machine, CpuIndex(cpu));
      machine->set_root(tables.root());
      Mmu<Amd64> mmu(*machine);
      EXPECT_TRUE(mmu.load<std::uint8_t>(kPage, Privilege::user).has_value());
    }
  };
  std::jthread one(body, 1);
  std::jthread two(body, 2);
  {
    const CpuScope scope(*machine, CpuIndex(0));
    for (int i = 0; i < kRounds; ++i) {
      machine->flush_remote(cpus_from(1, 2), tables.root(), flush_of_everything());
    }
  }
  stop = true;
}

// Several walks set bits in one entry while another CPU takes them away: none is lost, nothing else changes.
TEST(ShootdownTest, AccessedAndDirtyBitsAreSetAtomically) {
  const auto machine = Machine::create({.cpus = 3}).value();
  TableBuilder<Amd64> tables(*machine, Pfn(64));
  tables.map(kPage, Pfn(1));
  const auto body = [&](unsigned cpu) {
    const CpuScope scope(*machine, CpuIndex(cpu));
    machine->set_root(tables.root());
    Mmu<Amd64> mmu(*machine);
    for (int i = 0; i < kRounds; ++i) {
      EXPECT_TRUE(mmu.store<std::uint8_t>(kPage, 1, Privilege::user).has_value());
      machine->flush_local(flush_of(kPage));
    }
  };
  constexpr std::uint64_t kBits = X86EntryBits::kAccessed | X86EntryBits::kDirty;
  {
    const std::jthread one(body, 1);
    const std::jthread two(body, 2);
    auto entry = tables.entry(kPage, 1);
    for (int i = 0; i < kRounds; ++i) {
      const std::uint64_t before = entry.fetch_and(~kBits);
      EXPECT_EQ(Amd64::make_page(Pfn(1), 1, EntryRights::everything()).bits, before & ~kBits);
    }
  }
  const CpuScope scope(*machine, CpuIndex(0));
  machine->set_root(tables.root());
  Mmu<Amd64> mmu(*machine);
  EXPECT_TRUE(mmu.store<std::uint8_t>(kPage, 1, Privilege::user).has_value());
  EXPECT_TRUE(tables.has(kPage, 1, X86EntryBits::kDirty));
}

}  // namespace
}  // namespace vellum::hosted
