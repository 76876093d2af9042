#include <vellum/host/message.hpp>

namespace vellum::host {

MessageWriter::MessageWriter(std::span<std::byte> room, MessageType type, std::uint16_t tag) : room_(room) {
  number32(0).number8(static_cast<std::uint8_t>(type)).number16(tag);
}

void MessageWriter::bytes(const void* from, std::size_t size) {
  if (failed_ || size > room_.size() - size_) {
    failed_ = true;
    return;
  }
  __builtin_memcpy(room_.data() + size_, from, size);
  size_ += size;
}

MessageWriter& MessageWriter::number(std::uint64_t value, unsigned size) {
  std::uint8_t little_endian[8];
  for (unsigned i = 0; i < size; ++i) {
    little_endian[i] = static_cast<std::uint8_t>(value >> (8 * i));
  }
  bytes(little_endian, size);
  return *this;
}

MessageWriter& MessageWriter::text(std::string_view value) {
  if (value.size() > 0xFFFF) {
    failed_ = true;
    return *this;
  }
  number16(static_cast<std::uint16_t>(value.size()));
  bytes(value.data(), value.size());
  return *this;
}

Result<std::span<const std::byte>> MessageWriter::finish() {
  if (failed_) {
    return Errno::name_too_long;
  }
  const std::size_t size = size_;
  size_ = 0;
  number32(static_cast<std::uint32_t>(size));
  return std::span<const std::byte>(room_.first(size));
}

std::uint64_t MessageReader::number(unsigned bytes) {
  if (failed_ || bytes > rest_.size()) {
    failed_ = true;
    return 0;
  }
  std::uint64_t value = 0;
  for (unsigned i = 0; i < bytes; ++i) {
    value |= std::uint64_t{static_cast<std::uint8_t>(rest_[i])} << (8 * i);
  }
  rest_ = rest_.subspan(bytes);
  return value;
}

std::string_view MessageReader::text() {
  const std::size_t size = number16();
  if (failed_ || size > rest_.size()) {
    failed_ = true;
    return {};
  }
  const std::string_view value(reinterpret_cast<const char*>(rest_.data()), size);
  rest_ = rest_.subspan(size);
  return value;
}

Qid read_qid(MessageReader& reader) {
  Qid qid;
  qid.type = reader.number8();
  qid.version = reader.number32();
  qid.path = reader.number64();
  return qid;
}

Result<MessageReader> open_reply(std::span<const std::byte> message, std::size_t size, MessageType request,
                                 std::uint16_t tag) {
  MessageReader reader(message);
  const std::uint32_t said = reader.number32();
  const MessageType type{reader.number8()};
  if (reader.number16() != tag || said != size || reader.failed()) {
    return Errno::io_error;
  }
  if (type == MessageType::error_reply) {
    const std::uint32_t error = reader.number32();
    // A server may know errors that this system does not.
    return reader.failed() || error == 0 || error > 133 ? Errno::io_error : Errno{static_cast<std::uint8_t>(error)};
  }
  if (type != reply_to(request)) {
    return Errno::io_error;
  }
  return reader;
}

}  // namespace vellum::host
