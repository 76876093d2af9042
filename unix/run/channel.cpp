#include <vellum/run/channel.hpp>

#include <algorithm>

namespace vellum::run {

namespace {

// A credit is given when so much of the room is free for it: fewer frames.
constexpr std::size_t kCreditFraction = 4;

// As the host counts them.
constexpr std::uint32_t kMostSignal = 64;
constexpr std::uint32_t kMostOutput = 2;

}  // namespace

void Channel::open(ByteChannel& bytes, Listener& listener, std::span<std::byte> frame_room,
                   std::span<std::byte> input_room) {
  VELLUM_CHECK(frame_room.size() >= kMostFrameBytes && is_power_of_two(input_room.size()));
  bytes_ = &bytes;
  listener_ = &listener;
  reader_.set_room(frame_room.first(kMostFrameBytes));
  const LockGuard guard(input_lock_);
  input_ = input_room;
}

bool Channel::try_send(ToHost kind, std::span<const std::byte> body) {
  VELLUM_ASSERT(body.size() <= kMostBody);
  const FrameHeader header{
      .size = static_cast<std::uint32_t>(body.size()), .kind = static_cast<std::uint8_t>(kind), .zero = {}};
  const LockGuard guard(send_lock_);
  return bytes_->send(std::as_bytes(std::span(&header, 1)), body);
}

void Channel::send(ToHost kind, std::span<const std::byte> body) {
  unsigned rounds = 0;
  while (!is_broken() && !try_send(kind, body)) {
    relax(rounds++);
    if (bytes_->is_broken()) {
      fail();
    }
  }
}

void Channel::flush() {
  for (unsigned rounds = 0; !is_broken(); relax(rounds++)) {
    const LockGuard guard(send_lock_);
    if (bytes_->room() == ByteChannel::kMostSend || bytes_->is_broken()) {
      return;
    }
  }
}

std::size_t Channel::room() {
  constexpr std::size_t kEnough = 4096 + sizeof(FrameHeader);
  const LockGuard guard(send_lock_);
  std::size_t room = bytes_->room();
  if (room < kEnough) {
    bytes_->expect_room();
    room = bytes_->room();
  }
  return room < kEnough ? 0 : std::min(room - sizeof(FrameHeader), kMostBody);
}

Result<std::size_t> Channel::wait_for_room(ToHost stream, Wait wait) {
  unix::Sleep sleep;
  const unix::Sleep::In in(sleep, room_queue_);
  for (;;) {
    if (is_closed(stream) || is_broken()) {
      return Errno::broken_pipe;
    }
    if (const std::size_t size = room(); size != 0) {
      return size;
    }
    if (bytes_->is_broken()) {
      fail();
    } else if (wait == Wait::no) {
      return Errno::try_again;
    } else if (sleep.until() == unix::Wakeup::signal) {
      return Errno::interrupted;
    }
  }
}

void Channel::fail() {
  broken_.store(true, std::memory_order_relaxed);
  end_input();
  listener_->on_input();
  room_queue_.wake_all();
  listener_->on_failure();
}

void Channel::poll() {
  if (is_broken() || polling_.exchange(true, std::memory_order_acquire)) {
    return;
  }
  while (const std::optional<Frame> frame = reader_.next(*bytes_)) {
    if (!dispatch(*frame)) {
      fail();
      break;
    }
  }
  if (reader_.is_broken() || bytes_->is_broken()) {
    fail();
  }
  polling_.store(false, std::memory_order_release);
}

bool Channel::dispatch(const Frame& frame) {
  switch (frame.kind) {
    case ToKernel::start_part:
      listener_->on_start(frame.body, Listener::Part::more_follows);
      return true;
    case ToKernel::start:
      listener_->on_start(frame.body, Listener::Part::last);
      return true;
    case ToKernel::input:
      if (!store_input(frame.body)) {
        return false;
      }
      listener_->on_input();
      return true;
    case ToKernel::input_end:
      end_input();
      listener_->on_input();
      return true;
    case ToKernel::inspect:
      return dispatch_inspect(frame);
    case ToKernel::go_on:
      listener_->on_go_on();
      return true;
    case ToKernel::signal:
    case ToKernel::window_size:
    case ToKernel::output_closed:
      return dispatch_numbers(frame);
  }
  return false;
}

bool Channel::dispatch_inspect(const Frame& frame) {
  InspectRequest request;
  if (frame.body.size() != sizeof(request)) {
    return false;
  }
  __builtin_memcpy(&request, frame.body.data(), sizeof(request));
  return request.what >= Inspect::processes && request.what <= Inspect::layout && request.zero == 0 &&
         listener_->on_inspect(request);
}

bool Channel::dispatch_numbers(const Frame& frame) {
  std::uint32_t numbers[2] = {};
  const std::size_t count = frame.kind == ToKernel::window_size ? 2 : 1;
  if (frame.body.size() != count * sizeof(std::uint32_t)) {
    return false;
  }
  __builtin_memcpy(numbers, frame.body.data(), frame.body.size());
  if (frame.kind == ToKernel::window_size) {
    listener_->on_window_size(numbers[0], numbers[1]);
    return true;
  }
  const std::uint32_t most = frame.kind == ToKernel::signal ? kMostSignal : kMostOutput;
  if (numbers[0] == 0 || numbers[0] > most) {
    return false;
  }
  if (frame.kind == ToKernel::signal) {
    listener_->on_signal(unix::Signal(static_cast<std::uint8_t>(numbers[0])));
  } else {
    closed_[numbers[0] - 1].store(true, std::memory_order_relaxed);
    room_queue_.wake_all();
    listener_->on_output_closed();
  }
  return true;
}

bool Channel::store_input(std::span<const std::byte> bytes) {
  const LockGuard guard(input_lock_);
  if (bytes.size() > credit_ || input_ended_) {
    return false;
  }
  credit_ -= bytes.size();
  const std::size_t end = (input_start_ + input_size_) & (input_.size() - 1);
  const std::size_t first = std::min(bytes.size(), input_.size() - end);
  __builtin_memcpy(input_.data() + end, bytes.data(), first);
  __builtin_memcpy(input_.data(), bytes.data() + first, bytes.size() - first);
  input_size_ += bytes.size();
  return true;
}

void Channel::end_input() {
  const LockGuard guard(input_lock_);
  input_ended_ = true;
}

void Channel::accept_input() {
  std::size_t credit = 0;
  {
    const LockGuard guard(input_lock_);
    credit = input_.size() - input_size_ - credit_;
    credit_ += credit;
  }
  send(ToHost::input_credit, static_cast<std::uint32_t>(credit));
}

std::span<const std::byte> Channel::input() {
  const LockGuard guard(input_lock_);
  return input_.subspan(input_start_, std::min(input_size_, input_.size() - input_start_));
}

void Channel::take_input(std::size_t size) {
  bool give_credit = false;
  {
    const LockGuard guard(input_lock_);
    VELLUM_ASSERT(size <= input_size_);
    input_start_ = (input_start_ + size) & (input_.size() - 1);
    input_size_ -= size;
    give_credit = !input_ended_ && input_.size() - input_size_ - credit_ >= input_.size() / kCreditFraction;
  }
  if (give_credit) {
    accept_input();
  }
}

std::size_t Channel::input_size() {
  const LockGuard guard(input_lock_);
  return input_size_;
}

bool Channel::input_ended() {
  const LockGuard guard(input_lock_);
  return input_ended_ && input_size_ == 0;
}

}  // namespace vellum::run
