// A system of files on the simulated machine, and a process that uses them. The ports of the layer (the scheduler, user
// memory, processes) are filled by ports.cpp, from what stands in `caller` and `threads` here. User memory is the
// test's own; addresses below kBadAddresses are refused.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <vellum/unix/file_caller.hpp>
#include <vellum/unix/file_pager.hpp>
#include <vellum/unix/resolve.hpp>
#include <vellum/unix/transfer.hpp>

#include "../../../core/space/test/fixture.hpp"

namespace vellum::test {

inline constexpr std::uint64_t kBadAddresses = 0x10000;

// What the ports tell of the calling thread and its process.
struct Caller {
  unix::FileContext context;
  unix::UserId user;
  unix::GroupId group;
  std::vector<unix::GroupId> groups;
  std::uint64_t open_limit = 1024;
  ByteCount size_limit{~std::uint64_t{0}};
  unix::ProcessId process{7};
  unix::ProcessId session{7};
  unix::ProcessId process_group{7};
  bool leads_session = true;
  bool resists = false;
  bool orphaned = false;
  std::vector<int> raised;                         // signals to the calling thread
  std::vector<std::pair<int, int>> group_signals;  // group, signal
};
[[nodiscard]] Caller& caller();

// Makes all threads that sleep interruptibly see a signal.
void signal_everybody();
void forget_signals();

class World {
 public:
  explicit World(unix::Lower* lower = nullptr)
      : system_({.memory = ByteCount(std::uint64_t{64} << 20), .cpus = 4}),
        source_(system_.memory()),
        windows_(system_.vm()),
        files_(std::make_unique<unix::Files>(system_.vm(), source_, windows_)) {
    VELLUM_CHECK(files_->start(lower).ok());
    caller() = {};
    caller().context.table = unix::FileTable::create(files_->memory()).value();
    caller().context.paths = unix::PathContext::create(files_->memory(), files_->root(), files_->root()).value();
  }
  ~World() {
    caller().context = {};
    files_->stop();
    system_.vm().objects.reap();
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  [[nodiscard]] unix::Files& files() { return *files_; }
  [[nodiscard]] Machine& machine() { return system_.machine(); }
  [[nodiscard]] PhysicalMemory& memory() { return system_.memory(); }
  [[nodiscard]] VirtualMemory<unix::Format>& vm() { return system_.vm(); }

  // The process's view.
  [[nodiscard]] unix::Resolution from() {
    return {.root = caller().context.paths->root(),
            .current = caller().context.paths->current(),
            .who = unix::calling_credentials()};
  }
  [[nodiscard]] Result<unix::Path> find(std::string_view path, unix::LastSymlink last = unix::LastSymlink::follow) {
    return unix::resolve(files(), from(), path, last);
  }
  [[nodiscard]] unix::Attributes attributes(std::string_view path) {
    return find(path, unix::LastSymlink::keep).value().node().attributes();
  }
  [[nodiscard]] Result<unix::Ref<unix::OpenFile>> open(std::string_view path, std::uint32_t flags,
                                                       std::uint16_t permissions = 0644) {
    return unix::open_path(files(), from(), path, {.flags = flags, .permissions = permissions});
  }
  [[nodiscard]] Result<void> make(std::string_view path, unix::NodeKind kind, std::string_view target = {},
                                  std::uint16_t permissions = 0755) {
    const Caller& who = caller();
    return unix::make_node(
        files(), from(), path,
        {.kind = kind, .permissions = permissions, .owner = who.user, .group = who.group, .target = target});
  }
  [[nodiscard]] Result<void> make_directory(std::string_view path, std::uint16_t permissions = 0755) {
    return make(path, unix::NodeKind::directory, {}, permissions);
  }
  [[nodiscard]] Result<void> make_symlink(std::string_view path, std::string_view target) {
    return make(path, unix::NodeKind::symlink, target, 0777);
  }
  [[nodiscard]] Result<void> remove(std::string_view path, unix::NodeKind kind = unix::NodeKind::file) {
    return unix::remove_name(files(), from(), path, kind);
  }
  [[nodiscard]] Result<void> rename(std::string_view from_path, std::string_view to_path, std::uint32_t flags = 0) {
    return unix::rename_name(files(), from(), from_path, from(), to_path, flags);
  }
  [[nodiscard]] Result<void> link(std::string_view path, std::string_view new_path) {
    return unix::link_name(files(), find(path, unix::LastSymlink::keep).value(), from(), new_path);
  }

  // Whole files.
  void write(std::string_view path, std::string_view text) {
    namespace flag = unix::open_flag;
    const auto file = open(path, flag::kWriteOnly | flag::kCreate | flag::kTruncate);
    VELLUM_CHECK(file.ok() && put(*file.value(), 0, text) == text.size());
  }
  [[nodiscard]] std::string read(std::string_view path) {
    const auto file = open(path, unix::open_flag::kReadOnly);
    return file.ok() ? get(*file.value(), 0, 1 << 20) : "error " + std::to_string(static_cast<int>(file.error()));
  }
  // Parts of open files. The bytes that went; those that came.
  static std::size_t put(unix::OpenFile& file, std::uint64_t position, std::string_view text) {
    const unix::UserSegment segment = segment_of(text.data(), text.size());
    unix::Transfer transfer(std::span(&segment, 1));
    ByteCount at(position);
    (void)file.write(transfer, at);
    return transfer.moved().value();
  }
  [[nodiscard]] static std::string get(unix::OpenFile& file, std::uint64_t position, std::size_t size) {
    std::string text(size, '\0');
    const unix::UserSegment segment = segment_of(text.data(), text.size());
    unix::Transfer transfer(std::span(&segment, 1));
    (void)file.read(transfer, ByteCount(position));
    text.resize(transfer.moved().value());
    return text;
  }
  // The names that a directory lists, as they come, read in buffers for so many entries.
  [[nodiscard]] std::vector<std::string> list(std::string_view path, std::size_t at_once = 3);
  // A place as seen from the root.
  [[nodiscard]] std::string path_of(const unix::Path& path) {
    char bytes[unix::kLongestPath];
    return std::string(files().write_path(path, files().root(), bytes).value());
  }

  [[nodiscard]] static unix::UserSegment segment_of(const void* bytes, std::size_t size) {
    return {.base = VirtAddr(reinterpret_cast<std::uintptr_t>(bytes)), .size = ByteCount(size)};
  }

 private:
  SpaceSystem<unix::Format> system_;
  PhysicalPageSource source_;
  unix::LinearWindows windows_;
  std::unique_ptr<unix::Files> files_;
};

}  // namespace vellum::test
