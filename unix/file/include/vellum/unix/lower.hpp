// A read-only file system of somebody else that a RAM file system can lie over: the host's files. What programs write
// stays in RAM.
#pragma once

#include <span>
#include <string_view>

#include <vellum/unix/file_types.hpp>

namespace vellum::unix {

// Names a node of the lower file system, until it is released.
struct LowerHandle {
  std::uint64_t value = 0;
  bool operator==(const LowerHandle&) const = default;
};

struct LowerNode {
  LowerHandle handle;
  Attributes attributes;  // `inode` tells the nodes of one lower file system apart
};

class LowerListing {
 public:
  // `next` is the position for what follows. False: no more is wanted, and this entry was not taken.
  [[nodiscard]] virtual bool put(std::string_view name, NodeKind kind, std::uint64_t inode, std::uint64_t next) = 0;

 protected:
  ~LowerListing() = default;
};

// All functions may sleep; several threads may call at once, also for one handle. No lock that the callers hold is one
// of the implementation's.
class Lower {
 public:
  // The top directory. Error: io_error.
  [[nodiscard]] virtual Result<LowerNode> root() = 0;
  // A name in a directory; never `.` or `..`. Errors: no_entry, access_denied, io_error, no_memory.
  [[nodiscard]] virtual Result<LowerNode> lookup(LowerHandle directory, std::string_view name) = 0;
  // Entries from `position` on, 0 at first, without `.` and `..`. Errors: as lookup().
  [[nodiscard]] virtual Result<void> list(LowerHandle directory, std::uint64_t position, LowerListing& listing) = 0;
  // Where a symlink leads; returns the length. Errors: name_too_long, io_error.
  [[nodiscard]] virtual Result<std::size_t> read_link(LowerHandle link, std::span<char> into) = 0;
  // Bytes of a file from `offset` on; fewer than asked for only at its end. Errors: access_denied, io_error.
  [[nodiscard]] virtual Result<std::size_t> read(LowerHandle file, ByteCount offset, std::span<std::byte> into) = 0;
  virtual void release(LowerHandle handle) = 0;
  // A power of two, at least a page: after a read, the rest of the aligned piece of this size around it is at hand.
  [[nodiscard]] virtual ByteCount piece_size() const { return ByteCount(kPageSize); }

 protected:
  ~Lower() = default;
};

}  // namespace vellum::unix
