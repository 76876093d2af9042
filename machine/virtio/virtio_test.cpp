#include <vellum/virtio/console.hpp>
#include <vellum/virtio/ninep.hpp>

#include <gtest/gtest.h>

#include "test/fake_device.hpp"

namespace vellum::virtio {
namespace {

std::span<const std::byte> bytes_of_text(std::string_view text) { return std::as_bytes(std::span(text)); }

TEST(DeviceWords, AreFound) {
  std::vector<DevicePlace> places;
  for_each_device(
      "run virtio_mmio.device=512@0xfeb00e00:12 quiet virtio_mmio.device=4K@0x1000:300 "
      "virtio_mmio.device=1K@4096:5 virtio_mmio.device=512@0xfeb00c00: xvirtio_mmio.device=512@0x0:1 "
      "virtio_mmio.device=8@0x10:1 virtio_mmio.device=512@0xffffffffffffff00:1",
      [&](const DevicePlace& place) { places.push_back(place); });
  ASSERT_EQ(places.size(), 2U);
  EXPECT_EQ(places[0].registers, PhysRange::must(PhysAddr(0xFEB00E00), ByteCount(512)));
  EXPECT_EQ(places[0].interrupt, 12U);
  EXPECT_EQ(places[1].registers, PhysRange::must(PhysAddr(4096), ByteCount(1024)));
  EXPECT_EQ(places[1].interrupt, 5U);
}

TEST(Device, IsOpenedOnlyWhereItIsOne) {
  FakeMemory memory(1);
  FakeDevice fake(DeviceKind::console, memory);
  Device device;
  fake.magic = 0;
  EXPECT_EQ(device.open(fake).error(), Errno::no_device);
  fake.magic = 0x74726976;
  fake.kind = DeviceKind::none;
  EXPECT_EQ(device.open(fake).error(), Errno::no_device);
  fake.kind = DeviceKind::console;
  fake.version = 1;
  EXPECT_EQ(device.open(fake).error(), Errno::not_supported);
  fake.version = 2;
  ASSERT_TRUE(device.open(fake).ok());
  EXPECT_EQ(device.kind(), DeviceKind::console);
}

TEST(Device, AgreesOnFeatures) {
  FakeMemory memory(1);
  FakeDevice fake(DeviceKind::ninep, memory);
  Device device;
  ASSERT_TRUE(device.open(fake).ok());
  fake.offered = 1ULL << 32 | 1ULL << 35 | 5;
  ASSERT_TRUE(device.start(3).ok());
  EXPECT_EQ(fake.accepted, 1ULL << 32 | 1);
  EXPECT_TRUE(device.has_feature(0));
  EXPECT_FALSE(device.has_feature(1));
  device.run();
  EXPECT_EQ(fake.status, 1U | 2 | 4 | 8);
  fake.refuses_features = true;
  EXPECT_EQ(device.start(3).error(), Errno::not_supported);
  EXPECT_EQ(fake.status & 128, 128U);
  fake.refuses_features = false;
  fake.offered = 5;
  EXPECT_EQ(device.start(3).error(), Errno::not_supported);
}

class QueueTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(device.open(fake).ok());
    ASSERT_TRUE(device.start(0).ok());
    ASSERT_TRUE(device.add_queue(0, queue, memory.shared().part(0, kPageSize), 8, Interruption::unwanted).ok());
  }
  Piece piece(std::size_t offset, std::uint32_t size) const {
    return {.address = PhysAddr(0x1'2345'6000) + ByteCount(kPageSize + offset), .size = size};
  }

  FakeMemory memory{2};
  FakeDevice fake{DeviceKind::console, memory};
  Device device;
  Queue queue;
};

TEST_F(QueueTest, CarriesBuffersBothWays) {
  std::memcpy(memory.at(piece(0, 5).address.value(), 5), "hello", 5);
  const Piece read[] = {piece(0, 2), piece(2, 3)};
  const Piece written[] = {piece(100, 4), piece(200, 4)};
  for (int round = 0; round < 50; ++round) {
    const std::uint16_t token = queue.add(read, written).value();
    EXPECT_FALSE(queue.take_used());
    FakeDevice::Buffer buffer;
    ASSERT_TRUE(fake.take(0, buffer));
    EXPECT_FALSE(fake.take(0, buffer));
    EXPECT_EQ(buffer.read, "hello");
    ASSERT_EQ(buffer.room.size(), 2U);
    fake.fill(buffer, "answer");
    fake.give_back(0, buffer.head, 6);
    const Queue::Used used = queue.take_used().value();
    EXPECT_EQ(used.token, token);
    EXPECT_EQ(used.written, 6U);
    EXPECT_EQ(std::memcmp(memory.at(piece(200, 2).address.value(), 2), "er", 2), 0);
  }
}

