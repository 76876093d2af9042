#include <vellum/host/client.hpp>

#include <algorithm>

namespace vellum::host {

namespace {

constexpr std::string_view kVersion = "9P2000.L";
constexpr std::uint32_t kReadOnly = 0;
// Everything that stat(2) tells [9p2000.L, getattr].
constexpr std::uint64_t kBasicAttributes = 0x7FF;

FileStatus::Time read_time(MessageReader& reader) {
  FileStatus::Time time;
  time.seconds = reader.number64();
  time.nanoseconds = reader.number64();
  return time;
}

Result<void> check(const MessageReader& reader) {
  return reader.failed() ? Result<void>(Errno::io_error) : Result<void>();
}

}  // namespace

Client::Client(Transport& transport, std::span<std::byte> memory, std::size_t most_read)
    : transport_(transport),
      request_(memory.first(kRequestRoom)),
      reply_(memory.subspan(kRequestRoom)),
      most_read_(most_read) {
  VELLUM_CHECK(reply_.size() >= kLeastMessage);
}

Result<MessageReader> Client::exchange(MessageType type, MessageWriter& message, std::uint16_t tag) {
  const std::span<const std::byte> request = VELLUM_TRY(message.finish());
  const std::size_t size = VELLUM_TRY(transport_.exchange(request, reply_, {}));
  if (size > reply_.size()) {
    return Errno::io_error;
  }
  return open_reply(reply_.first(size), size, type, tag);
}

Result<void> Client::start() {
  MessageWriter message(request_, MessageType::version, kNoTag);
  const std::size_t wanted = std::max(reply_.size(), most_read_ + kReadHead);
  message.number32(static_cast<std::uint32_t>(wanted)).text(kVersion);
  MessageReader reply = VELLUM_TRY(exchange(MessageType::version, message, kNoTag));
  const std::uint32_t size = reply.number32();
  const std::string_view version = reply.text();
  VELLUM_TRY(check(reply));
  if (version != kVersion || size < kLeastMessage) {
    return Errno::not_supported;
  }
  most_read_ = std::min<std::size_t>(most_read_, size - kReadHead);
  most_listed_ = std::min<std::size_t>(reply_.size(), size) - kReadHead;
  return {};
}

Result<Qid> Client::attach(std::uint32_t fid) {
  MessageWriter message = request(MessageType::attach);
  message.number32(fid).number32(kNoFid).text("").text("").number32(0);
  MessageReader reply = VELLUM_TRY(exchange(MessageType::attach, message));
  const Qid qid = read_qid(reply);
  VELLUM_TRY(check(reply));
  return qid;
}

Result<void> Client::walk(std::uint32_t directory, std::string_view name, std::uint32_t fid) {
  MessageWriter message = request(MessageType::walk);
  const std::uint16_t names = name.empty() ? 0 : 1;
  message.number32(directory).number32(fid).number16(names);
  if (names != 0) {
    message.text(name);
  }
  MessageReader reply = VELLUM_TRY(exchange(MessageType::walk, message));
  const std::uint16_t walked = reply.number16();
  VELLUM_TRY(check(reply));
  return walked == names ? Result<void>() : Result<void>(Errno::no_entry);
}

Result<FileStatus> Client::status(std::uint32_t fid) {
  MessageWriter message = request(MessageType::attributes);
  message.number32(fid).number64(kBasicAttributes);
  MessageReader reply = VELLUM_TRY(exchange(MessageType::attributes, message));
  (void)reply.number64();  // which of them are valid: servers of this dialect know all
  FileStatus status;
  status.qid = read_qid(reply);
  status.mode = reply.number32();
  status.user = reply.number32();
  status.group = reply.number32();
  status.links = reply.number64();
  status.device = reply.number64();
  status.size = reply.number64();
  (void)reply.number64();  // block size
  status.blocks = reply.number64();
  status.accessed = read_time(reply);
  status.modified = read_time(reply);
  status.changed = read_time(reply);
  VELLUM_TRY(check(reply));
  return status;
}

Result<void> Client::open(std::uint32_t fid) {
  MessageWriter message = request(MessageType::open);
  message.number32(fid).number32(kReadOnly);
  MessageReader reply = VELLUM_TRY(exchange(MessageType::open, message));
  (void)read_qid(reply);
  (void)reply.number32();  // the unit in which the server reads at once: any, if it says 0
  return check(reply);
}

Result<std::size_t> Client::read(std::uint32_t fid, std::uint64_t offset, std::span<std::byte> into) {
  const std::size_t wanted = std::min(into.size(), most_read());
  MessageWriter message = request(MessageType::read);
  message.number32(fid).number64(offset).number32(static_cast<std::uint32_t>(wanted));
  // The data goes straight to where it is wanted.
  const std::span<std::byte> head = reply_.first(kReadHead);
  const std::span<const std::byte> asked = VELLUM_TRY(message.finish());
  const std::size_t size = VELLUM_TRY(transport_.exchange(asked, head, into.first(wanted)));
  if (size < kReadHead || size - kReadHead > wanted) {
    return Errno::io_error;
  }
  MessageReader reply = VELLUM_TRY(open_reply(head, size, MessageType::read, kTag));
  const std::uint32_t count = reply.number32();
  if (reply.failed() || count != size - kReadHead) {
    return Errno::io_error;
  }
  return std::size_t{count};
}

Result<std::span<const std::byte>> Client::data_of(MessageReader reply) {
  const std::uint32_t size = reply.number32();
  if (reply.failed() || size > reply.rest().size()) {
    return Errno::io_error;
  }
  return reply.rest().first(size);
}

Result<MessageReader> Client::list(std::uint32_t fid, std::uint64_t offset) {
  MessageWriter message = request(MessageType::read_directory);
  message.number32(fid).number64(offset).number32(static_cast<std::uint32_t>(most_listed_));
  const MessageReader reply = VELLUM_TRY(exchange(MessageType::read_directory, message));
  return MessageReader(VELLUM_TRY(data_of(reply)));
}

bool Client::next_entry(MessageReader& reader, DirectoryEntry& entry) {
  entry.qid = read_qid(reader);
  entry.next_offset = reader.number64();
  entry.type = reader.number8();
  entry.name = reader.text();
  return !reader.failed();
}

Result<std::size_t> Client::read_link(std::uint32_t fid, std::span<char> into) {
  MessageWriter message = request(MessageType::read_link);
  message.number32(fid);
  MessageReader reply = VELLUM_TRY(exchange(MessageType::read_link, message));
  const std::string_view target = reply.text();
  VELLUM_TRY(check(reply));
  if (target.empty() || target.find('\0') != std::string_view::npos) {
    return Errno::io_error;
  }
  if (target.size() > into.size()) {
    return Errno::name_too_long;
  }
  __builtin_memcpy(into.data(), target.data(), target.size());
  return target.size();
}

void Client::release(std::uint32_t fid) {
  MessageWriter message = request(MessageType::release);
  message.number32(fid);
  (void)exchange(MessageType::release, message);
}

}  // namespace vellum::host
