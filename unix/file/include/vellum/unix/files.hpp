// All the files of a system: memory, mounts, devices, the tree of names. Made once, by a kernel or a test.
//
//   Files files(virtual_memory, source, windows);
//   files.start();                        an empty RAM file system is the root
//   files.add_device(...);                before or after /dev is mounted
//   files.mount(...);                     /dev, /proc, ...
//
// The locks and their order are described in node.hpp.
#pragma once

#include <atomic>

#include <vellum/space/space.hpp>
#include <vellum/unix/device.hpp>
#include <vellum/unix/file_windows.hpp>
#include <vellum/unix/lower.hpp>
#include <vellum/unix/mount.hpp>
#include <vellum/unix/text_sink.hpp>

namespace vellum::unix {

// A file of /proc that some other part of the kernel writes (kmap). Outlives Files.
class ProcFile {
 public:
  constexpr ProcFile(std::string_view name, void (*write)(TextSink& sink)) : name_(name), write_(write) {}
  [[nodiscard]] std::string_view name() const { return name_; }
  void write(TextSink& sink) const { write_(sink); }

 private:
  friend class Files;
  const std::string_view name_;
  void (*const write_)(TextSink& sink);
  ListLink link_;
};

// mount(2)'s arguments, where a new file system is mounted.
struct MountRequest {
  std::string_view type;      // tmpfs, ramfs, proc, devtmpfs, sysfs
  std::string_view source{};  // what /proc/mounts shows
  std::string_view options{};
  std::uint32_t flags = 0;  // mount_flag
};

class Files {
 public:
  Files(VirtualMemory<Format>& virtual_memory, PageSource& source, FileWindows& windows);
  ~Files() = default;
  Files(const Files&) = delete;
  Files& operator=(const Files&) = delete;

  // Must succeed before anything else is done. The root is an empty RAM file system, over `lower` if given, which must
  // then outlive this. Errors: no_memory, the lower's.
  [[nodiscard]] Result<void> start(Lower* lower = nullptr);
  // Takes all mounts away and gives everything back. Nobody may hold a file, entry or mount.
  void stop();

  [[nodiscard]] FileMemory& memory() { return memory_; }
  [[nodiscard]] VirtualMemory<Format>& virtual_memory() { return virtual_memory_; }
  [[nodiscard]] FileWindows& windows() { return windows_; }
  [[nodiscard]] Naming& naming() { return naming_; }
  [[nodiscard]] Mutex& rename_lock() VELLUM_RETURN_CAPABILITY(rename_lock_) { return rename_lock_; }

  // When memory is short: forgets what lower layers can bring again, about as many pages; returns how many. Not with a
  // lock of this layer held that others wait for in turn.
  PageCount reclaim(PageCount wanted);
  // The same before a page is read, if memory is short: so some stays free for those who cannot wait for it.
  void make_room();

  // --- mounts (mounts.cpp)

  // The place that all others are below.
  [[nodiscard]] Path root();
  // Mounts a new file system at a directory. Errors: no_device (unknown type), not_directory, invalid (options),
  // no_memory.
  [[nodiscard]] Result<void> mount(const Path& point, const MountRequest& request);
  // Mounts a RAM file system that lies over a lower one, which must outlive this. Errors: as mount(), the lower's.
  [[nodiscard]] Result<void> mount_lower(const Path& point, Lower& lower, std::string_view source);
  // Shows a place a second time. Errors: not_directory (only one of them is one), no_memory.
  [[nodiscard]] Result<void> bind(const Path& point, const Path& what, std::uint32_t flags);
  // Moves a mount. Errors: invalid.
  [[nodiscard]] Result<void> move_mount(const Path& from, const Path& to);
  // `path` is a mount's root. Errors: invalid (it is not), busy.
  [[nodiscard]] Result<void> unmount(const Path& path, bool lazily);
  // What is mounted on a place, however often; the place itself where nothing is.
  [[nodiscard]] Path covered(Path path);
  // One up from a mount's root to the place that it covers; nothing at the very top.
  [[nodiscard]] std::optional<Path> point_of(const Mount& mount);
  // The mounts in the order in which they were made, from 0; null behind the last.
  [[nodiscard]] Ref<Mount> mount_at(unsigned number);

  // Writes a path as seen from `root`; what is not below it begins with "(unreachable)", what was removed ends in
  // " (deleted)" . Returns the text, which lies in `into`. Error: name_too_long.
  [[nodiscard]] Result<std::string_view> write_path(const Path& path, const Path& root, std::span<char> into);

  // --- numbers: of nodes without a file system of their own, and of file systems

  [[nodiscard]] std::uint64_t next_inode() { return next_inode_.fetch_add(1, std::memory_order_relaxed); }
  // A device number for a file system that lies on no device.
  [[nodiscard]] DeviceNumber next_device();

  // --- devices, files of /proc

  // Makes its node in devtmpfs too. Errors: exists, no_memory.
  [[nodiscard]] Result<void> add_device(Device& device);
  // Error: no_such_device.
  [[nodiscard]] Result<Device*> find_device(NodeKind kind, DeviceNumber number);
  void add_proc_file(ProcFile& file);
  [[nodiscard]] const ProcFile* find_proc_file(std::string_view name);
  // The n-th, from 0; null behind the last.
  [[nodiscard]] const ProcFile* proc_file(std::uint64_t number);

  // What /proc/cmdline shows; set before programs run, and outlives this.
  std::string_view command_line;

  // --- what has no name in the tree: pipes, event counters, files of memfd_create

  [[nodiscard]] FileSystem& unnamed() { return *unnamed_; }
  // The tmpfs that files without a name and shared memory lie in.
  [[nodiscard]] FileSystem& shared_memory() { return *shared_memory_; }
  // A place for a node of one of them. Error: no_memory.
  [[nodiscard]] Result<Path> create_unnamed(std::string_view name, Ref<Node> node);

 private:
  [[nodiscard]] Result<Ref<FileSystem>> create_file_system(const MountRequest& request);
  [[nodiscard]] Result<void> add_mount(const Path& point, Ref<FileSystem> file_system, Ref<Entry> root,
                                       std::string_view source, std::uint32_t flags) VELLUM_EXCLUDES(mount_lock_);
  [[nodiscard]] Ref<Mount> find_mount(const Mount& parent, const Entry* point) VELLUM_EXCLUDES(naming_.lock);
  void take_away(Mount& mount) VELLUM_REQUIRES(mount_lock_);

  VirtualMemory<Format>& virtual_memory_;
  FileWindows& windows_;
  FileMemory memory_;
  Naming naming_;
  Mutex rename_lock_;
  Mutex mount_lock_;  // changes of mounts
  std::atomic<std::uint64_t> next_inode_{1};
  std::atomic<std::uint32_t> next_device_{1};
  std::atomic<std::uint32_t> next_mount_{1};
  IntrusiveList<Mount, &Mount::link_> mounts_ VELLUM_GUARDED_BY(naming_.lock);
  Spinlock lists_lock_{LockRank::leaf};
  std::atomic<unsigned> hopeless_{0};  // calls of make_room() that need not try
  IntrusiveList<Device, &Device::link_> devices_ VELLUM_GUARDED_BY(lists_lock_);
  IntrusiveList<ProcFile, &ProcFile::link_> proc_files_ VELLUM_GUARDED_BY(lists_lock_);
  // There is one of each, however often it is mounted.
  Ref<FileSystem> unnamed_;
  Ref<FileSystem> shared_memory_;
  Ref<FileSystem> devices_system_;
  Ref<FileSystem> processes_system_;
  Ref<FileSystem> machine_system_;
};

}  // namespace vellum::unix
