// A client of a 9P2000.L server: one request at a time, each answered before the next.
//
// A fid is the client's number for a file of the server. Not synchronised.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include <vellum/host/message.hpp>

namespace vellum::host {

// What carries requests to the server.
class Transport {
 public:
  // Sends a request and waits for the reply, which fills `head` and then `body`. Returns its size. All three lie in
  // memory that the client was given (or the caller of read()). Error: io_error.
  [[nodiscard]] virtual Result<std::size_t> exchange(std::span<const std::byte> request, std::span<std::byte> head,
                                                     std::span<std::byte> body) = 0;

 protected:
  ~Transport() = default;
};

// What the server tells of a file; numbers as stat(2) has them.
struct FileStatus {
  Qid qid;
  std::uint32_t mode = 0;
  std::uint32_t user = 0;
  std::uint32_t group = 0;
  std::uint64_t links = 0;
  std::uint64_t device = 0;  // that it stands for
  std::uint64_t size = 0;
  std::uint64_t blocks = 0;
  struct Time {
    std::uint64_t seconds = 0;
    std::uint64_t nanoseconds = 0;
  };
  Time accessed;
  Time modified;
  Time changed;
};

struct DirectoryEntry {
  std::string_view name;
  Qid qid;
  std::uint8_t type = 0;          // as getdents has it; 0: unknown
  std::uint64_t next_offset = 0;  // where the listing goes on behind it
};

class Client {
 public:
  static constexpr std::size_t kRequestRoom = 8192;
  static constexpr std::size_t kLeastMessage = 16384;
  // Bytes of a reply besides the data of a read.
  static constexpr std::size_t kReadHead = kMessageHeader + 4;

  // `memory` holds a request and a reply, kRequestRoom and at least kLeastMessage bytes. Both outlive this. Of a file
  // up to `most_read` bytes are read at once, into memory of the caller.
  Client(Transport& transport, std::span<std::byte> memory, std::size_t most_read);

  // Agrees with the server on the protocol and the size of messages. Errors: not_supported, io_error.
  [[nodiscard]] Result<void> start();
  // The most bytes of one read().
  [[nodiscard]] std::size_t most_read() const { return most_read_; }

  // All give the server's errors, and io_error where it answers nonsense.

  // Makes `fid`, which is unused, the top directory of what the server serves.
  [[nodiscard]] Result<Qid> attach(std::uint32_t fid);
  // Makes `fid`, which is unused, the file with this name in a directory; with an empty name, the directory itself
  // once more.
  [[nodiscard]] Result<void> walk(std::uint32_t directory, std::string_view name, std::uint32_t fid);
  [[nodiscard]] Result<FileStatus> status(std::uint32_t fid);
  // For reading.
  [[nodiscard]] Result<void> open(std::uint32_t fid);
  // Bytes of an open file, at most most_read(); fewer than asked for at its end.
  [[nodiscard]] Result<std::size_t> read(std::uint32_t fid, std::uint64_t offset, std::span<std::byte> into);
  // Calls visit(const DirectoryEntry&), which returns whether it wants more, for entries of an open directory from an
  // offset on: 0, or an entry's next_offset. Returns whether there were any.
  template <class Visitor>
  [[nodiscard]] Result<bool> read_directory(std::uint32_t fid, std::uint64_t offset, Visitor visit);
  // Returns the length of the target. Also name_too_long, where `into` is too short.
  [[nodiscard]] Result<std::size_t> read_link(std::uint32_t fid, std::span<char> into);
  // Whatever the server says, `fid` is unused then.
  void release(std::uint32_t fid);

 private:
  [[nodiscard]] MessageWriter request(MessageType type) const { return MessageWriter(request_, type, kTag); }
  [[nodiscard]] Result<MessageReader> exchange(MessageType type, MessageWriter& message, std::uint16_t tag = kTag);
  // The data of a read or a listing: its size, and as many bytes.
  [[nodiscard]] static Result<std::span<const std::byte>> data_of(MessageReader reply);
  [[nodiscard]] Result<MessageReader> list(std::uint32_t fid, std::uint64_t offset);
  [[nodiscard]] static bool next_entry(MessageReader& reader, DirectoryEntry& entry);

  static constexpr std::uint16_t kTag = 0;

  Transport& transport_;
  const std::span<std::byte> request_;
  const std::span<std::byte> reply_;
  std::size_t most_read_;
  std::size_t most_listed_ = 0;
};

template <class Visitor>
Result<bool> Client::read_directory(std::uint32_t fid, std::uint64_t offset, Visitor visit) {
  MessageReader entries = VELLUM_TRY(list(fid, offset));
  if (entries.rest().empty()) {
    return false;
  }
  DirectoryEntry entry;
  while (!entries.rest().empty()) {
    if (!next_entry(entries, entry)) {
      return Errno::io_error;
    }
    if (!visit(static_cast<const DirectoryEntry&>(entry))) {
      break;
    }
  }
  return true;
}

}  // namespace vellum::host
