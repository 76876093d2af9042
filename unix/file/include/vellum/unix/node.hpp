// Nodes (inodes), entries (names), file systems.
//
// Concepts. A node is a thing that has attributes: a file, a directory, a symlink, a device, a FIFO. An entry is a name
// for a node in a directory; it knows its parent, so that a path can be told and `..` found. A file system makes nodes
// and keeps its root entry. A mount (mount.hpp) shows a file system's tree at an entry of another.
//
// Ownership. An entry holds its node and its parent; a directory holds the entries that it keeps (all of them in a RAM
// file system; none in /proc, where they are made for whoever asks). An entry that was removed lives on while somebody
// holds it. The ring of directory and child is cut when the file system ends.
//
// Locks. Outermost first: the system's rename lock (Mutex, in Files); a directory's lock (Mutex; of two directories the
// ancestor first, else by address); a file's lock (Mutex: writes, size). Under these memory is allocated, programs'
// memory is touched and lower layers are asked, all of which may sleep. Then the spinlocks, none under another: the
// system's lock of names and mounts, a node's lock of attributes. A pager's read takes no Mutex of this layer: a copy
// from a program's memory under a file's lock may fault on a page of that very file.
#pragma once

#include <string_view>

#include <vellum/base/intrusive_list.hpp>
#include <vellum/base/lock.hpp>
#include <vellum/unix/file_memory.hpp>
#include <vellum/unix/file_types.hpp>
#include <vellum/unix/mutex.hpp>
#include <vellum/unix/reference.hpp>

namespace vellum::unix {

class Entry;
enum class Origin : std::uint8_t;
class FileSystem;
class Files;
class Node;
class OpenFile;
struct Path;

// What is created under a new name.
struct NewNode {
  NodeKind kind = NodeKind::file;
  std::uint16_t permissions = 0;  // the umask is taken off already
  UserId owner{};
  GroupId group{};
  DeviceNumber device{};
  std::string_view target{};  // of a symlink
};

// How far a directory was listed. Zeros: nothing yet.
struct Listing {
  std::uint64_t position = 0;  // behind which to go on; any that a sink was told may be set
  // A position, and what it is to the lower layer: of the node, to go on without a search.
  std::uint64_t known_position = 0;
  std::uint64_t known_lower = 0;
};

// Receives a directory's entries.
class DirectorySink {
 public:
  // `next` is the position to list from for what follows this entry. False: the sink is full, and the entry not taken.
  [[nodiscard]] virtual bool put(std::string_view name, NodeKind kind, std::uint64_t inode, std::uint64_t next) = 0;

 protected:
  ~DirectorySink() = default;
};

// A node's operations are called with a reference to it held and no spinlock. Those that a kind of node does not have
// answer as the comments say.
class Node : public Counted {
 public:
  [[nodiscard]] NodeKind kind() const { return kind_; }
  [[nodiscard]] bool is_directory() const { return kind_ == NodeKind::directory; }
  [[nodiscard]] FileSystem& file_system() const { return file_system_; }

  [[nodiscard]] virtual Attributes attributes() = 0;
  // Permissions were checked. Errors: not_permitted where the file system has them fixed.
  [[nodiscard]] virtual Result<void> change(const AttributeChange& change);
  // Marks an access or a modification that happens now.
  virtual void touch(bool /*modified*/) {}

  // Opens the node, which `path` led to; `flags` are open(2)'s. Errors: no_such_device.
  [[nodiscard]] virtual Result<Ref<OpenFile>> open(const Path& path, std::uint32_t flags);

  // A file's size. Errors: invalid (not a file), is_directory, file_too_big.
  [[nodiscard]] virtual Result<void> truncate(ByteCount size);

