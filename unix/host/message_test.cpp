#include <vellum/host/message.hpp>

#include <string>

#include <gtest/gtest.h>

namespace vellum::host {
namespace {

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::span<const std::byte> bytes_of_text(const std::string& text) { return std::as_bytes(std::span(text)); }

TEST(Message, IsWrittenLittleEndian) {
  std::byte room[64];
  MessageWriter message(room, MessageType::walk, 0x0102);
  message.number32(0x11223344).number32(5).number16(1).text("bin");
  EXPECT_EQ(text_of(message.finish().value()),
            std::string("\x16\0\0\0\x6E\x02\x01\x44\x33\x22\x11\x05\0\0\0\x01\0\x03\0bin", 22));
}

TEST(Message, ThatDoesNotFitIsNotWritten) {
  std::byte room[16];
  MessageWriter message(room, MessageType::walk, 0);
  message.number64(1).text("a");
  EXPECT_EQ(message.finish().error(), Errno::name_too_long);
  const std::string long_text(0x10000, 'x');
  std::vector<std::byte> much(0x20000);
  MessageWriter other(much, MessageType::walk, 0);
  other.text(long_text);
  EXPECT_EQ(other.finish().error(), Errno::name_too_long);
}

TEST(Message, ReadingStopsAtTheEnd) {
  const std::string bytes("\x02\x01\x03\0abc\x05\0de", 11);
  MessageReader reader(bytes_of_text(bytes));
  EXPECT_EQ(reader.number16(), 0x0102);
  EXPECT_EQ(reader.text(), "abc");
  EXPECT_FALSE(reader.failed());
  EXPECT_EQ(reader.text(), "");
  EXPECT_TRUE(reader.failed());
  EXPECT_EQ(reader.number8(), 0);
}

TEST(Message, ReplyIsChecked) {
  const std::string walked("\x09\0\0\0\x6F\0\0\0\0", 9);
  EXPECT_TRUE(open_reply(bytes_of_text(walked), 9, MessageType::walk, 0).ok());
  EXPECT_EQ(open_reply(bytes_of_text(walked), 9, MessageType::walk, 1).error(), Errno::io_error);
  EXPECT_EQ(open_reply(bytes_of_text(walked), 9, MessageType::read, 0).error(), Errno::io_error);
  EXPECT_EQ(open_reply(bytes_of_text(walked), 10, MessageType::walk, 0).error(), Errno::io_error);
  const std::string failed("\x0B\0\0\0\x07\0\0\x0D\0\0\0", 11);
  EXPECT_EQ(open_reply(bytes_of_text(failed), 11, MessageType::walk, 0).error(), Errno::access_denied);
}

}  // namespace
}  // namespace vellum::host
