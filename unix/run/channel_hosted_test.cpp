#include <vellum/run/channel.hpp>

#include <cstring>
#include <deque>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace vellum::run {
namespace {

std::string frame(ToKernel kind, std::string_view body) {
  FrameHeader header{
      .size = static_cast<std::uint32_t>(body.size()), .kind = static_cast<std::uint8_t>(kind), .zero = {}};
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof(header));
  return bytes.append(body);
}

std::string numbers(std::initializer_list<std::uint32_t> values) {
  std::string bytes;
  for (const std::uint32_t value : values) {
    bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  return bytes;
}

// The other side: gives what a test lets come, a few bytes at a time, and keeps what is sent.
class FakeBytes final : public ByteChannel {
 public:
  bool send(std::span<const std::byte> head, std::span<const std::byte> body) override {
    if (head.size() + body.size() > room_) {
      return false;
    }
    sent.append(reinterpret_cast<const char*>(head.data()), head.size());
    sent.append(reinterpret_cast<const char*>(body.data()), body.size());
    return true;
  }
  void expect_room() override { room_was_expected = true; }
  std::size_t room() override { return room_; }
  std::size_t receive(std::span<std::byte> into) override {
    const std::size_t size = std::min({into.size(), coming.size(), piece});
    std::memcpy(into.data(), coming.data(), size);
    coming.erase(0, size);
    return size;
  }
  bool is_broken() const override { return broken; }

  std::string coming;
  std::string sent;
  std::size_t piece = SIZE_MAX;
  std::size_t room_ = kMostSend;
  bool room_was_expected = false;
  bool broken = false;
};

class Recorder final : public Listener {
 public:
  void on_start(std::span<const std::byte> texts, Part part) override {
    start.append(reinterpret_cast<const char*>(texts.data()), texts.size());
    started = part == Part::last;
  }
  void on_input() override { ++inputs; }
  void on_signal(unix::Signal signal) override { signals.push_back(signal.value()); }
  void on_output_closed() override { ++closed; }
  void on_window_size(std::uint32_t rows, std::uint32_t columns) override { window = {rows, columns}; }
  bool on_inspect(const InspectRequest& request) override {
    asked.push_back(request.address);
    return request.number != 0;
  }
  void on_go_on() override { ++go_ons; }
  void on_failure() override { ++failures; }

  std::string start;
  bool started = false;
  int inputs = 0;
  int closed = 0;
  int failures = 0;
  int go_ons = 0;
  std::vector<std::uint64_t> asked;
  std::vector<unsigned> signals;
  std::pair<std::uint32_t, std::uint32_t> window;
};

class ChannelTest : public testing::Test {
 protected:
  static constexpr std::size_t kInputRoom = 1024;

  void SetUp() override { channel.open(bytes, recorder, frame_room, input_room); }

  void come(const std::string& what) {
    bytes.coming += what;
    while (!bytes.coming.empty() && !channel.is_broken()) {
      channel.poll();
    }
    channel.poll();
  }
  std::string take(std::size_t most) {
    const std::span<const std::byte> input = channel.input();
    const std::size_t size = std::min(most, input.size());
    std::string text(reinterpret_cast<const char*>(input.data()), size);
    channel.take_input(size);
    return text;
  }

  FakeBytes bytes;
  Recorder recorder;
  std::vector<std::byte> frame_room = std::vector<std::byte>(kMostFrameBytes);
  std::vector<std::byte> input_room = std::vector<std::byte>(kInputRoom);
  Channel channel;
};

TEST_F(ChannelTest, TakesFramesApartHoweverTheyCome) {
  const std::string all = frame(ToKernel::start_part, "argument=/bin/") +
                          frame(ToKernel::start, std::string("true\0", 5)) + frame(ToKernel::signal, numbers({2})) +
                          frame(ToKernel::window_size, numbers({30, 100})) +
                          frame(ToKernel::output_closed, numbers({1}));
  for (const std::size_t piece : {std::size_t{1}, std::size_t{3}, std::size_t{7}, SIZE_MAX}) {
    recorder = {};
    bytes.piece = piece;
    come(all);
    EXPECT_EQ(recorder.start, std::string("argument=/bin/true\0", 19));
    EXPECT_TRUE(recorder.started);
    EXPECT_EQ(recorder.signals, std::vector<unsigned>{2});
    EXPECT_EQ(recorder.window, (std::pair<std::uint32_t, std::uint32_t>(30, 100)));
    EXPECT_EQ(recorder.closed, 1);
    EXPECT_FALSE(channel.is_broken());
  }
  EXPECT_TRUE(channel.is_closed(ToHost::output));
  EXPECT_FALSE(channel.is_closed(ToHost::error_output));
}

TEST_F(ChannelTest, SendsWholeFrames) {
  channel.send(ToHost::output, "hello");
  channel.send(ToHost::exit, std::uint32_t{0x100});
  EXPECT_EQ(bytes.sent, std::string("\5\0\0\0\x40\0\0\0hello\4\0\0\0\x47\0\0\0\0\1\0\0", 25));
  bytes.room_ = 12;
  EXPECT_FALSE(channel.try_send(ToHost::output, std::as_bytes(std::span("hello", 5))));
  EXPECT_TRUE(channel.try_send(ToHost::output, std::as_bytes(std::span("hell", 4))));
}

TEST_F(ChannelTest, AsksToBeToldOfRoom) {
  EXPECT_EQ(channel.room(), Channel::kMostBody);
  EXPECT_FALSE(bytes.room_was_expected);
  bytes.room_ = 4096;
  EXPECT_EQ(channel.room(), 0U);
  EXPECT_TRUE(bytes.room_was_expected);
}

TEST_F(ChannelTest, GivesCreditForInput) {
  channel.accept_input();
  EXPECT_EQ(bytes.sent, std::string("\4\0\0\0\x42\0\0\0\0\4\0\0", 12));
  come(frame(ToKernel::input, std::string(1000, 'a')));
  EXPECT_EQ(channel.input_size(), 1000U);
  bytes.sent.clear();
  EXPECT_EQ(take(200), std::string(200, 'a'));
  EXPECT_EQ(bytes.sent, "");  // not enough to be worth a frame
  EXPECT_EQ(take(300), std::string(300, 'a'));
  EXPECT_EQ(bytes.sent, std::string("\4\0\0\0\x42\0\0\0\xF4\1\0\0", 12));  // 500
  come(frame(ToKernel::input, std::string(300, 'b')));                     // around the ring's end
  EXPECT_EQ(take(1024), std::string(500, 'a') + std::string(24, 'b'));
  EXPECT_EQ(take(1024), std::string(276, 'b'));
  EXPECT_FALSE(channel.input_ended());
  come(frame(ToKernel::input, "x") + frame(ToKernel::input_end, ""));
  EXPECT_FALSE(channel.input_ended());
  EXPECT_EQ(take(5), "x");
  EXPECT_TRUE(channel.input_ended());
}

std::string inspect(std::uint32_t number, std::uint32_t what, std::uint32_t zero = 0) {
  return frame(ToKernel::inspect, numbers({number, what, 1, zero, 0x1000, 0xFFFF'8000}));
}

TEST_F(ChannelTest, HandsQuestionsOn) {
  come(inspect(1, 2) + frame(ToKernel::go_on, ""));
  EXPECT_EQ(recorder.asked, std::vector<std::uint64_t>{0xFFFF'8000'0000'1000});
  EXPECT_EQ(recorder.go_ons, 1);
  EXPECT_FALSE(channel.is_broken());
  come(inspect(0, 2));  // the listener has not answered yet
  EXPECT_TRUE(channel.is_broken());
}

TEST_F(ChannelTest, RefusesWhatBreaksTheProtocol) {
  const std::string bad[] = {
      frame(ToKernel::input, "unasked"),
      frame(ToKernel{99}, ""),
      frame(ToKernel::signal, numbers({0})),
      frame(ToKernel::signal, numbers({65})),
      frame(ToKernel::signal, "abc"),
      frame(ToKernel::output_closed, numbers({3})),
      frame(ToKernel::window_size, numbers({1})),
      frame(ToKernel::inspect, "short"),
      inspect(1, 0),
      inspect(1, 5),
      inspect(1, 2, 7),
      std::string("\1\0\1\0\1\0\0\0", 8),  // larger than a frame may be
      std::string("\1\0\0\0\1\0\0\1", 8),  // a header's last bytes are zeros
  };
  for (const std::string& text : bad) {
    Channel other;
    FakeBytes other_bytes;
    Recorder other_recorder;
    other.open(other_bytes, other_recorder, frame_room, input_room);
    other_bytes.coming = text;
    other.poll();
    EXPECT_TRUE(other.is_broken());
    EXPECT_TRUE(other.input_ended());
    other.send(ToHost::output, "swallowed");
    other_bytes.coming = frame(ToKernel::signal, numbers({2}));
    other.poll();
    EXPECT_TRUE(other_recorder.signals.empty());
    EXPECT_EQ(other_recorder.failures, 1);
  }
}

TEST_F(ChannelTest, EndsWithItsDevice) {
  channel.accept_input();
  come(frame(ToKernel::input, "last"));
  bytes.broken = true;
  channel.poll();
  EXPECT_TRUE(channel.is_broken());
  EXPECT_EQ(take(9), "last");
  EXPECT_TRUE(channel.input_ended());
  EXPECT_EQ(channel.wait_for_room(ToHost::output, Channel::Wait::no).error(), Errno::broken_pipe);
}

}  // namespace
}  // namespace vellum::run
