#include <gtest/gtest.h>

#include <vellum/unix/memory_file.hpp>

#include "test/world.hpp"

namespace vellum::unix {
namespace {

using test::caller;
using test::World;

TEST(RamFile, KeepsWhatIsWritten) {
  World world;
  world.write("/a", "hello");
  EXPECT_EQ(world.read("/a"), "hello");
  EXPECT_EQ(world.attributes("/a").size, ByteCount(5));
  EXPECT_EQ(world.attributes("/a").links, 1U);
}

TEST(RamFile, WritesAcrossPagesAndInTheMiddle) {
  World world;
  std::string text(3 * kPageSize + 100, 'x');
  world.write("/a", text);
  const auto file = world.open("/a", open_flag::kReadWrite).value();
  EXPECT_EQ(World::put(*file, kPageSize - 2, "1234"), 4U);
  text.replace(kPageSize - 2, 4, "1234");
  EXPECT_EQ(world.read("/a"), text);
}

TEST(RamFile, HolesAreZerosAndTakeNoMemory) {
  World world;
  const auto file = world.open("/a", open_flag::kReadWrite | open_flag::kCreate).value();
  EXPECT_EQ(World::put(*file, std::uint64_t{1} << 40, "end"), 3U);
  const PageCount before = world.memory().free_count();
  EXPECT_EQ(World::get(*file, std::uint64_t{1} << 39, 10000), std::string(10000, '\0'));
  EXPECT_EQ(world.memory().free_count(), before);
  EXPECT_EQ(world.attributes("/a").blocks, 8U);
}

TEST(RamFile, TruncatesAndGrowsWithZeros) {
  World world;
  world.write("/a", "0123456789");
  Node& node = world.find("/a").value().node();
  ASSERT_TRUE(node.truncate(ByteCount(4)).ok());
  EXPECT_EQ(world.read("/a"), "0123");
  ASSERT_TRUE(node.truncate(ByteCount(6)).ok());
  EXPECT_EQ(world.read("/a"), std::string("0123\0\0", 6));
  EXPECT_EQ(node.truncate(ByteCount(~std::uint64_t{0})).error(), Errno::file_too_big);
}

TEST(RamFile, AppendsAtTheEnd) {
  World world;
  world.write("/a", "one");
  const auto file = world.open("/a", open_flag::kWriteOnly | open_flag::kAppend).value();
  EXPECT_EQ(World::put(*file, 0, "two"), 3U);
  EXPECT_EQ(world.read("/a"), "onetwo");
}

TEST(RamFile, AWriteThatFaultsLeavesNoTail) {
  World world;
  const auto file = world.open("/a", open_flag::kWriteOnly | open_flag::kCreate).value();
  const UserSegment segments[] = {World::segment_of("abc", 3), {.base = VirtAddr(0x1000), .size = ByteCount(10)}};
  Transfer transfer(segments);
  ByteCount at(0);
  EXPECT_EQ(file->write(transfer, at).error(), Errno::bad_address);
  EXPECT_EQ(transfer.moved(), ByteCount(3));
  EXPECT_EQ(world.read("/a"), "abc");
}

TEST(RamFile, KeepsToTheLimitOfSizes) {
  World world;
  caller().size_limit = ByteCount(4);
  const auto file = world.open("/a", open_flag::kWriteOnly | open_flag::kCreate).value();
  EXPECT_EQ(World::put(*file, 0, "123456"), 4U);
  EXPECT_EQ(World::put(*file, 4, "56"), 0U);
  EXPECT_EQ(caller().raised, std::vector<int>{25});
}

TEST(RamFile, LivesWhileItIsOpenOrMapped) {
  World world;
  world.write("/a", "still here");
  auto file = world.open("/a", open_flag::kReadOnly).value();
  FileMapping mapping = file->mapping().value();
  ASSERT_TRUE(world.remove("/a").ok());
  EXPECT_EQ(world.find("/a").error(), Errno::no_entry);
  EXPECT_EQ(World::get(*file, 0, 100), "still here");
  EXPECT_EQ(file->node().attributes().links, 0U);
  char path[64];
  EXPECT_EQ(describe_object(*mapping.object, path).path, "/a (deleted)");
  file.reset();
  char bytes[5];
  EXPECT_EQ(mapping.object->read(ByteCount(0), std::as_writable_bytes(std::span(bytes))).value(), ByteCount(5));
}

TEST(RamFile, AMappingSeesWritesAndWritesAreSeen) {
  World world;
  world.write("/a", std::string(kPageSize, 'a'));
  const FileMapping mapping = world.open("/a", open_flag::kReadOnly).value()->mapping().value();
  AddressSpace<Format>* const space =
      AddressSpace<Format>::create(world.vm(), test::whole_layout<Format>(), nullptr).value();
  {
    test::Program<Format> program(*space);
    const VirtAddr at = space
                            ->map({.address = VirtAddr(0),
                                   .length = ByteCount(kPageSize),
                                   .prot = Prot::read() | Prot::write(),
                                   .traits = Traits::shared(),
                                   .object = mapping.object.get()})
                            .value();
    EXPECT_EQ(program.at(at), 0x6161616161616161U);
    EXPECT_EQ(program.store(at, 0x6262626262626262U), test::Outcome::done);
    EXPECT_EQ(world.read("/a").substr(0, 9), "bbbbbbbba");
    world.write("/a", "");
    EXPECT_EQ(program.store(at, 1), test::Outcome::bus_error);
  }
  space->destroy();
}

TEST(RamFile, SeeksDataAndHoles) {
  World world;
  const auto file = world.open("/a", open_flag::kReadWrite | open_flag::kCreate).value();
  World::put(*file, 8 * kPageSize, "data");
  EXPECT_EQ(file->seek(0, Whence::data).value(), ByteCount(8 * kPageSize));
  EXPECT_EQ(file->seek(0, Whence::hole).value(), ByteCount(0));
  EXPECT_EQ(file->seek(8 * kPageSize, Whence::hole).value(), ByteCount(8 * kPageSize + 4));
  EXPECT_EQ(file->seek(8 * kPageSize + 4, Whence::data).error(), Errno::no_such_device);
  EXPECT_EQ(file->seek(-1, Whence::start).error(), Errno::invalid);
  EXPECT_EQ(file->seek(-4, Whence::end).value(), ByteCount(8 * kPageSize));
}

TEST(RamFile, AHoleGivesItsPagesBack) {
  World world;
  const std::string text(5 * kPageSize + 100, 'x');
  world.write("/a", text);
  const auto file = world.open("/a", open_flag::kReadWrite).value();
  ASSERT_TRUE(punch_file(*file, ByteCount(kPageSize - 10), ByteCount(3 * kPageSize + 10)).ok());
  EXPECT_EQ(world.attributes("/a").blocks, 4U * 8);
  std::string expected = text;
  expected.replace(kPageSize - 10, 2 * kPageSize + 20, 2 * kPageSize + 20, '\0');
  EXPECT_EQ(world.read("/a"), expected);
  ASSERT_TRUE(punch_file(*file, ByteCount(4 * kPageSize + 5), ByteCount(4 * kPageSize + 9)).ok());
  expected.replace(4 * kPageSize + 5, 4, 4, '\0');
  EXPECT_EQ(world.read("/a"), expected);
  ASSERT_TRUE(punch_file(*file, ByteCount(0), ByteCount(~std::uint64_t{0} >> 1)).ok());
  EXPECT_EQ(world.attributes("/a").blocks, 0U);
  EXPECT_EQ(world.read("/a"), std::string(text.size(), '\0'));
  ASSERT_TRUE(punch_file(*file, ByteCount(9 * kPageSize), ByteCount(10 * kPageSize)).ok());
}

TEST(RamFile, APrivateMappingKeepsItsCopies) {
  World world;
  world.write("/a", std::string(2 * kPageSize, 'a'));
  FileMapping mapping = world.open("/a", open_flag::kReadOnly).value()->mapping().value();
  AddressSpace<Format>* const space =
      AddressSpace<Format>::create(world.vm(), test::whole_layout<Format>(), nullptr).value();
  {
    test::Program<Format> program(*space);
    const VirtAddr at = space
                            ->map({.address = VirtAddr(0),
                                   .length = ByteCount(2 * kPageSize),
                                   .prot = Prot::read() | Prot::write(),
                                   .object = mapping.object.get()})
                            .value();
    mapping = {};
    EXPECT_EQ(program.at(at), 0x6161616161616161U);
    EXPECT_EQ(program.store(at, 0x6262626262626262U), test::Outcome::done);
    EXPECT_EQ(program.store(at + ByteCount(kPageSize), 1), test::Outcome::done);
    EXPECT_EQ(world.read("/a"), std::string(2 * kPageSize, 'a'));
  }
  space->destroy();
}

// Each allocation fails once: the operation says so, and nothing is lost.
TEST(RamFile, SurvivesEveryShortageOfMemory) {
  World world;
  const auto operate = [&]() -> Result<void> {
    VELLUM_TRY(world.make_directory("/d"));
    const Ref<OpenFile> file = VELLUM_TRY(world.open("/d/a", open_flag::kReadWrite | open_flag::kCreate));
    const std::string text(2 * kPageSize, 'x');
    if (World::put(*file, 0, text) != text.size()) {
      return Errno::no_space;
    }
    VELLUM_TRY(world.link("/d/a", "/d/b"));
    VELLUM_TRY(world.rename("/d/b", "/d/c"));
    (void)VELLUM_TRY(file->mapping());
    return {};
  };
  const auto clean = [&] {
    (void)world.remove("/d/a");
    (void)world.remove("/d/b");
    (void)world.remove("/d/c");
    (void)world.remove("/d", NodeKind::directory);
  };
  for (std::uint64_t n = 1;; ++n) {
    world.machine().failures().fail_nth(n);
    const Result<void> result = operate();
    const bool failed = world.machine().failures().failures() > 0;
    world.machine().failures().off();
    clean();
    EXPECT_EQ(world.find("/d").error(), Errno::no_entry);
    if (!failed) {
      EXPECT_TRUE(result.ok());
      break;
    }
    world.files().memory().reap();
  }
}

}  // namespace
}  // namespace vellum::unix
