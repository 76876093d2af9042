#include <vellum/heap/device_mappings.hpp>
#include <vellum/hosted/mmu.hpp>

#include "test/world.hpp"

namespace vellum::test {

namespace {

using namespace literals;

constexpr ByteCount kPage{kPageSize};

template <class F>
struct DeviceWorld : HeapWorld<F> {
  DeviceWorld() : devices(this->space(), this->metadata()) { VELLUM_CHECK(devices.add_span(this->region()).ok()); }

  DeviceMappings<F> devices;
};

VELLUM_TEST_BOTH_FORMATS(DeviceMappings, LeadToTheRegisters) {
  DeviceWorld<F> world;
  const PhysRange registers = PhysRange::must(PhysAddr(0x30'0F80), 0x100_B);  // across a page's end
  const VirtRange mapped = world.devices.map(registers).value();
  EXPECT_EQ(mapped.size(), registers.size());
  EXPECT_TRUE(world.writes(mapped.start(), 5));
  EXPECT_EQ(world.read(mapped.start()), 5U);
  EXPECT_TRUE(world.read(mapped.end() - 8_B));
  EXPECT_FALSE(world.may(Access::execute, mapped.start()));
  EXPECT_EQ(world.space().find(mapped.start())->address, registers.start());
  EXPECT_EQ(world.devices.in_use(), kPage * 2);
  world.devices.unmap(mapped);
  EXPECT_FALSE(world.read(mapped.start()));
  EXPECT_EQ(world.devices.in_use(), 0_B);
}

VELLUM_TEST_BOTH_FORMATS(DeviceMappings, LargeOnesTakeLargePages) {
  DeviceWorld<F> world;
  const PhysRange registers = PhysRange::must(PhysAddr((3_MiB).value()), 6_MiB);
  const VirtRange mapped = world.devices.map(registers).value();
  EXPECT_EQ(world.space().find(mapped.start())->level, 1U);
  EXPECT_EQ(world.space().find(mapped.start() + 1_MiB)->level, 2U);
  EXPECT_EQ(world.space().find(mapped.last())->address, registers.last());
  world.devices.unmap(mapped);
  EXPECT_FALSE(world.space().find(mapped.start() + 2_MiB));
}

}  // namespace

}  // namespace vellum::test
