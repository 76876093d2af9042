#include "run_mode.hpp"

#include <algorithm>

#include <vellum/pc/console.hpp>
#include <vellum/pc/power.hpp>
#include <vellum/run/start_request.hpp>

#include "devices.hpp"
#include "run_channel.hpp"

namespace vellum::kernel {

namespace {

class Host final : public run::Listener {
 public:
  void set_room(std::span<char> room) { room_ = room; }
  [[nodiscard]] bool has_started() const { return started_; }
  [[nodiscard]] Result<run::StartRequest> request() const { return run::StartRequest::parse(room_.first(size_)); }

  void on_start(std::span<const std::byte> texts, Part part) override {
    if (started_) {
      return;
    }
    const std::size_t size = std::min(texts.size(), room_.size() - size_);
    __builtin_memcpy(room_.data() + size_, texts.data(), size);
    size_ += size;
    started_ = part == Part::last;
  }
  void on_input() override {}
  void on_output_closed() override {}
  void on_signal(unix::Signal /*signal*/) override {}
  void on_window_size(std::uint32_t /*rows*/, std::uint32_t /*columns*/) override {}

 private:
  std::span<char> room_;
  std::size_t size_ = 0;
  bool started_ = false;
};

constinit Host host;
constexpr Order kStartRoom{8};

}  // namespace

void run_for_host(Kernel& kernel, const char* command_line) {
  if (!find_devices(command_line).ok()) {
    panic("not enough memory for the devices");
  }
  const Result<virtio::SharedMemory> room = allocate_shared_memory(kernel, kStartRoom);
  if (!room.ok()) {
    panic("not enough memory for the host's request");
  }
  host.set_room({reinterpret_cast<char*>(room.value().bytes.data()), room.value().bytes.size()});
  if (!open_run_channel(kernel, host).ok()) {
    panic("no console device to talk with the host");
  }
  run::Channel& channel = run_channel();
  while (!host.has_started() && !channel.is_broken()) {
    channel.poll();
    relax(0);
  }
  const Result<run::StartRequest> request = host.request();
  if (!request.ok()) {
    panic("the host's request makes no sense");
  }
  channel.send(run::ToHost::log, *request.value().find("argument"));
  channel.send(run::ToHost::exit, std::uint32_t{0});
  pc::stop(pc::Outcome::success);
}

}  // namespace vellum::kernel
