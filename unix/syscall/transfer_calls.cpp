// Bytes: read, write and their relatives, and the reading of directories.
#include <algorithm>

#include <vellum/unix/system_call.hpp>
#include <vellum/unix/transfer.hpp>

#include "segments.hpp"

namespace vellum::unix {

namespace {

constexpr std::uint64_t kMostAtOnce = Segments::kMostAtOnce;

enum class Direction : bool { in, out };

Result<Ref<OpenFile>> file_for(std::int32_t descriptor, Direction direction) {
  Ref<OpenFile> file = VELLUM_TRY(usable_file(descriptor));
  const bool permitted = direction == Direction::in ? file->is_readable() : file->is_writable();
  return permitted ? Result<Ref<OpenFile>>(std::move(file)) : Result<Ref<OpenFile>>(Errno::bad_descriptor);
}

// What a program gets to know: an error only where nothing was moved.
Result<std::uint64_t> outcome(const Result<void>& result, const Transfer& transfer) {
  if (!result.ok() && transfer.moved().is_zero()) {
    return result.error();
  }
  return transfer.moved().value();
}

Result<std::uint64_t> move_at(OpenFile& file, Direction direction, Transfer& transfer, ByteCount& position) {
  const Result<void> result =
      direction == Direction::in ? file.read(transfer, position) : file.write(transfer, position);
  position += transfer.moved();
  return outcome(result, transfer);
}

Result<std::uint64_t> move(OpenFile& file, Direction direction, Transfer& transfer) {
  OpenFile::PositionGuard guard(file);
  return move_at(file, direction, transfer, guard.position);
}

Result<std::uint64_t> move_at_offset(OpenFile& file, Direction direction, Transfer& transfer, std::uint64_t offset) {
  if (static_cast<std::int64_t>(offset) < 0) {
    return Errno::invalid;
  }
  if (!file.is_seekable()) {
    return Errno::illegal_seek;
  }
  ByteCount position(offset);
  return move_at(file, direction, transfer, position);
}

UserSegment buffer_of(const Arguments& arguments) {
  return {.base = arguments.address(1), .size = ByteCount(std::min(arguments.value[2], kMostAtOnce))};
}

template <Direction kDirection>
Result<std::uint64_t> sys_move(const Arguments& arguments) {
  const Ref<OpenFile> file = VELLUM_TRY(file_for(arguments.integer(0), kDirection));
  const UserSegment buffer = buffer_of(arguments);
  Transfer transfer(std::span(&buffer, 1));
  return move(*file, kDirection, transfer);
}

template <Direction kDirection>
Result<std::uint64_t> sys_move_at(const Arguments& arguments) {
  const Ref<OpenFile> file = VELLUM_TRY(file_for(arguments.integer(0), kDirection));
  const UserSegment buffer = buffer_of(arguments);
  Transfer transfer(std::span(&buffer, 1));
  return move_at_offset(*file, kDirection, transfer, arguments.value[3]);
}

template <Direction kDirection>
Result<std::uint64_t> sys_move_vector(const Arguments& arguments) {
  const Ref<OpenFile> file = VELLUM_TRY(file_for(arguments.integer(0), kDirection));
  Segments segments;
  VELLUM_TRY(segments.read(arguments.address(1), arguments.value[2]));
  Transfer transfer(segments.get());
  return move(*file, kDirection, transfer);
}

template <Direction kDirection>
Result<std::uint64_t> sys_move_vector_at(const Arguments& arguments) {
  const Ref<OpenFile> file = VELLUM_TRY(file_for(arguments.integer(0), kDirection));
  Segments segments;
  VELLUM_TRY(segments.read(arguments.address(1), arguments.value[2]));
  Transfer transfer(segments.get());
  return move_at_offset(*file, kDirection, transfer, arguments.value[3]);
}

// preadv2, pwritev2: of the flags only that there are none.
template <Direction kDirection>
Result<std::uint64_t> sys_move_vector_with(const Arguments& arguments) {
  if (arguments.value[5] != 0) {
    return Errno::not_supported;
  }
  return static_cast<std::int64_t>(arguments.value[3]) == -1 ? sys_move_vector<kDirection>(arguments)
                                                             : sys_move_vector_at<kDirection>(arguments);
}

// --- from file to file

// One end of a copy: a place in a file, its own or one that the program keeps.
class CopyEnd {
 public:
  CopyEnd(OpenFile& file, VirtAddr offset) : file_(file), offset_(offset) {}
  [[nodiscard]] Result<void> begin() {
    if (offset_ == VirtAddr(0)) {
      return {};
    }
    const auto offset = VELLUM_TRY(read_user<std::int64_t>(offset_));
    if (offset < 0) {
      return Errno::invalid;
    }
    if (!file_.is_seekable()) {
      return Errno::illegal_seek;
    }
    position_ = ByteCount(static_cast<std::uint64_t>(offset));
    return {};
  }
  [[nodiscard]] Result<std::uint64_t> move(Direction direction, Transfer& transfer) {
    return offset_ == VirtAddr(0) ? unix::move(file_, direction, transfer)
                                  : move_at(file_, direction, transfer, position_);
  }
  // Bytes that were read and could not be written.
  void step_back(std::uint64_t bytes) {
    if (offset_ != VirtAddr(0)) {
      position_ -= ByteCount(bytes);
    } else if (file_.is_seekable()) {
      (void)file_.seek(-static_cast<std::int64_t>(bytes), Whence::current);
    }
  }
  [[nodiscard]] Result<void> finish() {
    return offset_ == VirtAddr(0) ? Result<void>() : write_user(offset_, static_cast<std::int64_t>(position_.value()));
  }

