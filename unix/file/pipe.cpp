#include <vellum/unix/pipe.hpp>

#include <algorithm>

#include <vellum/unix/file_caller.hpp>
#include <vellum/unix/user_memory.hpp>

#include "linux_numbers.hpp"
#include "ram_node.hpp"

namespace vellum::unix {

Pipe::~Pipe() {
  const MutexGuard guard(lock_);
  free_pages(0);
}

void Pipe::free_pages(unsigned keep) {
  for (unsigned i = keep; i < kPages; ++i) {
    if (pages_[i] != nullptr) {
      memory_.free_page(pages_[i]);
      pages_[i] = nullptr;
    }
  }
}

void Pipe::open(Ends ends) {
  {
    const MutexGuard guard(lock_);
    readers_ += ends.read ? 1 : 0;
    writers_ += ends.write ? 1 : 0;
    reader_opens_ += ends.read ? 1 : 0;
    writer_opens_ += ends.write ? 1 : 0;
  }
  readers_queue_.wake_all();
  writers_queue_.wake_all();
}

void Pipe::close(Ends ends) {
  {
    const MutexGuard guard(lock_);
    readers_ -= ends.read ? 1 : 0;
    writers_ -= ends.write ? 1 : 0;
    if (readers_ == 0 && writers_ == 0) {
      first_ = count_ = 0;
      free_pages(0);
    }
  }
  readers_queue_.wake_all();
  writers_queue_.wake_all();
}

Result<void> Pipe::wait_for_reader() {
  Sleep sleep;
  const Sleep::In in(sleep, writers_queue_);
  std::uint64_t opens = 0;
  {
    const MutexGuard guard(lock_);
    opens = reader_opens_;
  }
  for (;;) {
    {
      const MutexGuard guard(lock_);
      if (readers_ > 0 || reader_opens_ != opens) {
        return {};
      }
    }
    if (sleep.until() == Wakeup::signal) {
      return Errno::interrupted;
    }
  }
}

Result<void> Pipe::wait_for_writer() {
  Sleep sleep;
  const Sleep::In in(sleep, readers_queue_);
  std::uint64_t opens = 0;
  {
    const MutexGuard guard(lock_);
    opens = writer_opens_;
  }
  for (;;) {
    {
      const MutexGuard guard(lock_);
      if (writers_ > 0 || writer_opens_ != opens) {
        return {};
      }
    }
    if (sleep.until() == Wakeup::signal) {
      return Errno::interrupted;
    }
  }
}

bool Pipe::has_readers() {
  const MutexGuard guard(lock_);
  return readers_ > 0;
}

std::size_t Pipe::readable() {
  const MutexGuard guard(lock_);
  return count_;
}

Result<void> Pipe::take(Transfer& to) {
  while (count_ > 0 && !to.left().is_zero()) {
    const std::size_t in_page = first_ % kPageSize;
    const std::size_t piece = std::min({count_, kPageSize - in_page, static_cast<std::size_t>(to.left().value())});
    const ByteCount before = to.moved();
    const Result<void> put = to.put({pages_[first_ / kPageSize] + in_page, piece});
    const auto moved = static_cast<std::size_t>((to.moved() - before).value());
    first_ = (first_ + moved) % kCapacity;
    count_ -= moved;
    VELLUM_TRY(put);
  }
  if (count_ == 0) {
    first_ = 0;
    free_pages(1);
  }
  return {};
}

Result<void> Pipe::add(Transfer& from, std::size_t size) {
  while (size > 0) {
    const std::size_t at = (first_ + count_) % kCapacity;
    std::byte*& page = pages_[at / kPageSize];
    if (page == nullptr) {
      page = VELLUM_TRY(memory_.allocate_page());
    }
    const std::size_t in_page = at % kPageSize;
    const std::size_t piece = std::min(size, kPageSize - in_page);
    const ByteCount before = from.moved();
    const Result<void> got = from.get({page + in_page, piece});
    count_ += static_cast<std::size_t>((from.moved() - before).value());
    VELLUM_TRY(got);
    size -= piece;
  }
  return {};
}

bool Pipe::try_read(Transfer& to, Result<void>& result) {
  {
    const MutexGuard guard(lock_);
    if (count_ == 0) {
      return writers_ == 0;
    }
    result = take(to);
  }
  writers_queue_.wake_all();
  return true;
}

Result<void> Pipe::read(Transfer& to, bool non_blocking) {
  Result<void> result;
  if (to.left().is_zero() || try_read(to, result)) {
    return result;
  }
  if (non_blocking) {
    return Errno::try_again;
  }
  Sleep sleep;
  const Sleep::In in(sleep, readers_queue_);
  while (!try_read(to, result)) {
    if (sleep.until() == Wakeup::signal) {
      return Errno::interrupted;
    }
  }
  return result;
}

bool Pipe::try_write(Transfer& from, Result<void>& result) {
  bool done = false;
  {
    const MutexGuard guard(lock_);
    if (readers_ == 0) {
      result = Errno::broken_pipe;
      return true;
    }
    const auto wanted = static_cast<std::size_t>(from.left().value());
    const std::size_t room = kCapacity - count_;
    const bool at_once = wanted <= kAtomic && from.moved().is_zero();
    if (room == 0 || (at_once && room < wanted)) {
      return false;
    }
    result = add(from, std::min(wanted, room));
    done = !result.ok() || from.left().is_zero();
  }
  readers_queue_.wake_all();
  return done;
}

Result<void> Pipe::write(Transfer& from, bool non_blocking) {
  if (from.left().is_zero()) {
    return {};
  }
  Result<void> result;
  if (!try_write(from, result)) {
    if (non_blocking) {
      return Errno::try_again;  // which the caller sees where nothing was moved
    }
    Sleep sleep;
    const Sleep::In in(sleep, writers_queue_);
    while (!try_write(from, result)) {
      if (sleep.until() == Wakeup::signal) {
        return Errno::interrupted;
      }
    }
  }
  if (!result.ok() && result.error() == Errno::broken_pipe) {
    raise_signal(signals::kBrokenPipe);
  }
  return result;
}

Events Pipe::poll(Ends ends, Poller* poller) {
  if (poller != nullptr && ends.read) {
    poller->add(readers_queue_);
  }
  if (poller != nullptr && ends.write) {
    poller->add(writers_queue_);
  }
  const MutexGuard guard(lock_);
  unsigned events = 0;
  if (ends.read) {
    events |= count_ > 0 ? event::kReadable : 0U;
    events |= writers_ == 0 && writer_opens_ > 0 ? event::kHangUp : 0U;
  }
  if (ends.write) {
    events |= kCapacity - count_ >= kAtomic ? event::kWritable : 0U;
    events |= readers_ == 0 ? event::kError : 0U;
  }
  return static_cast<Events>(events);
}

namespace {

// One end of a pipe, or both of a FIFO.
class PipeFile final : public OpenFile {
 public:
  PipeFile(FileMemory& memory, Path path, std::uint32_t flags, Pipe& pipe)
      : OpenFile(memory, std::move(path), flags), pipe_(pipe), ends_{.read = is_readable(), .write = is_writable()} {
    pipe_.open(ends_);
  }
  [[nodiscard]] Pipe::Ends ends() const { return ends_; }

