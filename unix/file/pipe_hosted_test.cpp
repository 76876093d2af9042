#include <vellum/unix/pipe.hpp>

#include <thread>

#include <gtest/gtest.h>

#include <vellum/unix/event_counter.hpp>

#include "test/world.hpp"

namespace vellum::unix {
namespace {

using test::caller;
using test::World;

// Runs work on another CPU, and waits for it at the end.
class Meanwhile {
 public:
  template <class Work>
  Meanwhile(World& world, Work work)
      : thread_([&world, work] {
          const hosted::CpuScope cpu(world.machine(), CpuIndex(1));
          work();
        }) {}
  ~Meanwhile() { thread_.join(); }

 private:
  std::thread thread_;
};

void rest() { std::this_thread::sleep_for(std::chrono::milliseconds(20)); }

Errno read_error(OpenFile& file) {
  char bytes[10];
  const UserSegment segment = World::segment_of(bytes, sizeof bytes);
  Transfer transfer(std::span(&segment, 1));
  const Result<void> result = file.read(transfer, ByteCount(0));
  return result.ok() ? Errno{} : result.error();
}

Errno write_error(OpenFile& file, std::string_view text) {
  const UserSegment segment = World::segment_of(text.data(), text.size());
  Transfer transfer(std::span(&segment, 1));
  ByteCount position(0);
  const Result<void> result = file.write(transfer, position);
  return result.ok() ? Errno{} : result.error();
}

TEST(Pipe, CarriesBytesInOrder) {
  World world;
  const PipePair pipe = create_pipe(world.files(), 0).value();
  EXPECT_EQ(World::put(*pipe.write_end, 0, "one"), 3U);
  EXPECT_EQ(World::put(*pipe.write_end, 0, "two"), 3U);
  EXPECT_EQ(World::get(*pipe.read_end, 0, 4), "onet");
  EXPECT_EQ(World::get(*pipe.read_end, 0, 10), "wo");
  EXPECT_EQ(world.path_of(pipe.read_end->path()).substr(0, 6), "pipe:[");
}

TEST(Pipe, TellsTheEndAndABrokenPipe) {
  World world;
  PipePair pipe = create_pipe(world.files(), 0).value();
  EXPECT_EQ(World::put(*pipe.write_end, 0, "last"), 4U);
  pipe.write_end.reset();
  EXPECT_EQ(pipe.read_end->poll(nullptr), event::kReadable | event::kHangUp);
  EXPECT_EQ(World::get(*pipe.read_end, 0, 10), "last");
  EXPECT_EQ(World::get(*pipe.read_end, 0, 10), "");
  PipePair other = create_pipe(world.files(), 0).value();
  other.read_end.reset();
  EXPECT_EQ(other.write_end->poll(nullptr) & event::kError, event::kError);
  EXPECT_EQ(write_error(*other.write_end, "x"), Errno::broken_pipe);
  EXPECT_EQ(caller().raised, std::vector<int>{13});
}

TEST(Pipe, HoldsSoManyBytesAndWritesSmallOnesWhole) {
  World world;
  const PipePair pipe = create_pipe(world.files(), open_flag::kNonBlocking).value();
  EXPECT_EQ(read_error(*pipe.read_end), Errno::try_again);
  EXPECT_EQ(World::put(*pipe.write_end, 0, std::string(100000, 'x')), Pipe::kCapacity);
  EXPECT_EQ(write_error(*pipe.write_end, "y"), Errno::try_again);
  EXPECT_EQ(pipe.write_end->poll(nullptr), 0);
  EXPECT_EQ(World::get(*pipe.read_end, 0, 100).size(), 100U);
  EXPECT_EQ(write_error(*pipe.write_end, std::string(101, 'y')), Errno::try_again);
  EXPECT_EQ(World::put(*pipe.write_end, 0, std::string(100, 'y')), 100U);
  const std::string all = World::get(*pipe.read_end, 0, 100000);
  EXPECT_EQ(all, std::string(Pipe::kCapacity - 100, 'x') + std::string(100, 'y'));
}

TEST(Pipe, GivesItsMemoryBackWhenItIsEmpty) {
  World world;
  const PipePair pipe = create_pipe(world.files(), open_flag::kNonBlocking).value();
  const PageCount before = world.memory().free_count();
  EXPECT_EQ(World::put(*pipe.write_end, 0, std::string(Pipe::kCapacity, 'x')), Pipe::kCapacity);
  EXPECT_EQ(World::get(*pipe.read_end, 0, Pipe::kCapacity).size(), Pipe::kCapacity);
  EXPECT_GE(world.memory().free_count() + PageCount(1), before);
}

TEST(Pipe, AFaultLosesNothing) {
  World world;
  const PipePair pipe = create_pipe(world.files(), 0).value();
  EXPECT_EQ(World::put(*pipe.write_end, 0, "abcdef"), 6U);
  char bytes[2];
  const UserSegment segments[] = {World::segment_of(bytes, 2), {.base = VirtAddr(0x1000), .size = ByteCount(10)}};
  Transfer transfer(segments);
  EXPECT_EQ(pipe.read_end->read(transfer, ByteCount(0)).error(), Errno::bad_address);
  EXPECT_EQ(transfer.moved(), ByteCount(2));
  EXPECT_EQ(World::get(*pipe.read_end, 0, 10), "cdef");
}

TEST(Pipe, AReaderWaitsForAWriter) {
  World world;
  const PipePair pipe = create_pipe(world.files(), 0).value();
  const Meanwhile writer(world, [&] {
    rest();
    World::put(*pipe.write_end, 0, "late");
  });
  EXPECT_EQ(World::get(*pipe.read_end, 0, 10), "late");
}

TEST(Pipe, AWriterWaitsForRoom) {
  World world;
  const PipePair pipe = create_pipe(world.files(), 0).value();
  std::string text(300000, '\0');
  for (std::size_t i = 0; i < text.size(); ++i) {
    text[i] = static_cast<char>(i * 7);
  }
  std::string got;
  {
    const Meanwhile writer(world, [&] { EXPECT_EQ(World::put(*pipe.write_end, 0, text), text.size()); });
    while (got.size() < text.size()) {
      got += World::get(*pipe.read_end, 0, 5000);
    }
  }
  EXPECT_EQ(got, text);
}

TEST(Pipe, ASignalEndsTheWait) {
  World world;
  const PipePair pipe = create_pipe(world.files(), 0).value();
  {
    const Meanwhile signaller(world, [] {
      rest();
      test::signal_everybody();
    });
    EXPECT_EQ(read_error(*pipe.read_end), Errno::interrupted);
  }
  test::forget_signals();
}

TEST(Fifo, OpensWhenBothEndsAreThere) {
  World world;
  ASSERT_TRUE(world.make("/f", NodeKind::fifo).ok());
  EXPECT_EQ(world.open("/f", open_flag::kWriteOnly | open_flag::kNonBlocking).error(), Errno::no_such_device);
  {
    const Meanwhile writer(world, [&] {
      const auto file = world.open("/f", open_flag::kWriteOnly);
      World::put(*file.value(), 0, "through");
    });
    const auto file = world.open("/f", open_flag::kReadOnly);
    EXPECT_EQ(World::get(*file.value(), 0, 10), "through");
    EXPECT_EQ(World::get(*file.value(), 0, 10), "");
  }
  const auto both = world.open("/f", open_flag::kReadWrite);
  EXPECT_EQ(World::put(*both.value(), 0, "self"), 4U);
  EXPECT_EQ(World::get(*both.value(), 0, 10), "self");
}

TEST(Poller, WakesWhenSomethingComes) {
  World world;
  const PipePair pipe = create_pipe(world.files(), 0).value();
  Poller poller(world.files().memory());
  EXPECT_EQ(pipe.read_end->poll(&poller), 0);
  poller.stop_adding();
  EXPECT_EQ(poller.wait(monotonic_now() + Nanoseconds(1'000'000)), Wakeup::timeout);
  const Meanwhile writer(world, [&] { World::put(*pipe.write_end, 0, "x"); });
  EXPECT_EQ(poller.wait({}), Wakeup::woken);
  EXPECT_EQ(pipe.read_end->poll(nullptr), event::kReadable);
}

// --- event counters

std::uint64_t take(OpenFile& file) {
  const std::string bytes = World::get(file, 0, 8);
  std::uint64_t value = 0;
  memcpy(&value, bytes.data(), bytes.size());
  return bytes.size() == 8 ? value : 0;
}
Errno add(OpenFile& file, std::uint64_t value) {
  return write_error(file, {reinterpret_cast<const char*>(&value), sizeof value});
}

TEST(EventCounter, AddsAndTakes) {
  World world;
  const auto counter =
      create_event_counter(world.files(), 3, EventCounting::all_at_once, open_flag::kNonBlocking).value();
  EXPECT_EQ(add(*counter, 4), Errno{});
  EXPECT_EQ(take(*counter), 7U);
  EXPECT_EQ(read_error(*counter), Errno::try_again);
  EXPECT_EQ(counter->poll(nullptr), event::kWritable);
  EXPECT_EQ(add(*counter, ~std::uint64_t{0}), Errno::invalid);
  EXPECT_EQ(add(*counter, ~std::uint64_t{0} - 1), Errno{});
  EXPECT_EQ(add(*counter, 1), Errno::try_again);
  EXPECT_EQ(counter->poll(nullptr), event::kReadable);
  EXPECT_EQ(write_error(*counter, "short"), Errno::invalid);
}

TEST(EventCounter, CountsOneByOne) {
  World world;
  const auto counter =
      create_event_counter(world.files(), 2, EventCounting::one_by_one, open_flag::kNonBlocking).value();
  EXPECT_EQ(take(*counter), 1U);
  EXPECT_EQ(take(*counter), 1U);
  EXPECT_EQ(read_error(*counter), Errno::try_again);
}

}  // namespace
}  // namespace vellum::unix
