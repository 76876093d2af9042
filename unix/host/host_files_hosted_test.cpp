#include <vellum/host/host_files.hpp>

#include <memory>

#include <gtest/gtest.h>

#include "test/fake_server.hpp"
#include "test/heap_source.hpp"

namespace vellum::host {
namespace {

using unix::LowerHandle;

struct Listed final : unix::LowerListing {
  bool put(std::string_view name, unix::NodeKind kind, std::uint64_t inode, std::uint64_t next) override {
    if (names.size() == most) {
      return false;
    }
    names.emplace_back(name);
    kinds.push_back(kind);
    EXPECT_NE(inode, 0U);
    position = next;
    return true;
  }
  std::vector<std::string> names;
  std::vector<unix::NodeKind> kinds;
  std::size_t most = SIZE_MAX;
  std::uint64_t position = 0;
};

class HostFilesTest : public testing::Test {
 protected:
  static constexpr unsigned kWindows = 2;

  void SetUp() override { ASSERT_TRUE(files.start().ok()); }

  unix::LowerNode root() { return files.root().value(); }
  unix::LowerNode find(std::string_view name) { return files.lookup(root().handle, name).value(); }
  std::string read(LowerHandle handle, std::uint64_t offset, std::size_t size) {
    std::string text(size, '\xEE');
    const Result<std::size_t> got = files.read(handle, ByteCount(offset), std::as_writable_bytes(std::span(text)));
    EXPECT_TRUE(got.ok());
    text.resize(got.value());
    return text;
  }