 private:
  OpenFile& file_;
  const VirtAddr offset_;
  ByteCount position_{0};
};

Result<std::uint64_t> copy_between(CopyEnd& from, CopyEnd& to, std::uint64_t size) {
  constexpr std::uint64_t kPiece = 16384;
  Scratch scratch(all_files().memory());
  VELLUM_TRY(scratch.allocate(ByteCount(std::min(kPiece, std::max<std::uint64_t>(size, 1)))));
  VELLUM_TRY(from.begin());
  VELLUM_TRY(to.begin());
  std::uint64_t done = 0;
  while (done < size) {
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(scratch.bytes().size(), size - done));
    Transfer in(scratch.bytes().first(wanted));
    const Result<std::uint64_t> got = from.move(Direction::in, in);
    if (!got.ok() || got.value() == 0) {
      if (!got.ok() && done == 0) {
        return got.error();
      }
      break;
    }
    Transfer out(std::span<const std::byte>(scratch.bytes().first(static_cast<std::size_t>(got.value()))));
    const Result<std::uint64_t> put = to.move(Direction::out, out);
    const std::uint64_t written = put.ok() ? put.value() : 0;
    from.step_back(got.value() - written);
    done += written;
    if (!put.ok() && done == 0) {
      return put.error();
    }
    if (written < got.value()) {
      break;
    }
  }
  VELLUM_TRY(from.finish());
  VELLUM_TRY(to.finish());
  return done;
}

Result<std::uint64_t> sys_sendfile(const Arguments& arguments) {
  const Ref<OpenFile> out = VELLUM_TRY(file_for(arguments.integer(0), Direction::out));
  const Ref<OpenFile> in = VELLUM_TRY(file_for(arguments.integer(1), Direction::in));
  if (!in->is_seekable() || (out->flags() & open_flag::kAppend) != 0) {
    return Errno::invalid;
  }
  CopyEnd from(*in, arguments.address(2));
  CopyEnd to(*out, VirtAddr(0));
  return copy_between(from, to, std::min(arguments.value[3], kMostAtOnce));
}

Result<std::uint64_t> sys_copy_file_range(const Arguments& arguments) {
  const Ref<OpenFile> in = VELLUM_TRY(file_for(arguments.integer(0), Direction::in));
  const Ref<OpenFile> out = VELLUM_TRY(file_for(arguments.integer(2), Direction::out));
  if (in->node().is_directory() || out->node().is_directory()) {
    return Errno::is_directory;
  }
  if (arguments.value[5] != 0 || in->node().kind() != NodeKind::file || out->node().kind() != NodeKind::file) {
    return Errno::invalid;
  }
  if ((out->flags() & open_flag::kAppend) != 0) {
    return Errno::bad_descriptor;
  }
  CopyEnd from(*in, arguments.address(1));
  CopyEnd to(*out, arguments.address(3));
  return copy_between(from, to, std::min(arguments.value[4], kMostAtOnce));
}

// --- directories

// Writes struct linux_dirent64 or the older struct linux_dirent into bytes.
class DirectoryRecords final : public DirectorySink {
 public:
  enum class Form : bool { old, modern };
  DirectoryRecords(std::span<std::byte> into, Form form) : into_(into), form_(form) {}

