// File systems, and where their trees are shown.
#pragma once

#include <vellum/base/intrusive_list.hpp>
#include <vellum/unix/node.hpp>

namespace vellum::unix {

// What statfs tells.
struct FileSystemFigures {
  std::uint64_t magic = 0;
  std::uint64_t block_size = kPageSize;
  std::uint64_t blocks = 0;
  std::uint64_t free_blocks = 0;
  std::uint64_t files = 0;
  std::uint64_t free_files = 0;
};

class FileSystem : public Counted {
 public:
  // Of /proc/mounts and mount(2); outlives the file system.
  [[nodiscard]] std::string_view type() const { return type_; }
  [[nodiscard]] DeviceNumber device() const { return device_; }
  [[nodiscard]] Files& files() const { return files_; }
  [[nodiscard]] const Ref<Entry>& root() const { return root_; }

  [[nodiscard]] virtual FileSystemFigures figures() = 0;
  // Gives memory back that nothing is lost with, about as much; returns how much. May sleep.
  virtual PageCount reclaim(PageCount /*wanted*/) { return PageCount(0); }
  // Gives `from`, which is `old_name` in `old_directory`, the name `new_name` in `new_directory`, in place of what may
  // have it. Both directories are of this file system; the system's rename lock is held. `flags` are renameat2's.
  // Errors: rename(2)'s.
  [[nodiscard]] virtual Result<void> rename(Entry& old_directory, std::string_view old_name, Entry& new_directory,
                                            std::string_view new_name, std::uint32_t flags);

 protected:
  FileSystem(Files& files, std::string_view type, DeviceNumber device) : files_(files), type_(type), device_(device) {}
  ~FileSystem() = default;
  void set_root(Ref<Entry> root) { root_ = std::move(root); }

 private:
  Files& files_;
  const std::string_view type_;
  const DeviceNumber device_;
  Ref<Entry> root_;
};

// mount(2)'s flags that are kept.
namespace mount_flag {
inline constexpr std::uint32_t kReadOnly = 1;
inline constexpr std::uint32_t kNoSetUserId = 2;
inline constexpr std::uint32_t kNoDevices = 4;
inline constexpr std::uint32_t kNoExecute = 8;
inline constexpr std::uint32_t kNoAccessTime = 1024;
inline constexpr std::uint32_t kRelativeAccessTime = 1U << 21;
inline constexpr std::uint32_t kKept =
    kReadOnly | kNoSetUserId | kNoDevices | kNoExecute | kNoAccessTime | kRelativeAccessTime;
}  // namespace mount_flag

// A tree of a file system, shown at an entry of another mount.
class Mount final : public Counted {
 public:
  [[nodiscard]] FileSystem& file_system() const { return *file_system_; }
  [[nodiscard]] const Ref<Entry>& root() const { return root_; }
  [[nodiscard]] std::uint32_t flags() const { return flags_.load(std::memory_order_relaxed); }
  void set_flags(std::uint32_t flags) { flags_.store(flags, std::memory_order_relaxed); }
  [[nodiscard]] bool is_read_only() const { return (flags() & mount_flag::kReadOnly) != 0; }
  [[nodiscard]] std::string_view source() const { return source_.view(); }
  [[nodiscard]] std::uint32_t id() const { return id_; }

 private:
  friend class FileMemory;
  friend class Files;
  Mount(FileMemory& memory, Ref<FileSystem> file_system, Ref<Entry> root, Text source, std::uint32_t flags,
        std::uint32_t id)
      : memory_(memory),
        file_system_(std::move(file_system)),
        root_(std::move(root)),
        source_(std::move(source)),
        flags_(flags),
        id_(id) {}
  ~Mount() = default;
  void destroy() override;

  FileMemory& memory_;
  const Ref<FileSystem> file_system_;
  const Ref<Entry> root_;
  const Text source_;
  std::atomic<std::uint32_t> flags_;
  const std::uint32_t id_;
  // Under the system's lock of names. Null for the first mount, and for one that was taken away.
  Ref<Mount> parent_;
  Ref<Entry> point_;
  ListLink link_;
};

// A place in the tree of names.
struct Path {
  Ref<Mount> mount;  // null where the entry has no place among names (a pipe)
  Ref<Entry> entry;

  [[nodiscard]] Node& node() const { return entry->node(); }
  bool operator==(const Path&) const = default;
};

}  // namespace vellum::unix