TEST_F(QueueTest, HasSoManyDescriptors) {
  const Piece three[] = {piece(0, 1), piece(1, 1), piece(2, 1)};
  EXPECT_TRUE(queue.add(three, {}));
  EXPECT_TRUE(queue.add({}, three));
  EXPECT_FALSE(queue.add(three, {}));
  EXPECT_TRUE(queue.add(std::span(three).first(2), {}));
  EXPECT_FALSE(queue.add(std::span(three).first(1), {}));
  FakeDevice::Buffer first;
  FakeDevice::Buffer second;
  ASSERT_TRUE(fake.take(0, first));
  ASSERT_TRUE(fake.take(0, second));
  fake.give_back(0, second.head, 3);  // not in their order
  fake.give_back(0, first.head, 0);
  EXPECT_EQ(queue.take_used()->token, second.head);
  EXPECT_EQ(queue.take_used()->token, first.head);
  EXPECT_TRUE(queue.add(three, three));
}

TEST_F(QueueTest, IsBrokenByWhatCannotBe) {
  const Piece one = piece(0, 16);
  const auto attempt = [&](std::uint32_t head_change, std::uint32_t written) {
    ASSERT_TRUE(device.start(0).ok());
    fake.rings.clear();
    ASSERT_TRUE(device.add_queue(0, queue, memory.shared().part(0, kPageSize), 8, Interruption::unwanted).ok());
    ASSERT_TRUE(queue.add({}, {&one, 1}));
    FakeDevice::Buffer buffer;
    ASSERT_TRUE(fake.take(0, buffer));
    fake.give_back(0, buffer.head + head_change, written);
    EXPECT_FALSE(queue.take_used());
    EXPECT_TRUE(queue.is_broken());
    EXPECT_FALSE(queue.add({}, {&one, 1}));
  };
  attempt(1, 0);  // nothing was added there
  attempt(8, 0);  // beyond the table
  attempt(0xFFFFFFF0, 0);
  attempt(0, 17);  // more than there is room for
}

TEST_F(QueueTest, NotifiesWhereItIsWanted) {
  device.notify(0, queue);
  EXPECT_EQ(fake.notified.size(), 1U);
  fake.refuse_notifications(0);
  device.notify(0, queue);
  EXPECT_EQ(fake.notified.size(), 1U);
  EXPECT_FALSE(fake.wants_interrupts(0));
  queue.set_interruption(Interruption::wanted);
  EXPECT_TRUE(fake.wants_interrupts(0));
}

class ConsoleTest : public testing::Test {
 protected:
  static constexpr unsigned kControlIn = 2, kControlOut = 3, kIn = 4, kOut = 5;

  void SetUp() override {
    fake.offered |= 2;
    ASSERT_TRUE(device.open(fake).ok());
    ASSERT_TRUE(console.start(device, memory.shared()).ok());
  }
  // What the driver said on the control queue: port, event and value each.
  std::vector<std::vector<unsigned>> controls() {
    std::vector<std::vector<unsigned>> all;
    FakeDevice::Buffer buffer;
    while (fake.take(kControlOut, buffer)) {
      EXPECT_EQ(buffer.read.size(), 8U);
      const auto* const bytes = reinterpret_cast<const unsigned char*>(buffer.read.data());
      all.push_back({bytes[0], bytes[4], bytes[6]});
      fake.give_back(kControlOut, buffer.head, 0);
    }
    return all;
  }
  void come_control(std::string_view message) {
    FakeDevice::Buffer buffer;
    ASSERT_TRUE(fake.take(kControlIn, buffer));
    fake.fill(buffer, message);
    fake.give_back(kControlIn, buffer.head, static_cast<std::uint32_t>(message.size()));
  }
  void come(std::string_view text) {
    FakeDevice::Buffer buffer;
    ASSERT_TRUE(fake.take(kIn, buffer));
    fake.fill(buffer, text);
    fake.give_back(kIn, buffer.head, static_cast<std::uint32_t>(text.size()));
  }
  std::string receive(std::size_t most) {
    std::string text(most, '\0');
    text.resize(console.receive(std::as_writable_bytes(std::span(text))));
    return text;
  }
  std::string sent() {
    std::string all;
    FakeDevice::Buffer buffer;
    while (fake.take(kOut, buffer)) {
      all += buffer.read;
      fake.give_back(kOut, buffer.head, 0);
    }
    return all;
  }

  FakeMemory memory{Console::kMemory / kPageSize};
  FakeDevice fake{DeviceKind::console, memory};
  Device device;
  Console console;
};

TEST_F(ConsoleTest, Receives) {
  EXPECT_EQ(receive(10), "");
  come("hello ");
  come("world");
  EXPECT_EQ(receive(3), "hel");
  EXPECT_EQ(receive(100), "lo world");
  for (int i = 0; i < 100; ++i) {  // buffers are offered again
    come(std::string(4096, static_cast<char>('a' + i % 26)));
    EXPECT_EQ(receive(5000), std::string(4096, static_cast<char>('a' + i % 26)));
  }
  EXPECT_TRUE(fake.wants_interrupts(kIn));
}

