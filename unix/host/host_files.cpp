#include <vellum/host/host_files.hpp>

#include <algorithm>

namespace vellum::host {

using unix::LowerHandle;
using unix::LowerNode;

namespace {

std::uint32_t fid_of(LowerHandle handle) { return static_cast<std::uint32_t>(handle.value); }

unix::Timestamp timestamp(const FileStatus::Time& time) {
  constexpr std::uint64_t kSecond = 1'000'000'000;
  return {.seconds = static_cast<std::int64_t>(time.seconds),
          .nanoseconds = static_cast<std::uint32_t>(time.nanoseconds % kSecond)};
}

// Errors: io_error: a kind that UNIX does not have, or sizes beyond what a file can have.
Result<unix::Attributes> attributes_of(const FileStatus& status) {
  unix::Attributes attributes;
  attributes.kind = unix::NodeKind{static_cast<std::uint16_t>(status.mode & unix::kKindMask)};
  switch (attributes.kind) {
    case unix::NodeKind::fifo:
    case unix::NodeKind::character_device:
    case unix::NodeKind::directory:
    case unix::NodeKind::block_device:
    case unix::NodeKind::file:
    case unix::NodeKind::symlink:
    case unix::NodeKind::socket:
      break;
    default:
      return Errno::io_error;
  }
  if (status.size > unix::kLargestFile) {
    return Errno::io_error;
  }
  attributes.permissions = static_cast<std::uint16_t>(status.mode & unix::kPermissionMask);
  attributes.owner = unix::UserId(status.user);
  attributes.group = unix::GroupId(status.group);
  attributes.inode = status.qid.path;
  attributes.links = static_cast<std::uint32_t>(status.links);
  attributes.size = ByteCount(status.size);
  attributes.blocks = status.blocks;
  attributes.device = unix::DeviceNumber::decoded(status.device);
  attributes.accessed = timestamp(status.accessed);
  attributes.modified = timestamp(status.modified);
  attributes.changed = timestamp(status.changed);
  attributes.created = attributes.changed;
  return attributes;
}

unix::NodeKind kind_of(const DirectoryEntry& entry) {
  constexpr unsigned kTypeShift = 12;
  if (entry.type != 0) {
    return unix::NodeKind{static_cast<std::uint16_t>((entry.type << kTypeShift) & unix::kKindMask)};
  }
  if ((entry.qid.type & Qid::kDirectory) != 0) {
    return unix::NodeKind::directory;
  }
  return (entry.qid.type & Qid::kSymlink) != 0 ? unix::NodeKind::symlink : unix::NodeKind::file;
}

// Whether the name can be one of a directory's entries, and is wanted in a listing.
bool is_listed(std::string_view name) {
  return !name.empty() && name.size() <= unix::kLongestName && name != "." && name != ".." &&
         name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

}  // namespace

HostFiles::HostFiles(Transport& transport, std::span<std::byte> memory, PageSource& source)
    : client_(transport, memory.first(kMessages), kWindow), fids_(source) {
  memory = memory.subspan(kMessages);
  for (; window_count_ < kMostWindows && memory.size() >= kWindow; memory = memory.subspan(kWindow)) {
    windows_[window_count_++].bytes = memory.first(kWindow);
  }
  VELLUM_CHECK(window_count_ != 0);
}

Result<void> HostFiles::start() {
  const unix::MutexGuard guard(lock_);
  VELLUM_TRY(client_.start());
  root_fid_ = VELLUM_TRY(fids_.allocate());
  (void)VELLUM_TRY(client_.attach(root_fid_));
  return {};
}

// A new fid for a file; the caller drops it.
Result<std::uint32_t> HostFiles::walk(std::uint32_t from, std::string_view name) {
  const std::uint32_t fid = VELLUM_TRY(fids_.allocate());
  if (const Result<void> walked = client_.walk(from, name, fid); !walked.ok()) {
    if (walked.error() == Errno::io_error) {
      client_.release(fid);  // nobody knows what the server did
    }
    fids_.free(fid);
    return walked.error();
  }
  return fid;
}

void HostFiles::drop(std::uint32_t fid) {
  client_.release(fid);
  fids_.free(fid);
}

// Takes the fid over: where it fails, drops it.
Result<LowerNode> HostFiles::describe(std::uint32_t fid) {
  const Result<FileStatus> status = client_.status(fid);
  Result<unix::Attributes> attributes = status.ok() ? attributes_of(status.value()) : status.error();
  if (!attributes.ok()) {
    drop(fid);
    return attributes.error();
  }
  return LowerNode{.handle = {.value = fid}, .attributes = attributes.value()};
}

Result<LowerNode> HostFiles::root() {
  const unix::MutexGuard guard(lock_);
  return describe(VELLUM_TRY(walk(root_fid_, "")));
}

Result<LowerNode> HostFiles::lookup(LowerHandle directory, std::string_view name) {
  const unix::MutexGuard guard(lock_);
  return describe(VELLUM_TRY(walk(fid_of(directory), name)));
}

Result<std::size_t> HostFiles::read_link(LowerHandle link, std::span<char> into) {
  const unix::MutexGuard guard(lock_);
  return client_.read_link(fid_of(link), into);
}

void HostFiles::release(LowerHandle handle) {
  const unix::MutexGuard guard(lock_);
  const std::uint32_t fid = fid_of(handle);
  for (Window& window : windows_) {
    if (window.fid == fid) {
      window.fid.reset();
    }
  }
  for (Cursor& cursor : cursors_) {
    if (cursor.directory == fid) {
      close(cursor);
    }
  }
  drop(fid);
}

// --- reading

// Fetches bytes until `into` is full or the file ends.
Result<std::size_t> HostFiles::fill(std::uint32_t fid, std::uint64_t start, std::span<std::byte> into) {
  if (!fids_.is_open(fid)) {
    VELLUM_TRY(client_.open(fid));
    fids_.set_open(fid);
  }
  std::size_t size = 0;
  for (;;) {
    const std::size_t wanted = std::min(into.size() - size, client_.most_read());
    const std::size_t got = VELLUM_TRY(client_.read(fid, start + size, into.subspan(size, wanted)));
    size += got;
    if (got < wanted || size == into.size()) {
      return size;
    }
  }
}

Result<HostFiles::Window*> HostFiles::window_at(std::uint32_t fid, std::uint64_t start) {
  Window* oldest = &windows_[0];
  for (unsigned i = 0; i < window_count_; ++i) {
    Window& window = windows_[i];
    if (window.fid == fid && window.start == start) {
      window.last_use = ++uses_;
      return &window;
    }
    if (window.last_use < oldest->last_use) {
      oldest = &window;
    }
  }
  oldest->fid.reset();
  oldest->size = VELLUM_TRY(fill(fid, start, oldest->bytes));
  oldest->fid = fid;
  oldest->start = start;
  oldest->last_use = ++uses_;
  return oldest;
}

Result<std::size_t> HostFiles::read(LowerHandle file, ByteCount offset, std::span<std::byte> into) {
  const unix::MutexGuard guard(lock_);
  std::size_t done = 0;
  while (done < into.size()) {
    const std::uint64_t at = offset.value() + done;
    const std::uint64_t start = round_down(at, kWindow);
    const Window& window = *VELLUM_TRY(window_at(fid_of(file), start));
    const auto skipped = static_cast<std::size_t>(at - start);
    if (skipped >= window.size) {
      break;
    }
    const std::size_t piece = std::min(window.size - skipped, into.size() - done);
    __builtin_memcpy(into.data() + done, window.bytes.data() + skipped, piece);
    done += piece;
    if (window.size < kWindow) {
      break;
    }
  }
  return done;
}

// --- listing

void HostFiles::close(Cursor& cursor) {
  if (cursor.directory) {
    drop(cursor.fid);
    cursor.directory.reset();
  }
}

// A cursor at the position or, where none is there, at the directory's beginning.
Result<HostFiles::Cursor*> HostFiles::cursor_at(std::uint32_t directory, std::uint64_t position) {
  Cursor* oldest = &cursors_[0];
  for (Cursor& cursor : cursors_) {
    if (cursor.directory == directory && cursor.position == position && position != 0) {
      cursor.last_use = ++uses_;
      return &cursor;
    }
    if (cursor.last_use < oldest->last_use) {
      oldest = &cursor;
    }
  }
  close(*oldest);
  const std::uint32_t fid = VELLUM_TRY(walk(directory, ""));
  if (const Result<void> opened = client_.open(fid); !opened.ok()) {
    drop(fid);
    return opened.error();
  }
  *oldest = {.directory = directory, .fid = fid, .last_use = ++uses_};
  return oldest;
}

// One reply's worth of entries; those before `from` are skipped. False: the directory ends, or the listing is full.
Result<bool> HostFiles::list_more(Cursor& cursor, std::uint64_t from, unix::LowerListing& listing) {
  bool full = false;
  const bool any = VELLUM_TRY(client_.read_directory(cursor.fid, cursor.offset, [&](const DirectoryEntry& entry) {
    if (is_listed(entry.name)) {
      if (cursor.position >= from && !listing.put(entry.name, kind_of(entry), entry.qid.path, cursor.position + 1)) {
        full = true;
        return false;
      }
      ++cursor.position;
    }
    cursor.offset = entry.next_offset;
    return true;
  }));
  return any && !full;
}

Result<void> HostFiles::list(LowerHandle directory, std::uint64_t position, unix::LowerListing& listing) {
  const unix::MutexGuard guard(lock_);
  Cursor& cursor = *VELLUM_TRY(cursor_at(fid_of(directory), position));
  for (;;) {
    const Result<bool> more = list_more(cursor, position, listing);
    if (!more.ok()) {
      close(cursor);
      return more.error();
    }
    if (!more.value()) {
      return {};
    }
  }
}

}  // namespace vellum::host
