#include <vellum/unix/cpio.hpp>

#include <gtest/gtest.h>

#include "test/archive.hpp"
#include "test/world.hpp"

namespace vellum::unix {
namespace {

using test::Archive;
using test::World;

UnpackReport unpack(World& world, std::string_view bytes) {
  return unpack_cpio(world.files(), world.files().root(), std::as_bytes(std::span(bytes.data(), bytes.size())));
}
std::string problem(World& world, std::string_view bytes) {
  const char* const text = unpack(world, bytes).problem;
  return text == nullptr ? "" : text;
}

TEST(Cpio, UnpacksAllKinds) {
  World world;
  Archive archive;
  archive.add({.name = ".", .mode = 040755})
      .add({.name = "dir", .mode = 040750, .owner = 5, .group = 6})
      .add({.name = "dir/file", .mode = 0104711, .data = "contents", .time = 1234})
      .add({.name = "dir/link", .mode = 0120777, .data = "file"})
      .add({.name = "dev", .mode = 020600, .major = 5, .minor = 1})
      .add({.name = "fifo", .mode = 010600})
      .end();
  const UnpackReport report = unpack(world, archive.bytes());
  EXPECT_EQ(report.problem, nullptr);
  EXPECT_EQ(report.files, 6U);
  EXPECT_EQ(report.bytes, 8U);
  EXPECT_EQ(world.read("/dir/link"), "contents");
  EXPECT_EQ(world.attributes("/dir/file").permissions, 04711);
  EXPECT_EQ(world.attributes("/dir/file").modified.seconds, 1234);
  EXPECT_EQ(world.attributes("/dir").owner, UserId(5));
  EXPECT_EQ(world.attributes("/dir").permissions, 0750);
  EXPECT_EQ(world.attributes("/dev").device, (DeviceNumber{.major = 5, .minor = 1}));
  EXPECT_EQ(world.attributes("/fifo").kind, NodeKind::fifo);
}

TEST(Cpio, LinksFilesWithSeveralNames) {
  World world;
  Archive archive;
  archive.add({.name = "a", .inode = 9, .links = 3})
      .add({.name = "b", .inode = 9, .links = 3})
      .add({.name = "c", .data = "last", .inode = 9, .links = 3})
      .end();
  EXPECT_EQ(unpack(world, archive.bytes()).problem, nullptr);
  EXPECT_EQ(world.read("/a"), "last");
  EXPECT_EQ(world.attributes("/b").links, 3U);
}

TEST(Cpio, TakesSeveralArchivesAndForgetsLinksBetweenThem) {
  World world;
  Archive first;
  first.add({.name = "a", .data = "one", .inode = 9, .links = 2}).end();
  Archive second;
  second.add({.name = "a", .data = "replaced"}).add({.name = "b", .data = "two", .inode = 9, .links = 2}).end();
  EXPECT_EQ(unpack(world, first.bytes() + std::string(1024, '\0') + second.bytes()).problem, nullptr);
  EXPECT_EQ(world.read("/a"), "replaced");
  EXPECT_EQ(world.read("/b"), "two");
  EXPECT_EQ(world.attributes("/b").links, 1U);
}

// Opening a FIFO to write to it would wait for a reader for ever.
TEST(Cpio, ReplacesAFifoThatTookTheNameOfALinkedFile) {
  World world;
  Archive archive;
  archive.add({.name = "a", .inode = 9, .links = 2})
      .add({.name = "a", .mode = 010600})
      .add({.name = "a", .data = "same name", .inode = 9, .links = 2})
      .add({.name = "a", .mode = 010600})
      .add({.name = "b", .data = "another name", .inode = 9, .links = 2})
      .end();
  EXPECT_EQ(unpack(world, archive.bytes()).problem, nullptr);
  EXPECT_EQ(world.read("/b"), "another name");
}

TEST(Cpio, ReplacesWhatIsInTheWay) {
  World world;
  Archive archive;
  archive.add({.name = "x", .mode = 040755})
      .add({.name = "x", .data = "file"})
      .add({.name = "x", .mode = 0120777, .data = "y"})
      .add({.name = "x", .data = "file again"})
      .end();
  EXPECT_EQ(unpack(world, archive.bytes()).problem, nullptr);
  EXPECT_EQ(world.read("/x"), "file again");
  EXPECT_EQ(world.find("/y").error(), Errno::no_entry);
}

TEST(Cpio, SaysWhatIsWrong) {
  World world;
  EXPECT_EQ(problem(world, ""), "");
  EXPECT_EQ(problem(world, std::string(512, '\0')), "");
  EXPECT_NE(problem(world, "#!/bin/sh").find("ends within a header"), std::string::npos);
  EXPECT_NE(problem(world, std::string(200, 'x')).find("no cpio archive"), std::string::npos);
  EXPECT_NE(problem(world, "\x1f\x8b\x08 and so on").find("gzip"), std::string::npos);
  EXPECT_NE(problem(world, "\x28\xb5\x2f\xfd and so on").find("zstd"), std::string::npos);
  Archive archive;
  archive.add({.name = "a", .data = "contents"});
  EXPECT_NE(problem(world, archive.bytes().substr(0, 114)).find("cut off"), std::string::npos);
  EXPECT_NE(problem(world, archive.bytes().substr(0, 50)).find("ends within"), std::string::npos);
  std::string odd = archive.bytes();
  odd[20] = 'g';
  EXPECT_NE(problem(world, odd).find("hexadecimal"), std::string::npos);
  Archive orphan;
  orphan.add({.name = "none/file", .data = "x"});
  EXPECT_NE(problem(world, orphan.bytes()).find("directory is missing"), std::string::npos);
  Archive strange;
  strange.add({.name = "strange", .mode = 0130644});
  EXPECT_NE(problem(world, strange.bytes()).find("unknown kind"), std::string::npos);
}

TEST(Cpio, KeepsWhatCameBeforeAProblem) {
  World world;
  Archive archive;
  archive.add({.name = "a", .data = "kept"}).end();
  const std::size_t size = archive.bytes().size();
  const UnpackReport report = unpack(world, archive.bytes() + "garbage");
  EXPECT_NE(report.problem, nullptr);
  EXPECT_EQ(report.position, size);
  EXPECT_EQ(world.read("/a"), "kept");
}

TEST(Cpio, SaysThatMemoryIsTooSmall) {
  World world;
  Archive archive;
  archive.add({.name = "big", .data = std::string(80 << 20, 'x')}).end();
  EXPECT_NE(problem(world, archive.bytes()).find("memory"), std::string::npos);
}

}  // namespace
}  // namespace vellum::unix