  bool put(std::string_view name, NodeKind kind, std::uint64_t inode, std::uint64_t next) override {
    const std::size_t head = form_ == Form::modern ? 19 : 18;
    const std::size_t size =
        static_cast<std::size_t>(round_up(head + name.size() + (form_ == Form::modern ? 1 : 2), 8));
    if (size > into_.size() - used_) {
      is_short = true;
      return false;
    }
    std::byte* const record = into_.data() + used_;
    const auto length = static_cast<std::uint16_t>(size);
    const auto type = static_cast<std::uint8_t>(static_cast<std::uint16_t>(kind) >> 12);
    __builtin_memset(record, 0, size);
    __builtin_memcpy(record, &inode, 8);
    __builtin_memcpy(record + 8, &next, 8);
    __builtin_memcpy(record + 16, &length, 2);
    __builtin_memcpy(record + head, name.data(), name.size());
    record[form_ == Form::modern ? 18 : size - 1] = std::byte{type};
    used_ += size;
    return true;
  }
  [[nodiscard]] std::span<const std::byte> records() const { return into_.first(used_); }
  bool is_short = false;

 private:
  const std::span<std::byte> into_;
  const Form form_;
  std::size_t used_ = 0;
};

template <DirectoryRecords::Form kForm>
Result<std::uint64_t> sys_list(const Arguments& arguments) {
  constexpr std::uint64_t kMost = 32768;
  const Ref<OpenFile> file = VELLUM_TRY(usable_file(arguments.integer(0)));
  const std::uint64_t size = std::min<std::uint64_t>(static_cast<std::uint32_t>(arguments.value[2]), kMost);
  Scratch scratch(all_files().memory());
  VELLUM_TRY(scratch.allocate(ByteCount(std::max<std::uint64_t>(size, 1))));
  DirectoryRecords records(scratch.bytes().first(static_cast<std::size_t>(size)), kForm);
  const Result<ByteCount> before = file->seek(0, Whence::current);
  VELLUM_TRY(file->list(records));
  if (records.records().empty() && records.is_short) {
    return Errno::invalid;
  }
  if (const Result<void> copied = copy_out(arguments.address(1), records.records()); !copied.ok()) {
    // What the program did not get is listed again.
    if (before.ok()) {
      (void)file->seek(static_cast<std::int64_t>(before.value().value()), Whence::start);
    }
    return copied.error();
  }
  return records.records().size();
}

constexpr Shown kFd = Shown::descriptor;
constexpr Shown kHex = Shown::hexadecimal;
constexpr Shown kDecimal = Shown::decimal;

constexpr SystemCall kCalls[] = {
    {0, "read", sys_move<Direction::in>, 3, {kFd, kHex, kDecimal}},
    {1, "write", sys_move<Direction::out>, 3, {kFd, Shown::bytes, kDecimal}},
    {17, "pread64", sys_move_at<Direction::in>, 4, {kFd, kHex, kDecimal, kDecimal}},
    {18, "pwrite64", sys_move_at<Direction::out>, 4, {kFd, Shown::bytes, kDecimal, kDecimal}},
    {19, "readv", sys_move_vector<Direction::in>, 3, {kFd, kHex, kDecimal}},
    {20, "writev", sys_move_vector<Direction::out>, 3, {kFd, kHex, kDecimal}},
    {40, "sendfile", sys_sendfile, 4, {kFd, kFd, kHex, kDecimal}},
    {78, "getdents", sys_list<DirectoryRecords::Form::old>, 3, {kFd, kHex, kDecimal}},
    {217, "getdents64", sys_list<DirectoryRecords::Form::modern>, 3, {kFd, kHex, kDecimal}},
    {295, "preadv", sys_move_vector_at<Direction::in>, 4, {kFd, kHex, kDecimal, kDecimal}},
    {296, "pwritev", sys_move_vector_at<Direction::out>, 4, {kFd, kHex, kDecimal, kDecimal}},
    {326, "copy_file_range", sys_copy_file_range, 6, {kFd, kHex, kFd, kHex, kDecimal, kDecimal}},
    {327, "preadv2", sys_move_vector_with<Direction::in>, 6, {kFd, kHex, kDecimal, kDecimal, kDecimal, kDecimal}},
    {328, "pwritev2", sys_move_vector_with<Direction::out>, 6, {kFd, kHex, kDecimal, kDecimal, kDecimal, kDecimal}},
};

}  // namespace

std::span<const SystemCall> transfer_calls() { return kCalls; }

}  // namespace vellum::unix
