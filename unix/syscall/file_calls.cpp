// Descriptors: open, close, dup, fcntl, and what is asked of an open file as a whole.
#include <algorithm>

#include <vellum/unix/memory_file.hpp>
#include <vellum/unix/system_call.hpp>

#include "paths.hpp"
#include "value_names.hpp"

namespace vellum::unix {

namespace {

// --- open

Result<std::uint64_t> open_at(std::int32_t directory, VirtAddr path, std::uint64_t flags, std::uint64_t mode) {
  UserText text;
  VELLUM_TRY(text.read(path));
  const Resolution from = VELLUM_TRY(resolution_from(directory, text.view()));
  const auto wanted = static_cast<std::uint32_t>(flags);
  const OpenRequest request = {.flags = wanted,
                               .permissions = static_cast<std::uint16_t>(mode & kPermissionMask),
                               .umask = calling_files().paths->umask()};
  Ref<OpenFile> file = VELLUM_TRY(open_path(all_files(), from, text.view(), request));
  return give_descriptor(std::move(file), (wanted & open_flag::kCloseOnExec) != 0);
}

Result<std::uint64_t> sys_open(const Arguments& arguments) {
  return open_at(kCurrentDirectory, arguments.address(0), arguments.value[1], arguments.value[2]);
}
Result<std::uint64_t> sys_openat(const Arguments& arguments) {
  return open_at(arguments.integer(0), arguments.address(1), arguments.value[2], arguments.value[3]);
}
Result<std::uint64_t> sys_creat(const Arguments& arguments) {
  return open_at(kCurrentDirectory, arguments.address(0),
                 open_flag::kWriteOnly | open_flag::kCreate | open_flag::kTruncate, arguments.value[1]);
}

struct OpenHow {
  std::uint64_t flags;
  std::uint64_t mode;
  std::uint64_t resolve;
};

// The ways to restrict the resolution are not known.
Result<std::uint64_t> sys_openat2(const Arguments& arguments) {
  if (arguments.value[3] < sizeof(OpenHow)) {
    return Errno::invalid;
  }
  if (arguments.value[3] > sizeof(OpenHow)) {
    return arguments.value[3] > kPageSize ? Errno::argument_list_too_long : Errno::invalid;
  }
  const auto how = VELLUM_TRY(read_user<OpenHow>(arguments.address(2)));
  constexpr std::uint64_t kKnown = 0x7fffffff;
  const bool creates = (how.flags & open_flag::kCreate) != 0;
  if ((how.flags & ~kKnown) != 0 || how.resolve != 0 || (how.mode & ~std::uint64_t{kPermissionMask}) != 0 ||
      (!creates && how.mode != 0)) {
    return Errno::invalid;
  }
  return open_at(arguments.integer(0), arguments.address(1), how.flags, how.mode);
}

Result<std::uint64_t> sys_memfd_create(const Arguments& arguments) {
  constexpr std::uint64_t kCloseOnExec = 1;
  constexpr std::uint64_t kAllowSealing = 2;
  constexpr std::uint64_t kHugePages = 4;
  constexpr std::uint64_t kHugePageSizes = 0xfc000000;
  constexpr std::size_t kLongest = 249;
  const std::uint64_t flags = static_cast<std::uint32_t>(arguments.value[1]);
  const bool is_huge = (flags & kHugePages) != 0;
  if ((flags & ~(kCloseOnExec | kAllowSealing | kHugePages | (is_huge ? kHugePageSizes : 0))) != 0) {
    return Errno::invalid;
  }
  UserText name;
  const Result<void> read = name.read(arguments.address(0));
  if (!read.ok() && read.error() != Errno::name_too_long) {
    return read.error();
  }
  if (!read.ok() || name.view().size() > kLongest) {
    return Errno::invalid;
  }
  if (is_huge) {
    return Errno::no_call;  // as where no file system has such pages
  }
  Ref<OpenFile> file = VELLUM_TRY(create_memory_file(all_files(), name.view(), (flags & kAllowSealing) != 0));
  return give_descriptor(std::move(file), (flags & kCloseOnExec) != 0);
}

// --- close, dup

Result<std::uint64_t> sys_close(const Arguments& arguments) {
  VELLUM_TRY(calling_files().table->close(arguments.integer(0)));
  return 0;
}

Result<std::uint64_t> sys_close_range(const Arguments& arguments) {
  constexpr std::uint64_t kUnshare = 2;
  constexpr std::uint64_t kCloseOnExec = 4;
  const auto first = static_cast<std::uint32_t>(arguments.value[0]);
  const auto last = static_cast<std::uint32_t>(arguments.value[1]);
  const auto flags = static_cast<std::uint32_t>(arguments.value[2]);
  if ((flags & ~(kUnshare | kCloseOnExec)) != 0 || first > last) {
    return Errno::invalid;
  }
  if ((flags & kUnshare) != 0 && calling_files().table->reference_count() > 1) {
    calling_files().table = VELLUM_TRY(calling_files().table->clone());
  }
  FileTable& table = *calling_files().table;
  const int from = static_cast<int>(std::min(first, FileTable::kMost));
  for (int descriptor = table.next(from); descriptor >= 0 && static_cast<std::uint32_t>(descriptor) <= last;
       descriptor = table.next(descriptor + 1)) {
    (void)((flags & kCloseOnExec) != 0 ? table.set_close_on_exec(descriptor, CloseOnExec::yes)
                                       : table.close(descriptor));
  }
  return 0;
}

Result<std::uint64_t> sys_dup(const Arguments& arguments) {
  return give_descriptor(VELLUM_TRY(any_file(arguments.integer(0))), false);
}

Result<std::uint64_t> duplicate_to(std::int32_t from, std::int32_t to, CloseOnExec mark) {
  Ref<OpenFile> file = VELLUM_TRY(any_file(from));
  VELLUM_TRY(calling_files().table->put(to, std::move(file), mark, calling_open_file_limit()));
  return static_cast<std::uint64_t>(to);
}

Result<std::uint64_t> sys_dup2(const Arguments& arguments) {
  if (arguments.integer(0) == arguments.integer(1)) {
    (void)VELLUM_TRY(any_file(arguments.integer(0)));
    return static_cast<std::uint64_t>(arguments.integer(1));
  }
  return duplicate_to(arguments.integer(0), arguments.integer(1), CloseOnExec::no);
}

Result<std::uint64_t> sys_dup3(const Arguments& arguments) {
  const auto flags = static_cast<std::uint32_t>(arguments.value[2]);
  if ((flags & ~open_flag::kCloseOnExec) != 0 || arguments.integer(0) == arguments.integer(1)) {
    return Errno::invalid;
  }
  return duplicate_to(arguments.integer(0), arguments.integer(1), flags != 0 ? CloseOnExec::yes : CloseOnExec::no);
}

// --- fcntl

namespace command {
constexpr std::uint32_t kDuplicate = 0;
constexpr std::uint32_t kGetDescriptor = 1;
constexpr std::uint32_t kSetDescriptor = 2;
constexpr std::uint32_t kGetFlags = 3;
constexpr std::uint32_t kSetFlags = 4;
constexpr std::uint32_t kGetLock = 5;
constexpr std::uint32_t kSetLock = 6;
constexpr std::uint32_t kSetLockWait = 7;
constexpr std::uint32_t kSetOwner = 8;
constexpr std::uint32_t kGetOwner = 9;
constexpr std::uint32_t kOpenGetLock = 36;
constexpr std::uint32_t kOpenSetLock = 37;
constexpr std::uint32_t kOpenSetLockWait = 38;
constexpr std::uint32_t kDuplicateCloseOnExec = 1030;
constexpr std::uint32_t kSetPipeSize = 1031;
constexpr std::uint32_t kGetPipeSize = 1032;
constexpr std::uint32_t kAddSeals = 1033;
constexpr std::uint32_t kGetSeals = 1034;
}  // namespace command

struct FileLock {
  std::int16_t type;
  std::int16_t whence;
  std::int32_t padding;
  std::int64_t start;
  std::int64_t length;
  std::int32_t process;
  std::int32_t padding2;
};

Result<std::uint64_t> duplicate_from(const Ref<OpenFile>& file, std::uint64_t lowest, CloseOnExec mark) {
  const std::uint64_t limit = calling_open_file_limit();
  if (lowest >= limit) {
    return Errno::invalid;
  }
  const auto from = static_cast<unsigned>(std::min<std::uint64_t>(lowest, FileTable::kMost));
  return static_cast<std::uint64_t>(VELLUM_TRY(calling_files().table->add(file, mark, limit, from)));
}

// Advisory locks are granted, and nobody is told of any: what a single program asks for it gets.
Result<std::uint64_t> lock(const OpenFile& file, std::uint32_t which, VirtAddr address) {
  constexpr std::int16_t kRead = 0;
  constexpr std::int16_t kWrite = 1;
  constexpr std::int16_t kUnlocked = 2;
  auto wanted = VELLUM_TRY(read_user<FileLock>(address));
  if (wanted.type < kRead || wanted.type > kUnlocked || wanted.whence < 0 || wanted.whence > 2) {
    return Errno::invalid;
  }
  if (which == command::kGetLock || which == command::kOpenGetLock) {
    wanted.type = kUnlocked;
    VELLUM_TRY(write_user(address, wanted));
    return 0;
  }
  if ((wanted.type == kRead && !file.is_readable()) || (wanted.type == kWrite && !file.is_writable())) {
    return Errno::bad_descriptor;
  }
  return 0;
}

Result<std::uint64_t> control_file(OpenFile& file, std::uint32_t which, const Arguments& arguments) {
  constexpr std::uint64_t kPipeSize = 65536;
  switch (which) {
    case command::kSetFlags:
      file.set_flags(static_cast<std::uint32_t>(arguments.value[2]));
      return 0;
    case command::kGetLock:
    case command::kSetLock:
    case command::kSetLockWait:
    case command::kOpenGetLock:
    case command::kOpenSetLock:
    case command::kOpenSetLockWait:
      return lock(file, which, arguments.address(2));
    case command::kAddSeals:
      if (arguments.value[2] > 0xffff'ffff) {
        return Errno::invalid;
      }
      VELLUM_TRY(add_seals(file, static_cast<std::uint32_t>(arguments.value[2])));
      return 0;
    case command::kGetSeals:
      return std::uint64_t{VELLUM_TRY(seals_of(file))};
    case command::kSetOwner:
    case command::kGetOwner:
      return 0;
    case command::kSetPipeSize:
    case command::kGetPipeSize:
      if (file.node().kind() != NodeKind::fifo) {
        return Errno::bad_descriptor;
      }
      return which == command::kSetPipeSize && arguments.value[2] > kPipeSize
                 ? Result<std::uint64_t>(Errno::not_permitted)
                 : Result<std::uint64_t>(kPipeSize);
    default:
      return Errno::invalid;
  }
}

Result<std::uint64_t> sys_fcntl(const Arguments& arguments) {
  const std::int32_t descriptor = arguments.integer(0);
  const auto which = static_cast<std::uint32_t>(arguments.value[1]);
  const Ref<OpenFile> file = VELLUM_TRY(any_file(descriptor));
  FileTable& table = *calling_files().table;
  switch (which) {
    case command::kDuplicate:
    case command::kDuplicateCloseOnExec: {
      const bool marks = which == command::kDuplicateCloseOnExec;
      return duplicate_from(file, static_cast<std::uint32_t>(arguments.value[2]),
                            marks ? CloseOnExec::yes : CloseOnExec::no);
    }
    case command::kGetDescriptor:
      return VELLUM_TRY(table.close_on_exec(descriptor)) == CloseOnExec::yes ? 1U : 0U;
    case command::kSetDescriptor:
      VELLUM_TRY(
          table.set_close_on_exec(descriptor, (arguments.value[2] & 1) != 0 ? CloseOnExec::yes : CloseOnExec::no));
      return 0;
    case command::kGetFlags:
      return file->flags();
    default:
      return file->is_path_only() ? Result<std::uint64_t>(Errno::bad_descriptor)
                                  : control_file(*file, which, arguments);
  }
}

Result<std::uint64_t> sys_flock(const Arguments& arguments) {
  constexpr std::uint32_t kNonBlocking = 4;
  const std::uint32_t operation = static_cast<std::uint32_t>(arguments.value[1]) & ~kNonBlocking;
  (void)VELLUM_TRY(usable_file(arguments.integer(0)));
  return operation == 1 || operation == 2 || operation == 8 ? Result<std::uint64_t>(std::uint64_t{0})
                                                            : Result<std::uint64_t>(Errno::invalid);
}

Result<std::uint64_t> sys_ioctl(const Arguments& arguments) {
  constexpr std::uint32_t kNonBlocking = 0x5421;
  constexpr std::uint32_t kCloseOnExec = 0x5451;
  constexpr std::uint32_t kNotCloseOnExec = 0x5450;
  const Ref<OpenFile> file = VELLUM_TRY(usable_file(arguments.integer(0)));
  const auto request = static_cast<std::uint32_t>(arguments.value[1]);
  if (request == kCloseOnExec || request == kNotCloseOnExec) {
    const CloseOnExec mark = request == kCloseOnExec ? CloseOnExec::yes : CloseOnExec::no;
    VELLUM_TRY(calling_files().table->set_close_on_exec(arguments.integer(0), mark));
    return 0;
  }
  if (request == kNonBlocking) {
    const bool is_on = VELLUM_TRY(read_user<std::int32_t>(arguments.address(2))) != 0;
    file->set_flags((file->flags() & ~open_flag::kNonBlocking) | (is_on ? open_flag::kNonBlocking : 0));
    return 0;
  }
  return file->ioctl(request, arguments.value[2]);
}

// --- positions, sizes

Result<std::uint64_t> sys_lseek(const Arguments& arguments) {
  const Ref<OpenFile> file = VELLUM_TRY(usable_file(arguments.integer(0)));
  if (arguments.value[2] > static_cast<std::uint64_t>(Whence::hole)) {
    return Errno::invalid;
  }
  const auto whence = static_cast<Whence>(arguments.value[2]);
  return VELLUM_TRY(file->seek(static_cast<std::int64_t>(arguments.value[1]), whence)).value();
}

// Error: file_too_big, with SIGXFSZ.
Result<void> check_size(std::uint64_t size) {
  constexpr Signal kFileTooBig{25};
  if (ByteCount(size) > calling_file_size_limit()) {
    raise_signal(kFileTooBig);
    return Errno::file_too_big;
  }
  return {};
}

Result<std::uint64_t> sys_ftruncate(const Arguments& arguments) {
  const Ref<OpenFile> file = VELLUM_TRY(usable_file(arguments.integer(0)));
  if (static_cast<std::int64_t>(arguments.value[1]) < 0 || !file->is_writable() ||
      file->node().kind() != NodeKind::file) {
    return Errno::invalid;
  }
  VELLUM_TRY(check_size(arguments.value[1]));
  VELLUM_TRY(file->node().truncate(ByteCount(arguments.value[1])));
  return 0;
}

Result<std::uint64_t> sys_truncate(const Arguments& arguments) {
  if (static_cast<std::int64_t>(arguments.value[1]) < 0) {
    return Errno::invalid;
  }
  const Path place = VELLUM_TRY(place_at(kCurrentDirectory, arguments.address(0), 0));
  if (place.node().is_directory()) {
    return Errno::is_directory;
  }
  if (place.node().kind() != NodeKind::file) {
    return Errno::invalid;
  }
  VELLUM_TRY(check_place(place, calling_credentials(), {.write = true}));
  VELLUM_TRY(check_size(arguments.value[1]));
  VELLUM_TRY(place.node().truncate(ByteCount(arguments.value[1])));
  return 0;
}

Result<std::uint64_t> sys_fallocate(const Arguments& arguments) {
  constexpr std::uint32_t kKeepSize = 1;
  constexpr std::uint32_t kPunchHole = 2;
  const auto flags = static_cast<std::uint32_t>(arguments.value[1]);
  const Ref<OpenFile> file = VELLUM_TRY(usable_file(arguments.integer(0)));
  const auto offset = static_cast<std::int64_t>(arguments.value[2]);
  const auto length = static_cast<std::int64_t>(arguments.value[3]);
  std::int64_t end = 0;
  if (offset < 0 || length <= 0) {
    return Errno::invalid;
  }
  if ((flags & ~(kKeepSize | kPunchHole)) != 0 || flags == kPunchHole) {
    return Errno::not_supported;
  }
  if (!file->is_writable()) {
    return Errno::bad_descriptor;
  }
  const NodeKind kind = file->node().kind();
  if (kind != NodeKind::file) {
    return kind == NodeKind::fifo        ? Errno::illegal_seek
           : kind == NodeKind::directory ? Errno::is_directory
                                         : Errno::no_device;
  }
  if (__builtin_add_overflow(offset, length, &end)) {
    return Errno::file_too_big;
  }
  if ((flags & kPunchHole) != 0) {
    VELLUM_TRY(
        punch_file(*file, ByteCount(static_cast<std::uint64_t>(offset)), ByteCount(static_cast<std::uint64_t>(end))));
    return 0;
  }
  VELLUM_TRY(check_size(static_cast<std::uint64_t>(end)));
  VELLUM_TRY(permit_allocation(*file, ByteCount(static_cast<std::uint64_t>(end))));
  if ((flags & kKeepSize) == 0) {
    VELLUM_TRY(extend_file(*file, ByteCount(static_cast<std::uint64_t>(end))));
  }
  return 0;
}

// Everything is where it stays: in RAM.
Result<std::uint64_t> sys_fsync(const Arguments& arguments) {
  const Ref<OpenFile> file = VELLUM_TRY(usable_file(arguments.integer(0)));
  const NodeKind kind = file->node().kind();
  return kind == NodeKind::file || kind == NodeKind::directory ? Result<std::uint64_t>(std::uint64_t{0})
                                                               : Result<std::uint64_t>(Errno::invalid);
}
Result<std::uint64_t> sys_syncfs(const Arguments& arguments) {
  (void)VELLUM_TRY(usable_file(arguments.integer(0)));
  return 0;
}
Result<std::uint64_t> sys_sync(const Arguments& /*arguments*/) { return 0; }

Result<std::uint64_t> sys_fadvise64(const Arguments& arguments) {
  constexpr std::uint64_t kLast = 5;
  const Ref<OpenFile> file = VELLUM_TRY(usable_file(arguments.integer(0)));
  if (file->node().kind() == NodeKind::fifo) {
    return Errno::illegal_seek;
  }
  return arguments.value[3] <= kLast ? Result<std::uint64_t>(std::uint64_t{0}) : Result<std::uint64_t>(Errno::invalid);
}

constexpr Shown kText = Shown::text;
constexpr Shown kFd = Shown::descriptor;
constexpr Shown kFlags = Shown::flags;
constexpr Shown kHex = Shown::hexadecimal;
constexpr Shown kDecimal = Shown::decimal;

constexpr SystemCall kCalls[] = {
    {2, "open", sys_open, 3, {kText, value_names::kOpenFlags, kFlags}},
    {3, "close", sys_close, 1, {kFd}},
    {8, "lseek", sys_lseek, 3, {kFd, kDecimal, value_names::kWhence}},
    {16, "ioctl", sys_ioctl, 3, {kFd, kHex, kHex}},
    {32, "dup", sys_dup, 1, {kFd}},
    {33, "dup2", sys_dup2, 2, {kFd, kFd}},
    {72, "fcntl", sys_fcntl, 3, {kFd, kDecimal, kHex}},
    {73, "flock", sys_flock, 2, {kFd, kDecimal}},
    {74, "fsync", sys_fsync, 1, {kFd}},
    {75, "fdatasync", sys_fsync, 1, {kFd}},
    {76, "truncate", sys_truncate, 2, {kText, kDecimal}},
    {77, "ftruncate", sys_ftruncate, 2, {kFd, kDecimal}},
    {85, "creat", sys_creat, 2, {kText, kFlags}},
    {162, "sync", sys_sync, 0, {}},
    {221, "fadvise64", sys_fadvise64, 4, {kFd, kDecimal, kDecimal, kDecimal}},
    {257, "openat", sys_openat, 4, {kFd, kText, value_names::kOpenFlags, kFlags}},
    {285, "fallocate", sys_fallocate, 4, {kFd, kFlags, kDecimal, kDecimal}},
    {292, "dup3", sys_dup3, 3, {kFd, kFd, kFlags}},
    {306, "syncfs", sys_syncfs, 1, {kFd}},
    {319, "memfd_create", sys_memfd_create, 2, {kText, value_names::kMemoryFileFlags}},
    {436, "close_range", sys_close_range, 3, {kFd, kFd, kFlags}},
    {437, "openat2", sys_openat2, 4, {kFd, kText, kHex, kDecimal}},
};

}  // namespace

std::span<const SystemCall> file_calls() { return kCalls; }

}  // namespace vellum::unix
