#include "run_streams.hpp"

#include <algorithm>

#include <vellum/unix/file_caller.hpp>
#include <vellum/unix/poller.hpp>
#include <vellum/unix/text_sink.hpp>
#include <vellum/unix/transfer.hpp>
#include <vellum/unix/user_memory.hpp>

namespace vellum::kernel {

namespace {

using unix::Events;
using unix::OpenFile;
using unix::Path;
using unix::Ref;
using unix::Transfer;

constexpr std::uint32_t kBytesToRead = 0x541B;  // FIONREAD
constexpr unix::Signal kBrokenPipe{13};

class RunStream final : public OpenFile {
 public:
  RunStream(unix::FileMemory& memory, Path path, std::uint32_t flags, RunStreams& streams, StreamEnd end)
      : OpenFile(memory, std::move(path), flags), streams_(streams), end_(end) {}

  Result<void> read(Transfer& to, ByteCount position) override;
  Result<void> write(Transfer& from, ByteCount& position) override;
  Result<std::uint64_t> ioctl(std::uint32_t request, std::uint64_t argument) override;
  Events poll(unix::Poller* poller) override;

 private:
  friend class unix::FileMemory;
  ~RunStream() = default;
  void destroy() override { memory().destroy(this); }

  [[nodiscard]] run::ToHost kind() const {
    return end_ == StreamEnd::output ? run::ToHost::output : run::ToHost::error_output;
  }
  // True where the read is over.
  [[nodiscard]] bool try_read(Transfer& to, Result<void>& result);

  RunStreams& streams_;
  const StreamEnd end_;
};

bool RunStream::try_read(Transfer& to, Result<void>& result) {
  run::Channel& channel = streams_.channel;
  const unix::MutexGuard guard(streams_.input_lock);
  std::span<const std::byte> bytes = channel.input();
  if (bytes.empty()) {
    return channel.input_ended();
  }
  while (!bytes.empty() && !to.left().is_zero() && result.ok()) {
    const ByteCount before = to.moved();
    result = to.put(bytes.first(std::min<std::size_t>(bytes.size(), to.left().value())));
    channel.take_input((to.moved() - before).value());
    bytes = channel.input();
  }
  return true;
}

Result<void> RunStream::read(Transfer& to, ByteCount /*position*/) {
  Result<void> result;
  if (to.left().is_zero() || try_read(to, result)) {
    return result;
  }
  if (is_non_blocking()) {
    return Errno::try_again;
  }
  unix::Sleep sleep;
  const unix::Sleep::In in(sleep, streams_.host.input_queue());
  while (!try_read(to, result)) {
    if (sleep.until() == unix::Wakeup::signal) {
      return Errno::interrupted;
    }
  }
  return result;
}

Result<void> RunStream::write(Transfer& from, ByteCount& /*position*/) {
  const auto wait = is_non_blocking() ? run::Channel::Wait::no : run::Channel::Wait::yes;
  const unix::MutexGuard guard(streams_.output_lock);
  while (!from.left().is_zero()) {
    const Result<std::size_t> room = streams_.channel.wait_for_room(kind(), wait);
    if (!room.ok()) {
      if (room.error() == Errno::broken_pipe) {
        unix::raise_signal(kBrokenPipe);
      }
      return room.error();
    }
    const std::span<std::byte> piece =
        streams_.output_room.first(std::min<std::size_t>(room.value(), from.left().value()));
    VELLUM_TRY(from.get(piece));
    streams_.channel.send(kind(), piece);
  }
  return {};
}

Result<std::uint64_t> RunStream::ioctl(std::uint32_t request, std::uint64_t argument) {
  if (request != kBytesToRead || end_ != StreamEnd::input) {
    return Errno::not_terminal;
  }
  VELLUM_TRY(unix::write_user(VirtAddr(argument), static_cast<std::int32_t>(streams_.channel.input_size())));
  return std::uint64_t{0};
}

Events RunStream::poll(unix::Poller* poller) {
  run::Channel& channel = streams_.channel;
  unsigned events = 0;
  if (end_ == StreamEnd::input) {
    if (poller != nullptr) {
      poller->add(streams_.host.input_queue());
    }
    events |= channel.input_size() != 0 ? unix::event::kReadable : 0U;
    events |= channel.input_ended() ? unix::event::kHangUp : 0U;
    return static_cast<Events>(events);
  }
  if (poller != nullptr) {
    poller->add(channel.room_queue());
  }
  events |= channel.room() != 0 ? unix::event::kWritable : 0U;
  events |= channel.is_closed(kind()) || channel.is_broken() ? unix::event::kError : 0U;
  return static_cast<Events>(events);
}

// What fstat tells of a stream, and what /proc/self/fd opens again.
class RunStreamNode final : public unix::Node {
 public:
  RunStreamNode(unix::FileSystem& file_system, const unix::Attributes& attributes, RunStreams& streams, StreamEnd end)
      : Node(file_system, unix::NodeKind::fifo), attributes_(attributes), streams_(streams), end_(end) {}

  unix::Attributes attributes() override { return attributes_; }
  Result<Ref<OpenFile>> open(const Path& path, std::uint32_t flags) override {
    return Ref<OpenFile>(
        Ref<RunStream>::adopt(VELLUM_TRY(memory().create<RunStream>(memory(), path, flags, streams_, end_))));
  }

 private:
  friend class unix::FileMemory;
  ~RunStreamNode() = default;
  void destroy() override { memory().destroy(this); }
  [[nodiscard]] unix::FileMemory& memory() const { return file_system().files().memory(); }

  const unix::Attributes attributes_;
  RunStreams& streams_;
  const StreamEnd end_;
};

unix::Attributes stream_attributes(unix::Files& files) {
  const std::uint64_t now = unix::realtime_now().value();
  constexpr std::uint64_t kSecond = 1'000'000'000;
  unix::Attributes attributes;
  attributes.kind = unix::NodeKind::fifo;
  attributes.permissions = 0600;
  attributes.inode = files.next_inode();
  attributes.modified = {.seconds = static_cast<std::int64_t>(now / kSecond),
                         .nanoseconds = static_cast<std::uint32_t>(now % kSecond)};
  attributes.accessed = attributes.changed = attributes.created = attributes.modified;
  return attributes;
}

}  // namespace

Result<Ref<OpenFile>> open_run_stream(unix::Files& files, RunStreams& streams, StreamEnd end) {
  const unix::Attributes attributes = stream_attributes(files);
  Ref<RunStreamNode> node = Ref<RunStreamNode>::adopt(
      VELLUM_TRY(files.memory().create<RunStreamNode>(files.unnamed(), attributes, streams, end)));
  char name[32];
  unix::FixedText text(name);
  text.text("pipe:[").decimal(attributes.inode).text("]");
  const Path path = VELLUM_TRY(files.create_unnamed(text.view(), std::move(node)));
  return path.node().open(path, end == StreamEnd::input ? unix::open_flag::kReadOnly : unix::open_flag::kWriteOnly);
}

}  // namespace vellum::kernel
