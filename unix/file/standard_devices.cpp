#include <vellum/unix/standard_devices.hpp>

#include <algorithm>

#include <vellum/unix/checkpoint.hpp>
#include <vellum/unix/file_caller.hpp>
#include <vellum/unix/resolve.hpp>

namespace vellum::unix {

namespace {

constexpr std::byte kZeros[kPageSize] = {};

class MemoryDeviceFile final : public OpenFile {
 public:
  using Kind = MemoryDevice::Kind;
  MemoryDeviceFile(FileMemory& memory, const Path& path, std::uint32_t flags, Kind kind)
      : OpenFile(memory, path, flags), kind_(kind) {}

  bool is_seekable() const override { return true; }
  Result<void> read(Transfer& to, ByteCount /*position*/) override {
    Pace pace;
    while (kind_ != Kind::null && !to.left().is_zero()) {
      const auto piece = static_cast<std::size_t>(std::min(to.left().value(), kPageSize));
      VELLUM_TRY(kind_ == Kind::random ? put_random(to, piece) : to.put(std::span(kZeros).first(piece)));
      if (!pace.go_on(kind_ == Kind::random ? piece * kRandomWeight : piece)) {
        return Errno::interrupted;
      }
    }
    return {};
  }
  Result<void> write(Transfer& from, ByteCount& /*position*/) override {
    if (kind_ == Kind::full && !from.left().is_zero()) {
      return Errno::no_space;
    }
    from.skip();
    return {};
  }
  Result<FileMapping> mapping() override {
    return kind_ == Kind::zero ? Result<FileMapping>(FileMapping{}) : Result<FileMapping>(Errno::no_device);
  }

 private:
  friend FileMemory;
  ~MemoryDeviceFile() = default;
  void destroy() override { memory().destroy(this); }
  Result<ByteCount> end() override { return ByteCount(0); }
  static Result<void> put_random(Transfer& to, std::size_t size) {
    std::byte bytes[256];
    const std::span<std::byte> piece(bytes, std::min(size, sizeof bytes));
    fill_random(piece);
    return to.put(piece);
  }

  const Kind kind_;
};

class TerminalFile final : public OpenFile {
 public:
  TerminalFile(FileMemory& memory, const Path& path, std::uint32_t flags, Terminal& terminal)
      : OpenFile(memory, path, flags), terminal_(terminal) {}

  Result<void> read(Transfer& to, ByteCount /*position*/) override { return terminal_.read(to, is_non_blocking()); }
  Result<void> write(Transfer& from, ByteCount& /*position*/) override {
    return terminal_.write(from, is_non_blocking());
  }
  Result<std::uint64_t> ioctl(std::uint32_t request, std::uint64_t argument) override {
    return terminal_.ioctl(request, argument);
  }
  Events poll(Poller* poller) override { return terminal_.poll(poller); }

 private:
  friend FileMemory;
  ~TerminalFile() = default;
  void destroy() override { memory().destroy(this); }

  Terminal& terminal_;
};

}  // namespace

Result<Ref<OpenFile>> MemoryDevice::open(FileMemory& memory, const Path& path, std::uint32_t flags) {
  return Ref<OpenFile>(
      Ref<MemoryDeviceFile>::adopt(VELLUM_TRY(memory.create<MemoryDeviceFile>(memory, path, flags, kind_))));
}

Result<Ref<OpenFile>> open_terminal(FileMemory& memory, const Path& path, std::uint32_t flags, Terminal& terminal) {
  return Ref<OpenFile>(
      Ref<TerminalFile>::adopt(VELLUM_TRY(memory.create<TerminalFile>(memory, path, flags, terminal))));
}

Result<Ref<OpenFile>> TerminalDevice::open(FileMemory& memory, const Path& path, std::uint32_t flags) {
  terminal_.opened(flags);
  return open_terminal(memory, path, flags, terminal_);
}

Result<Ref<OpenFile>> OwnTerminalDevice::open(FileMemory& memory, const Path& path, std::uint32_t flags) {
  for (Terminal* const terminal : terminals_) {
    if (terminal->session() == calling_session() && calling_session().value() != 0) {
      return open_terminal(memory, path, flags, *terminal);
    }
  }
  return Errno::no_such_device;
}

StandardDevices::StandardDevices(Terminal& terminal)
    : terminals_{&terminal},
      console_({.major = 5, .minor = 1}, "console", 0600, terminal),
      serial_({.major = 4, .minor = 64}, "ttyS0", 0660, terminal),
      own_(terminals_) {}

Result<void> StandardDevices::add_to(Files& files) {
  Device* const devices[] = {&null_, &zero_, &full_, &random_, &urandom_, &console_, &serial_, &own_};
  for (Device* const device : devices) {
    VELLUM_TRY(files.add_device(*device));
  }
  return {};
}

Result<void> add_usual_names(Files& files, const Path& devices) {
  struct Link {
    std::string_view name;
    std::string_view target;
  };
  constexpr Link kLinks[] = {{"fd", "/proc/self/fd"},
                             {"stdin", "/proc/self/fd/0"},
                             {"stdout", "/proc/self/fd/1"},
                             {"stderr", "/proc/self/fd/2"}};
  const Resolution from = {.root = devices, .current = devices, .who = {.superuser = true}};
  for (const Link& link : kLinks) {
    VELLUM_TRY(
        make_node(files, from, link.name, {.kind = NodeKind::symlink, .permissions = 0777, .target = link.target}));
  }
  VELLUM_TRY(make_node(files, from, "shm", {.kind = NodeKind::directory, .permissions = 01777}));
  return files.mount(VELLUM_TRY(resolve(files, from, "shm")), {.type = "tmpfs", .source = "tmpfs"});
}

}  // namespace vellum::unix