  // A directory's children. `directory` is the entry of this node. Names are valid: neither empty, `.` nor `..`, no
  // slash, at most kLongestName. Errors of all: not_directory; of changes: not_permitted.
  //
  // Errors: no_entry, io_error, no_memory.
  [[nodiscard]] virtual Result<Ref<Entry>> lookup(Entry& directory, std::string_view name);
  // Errors: exists, no_entry (the directory was removed), no_memory, no_space.
  [[nodiscard]] virtual Result<Ref<Entry>> create(Entry& directory, std::string_view name, const NewNode& what);
  // A further name for a node of the same file system. Errors: as create(), not_permitted for a directory.
  [[nodiscard]] virtual Result<void> link(Entry& directory, std::string_view name, Node& target);
  // Takes a name away. Errors: no_entry; is_directory or not_directory where it is not `what`; not_empty; busy.
  [[nodiscard]] virtual Result<void> remove(Entry& directory, std::string_view name, NodeKind what);
  // Lists until the sink is full, `.` and `..` not included. The caller moves the position.
  [[nodiscard]] virtual Result<void> list(Entry& directory, Listing& listing, DirectorySink& sink);

  // What a symlink leads to, as text. Error: invalid for other kinds.
  [[nodiscard]] virtual Result<Text> link_target(FileMemory& memory);
  // Where a link of /proc leads, which need not have a name. Nothing: follow the text.
  [[nodiscard]] virtual Result<std::optional<Path>> jump();

 protected:
  Node(FileSystem& file_system, NodeKind kind) : file_system_(file_system), kind_(kind) {}
  ~Node() = default;

 private:
  FileSystem& file_system_;
  const NodeKind kind_;
};

// The lock under which entries tell their names and parents, and mounts are found. Nothing is taken under it.
struct Naming {
  Spinlock lock{LockRank::leaf};
};

// A name in a directory.
class Entry final : public Counted {
 public:
  // `parent` null: a file system's root, or what has no place among names (a pipe). Error: no_memory.
  [[nodiscard]] static Result<Ref<Entry>> create(FileMemory& memory, Naming& naming, Ref<Entry> parent,
                                                 std::string_view name, Ref<Node> node);

  [[nodiscard]] Node& node() const { return *node_; }
  [[nodiscard]] Ref<Entry> parent() VELLUM_EXCLUDES(naming_.lock);
  // Whether it was taken out of its directory.
  [[nodiscard]] bool is_removed() const { return removed_.load(std::memory_order_acquire); }
  void mark_removed() { removed_.store(true, std::memory_order_release); }
  // Whether mounts have to be looked for.
  [[nodiscard]] bool is_mounted_on() const { return mounts_.load(std::memory_order_acquire) != 0; }
  void count_mount(int change) { mounts_.fetch_add(change, std::memory_order_acq_rel); }
  // Rename: gives the entry another place.
  void move(Ref<Entry> parent, Text name) VELLUM_EXCLUDES(naming_.lock);

  // For whoever walks up with the lock held.
  [[nodiscard]] Naming& naming() const { return naming_; }
  [[nodiscard]] Entry* parent_locked() const VELLUM_REQUIRES(naming_.lock) { return parent_.get(); }
  [[nodiscard]] std::string_view name_locked() const VELLUM_REQUIRES(naming_.lock) { return name_.view(); }

 private:
  friend class FileMemory;
  friend class EntryTable;
  friend class Aging;
  Entry(FileMemory& memory, Naming& naming, Ref<Entry> parent, Text name, Ref<Node> node)
      : memory_(memory), naming_(naming), parent_(std::move(parent)), name_(std::move(name)), node_(std::move(node)) {}
  ~Entry() = default;
  void destroy() override;

  FileMemory& memory_;
  Naming& naming_;
  std::atomic<bool> removed_{false};
  std::atomic<int> mounts_{0};
  Ref<Entry> parent_ VELLUM_GUARDED_BY(naming_.lock);
  Text name_ VELLUM_GUARDED_BY(naming_.lock);
  const Ref<Node> node_;

  // Of the directory that keeps the entry, under its lock.
  ListLink table_link_;
  Entry* table_next_ = nullptr;
  std::uint64_t position_ = 0;  // in the listing
  Origin origin_{};

  // Of what may be forgotten (aging.hpp).
  ListLink aging_link_;
  std::atomic<bool> used_{false};
};

}  // namespace vellum::unix
