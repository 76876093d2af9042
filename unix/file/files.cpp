#include <vellum/unix/files.hpp>

#include "proc.hpp"
#include "ram_node.hpp"

namespace vellum::unix {

namespace {

constexpr std::uint64_t kTmpfsMagic = 0x01021994;
constexpr std::uint64_t kPipefsMagic = 0x50495045;

// What pipes and the like belong to.
class UnnamedFileSystem final : public FileSystem {
 public:
  explicit UnnamedFileSystem(Files& files) : FileSystem(files, "pipefs", files.next_device()) {}
  FileSystemFigures figures() override { return {.magic = kPipefsMagic}; }

 private:
  friend FileMemory;
  ~UnnamedFileSystem() = default;
  void destroy() override { files().memory().destroy(this); }
};

}  // namespace

Files::Files(VirtualMemory<Format>& virtual_memory, PageSource& source, FileWindows& windows)
    : virtual_memory_(virtual_memory), windows_(windows), memory_(source, virtual_memory.memory.machine()) {}

Result<void> Files::start(Lower* lower) {
  unnamed_ = Ref<UnnamedFileSystem>::adopt(VELLUM_TRY(memory_.create<UnnamedFileSystem>(*this)));
  shared_memory_ = VELLUM_TRY(RamFileSystem::create(*this, {.type = "tmpfs", .magic = kTmpfsMagic}, nullptr));
  devices_system_ = VELLUM_TRY(
      RamFileSystem::create(*this, {.type = "devtmpfs", .magic = kTmpfsMagic, .permissions = 0755}, nullptr));
  machine_system_ = VELLUM_TRY(create_sys(*this));
  processes_system_ = VELLUM_TRY(create_proc(*this));
  Ref<FileSystem> root =
      VELLUM_TRY(RamFileSystem::create(*this, {.type = "rootfs", .magic = kTmpfsMagic, .permissions = 0755}, lower));
  Ref<Entry> entry = root->root();
  return add_mount({}, std::move(root), std::move(entry), lower != nullptr ? "host" : "rootfs", 0);
}

void Files::stop() {
  {
    const MutexGuard guard(mount_lock_);
    for (;;) {
      Ref<Mount> last;
      for (unsigned i = 0; Ref<Mount> mount = mount_at(i); ++i) {
        last = std::move(mount);
      }
      if (!last) {
        break;
      }
      take_away(*last);
    }
  }
  processes_system_.reset();
  machine_system_.reset();
  devices_system_.reset();
  shared_memory_.reset();
  unnamed_.reset();
  memory_.reap();
  const LockGuard guard(lists_lock_);
  devices_.for_each([this](Device& device) {
    lists_lock_.assert_held();
    devices_.remove(device);
  });
  proc_files_.for_each([this](ProcFile& file) {
    lists_lock_.assert_held();
    proc_files_.remove(file);
  });
}

PageCount Files::reclaim(PageCount wanted) {
  PageCount freed{0};
  for (unsigned i = 0; const Ref<Mount> mount = mount_at(i); ++i) {
    if (freed >= wanted) {
      break;
    }
    freed += mount->file_system().reclaim(wanted - freed);
  }
  return freed;
}

void Files::make_room() {
  constexpr PageCount kAtOnce{256};
  constexpr unsigned kPause = 256;  // after a search for nothing
  if (virtual_memory_.memory.level() == MemoryLevel::plenty) [[likely]] {
    return;
  }
  if (const unsigned pause = hopeless_.load(std::memory_order_relaxed); pause != 0) {
    hopeless_.store(pause - 1, std::memory_order_relaxed);
  } else if (reclaim(kAtOnce).is_zero()) {
    hopeless_.store(kPause, std::memory_order_relaxed);
  }
}

DeviceNumber Files::next_device() {
  return {.major = 0, .minor = next_device_.fetch_add(1, std::memory_order_relaxed)};
}

Result<Path> Files::create_unnamed(std::string_view name, Ref<Node> node) {
  return Path{.mount = {}, .entry = VELLUM_TRY(Entry::create(memory_, naming_, nullptr, name, std::move(node)))};
}

Result<Ref<FileSystem>> Files::create_file_system(const MountRequest& request) {
  if (request.type == "proc") {
    return processes_system_;
  }
  if (request.type == "devtmpfs") {
    return devices_system_;
  }
  if (request.type == "sysfs") {
    return machine_system_;
  }
  if (request.type == "tmpfs" || request.type == "ramfs") {
    const std::string_view type = request.type == "tmpfs" ? "tmpfs" : "ramfs";
    return create_tmpfs(*this, type, request.options);
  }
  return Errno::no_device;
}

Result<void> Files::add_device(Device& device) {
  {
    const LockGuard guard(lists_lock_);
    devices_.push_back(device);
  }
  Entry& root = *devices_system_->root();
  (void)VELLUM_TRY(root.node().create(
      root, device.name(),
      {.kind = NodeKind::character_device, .permissions = device.permissions(), .device = device.number()}));
  return {};
}

Result<Device*> Files::find_device(NodeKind kind, DeviceNumber number) {
  const LockGuard guard(lists_lock_);
  for (Device* device = devices_.front(); device != nullptr; device = devices_.next(*device)) {
    if (kind == NodeKind::character_device && device->number() == number) {
      return device;
    }
  }
  return Errno::no_such_device;
}

void Files::add_proc_file(ProcFile& file) {
  const LockGuard guard(lists_lock_);
  proc_files_.push_back(file);
}

const ProcFile* Files::find_proc_file(std::string_view name) {
  const LockGuard guard(lists_lock_);
  ProcFile* file = proc_files_.front();
  while (file != nullptr && file->name() != name) {
    file = proc_files_.next(*file);
  }
  return file;
}

const ProcFile* Files::proc_file(std::uint64_t number) {
  const LockGuard guard(lists_lock_);
  ProcFile* file = proc_files_.front();
  while (file != nullptr && number > 0) {
    file = proc_files_.next(*file);
    --number;
  }
  return file;
}

}  // namespace vellum::unix
