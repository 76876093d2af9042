#include <vellum/unix/open_file.hpp>

#include <algorithm>

namespace vellum::unix {

namespace {

constexpr std::uint32_t kChangeable =
    open_flag::kAppend | open_flag::kNonBlocking | open_flag::kDirect | open_flag::kNoAccessTime | open_flag::kAsync;
constexpr std::uint32_t kAtOpening = open_flag::kCreate | open_flag::kExclusive | open_flag::kNoControllingTerminal |
                                     open_flag::kTruncate | open_flag::kCloseOnExec;

}  // namespace

OpenFile::OpenFile(FileMemory& memory, Path path, std::uint32_t flags)
    : memory_(memory), path_(std::move(path)), flags_((flags & ~kAtOpening) | open_flag::kLargeFile) {}

void OpenFile::set_flags(std::uint32_t flags) {
  flags_.store((this->flags() & ~kChangeable) | (flags & kChangeable), std::memory_order_relaxed);
}

// A file without a position may be waited for, for long: its lock is not taken.
OpenFile::PositionGuard::PositionGuard(OpenFile& file) VELLUM_NO_THREAD_SAFETY_ANALYSIS : file_(file) {
  if (file.is_seekable()) {
    file.position_lock_.lock();
    position = file.position_;
  }
}

OpenFile::PositionGuard::~PositionGuard() VELLUM_NO_THREAD_SAFETY_ANALYSIS {
  if (file_.is_seekable()) {
    file_.position_ = position;
    file_.position_lock_.unlock();
  }
}

Result<void> OpenFile::read(Transfer& /*to*/, ByteCount /*position*/) { return Errno::invalid; }
Result<void> OpenFile::write(Transfer& /*from*/, ByteCount& /*position*/) { return Errno::invalid; }
Result<std::uint64_t> OpenFile::ioctl(std::uint32_t /*request*/, std::uint64_t /*argument*/) {
  return Errno::not_terminal;
}
Events OpenFile::poll(Poller* /*poller*/) { return event::kReadable | event::kWritable; }
Result<FileMapping> OpenFile::mapping() { return Errno::no_device; }
Result<void> OpenFile::list(DirectorySink& /*sink*/) { return Errno::not_directory; }

// Where nothing is known of holes there are none.
Result<ByteCount> OpenFile::find(ByteCount from, bool hole) {
  const ByteCount end = VELLUM_TRY(this->end());
  if (from >= end) {
    return Errno::no_such_device;
  }
  return hole ? end : from;
}

Result<ByteCount> OpenFile::seek(std::int64_t offset, Whence whence) {
  if (!is_seekable()) {
    return Errno::illegal_seek;
  }
  PositionGuard guard(*this);
  std::int64_t base = 0;
  switch (whence) {
    case Whence::start:
      break;
    case Whence::current:
      base = static_cast<std::int64_t>(guard.position.value());
      break;
    case Whence::end:
      base = static_cast<std::int64_t>(VELLUM_TRY(end()).value());
      break;
    case Whence::data:
    case Whence::hole:
      if (offset < 0) {
        return Errno::no_such_device;
      }
      guard.position = VELLUM_TRY(find(ByteCount(static_cast<std::uint64_t>(offset)), whence == Whence::hole));
      return guard.position;
  }
  std::int64_t target = 0;
  if (__builtin_add_overflow(base, offset, &target)) {
    return Errno::overflow;
  }
  if (target < 0) {
    return Errno::invalid;
  }
  guard.position = ByteCount(static_cast<std::uint64_t>(target));
  return guard.position;
}

}  // namespace vellum::unix
