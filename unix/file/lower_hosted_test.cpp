#include <set>

#include <gtest/gtest.h>

#include <vellum/unix/memory_file.hpp>

#include "test/memory_lower.hpp"
#include "test/world.hpp"

namespace vellum::unix {
namespace {

using test::MemoryLower;
using test::World;

// /etc/{one,two,link -> one}, /big (3 pages), /empty/
class OverLower : public ::testing::Test {
 protected:
  OverLower() {
    MemoryLower::Thing* const etc = lower.add(lower.top, "etc", NodeKind::directory);
    one = lower.add(etc, "one", NodeKind::file, "first");
    lower.add(etc, "two", NodeKind::file, "second");
    lower.add(etc, "link", NodeKind::symlink, "one");
    lower.add(lower.top, "big", NodeKind::file, std::string(2 * kPageSize + 5, 'b'));
    lower.add(lower.top, "empty", NodeKind::directory);
    world = std::make_unique<World>(&lower);
  }
  [[nodiscard]] std::set<std::string> names(std::string_view path, std::size_t at_once = 3) {
    const std::vector<std::string> listed = world->list(path, at_once);
    const std::set<std::string> unique(listed.begin(), listed.end());
    EXPECT_EQ(unique.size(), listed.size());
    return unique;
  }

  MemoryLower lower;
  MemoryLower::Thing* one = nullptr;
  std::unique_ptr<World> world;
};

using Names = std::set<std::string>;

TEST_F(OverLower, ShowsWhatIsThere) {
  EXPECT_EQ(world->read("/etc/one"), "first");
  EXPECT_EQ(world->read("/etc/link"), "first");
  EXPECT_EQ(world->attributes("/etc/one").inode, one->inode);
  EXPECT_EQ(world->find("/etc/none").error(), Errno::no_entry);
  EXPECT_EQ(names("/etc"), (Names{".", "..", "one", "two", "link"}));
  EXPECT_EQ(names("/etc", 1), (Names{".", "..", "one", "two", "link"}));
}

TEST_F(OverLower, AsksForANameOnceAndForAPageOnce) {
  EXPECT_EQ(world->read("/big").size(), 2 * kPageSize + 5);
  EXPECT_EQ(lower.reads, 3);
  const int lookups = lower.lookups;
  EXPECT_EQ(world->read("/big").size(), 2 * kPageSize + 5);
  EXPECT_EQ(lower.reads, 3);
  EXPECT_EQ(lower.lookups, lookups);
}

TEST_F(OverLower, GivesCleanPagesBackAndReadsThemAgain) {
  const Ref<OpenFile> file = world->open("/big", open_flag::kReadWrite).value();
  EXPECT_EQ(World::put(*file, kPageSize + 1, "DIRTY"), 5U);
  std::string expected(2 * kPageSize + 5, 'b');
  expected.replace(kPageSize + 1, 5, "DIRTY");
  EXPECT_EQ(world->read("/big"), expected);
  const int reads = lower.reads;
  EXPECT_EQ(world->files().reclaim(PageCount(100)), PageCount(2));
  EXPECT_EQ(world->files().reclaim(PageCount(100)), PageCount(0));
  EXPECT_EQ(world->read("/big"), expected);
  EXPECT_EQ(lower.reads, reads + 2);
}

TEST_F(OverLower, KeepsPagesThatWereWrittenBack) {
  const Ref<OpenFile> file = world->open("/big", open_flag::kReadWrite).value();
  EXPECT_EQ(World::put(*file, 0, "kept"), 4U);
  FileMapping mapping = file->mapping().value();
  ASSERT_TRUE(mapping.object->write_back(IndexRange::must(PageIndex(0), PageCount(3))).ok());
  EXPECT_EQ(mapping.object->dirty(), PageCount(0));
  EXPECT_EQ(world->files().reclaim(PageCount(100)), PageCount(0));
  EXPECT_EQ(world->read("/big").substr(0, 4), "kept");
}

// msync(2) of who may only read calls pages clean that write(2) left behind.
TEST_F(OverLower, KeepsPagesThatAReaderWroteBack) {
  EXPECT_EQ(World::put(*world->open("/big", open_flag::kReadWrite).value(), 0, "kept"), 4U);
  {
    const Ref<OpenFile> file = world->open("/big", open_flag::kReadOnly).value();
    FileMapping mapping = file->mapping().value();
    ASSERT_TRUE(mapping.object->write_back(IndexRange::must(PageIndex(0), PageCount(3))).ok());
  }
  EXPECT_EQ(world->files().reclaim(PageCount(100)), PageCount(0));
  EXPECT_EQ(world->read("/big").substr(0, 4), "kept");
}

TEST_F(OverLower, WritesStayAbove) {
  const Ref<OpenFile> file = world->open("/etc/one", open_flag::kReadWrite).value();
  EXPECT_EQ(World::put(*file, 1, "IR"), 2U);
  EXPECT_EQ(world->read("/etc/one"), "fIRst");
  EXPECT_EQ(one->text, "first");
  EXPECT_EQ(World::put(*file, 5, "ly"), 2U);
  EXPECT_EQ(world->read("/etc/one"), "fIRstly");
}

TEST_F(OverLower, TruncationHidesWhatTheLowerHas) {
  Node& node = world->find("/big").value().node();
  ASSERT_TRUE(node.truncate(ByteCount(kPageSize + 3)).ok());
  ASSERT_TRUE(node.truncate(ByteCount(2 * kPageSize + 5)).ok());
  std::string expected(kPageSize + 3, 'b');
  expected.resize(2 * kPageSize + 5, '\0');
  EXPECT_EQ(world->read("/big"), expected);
}

TEST_F(OverLower, AHoleHidesWhatTheLowerHas) {
  const Ref<OpenFile> file = world->open("/big", open_flag::kReadWrite).value();
  ASSERT_TRUE(punch_file(*file, ByteCount(10), ByteCount(kPageSize + 3)).ok());
  std::string expected(2 * kPageSize + 5, 'b');
  expected.replace(10, kPageSize - 7, kPageSize - 7, '\0');
  EXPECT_EQ(world->read("/big"), expected);
  ASSERT_TRUE(punch_file(*file, ByteCount(kPageSize), ByteCount(3 * kPageSize)).ok());
  std::fill(expected.begin() + kPageSize, expected.end(), '\0');
  EXPECT_EQ(world->files().reclaim(PageCount(100)), PageCount(0));
  EXPECT_EQ(world->read("/big"), expected);
}

TEST_F(OverLower, RemovedNamesStayAway) {
  ASSERT_TRUE(world->remove("/etc/one").ok());
  EXPECT_EQ(world->find("/etc/one").error(), Errno::no_entry);
  EXPECT_EQ(names("/etc"), (Names{".", "..", "two", "link"}));
  world->write("/etc/one", "again");
  EXPECT_EQ(world->read("/etc/one"), "again");
  EXPECT_EQ(names("/etc", 2), (Names{".", "..", "one", "two", "link"}));
  ASSERT_TRUE(world->remove("/etc/one").ok());
  EXPECT_EQ(world->find("/etc/one").error(), Errno::no_entry);
  EXPECT_EQ(names("/etc"), (Names{".", "..", "two", "link"}));
}

TEST_F(OverLower, NewNamesAreListedWithTheOld) {
  world->write("/etc/new", "n");
  EXPECT_EQ(names("/etc"), (Names{".", "..", "new", "one", "two", "link"}));
  ASSERT_TRUE(world->remove("/etc/new").ok());
  EXPECT_EQ(names("/etc"), (Names{".", "..", "one", "two", "link"}));
}

TEST_F(OverLower, RenamesAcrossAndOver) {
  ASSERT_TRUE(world->rename("/etc/one", "/etc/two").ok());
  EXPECT_EQ(world->read("/etc/two"), "first");
  EXPECT_EQ(names("/etc"), (Names{".", "..", "two", "link"}));
  ASSERT_TRUE(world->rename("/etc", "/moved").ok());
  EXPECT_EQ(world->read("/moved/two"), "first");
  EXPECT_EQ(world->find("/etc").error(), Errno::no_entry);
  EXPECT_EQ(names("/"), (Names{".", "..", "moved", "big", "empty"}));
  ASSERT_TRUE(world->rename("/moved/two", "/two").ok());
  EXPECT_EQ(names("/moved"), (Names{".", "..", "link"}));
}

TEST_F(OverLower, DirectoriesAreEmptyWhenAllIsGone) {
  EXPECT_EQ(world->remove("/etc", NodeKind::directory).error(), Errno::not_empty);
  EXPECT_TRUE(world->remove("/empty", NodeKind::directory).ok());
  for (const char* const name : {"/etc/one", "/etc/two", "/etc/link"}) {
    EXPECT_TRUE(world->remove(name).ok());
  }
  EXPECT_TRUE(world->remove("/etc", NodeKind::directory).ok());
  ASSERT_TRUE(world->make_directory("/etc").ok());
  EXPECT_EQ(names("/etc"), (Names{".", ".."}));
}

TEST_F(OverLower, FailuresPass) {
  lower.failing = true;
  EXPECT_EQ(world->find("/etc").error(), Errno::io_error);
  lower.failing = false;
  const Ref<OpenFile> file = world->open("/etc/one", open_flag::kReadOnly).value();
  lower.failing = true;
  EXPECT_EQ(World::get(*file, 0, 10), "");
  lower.failing = false;
  EXPECT_EQ(World::get(*file, 0, 10), "first");
}

TEST_F(OverLower, LivesOnWhileOpenThoughRemoved) {
  const Ref<OpenFile> file = world->open("/big", open_flag::kReadOnly).value();
  ASSERT_TRUE(world->remove("/big").ok());
  EXPECT_EQ(World::get(*file, 2 * kPageSize, 10), "bbbbb");
}

TEST_F(OverLower, ForgetsWhatNobodyUsesOrChanged) {
  const Ref<OpenFile> held = world->open("/etc/two", open_flag::kReadOnly).value();
  EXPECT_EQ(world->read("/etc/one"), "first");
  world->write("/etc/two", "changed");
  EXPECT_EQ(world->read("/big").size(), 2 * kPageSize + 5);
  EXPECT_EQ(lower.handles, 5);  // the root, etc, one, two, big
  EXPECT_GE(world->files().reclaim(PageCount(1000)), PageCount(4));
  EXPECT_EQ(lower.handles, 3);
  EXPECT_EQ(world->read("/etc/one"), "first");
  EXPECT_EQ(world->read("/etc/two"), "changed");
  EXPECT_EQ(world->read("/big").size(), 2 * kPageSize + 5);
}

TEST_F(OverLower, ReadsAFileThatIsLargerThanMemory) {
  const std::size_t size = std::size_t{80} << 20;
  lower.add(lower.top, "huge", NodeKind::file, std::string(size, 'h'));
  const Ref<OpenFile> file = world->open("/huge", open_flag::kReadOnly).value();
  std::uint64_t position = 0;
  for (std::string piece = World::get(*file, 0, 1 << 20); !piece.empty();
       piece = World::get(*file, position, 1 << 20)) {
    ASSERT_EQ(piece.back(), 'h');
    position += piece.size();
  }
  EXPECT_EQ(position, size);
}

}  // namespace
}  // namespace vellum::unix
