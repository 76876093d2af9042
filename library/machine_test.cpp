// Machines and handles: misuse has its own errors, nothing is left behind, threads.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include <vellum/vellum.hpp>

namespace libvellum {
namespace {

TEST(Machines, SizesAreChecked) {
  EXPECT_EQ(Machine::create({.memory = 0}).error().code, Errc::bad_memory_size);
  EXPECT_EQ(Machine::create({.memory = (1 << 20) + 1}).error().code, Errc::bad_memory_size);
  EXPECT_EQ(Machine::create({.memory = ~std::uint64_t{4095}}).error().code, Errc::bad_memory_size);
  EXPECT_EQ(Machine::create({.memory = std::uint64_t{1} << 40, .format = Format::i386_pae}).error().code,
            Errc::bad_memory_size);
  EXPECT_EQ(Machine::create({.cpus = 0}).error().code, Errc::bad_cpu_count);
  EXPECT_EQ(Machine::create({.cpus = 256}).error().code, Errc::bad_cpu_count);
  EXPECT_EQ(Machine::create({.format = static_cast<Format>(9)}).error().code, Errc::invalid);
  EXPECT_TRUE(Machine::create({.memory = kMinMemory, .cpus = 3}));
}

TEST(Machines, EmptyHandlesAnswer) {
  Machine machine = Machine::create().value();
  Space space = machine.create_space().value();
  const Object object = machine.create_shared(kPageSize).value();
  Snapshot snapshot = space.snapshot().value();
  Space moved = std::move(space);
  EXPECT_EQ(space.map(kPageSize).error().code, Errc::empty_handle);  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(space.load<std::uint8_t>(0).error().code, Errc::empty_handle);
  EXPECT_EQ(space.restore(snapshot).error().code, Errc::empty_handle);
  EXPECT_EQ(moved.restore(Snapshot()).error().code, Errc::empty_handle);
  const Object nothing;
  EXPECT_EQ(moved.map(kPageSize, {.object = &nothing}).error().code, Errc::empty_handle);
  EXPECT_EQ(nothing.size().error().code, Errc::empty_handle);
  machine.close();
  EXPECT_EQ(machine.create_space().error().code, Errc::empty_handle);
  EXPECT_TRUE(moved.map(kPageSize, {.object = &object}));  // lives on with what is on it
}

TEST(Machines, TwoMustNotBeMixed) {
  Machine one = Machine::create().value();
  Machine two = Machine::create({.format = Format::i386_pae}).value();
  Space here = one.create_space().value();
  Space there = two.create_space().value();
  const Object object = two.create_shared(kPageSize).value();
  EXPECT_EQ(here.map(kPageSize, {.object = &object}).error().code, Errc::other_machine);
  const Snapshot snapshot = there.snapshot().value();
  EXPECT_EQ(here.restore(snapshot).error().code, Errc::other_machine);
  Space stranger = two.create_space().value();
  EXPECT_EQ(stranger.restore(snapshot).error().code, Errc::other_space);
}

TEST(Machines, SizesOfObjectsAreChecked) {
  Machine machine = Machine::create().value();
  EXPECT_EQ(machine.create_shared(~std::uint64_t{0}).error().code, Errc::invalid);
  EXPECT_EQ(machine.create_file(kPageSize, nullptr).error().code, Errc::invalid);
  Object object = machine.create_shared(0).value();
  EXPECT_EQ(object.resize(~std::uint64_t{0}).error().code, Errc::invalid);
  std::byte byte{};
  EXPECT_EQ(object.read(0, {&byte, 1}).value(), 0U);
  EXPECT_EQ(object.write(~std::uint64_t{0}, {&byte, 1}).value(), 0U);
}

TEST(Machines, CpusAreDrivenByOne) {
  Machine machine = Machine::create({.cpus = 2}).value();
  Cpu cpu = machine.drive(1).value();
  EXPECT_EQ(machine.drive(2).error().code, Errc::no_such_cpu);
  std::thread([&] { EXPECT_EQ(machine.drive(1).error().code, Errc::cpu_busy); }).join();
  cpu.close();
  std::thread([&] { EXPECT_TRUE(machine.drive(1)); }).join();
}

TEST(Machines, HandlesEndInAnyOrder) {
  Space space;
  std::uint64_t at = 0;
  Snapshot snapshot;
  {
    Machine machine = Machine::create().value();
    space = machine.create_space().value();
    const Object object = machine.create_shared(kPageSize).value();
    at = space.map(kPageSize, {.shared = true, .object = &object}).value();
    snapshot = space.snapshot().value();
    Cpu cpu = machine.drive(0).value();
    machine.close();
    ASSERT_TRUE(space.store<std::uint8_t>(at, 3));
  }
  EXPECT_EQ(space.load<std::uint8_t>(at).value(), 3U);
  space.close();
}

TEST(Machines, EverythingIsGivenBack) {
  Machine machine = Machine::create({.memory = 16 << 20}).value();
  const std::uint64_t before = machine.memory_use().value().free_pages;
  for (unsigned round = 0; round < 3; ++round) {
    Space space = machine.create_space().value();
    Object object = machine.create_shared(1 << 20).value();
    const std::uint64_t at = space.map(1 << 20, {.shared = true, .populate = true, .object = &object}).value();
    const std::uint64_t own = space.map(1 << 20).value();
    ASSERT_TRUE(space.store<std::uint8_t>(own, 1));
    const Snapshot snapshot = space.snapshot().value();
    ASSERT_TRUE(space.store<std::uint8_t>(own, 2));
    Space child = space.fork().value();
    ASSERT_TRUE(child.store<std::uint8_t>(at, 3));
    EXPECT_LT(machine.memory_use().value().free_pages, before);
  }
  EXPECT_EQ(machine.memory_use().value().free_pages, before);
}

TEST(MachineThreads, EachOnItsCpu) {
  constexpr unsigned kThreads = 3;
  Machine machine = Machine::create({.memory = 32 << 20, .cpus = kThreads}).value();
  Space space = machine.create_space().value();
  const std::uint64_t at = space.map(kThreads * kPageSize).value();
  {
    std::vector<std::jthread> threads;
    for (unsigned number = 0; number < kThreads; ++number) {
      threads.emplace_back([&, number] {
        const Cpu cpu = machine.drive(number).value();
        const std::uint64_t mine = at + number * kPageSize;
        for (std::uint32_t i = 0; i < 500; ++i) {
          ASSERT_TRUE(space.store<std::uint32_t>(mine, i));
          ASSERT_EQ(space.load<std::uint32_t>(mine).value(), i);
          if (i % 50 == number) {
            const std::uint64_t more = space.map(kPageSize).value();
            ASSERT_TRUE(space.store<std::uint8_t>(more, 1));
            ASSERT_TRUE(space.unmap(more, kPageSize));
            Space child = space.fork().value();
            ASSERT_EQ(child.load<std::uint32_t>(mine).value(), i);
          }
        }
      });
    }
  }
  EXPECT_EQ(space.regions().value().size(), 1U);
  EXPECT_GT(machine.counters().value().pages_zeroed, 0U);
}

TEST(MachineThreads, ThoseWithoutACpuShareOne) {
  Machine machine = Machine::create().value();
  {
    std::vector<std::jthread> threads;
    for (unsigned number = 0; number < 3; ++number) {
      threads.emplace_back([&machine] {
        Space space = machine.create_space().value();
        const std::uint64_t at = space.map(kPageSize).value();
        for (std::uint32_t i = 0; i < 300; ++i) {
          ASSERT_TRUE(space.store<std::uint32_t>(at, i));
          ASSERT_EQ(space.load<std::uint32_t>(at).value(), i);
        }
      });
    }
  }
}

}  // namespace
}  // namespace libvellum
