// Messages of 9P2000.L, put together and taken apart [9p2000.L]. Numbers are little-endian; a text is its length in 16
// bits and its bytes. What a server sent is not trusted: taking apart what is not there fails, and stays failed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include <vellum/base/result.hpp>

namespace vellum::host {

// Of requests; the reply to one is the number above it.
enum class MessageType : std::uint8_t {
  error_reply = 7,  // Rlerror
  open = 12,        // Tlopen
  read_link = 22,
  attributes = 24,  // Tgetattr
  read_directory = 40,
  version = 100,
  attach = 104,
  walk = 110,
  read = 116,
  release = 120,  // Tclunk
};
[[nodiscard]] constexpr MessageType reply_to(MessageType request) {
  return MessageType{static_cast<std::uint8_t>(static_cast<std::uint8_t>(request) + 1)};
}

inline constexpr std::size_t kMessageHeader = 7;  // size[4] type[1] tag[2]
inline constexpr std::uint16_t kNoTag = 0xFFFF;   // of version
inline constexpr std::uint32_t kNoFid = 0xFFFFFFFF;

// Writes a message; what does not fit makes finish() fail.
class MessageWriter {
 public:
  MessageWriter(std::span<std::byte> room, MessageType type, std::uint16_t tag);

  MessageWriter& number8(std::uint8_t value) { return number(value, 1); }
  MessageWriter& number16(std::uint16_t value) { return number(value, 2); }
  MessageWriter& number32(std::uint32_t value) { return number(value, 4); }
  MessageWriter& number64(std::uint64_t value) { return number(value, 8); }
  MessageWriter& text(std::string_view value);

  // The whole message. Error: name_too_long.
  [[nodiscard]] Result<std::span<const std::byte>> finish();

 private:
  MessageWriter& number(std::uint64_t value, unsigned bytes);
  void bytes(const void* from, std::size_t size);

  std::span<std::byte> room_;
  std::size_t size_ = 0;
  bool failed_ = false;
};

// Reads the parts of a message one after the other. Once something is missing, all further numbers are 0, texts empty.
class MessageReader {
 public:
  explicit MessageReader(std::span<const std::byte> message) : rest_(message) {}

  [[nodiscard]] std::uint8_t number8() { return static_cast<std::uint8_t>(number(1)); }
  [[nodiscard]] std::uint16_t number16() { return static_cast<std::uint16_t>(number(2)); }
  [[nodiscard]] std::uint32_t number32() { return static_cast<std::uint32_t>(number(4)); }
  [[nodiscard]] std::uint64_t number64() { return number(8); }
  [[nodiscard]] std::string_view text();
  // The bytes that are left.
  [[nodiscard]] std::span<const std::byte> rest() const { return rest_; }
  [[nodiscard]] bool failed() const { return failed_; }

 private:
  [[nodiscard]] std::uint64_t number(unsigned bytes);

  std::span<const std::byte> rest_;
  bool failed_ = false;
};

// What a server calls a file: equal paths are the same file.
struct Qid {
  static constexpr std::uint8_t kDirectory = 0x80;
  static constexpr std::uint8_t kSymlink = 0x02;

  std::uint8_t type = 0;
  std::uint32_t version = 0;
  std::uint64_t path = 0;
};
[[nodiscard]] Qid read_qid(MessageReader& reader);

// The body of a reply, checked: its size, type and tag; an error reply becomes its error. `message` is the reply or its
// beginning, `size` how many bytes came. Also io_error, where they are not that reply.
[[nodiscard]] Result<MessageReader> open_reply(std::span<const std::byte> message, std::size_t size,
                                               MessageType request, std::uint16_t tag);

}  // namespace vellum::host