TEST_F(ConsoleTest, OpensItsPort) {
  using Controls = std::vector<std::vector<unsigned>>;
  EXPECT_EQ(controls(), (Controls{{0, 0, 1}}));      // the driver is ready
  come_control(std::string("\0\0\0\0\1\0\1\0", 8));  // another port
  come_control("short");
  come_control(std::string("\1\0\0\0\1\0\1\0", 8));
  come_control(std::string("\1\0\0\0\7\0\1\0name", 12));
  EXPECT_EQ(receive(10), "");
  EXPECT_EQ(controls(), (Controls{{1, 3, 1}, {1, 6, 1}}));
  for (int i = 0; i < 50; ++i) {  // buffers are offered again
    come_control(std::string("\1\0\0\0\6\0\1\0", 8));
    EXPECT_EQ(receive(10), "");
  }
  EXPECT_FALSE(console.is_broken());
  come_control(std::string("\1\0\0\0\6\0\0\0", 8));  // closed
  EXPECT_EQ(receive(10), "");
  EXPECT_TRUE(console.is_broken());
}

TEST(ConsolePort, IsOneOfSeveral) {
  FakeMemory memory(Console::kMemory / kPageSize);
  FakeDevice fake(DeviceKind::console, memory);
  Device device;
  ASSERT_TRUE(device.open(fake).ok());
  Console console;
  EXPECT_EQ(console.start(device, memory.shared()).error(), Errno::no_such_device);
}

TEST_F(ConsoleTest, SendsAllOrNothing) {
  const std::string body(10000, 'x');
  EXPECT_EQ(console.room(), Console::kMostSend);
  ASSERT_TRUE(console.send(bytes_of_text("head"), bytes_of_text(body)));
  EXPECT_EQ(console.room(), Console::kMostSend - 3 * kPageSize);
  EXPECT_EQ(fake.notified.back(), kOut);
  const std::string large(Console::kMostSend - 2 * kPageSize, 'y');
  EXPECT_FALSE(console.send({}, bytes_of_text(large)));
  EXPECT_FALSE(fake.wants_interrupts(kOut));
  console.expect_room();
  EXPECT_TRUE(fake.wants_interrupts(kOut));
  EXPECT_EQ(sent(), "head" + body);
  console.acknowledge_interrupt();
  EXPECT_FALSE(fake.wants_interrupts(kOut));
  EXPECT_TRUE(console.send({}, bytes_of_text(large)));
  EXPECT_EQ(sent(), large);
}

TEST_F(ConsoleTest, EndsWhereTheDeviceLies) {
  ASSERT_TRUE(console.send({}, bytes_of_text("x")));
  fake.give_back(kOut, 15, 0);
  EXPECT_EQ(console.room(), 0U);
  EXPECT_TRUE(console.is_broken());
  EXPECT_FALSE(console.send({}, bytes_of_text("y")));
}

TEST(Ninep, ExchangesMessages) {
  FakeMemory memory(2);
  FakeDevice fake(DeviceKind::ninep, memory);
  fake.offered |= 1;
  fake.config = std::string("\4\0root", 6);
  Device device;
  ASSERT_TRUE(device.open(fake).ok());
  Ninep ninep;
  ASSERT_TRUE(ninep.start(device, memory.shared().part(0, kPageSize)).ok());
  EXPECT_EQ(ninep.tag(), "root");

  std::uint32_t written = 6;
  fake.on_notify = [&](std::uint32_t) {
    FakeDevice::Buffer buffer;
    ASSERT_TRUE(fake.take(0, buffer));
    EXPECT_EQ(buffer.read, "ask");
    fake.fill(buffer, "answer");
    fake.give_back(0, buffer.head, written);
  };
  const PhysAddr start = memory.shared().address + ByteCount(kPageSize);
  std::memcpy(memory.at(start.value(), 3), "ask", 3);
  const Piece request{.address = start, .size = 3};
  const Piece reply[] = {{.address = start + ByteCount(64), .size = 4}, {.address = start + ByteCount(128), .size = 4}};
  EXPECT_FALSE(ninep.finished());
  ASSERT_TRUE(ninep.begin({&request, 1}, reply).ok());
  EXPECT_EQ(ninep.finished()->value(), 6U);
  EXPECT_FALSE(ninep.finished());
  EXPECT_EQ(std::memcmp(memory.at(start.value() + 64, 4), "answ", 4), 0);
  EXPECT_EQ(std::memcmp(memory.at(start.value() + 128, 2), "er", 2), 0);
  written = 9;
  ASSERT_TRUE(ninep.begin({&request, 1}, reply).ok());
  EXPECT_EQ(ninep.finished()->error(), Errno::io_error);
  EXPECT_EQ(ninep.begin({&request, 1}, reply).error(), Errno::io_error);
}

}  // namespace
}  // namespace vellum::virtio
