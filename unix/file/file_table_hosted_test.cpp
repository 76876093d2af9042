#include <gtest/gtest.h>

#include "test/world.hpp"

namespace vellum::unix {
namespace {

using test::caller;
using test::World;

class Descriptors : public ::testing::Test {
 protected:
  Descriptors() { world.write("/a", "text"); }
  [[nodiscard]] FileTable& table() { return *caller().context.table; }
  [[nodiscard]] Ref<OpenFile> open() { return world.open("/a", open_flag::kReadOnly).value(); }
  [[nodiscard]] int add(CloseOnExec mark = CloseOnExec::no, unsigned lowest = 0) {
    const Result<int> added = table().add(open(), mark, caller().open_limit, lowest);
    return added.ok() ? added.value() : -static_cast<int>(added.error());
  }

  World world;
};

TEST_F(Descriptors, AreTheLowestThatAreFree) {
  EXPECT_EQ(add(), 0);
  EXPECT_EQ(add(), 1);
  EXPECT_EQ(add(), 2);
  EXPECT_TRUE(table().close(1).ok());
  EXPECT_EQ(add(), 1);
  EXPECT_EQ(add(CloseOnExec::no, 100), 100);
  EXPECT_EQ(table().next(3), 100);
  EXPECT_EQ(table().next(101), -1);
}

TEST_F(Descriptors, KeepToTheLimit) {
  caller().open_limit = 70;
  for (int i = 0; i < 70; ++i) {
    EXPECT_EQ(add(), i);
  }
  EXPECT_EQ(add(), -static_cast<int>(Errno::too_many_files));
  EXPECT_EQ(table().put(70, open(), CloseOnExec::no, 70).error(), Errno::bad_descriptor);
}

TEST_F(Descriptors, OfNothingAreRefused) {
  for (const int bad : {-1, 5, 1 << 30, -(1 << 30)}) {
    EXPECT_EQ(table().get(bad).error(), Errno::bad_descriptor);
    EXPECT_EQ(table().close(bad).error(), Errno::bad_descriptor);
    EXPECT_EQ(table().close_on_exec(bad).error(), Errno::bad_descriptor);
  }
}

TEST_F(Descriptors, PutReplaces) {
  const Ref<OpenFile> file = open();
  EXPECT_TRUE(table().put(3, file, CloseOnExec::yes, 1024).ok());
  EXPECT_EQ(file->reference_count(), 2U);
  EXPECT_TRUE(table().put(3, open(), CloseOnExec::no, 1024).ok());
  EXPECT_EQ(file->reference_count(), 1U);
  EXPECT_EQ(table().close_on_exec(3).value(), CloseOnExec::no);
}

TEST_F(Descriptors, CloneSharesFilesAndPositions) {
  EXPECT_EQ(add(), 0);
  EXPECT_EQ(add(CloseOnExec::yes), 1);
  const Ref<FileTable> copy = table().clone().value();
  EXPECT_EQ(copy->get(0).value(), table().get(0).value());
  EXPECT_EQ(copy->get(0).value()->seek(2, Whence::start).value(), ByteCount(2));
  EXPECT_EQ(table().get(0).value()->seek(0, Whence::current).value(), ByteCount(2));
  copy->close_for_exec();
  EXPECT_EQ(copy->get(1).error(), Errno::bad_descriptor);
  EXPECT_TRUE(table().get(1).ok());
}

TEST_F(Descriptors, CloneOfALargeTable) {
  EXPECT_EQ(add(CloseOnExec::no, 1000), 1000);
  const Ref<FileTable> copy = table().clone().value();
  EXPECT_TRUE(copy->get(1000).ok());
}

TEST_F(Descriptors, DirectoriesOfAProcessAreCopied) {
  ASSERT_TRUE(world.make_directory("/d").ok());
  PathContext& paths = *caller().context.paths;
  EXPECT_EQ(paths.set_umask(07), 022);
  const Ref<PathContext> copy = paths.clone().value();
  copy->set_current(world.find("/d").value());
  EXPECT_EQ(copy->umask(), 07);
  EXPECT_EQ(world.path_of(paths.current()), "/");
  EXPECT_EQ(world.path_of(copy->current()), "/d");
}

}  // namespace
}  // namespace vellum::unix