  FakeServer server;
  HeapSource source;
  std::vector<std::byte> memory = std::vector<std::byte>(HostFiles::kMessages + kWindows * HostFiles::kWindow);
  HostFiles files{server, memory, source};
};

std::string pattern(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) {
    text[i] = static_cast<char>(i * 31 + i / 4096);
  }
  return text;
}

TEST_F(HostFilesTest, TellsAttributes) {
  server.add(server.top, "tool", 0104755, "12345");
  const unix::LowerNode node = find("tool");
  EXPECT_EQ(node.attributes.kind, unix::NodeKind::file);
  EXPECT_EQ(node.attributes.permissions, 04755);
  EXPECT_EQ(node.attributes.owner, unix::UserId(1000));
  EXPECT_EQ(node.attributes.group, unix::GroupId(100));
  EXPECT_EQ(node.attributes.size, ByteCount(5));
  EXPECT_EQ(node.attributes.inode, 2U);
  EXPECT_EQ(node.attributes.device, (unix::DeviceNumber{.major = 1, .minor = 3}));
  EXPECT_EQ(node.attributes.accessed, (unix::Timestamp{.seconds = 1, .nanoseconds = 2}));
  EXPECT_EQ(node.attributes.modified, (unix::Timestamp{.seconds = 3, .nanoseconds = 4}));
  EXPECT_EQ(node.attributes.changed, (unix::Timestamp{.seconds = 5, .nanoseconds = 6}));
}

TEST_F(HostFilesTest, SaysWhatIsNotThere) {
  EXPECT_EQ(files.lookup(root().handle, "nothing").error(), Errno::no_entry);
}

TEST_F(HostFilesTest, ReadsLinks) {
  server.add(server.top, "link", 0120777, "usr/bin");
  const unix::LowerNode node = find("link");
  EXPECT_EQ(node.attributes.kind, unix::NodeKind::symlink);
  char target[16];
  ASSERT_EQ(files.read_link(node.handle, target).value(), 7U);
  EXPECT_EQ(std::string_view(target, 7), "usr/bin");
  EXPECT_EQ(files.read_link(node.handle, std::span(target).first(6)).error(), Errno::name_too_long);
}

TEST_F(HostFilesTest, ReadsAcrossWindows) {
  const std::string content = pattern(3 * HostFiles::kWindow + 1234);
  server.add(server.top, "big", 0100644, content);
  const LowerHandle big = find("big").handle;
  EXPECT_EQ(read(big, 0, content.size()), content);
  EXPECT_EQ(read(big, 0, content.size() + 1), content);
  EXPECT_EQ(read(big, HostFiles::kWindow - 10, 20), content.substr(HostFiles::kWindow - 10, 20));
  EXPECT_EQ(read(big, content.size() - 4, 100), content.substr(content.size() - 4));
  EXPECT_EQ(read(big, content.size(), 100), "");
  EXPECT_EQ(read(big, content.size() + 5 * HostFiles::kWindow, 100), "");
}

TEST_F(HostFilesTest, FetchesAWindowOnce) {
  server.add(server.top, "file", 0100644, pattern(HostFiles::kWindow));
  const LowerHandle file = find("file").handle;
  (void)read(file, 0, 4096);
  const unsigned exchanges = server.exchanges;
  for (std::uint64_t offset = 4096; offset < HostFiles::kWindow; offset += 4096) {
    (void)read(file, offset, 4096);
  }
  EXPECT_EQ(server.exchanges, exchanges);
}

TEST_F(HostFilesTest, FileThatMayNotBeRead) {
  server.add(server.top, "secret", 0100600, "x")->open_error = 13;
  std::byte byte{};
  EXPECT_EQ(files.read(find("secret").handle, ByteCount(0), {&byte, 1}).error(), Errno::access_denied);
}

TEST_F(HostFilesTest, ForgetsAReleasedFile) {
  server.add(server.top, "one", 0100644, "one");
  server.add(server.top, "two", 0100644, "two");
  const std::size_t before = server.fids.size();
  const unix::LowerNode top = root();
  const unix::LowerNode one = files.lookup(top.handle, "one").value();
  EXPECT_EQ(read(one.handle, 0, 3), "one");
  files.release(one.handle);
  const unix::LowerNode two = files.lookup(top.handle, "two").value();
  EXPECT_EQ(two.handle, one.handle);  // the fid serves again
  EXPECT_EQ(read(two.handle, 0, 3), "two");
  files.release(two.handle);
  files.release(top.handle);
  EXPECT_EQ(server.fids.size(), before);
}

TEST_F(HostFilesTest, ListsInPieces) {
  server.offset_scale = 0x1234'5678'9ABC'DEF;  // the third is beyond 2^62
  std::vector<std::string> expected;
  for (int i = 0; i < 100; ++i) {
    expected.push_back("entry" + std::to_string(1000 + i));
    server.add(server.top, expected.back(), 0100644);
  }
  server.add(server.top, "sub", 0040755);
  expected.push_back("sub");
  const unix::LowerNode top = root();

  Listed all;
  ASSERT_TRUE(files.list(top.handle, 0, all).ok());
  EXPECT_EQ(all.names, expected);
  EXPECT_EQ(all.kinds.back(), unix::NodeKind::directory);

  Listed pieces;
  std::vector<std::string> names;
  std::uint64_t position = 0;
  do {
    pieces = {};
    pieces.most = 7;
    ASSERT_TRUE(files.list(top.handle, position, pieces).ok());
    names.insert(names.end(), pieces.names.begin(), pieces.names.end());
    position = pieces.position;
  } while (!pieces.names.empty());
  EXPECT_EQ(names, expected);

  // Back to a position that no cursor has.
  Listed again;
  ASSERT_TRUE(files.list(top.handle, 50, again).ok());
  EXPECT_EQ(again.names.front(), expected[50]);
  EXPECT_EQ(again.names.size(), expected.size() - 50);
}

TEST_F(HostFilesTest, ManyListingsAtOnce) {
  std::vector<LowerHandle> directories;
  for (int i = 0; i < 6; ++i) {
    FakeFile* const directory = server.add(server.top, "d" + std::to_string(i), 0040755);
    server.add(directory, "a", 0100644);
    server.add(directory, "b", 0100644);
    directories.push_back(find("d" + std::to_string(i)).handle);
  }
  for (const std::uint64_t position : {0U, 1U, 2U}) {
    for (const LowerHandle directory : directories) {
      Listed listed;
      listed.most = 1;
      ASSERT_TRUE(files.list(directory, position, listed).ok());
      EXPECT_EQ(listed.names.size(), position < 2 ? 1U : 0U);
    }
  }
  for (const LowerHandle directory : directories) {
    files.release(directory);
  }
}

TEST_F(HostFilesTest, SurvivesNonsense) {
  server.add(server.top, "file", 0100644, pattern(10000));
  const unix::LowerNode top = root();
  const LowerHandle file = files.lookup(top.handle, "file").value().handle;
  const auto expect_errors = [&] {
    std::byte byte{};
    Listed listed;
    EXPECT_EQ(files.lookup(top.handle, "file").error(), Errno::io_error);
    EXPECT_EQ(files.read(file, ByteCount(0), {&byte, 1}).error(), Errno::io_error);
    EXPECT_EQ(files.list(top.handle, 0, listed).error(), Errno::io_error);
  };
  server.unreachable = true;
  expect_errors();
  server.unreachable = false;
  for (auto* const tamper : {
           +[](std::string& reply) { reply.resize(6); },                             // no header
           +[](std::string& reply) { reply[0] = static_cast<char>(reply[0] + 1); },  // another size
           +[](std::string& reply) { reply[4] = 101; },                              // another type
           +[](std::string& reply) { reply[5] = 9; },                                // another tag
           +[](std::string& reply) {                                                 // nothing but a header
             reply.resize(7);
             reply[0] = 7;
             reply[1] = reply[2] = 0;
           },
           +[](std::string& reply) {  // an error number that nobody has
             reply = std::string("\x0B\0\0\0\x07\0\0\xFF\xFF\0\0", 11);
           },
       }) {
    server.tamper = tamper;
    expect_errors();
  }
  server.tamper = nullptr;
  EXPECT_EQ(read(file, 0, 10000), pattern(10000));
}

TEST(HostFilesStart, WantsItsDialect) {
  FakeServer server;
  HeapSource source;
  std::vector<std::byte> memory(HostFiles::kMessages + HostFiles::kWindow);
  {
    server.version = "9P2000.u";
    HostFiles files(server, memory, source);
    EXPECT_EQ(files.start().error(), Errno::not_supported);
  }
  {
    server.version = "9P2000.L";
    server.message_limit = 512;
    HostFiles files(server, memory, source);
    EXPECT_EQ(files.start().error(), Errno::not_supported);
  }
}

}  // namespace
}  // namespace vellum::host