  Result<void> read(Transfer& to, ByteCount /*position*/) override { return pipe_.read(to, is_non_blocking()); }
  Result<void> write(Transfer& from, ByteCount& /*position*/) override { return pipe_.write(from, is_non_blocking()); }
  Events poll(Poller* poller) override { return pipe_.poll(ends_, poller); }
  Result<std::uint64_t> ioctl(std::uint32_t request, std::uint64_t argument) override {
    if (request != request::kReadable) {
      return Errno::not_terminal;
    }
    VELLUM_TRY(write_user(VirtAddr(argument), static_cast<std::int32_t>(pipe_.readable())));
    return std::uint64_t{0};
  }

 private:
  friend FileMemory;
  ~PipeFile() { pipe_.close(ends_); }
  void destroy() override { memory().destroy(this); }

  Pipe& pipe_;
  const Pipe::Ends ends_;
};

Result<Ref<OpenFile>> open_end(const Path& path, std::uint32_t flags, Pipe& pipe) {
  FileMemory& memory = path.node().file_system().files().memory();
  return Ref<OpenFile>(Ref<PipeFile>::adopt(VELLUM_TRY(memory.create<PipeFile>(memory, path, flags, pipe))));
}

}  // namespace

// Who opens an end of a FIFO waits for the other end, unless it does not block; that of a pipe, by /proc/PID/fd, never.
Result<Ref<OpenFile>> RamFifo::open(const Path& path, std::uint32_t flags) {
  const std::uint32_t access = flags & open_flag::kAccessMask;
  const bool is_pipe = &file_system() == &file_system().files().unnamed();
  const bool non_blocking = is_pipe || (flags & open_flag::kNonBlocking) != 0;
  if (access == open_flag::kWriteOnly && non_blocking && !is_pipe && !pipe_.has_readers()) {
    return Errno::no_such_device;
  }
  Ref<OpenFile> file = VELLUM_TRY(open_end(path, flags, pipe_));
  if (access == open_flag::kReadOnly && !non_blocking) {
    VELLUM_TRY(pipe_.wait_for_writer());
  } else if (access == open_flag::kWriteOnly && !non_blocking) {
    VELLUM_TRY(pipe_.wait_for_reader());
  }
  return file;
}

void RamFifo::destroy() { memory().destroy(this); }

Result<PipePair> create_pipe(Files& files, std::uint32_t flags) {
  const FileCredentials who = calling_credentials();
  const NewNode what = {.kind = NodeKind::fifo, .permissions = 0600, .owner = who.user, .group = who.group};
  FileMemory& memory = files.memory();
  const Attributes attributes = new_attributes(files.next_inode(), what);
  Ref<RamFifo> fifo = Ref<RamFifo>::adopt(VELLUM_TRY(memory.create<RamFifo>(files.unnamed(), attributes)));
  Pipe& pipe = fifo->pipe();
  char name[32];
  FixedText text(name);
  text.text("pipe:[").decimal(attributes.inode).text("]");
  const Path path = VELLUM_TRY(files.create_unnamed(text.view(), std::move(fifo)));
  PipePair pair;
  pair.read_end = VELLUM_TRY(open_end(path, flags | open_flag::kReadOnly, pipe));
  pair.write_end = VELLUM_TRY(open_end(path, flags | open_flag::kWriteOnly, pipe));
  return pair;
}

}  // namespace vellum::unix
