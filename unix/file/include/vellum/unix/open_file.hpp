// Open files (open file descriptions): what descriptors name.
//
// An open file has the position, the flags, and the operations of what was opened. It is shared by the descriptors that
// dup and fork make. The operations are called with a reference held and without spinlocks; all may sleep. They do not
// check that the file was opened for reading or writing: the system calls do.
#pragma once

#include <vellum/object/object.hpp>
#include <vellum/unix/format.hpp>
#include <vellum/unix/mount.hpp>
#include <vellum/unix/poller.hpp>
#include <vellum/unix/transfer.hpp>

namespace vellum::unix {

using FileObject = MemoryObject<Format>;

// What mmap of a file maps.
struct FileMapping {
  Ref<FileObject> object;  // null: anonymous memory (/dev/zero)
};

enum class Whence : std::uint8_t { start, current, end, data, hole };

class OpenFile : public Counted {
 public:
  [[nodiscard]] const Path& path() const { return path_; }
  [[nodiscard]] Node& node() const { return path_.node(); }
  [[nodiscard]] FileMemory& memory() const { return memory_; }

  // open(2)'s flags without those that matter at opening only.
  [[nodiscard]] std::uint32_t flags() const { return flags_.load(std::memory_order_relaxed); }
  // fcntl's F_SETFL: append, non-blocking, direct, no access time, async.
  void set_flags(std::uint32_t flags);
  [[nodiscard]] bool is_readable() const { return (flags() & open_flag::kAccessMask) != open_flag::kWriteOnly; }
  [[nodiscard]] bool is_writable() const { return (flags() & open_flag::kAccessMask) != open_flag::kReadOnly; }
  [[nodiscard]] bool is_non_blocking() const { return (flags() & open_flag::kNonBlocking) != 0; }
  [[nodiscard]] bool is_path_only() const { return (flags() & open_flag::kPath) != 0; }

  // Whether it has a position; otherwise positions given to the operations mean nothing.
  [[nodiscard]] virtual bool is_seekable() const { return false; }
  // Reads from `position` on, as many bytes as there are now; waits for the first where that is the file's way. At the
  // end nothing. An error counts only where nothing was moved.
  // Errors: try_again (non-blocking), interrupted, bad_address, io_error, is_directory, no_memory.
  [[nodiscard]] virtual Result<void> read(Transfer& to, ByteCount position);
  // Writes at `position`; with the append flag at the end, and position becomes where that was.
  // Errors: as read(); broken_pipe (SIGPIPE was raised), no_space, file_too_big, not_permitted.
  [[nodiscard]] virtual Result<void> write(Transfer& from, ByteCount& position);

  // Moves the position and returns it. Error: invalid, illegal_seek, no_such_device (data or hole beyond the end).
  [[nodiscard]] Result<ByteCount> seek(std::int64_t offset, Whence whence);
  // Linux's ioctl. Error: not_terminal for requests that the file does not know.
  [[nodiscard]] virtual Result<std::uint64_t> ioctl(std::uint32_t request, std::uint64_t argument);
  // The events that hold now; `poller`, if any, is told the queues that are woken when they change.
  [[nodiscard]] virtual Events poll(Poller* poller);
  // What a mapping of the file shows, from its byte 0 on. Error: no_device where it cannot be mapped.
  [[nodiscard]] virtual Result<FileMapping> mapping();
  // getdents: lists from the position, `.` and `..` first, and moves it. Error: not_directory.
  [[nodiscard]] virtual Result<void> list(DirectorySink& sink);

  // The shared position, held for the time of a read or write that uses it. Of a file without one it is 0, and nobody
  // waits.
  class VELLUM_SCOPED_CAPABILITY PositionGuard {
   public:
    explicit PositionGuard(OpenFile& file) VELLUM_ACQUIRE(file.position_lock_);
    ~PositionGuard() VELLUM_RELEASE();
    PositionGuard(const PositionGuard&) = delete;
    PositionGuard& operator=(const PositionGuard&) = delete;
    ByteCount position;  // stored back at the end

   private:
    OpenFile& file_;
  };

 protected:
  OpenFile(FileMemory& memory, Path path, std::uint32_t flags);
  ~OpenFile() = default;

  // What seek() asks of a file that has a position: where its end is, and its holes. Errors: invalid, no_such_device.
  [[nodiscard]] virtual Result<ByteCount> end() { return Errno::invalid; }
  [[nodiscard]] virtual Result<ByteCount> find(ByteCount from, bool hole);

 private:
  FileMemory& memory_;
  const Path path_;
  std::atomic<std::uint32_t> flags_;
  Mutex position_lock_;
  ByteCount position_ VELLUM_GUARDED_BY(position_lock_){0};
};

}  // namespace vellum::unix
