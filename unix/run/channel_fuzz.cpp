// A host that sends anything: frames, true and false, in pieces, while programs read stdin and write output. What the
// protocol allows is taken, bytes of stdin arrive as they were sent, and after the first frame that it does not allow
// nothing more comes.
#include <vellum/run/channel.hpp>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include <vellum/fuzz/fuzz.hpp>

namespace vellum::run {
namespace {

class Bytes final : public ByteChannel {
 public:
  bool send(std::span<const std::byte> head, std::span<const std::byte> body) override {
    if (head.size() + body.size() > left) {
      return false;
    }
    FrameHeader header;
    std::memcpy(&header, head.data(), sizeof(header));
    VELLUM_CHECK(head.size() == sizeof(header) && header.size == body.size());
    if (header.kind == static_cast<std::uint8_t>(ToHost::input_credit)) {
      std::uint32_t more = 0;
      std::memcpy(&more, body.data(), sizeof(more));
      credit += more;
    }
    return true;
  }
  void expect_room() override {}
  std::size_t room() override { return left; }
  std::size_t receive(std::span<std::byte> into) override {
    const std::size_t size = std::min({into.size(), coming.size(), piece});
    std::memcpy(into.data(), coming.data(), size);
    coming.erase(0, size);
    return size;
  }
  bool is_broken() const override { return false; }

  std::string coming;
  std::size_t piece = 1;
  std::size_t left = kMostSend;
  std::uint64_t credit = 0;
};

class Silent final : public Listener {
 public:
  void on_start(std::span<const std::byte> /*texts*/, Part /*part*/) override {}
  void on_input() override {}
  void on_signal(unix::Signal signal) override { VELLUM_CHECK(signal.value() >= 1 && signal.value() <= 64); }
  void on_output_closed() override {}
  void on_window_size(std::uint32_t /*rows*/, std::uint32_t /*columns*/) override {}
  bool on_inspect(const InspectRequest& /*request*/) override { return ++questions % 4 != 0; }
  void on_go_on() override {}
  void on_failure() override { failed = true; }
  unsigned questions = 0;
  bool failed = false;
};

class Program {
 public:
  explicit Program(FuzzInput& input) : input_(input) {
    channel_.open(bytes_, listener_, frame_room_, input_room_);
    channel_.accept_input();
  }

  void run() {
    while (!input_.empty()) {
      ++vellum_fuzz_operations;
      step();
      VELLUM_CHECK(listener_.failed == channel_.is_broken());
    }
  }

 private:
  void add_frame(std::uint8_t kind, std::size_t size) {
    FrameHeader header{.size = static_cast<std::uint32_t>(size), .kind = kind, .zero = {}};
    bytes_.coming.append(reinterpret_cast<const char*>(&header), sizeof(header));
    for (std::size_t i = 0; i < size; ++i) {
      bytes_.coming += static_cast<char>(input_.take_u8());
    }
  }

  void step() {
    switch (input_.take_u8() % 8U) {
      case 0:
        disturbed_ = true;
        add_frame(input_.take_u8() % 9U, input_.take_u8() % 13U);
        break;
      case 1:
        disturbed_ = true;
        bytes_.coming += static_cast<char>(input_.take_u8());
        break;
      case 2:
      case 3: {  // stdin, as much as there is credit for
        const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(bytes_.credit, input_.take_u8()));
        const std::size_t before = bytes_.coming.size();
        add_frame(static_cast<std::uint8_t>(ToKernel::input), size);
        expected_ += bytes_.coming.substr(before + sizeof(FrameHeader));
        bytes_.credit -= size;
        break;
      }
      case 4:
        bytes_.piece = 1 + input_.take_u8();
        break;
      case 5: {
        const std::span<const std::byte> got = channel_.input();
        const std::size_t size = std::min<std::size_t>(got.size(), input_.take_u8());
        VELLUM_CHECK(disturbed_ || std::memcmp(got.data(), expected_.data(), size) == 0);
        channel_.take_input(size);
        expected_.erase(0, std::min(size, expected_.size()));
        break;
      }
      case 6:
        bytes_.left = input_.take_u16();
        (void)channel_.try_send(ToHost::output, std::as_bytes(std::span("twelve bytes", 12)));
        VELLUM_CHECK(channel_.room() + sizeof(FrameHeader) <= bytes_.left || channel_.room() == 0);
        bytes_.left = ByteChannel::kMostSend;
        break;
      default:
        channel_.poll();
        break;
    }
  }

  FuzzInput& input_;
  Bytes bytes_;
  Silent listener_;
  std::vector<std::byte> frame_room_ = std::vector<std::byte>(kMostFrameBytes);
  std::vector<std::byte> input_room_ = std::vector<std::byte>(1024);
  Channel channel_;
  std::string expected_;
  bool disturbed_ = false;  // other frames may have been stdin too, or have shifted the bounds of frames
};

}  // namespace
}  // namespace vellum::run

extern "C" {
std::size_t vellum_fuzz_max_input = 4096;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  vellum::FuzzInput input(data, size);
  vellum::run::Program(input).run();
  return 0;
}
