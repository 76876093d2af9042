// The nodes of RAM file systems.
#pragma once

#include <vellum/unix/entry_table.hpp>
#include <vellum/unix/files.hpp>
#include <vellum/unix/memory_file.hpp>
#include <vellum/unix/open_file.hpp>
#include <vellum/unix/pipe.hpp>

#include "aging.hpp"
#include "content.hpp"

namespace vellum::unix {

// A node that keeps its attributes. Also that of a pipe, which belongs to no RAM file system.
class RamNode : public Node {
 public:
  Attributes attributes() override;
  Result<void> change(const AttributeChange& change) override;
  void touch(bool modified) override;

  [[nodiscard]] std::uint64_t inode() const { return inode_; }
  // Whether it is no longer what the lower layer says.
  [[nodiscard]] bool is_changed() const { return changed_.load(std::memory_order_relaxed); }
  // Whether, as far as the kind of node goes, nothing is lost with it that the lower layer cannot bring again.
  [[nodiscard]] virtual bool is_forgettable() { return true; }
  // A name came or went; whether none is left.
  bool count_link(int change);

 protected:
  RamNode(FileSystem& file_system, const Attributes& attributes)
      : Node(file_system, attributes.kind), inode_(attributes.inode), attributes_(attributes) {}
  ~RamNode() = default;
  [[nodiscard]] FileMemory& memory() const { return file_system().files().memory(); }
  // What a write by others than the superuser takes away: the bits that lend the owner's rights.
  void drop_lent_rights();

 private:
  const std::uint64_t inode_;
  std::atomic<bool> changed_{false};
  Spinlock attributes_lock_{LockRank::leaf};
  Attributes attributes_ VELLUM_GUARDED_BY(attributes_lock_);
};

// The attributes of a node that is made now.
[[nodiscard]] Attributes new_attributes(std::uint64_t inode, const NewNode& what);
[[nodiscard]] Timestamp now();

class RamFile final : public RamNode {
 public:
  // `source` becomes the node's with success.
  RamFile(FileSystem& file_system, const Attributes& attributes, const FileContent::Source& source)
      : RamNode(file_system, attributes), source_(source), size_(attributes.size.value()) {}

  Attributes attributes() override;
  Result<Ref<OpenFile>> open(const Path& path, std::uint32_t flags) override;
  Result<void> truncate(ByteCount size) override;

  // The object with the pages; made when it is first asked for. Error: no_memory.
  [[nodiscard]] Result<FileObject*> object();
  [[nodiscard]] ByteCount size() const { return ByteCount(size_.load(std::memory_order_acquire)); }
  [[nodiscard]] Result<void> read(Transfer& to, ByteCount position);
  [[nodiscard]] Result<void> write(Transfer& from, ByteCount& position, bool append);
  // fallocate: the file is at least so long. Error: as truncate().
  [[nodiscard]] Result<void> extend(ByteCount size);
  // fallocate: zeros from one byte to another, and no memory for them. Errors: not_permitted (seals), no_memory,
  // io_error.
  [[nodiscard]] Result<void> punch(ByteCount from, ByteCount to);
  // The next byte from `position` on that is in a hole or is not. Error: no_such_device (beyond the end).
  [[nodiscard]] Result<ByteCount> find(ByteCount position, bool hole);
  // No name leads here any more.
  void unlinked();
  // Seals (memory_file.cpp): a file that is made may have none but the one that forbids others.
  void allow_seals();
  [[nodiscard]] std::uint32_t seals() const { return seals_.load(std::memory_order_acquire); }
  // Errors: not_permitted, busy, no_memory.
  [[nodiscard]] Result<void> add_seals(std::uint32_t seals);
  bool is_forgettable() override;
  // Forgets clean pages, about as many; none where somebody maps them.
  PageCount drop_pages(PageCount most);

 private:
  friend class FileMemory;
  ~RamFile() = default;
  void destroy() override;
  [[nodiscard]] Result<FileObject*> object_locked() VELLUM_REQUIRES(lock_);
  [[nodiscard]] Result<void> resize(FileObject& object, ByteCount size) VELLUM_REQUIRES(lock_);
  [[nodiscard]] Result<void> write_locked(FileObject& object, Transfer& from, ByteCount position, ByteCount limit)
      VELLUM_REQUIRES(lock_);
  [[nodiscard]] bool is_resident(FileObject& object, PageIndex index);
  [[nodiscard]] Result<void> clear(FileObject& object, ByteCount from, ByteCount to) VELLUM_REQUIRES(lock_);
  // What seals deny: another size, a write up to `end`. Error: not_permitted.
  [[nodiscard]] Result<void> permit_size(ByteCount size) const VELLUM_REQUIRES(lock_);
  [[nodiscard]] Result<void> permit_write(ByteCount end) const VELLUM_REQUIRES(lock_);
  [[nodiscard]] Result<FileWindow> acquire(FileObject& object, ByteCount position, ByteCount size);

  Mutex lock_;  // writes, changes of size
  FileContent::Source source_ VELLUM_GUARDED_BY(lock_);
  std::atomic<std::uint64_t> size_;
  std::atomic<FileObject*> object_{nullptr};       // written under lock_
  std::atomic<std::uint32_t> seals_{seal::kSeal};  // written under lock_
};

class RamSymlink final : public RamNode {
 public:
  RamSymlink(FileSystem& file_system, const Attributes& attributes, Text target, Lower* lower, LowerHandle handle)
      : RamNode(file_system, attributes), target_(std::move(target)), lower_(lower), handle_(handle) {}

  Result<Text> link_target(FileMemory& memory) override;

 private:
  friend class FileMemory;
  ~RamSymlink() = default;
  void destroy() override;

  const Text target_;  // empty: the lower layer knows
  Lower* const lower_;
  const LowerHandle handle_;
};

class RamDevice final : public RamNode {
 public:
  RamDevice(FileSystem& file_system, const Attributes& attributes) : RamNode(file_system, attributes) {}
  Result<Ref<OpenFile>> open(const Path& path, std::uint32_t flags) override;

 private:
  friend class FileMemory;
  ~RamDevice() = default;
  void destroy() override;
};

// A FIFO, or a pipe without a name.
class RamFifo final : public RamNode {
 public:
  RamFifo(FileSystem& file_system, const Attributes& attributes) : RamNode(file_system, attributes), pipe_(memory()) {}
  Result<Ref<OpenFile>> open(const Path& path, std::uint32_t flags) override;
  [[nodiscard]] Pipe& pipe() { return pipe_; }

 private:
  friend class FileMemory;
  ~RamFifo() = default;
  void destroy() override;

  Pipe pipe_;
};

class RamDirectory final : public RamNode {
 public:
  RamDirectory(FileSystem& file_system, const Attributes& attributes, Lower* lower, LowerHandle handle)
      : RamNode(file_system, attributes), lower_(lower), handle_(handle), table_(memory()) {}

  Attributes attributes() override;
  Result<Ref<OpenFile>> open(const Path& path, std::uint32_t flags) override;
  Result<Ref<Entry>> lookup(Entry& directory, std::string_view name) override;
  Result<Ref<Entry>> create(Entry& directory, std::string_view name, const NewNode& what) override;
  Result<void> link(Entry& directory, std::string_view name, Node& target) override;
  Result<void> remove(Entry& directory, std::string_view name, NodeKind what) override;
  Result<void> list(Entry& directory, Listing& listing, DirectorySink& sink) override;

  // Gives all entries below up, when the file system ends.
  void clear_tree();
  bool is_forgettable() override;
  // Gives an entry up that the caller holds besides, if nobody else uses it and the lower layer can bring it again.
  void forget(Entry& entry);

 private:
  friend class FileMemory;
  friend class RamRename;
  ~RamDirectory() = default;
  void destroy() override;

  // The entry of a name, brought from the lower layer if need be; null where there is none.
  [[nodiscard]] Result<Entry*> find(Entry& directory, std::string_view name) VELLUM_REQUIRES(lock_);
  [[nodiscard]] Result<Entry*> find_in_lower(Entry& directory, std::string_view name) VELLUM_REQUIRES(lock_);
  // How an entry that is entered now stands to the lower layer; a whiteout of the name is taken away. After find()
  // found none.
  [[nodiscard]] Origin make_place(std::string_view name) VELLUM_REQUIRES(lock_);
  [[nodiscard]] Result<Ref<Entry>> enter(Entry& directory, std::string_view name, Ref<Node> node)
      VELLUM_REQUIRES(lock_);
  // The entry that will say that the lower layer's name is gone; null where it has none.
  [[nodiscard]] Result<Ref<Entry>> make_whiteout(Entry& directory, const Entry& entry, std::string_view name)
      VELLUM_REQUIRES(lock_);
  void take_out(Entry& entry, Ref<Entry> whiteout) VELLUM_REQUIRES(lock_);
  static void unlinked(Entry& entry);
  // Nothing can be entered any more. Error: not_empty.
  [[nodiscard]] Result<void> close_if_empty() VELLUM_EXCLUDES(lock_);
  [[nodiscard]] Result<bool> is_empty() VELLUM_REQUIRES(lock_);
  // False: the sink is full.
  [[nodiscard]] bool list_own(std::uint64_t position, DirectorySink& sink) VELLUM_REQUIRES(lock_);

  Lower* const lower_;
  const LowerHandle handle_;
  Mutex lock_;
  EntryTable table_ VELLUM_GUARDED_BY(lock_);
  bool removed_ VELLUM_GUARDED_BY(lock_) = false;
};

class RamFileSystem final : public FileSystem {
 public:
  // `type` outlives it; `magic` is what statfs tells. Errors: no_memory, the lower's.
  struct Kind {
    std::string_view type;
    std::uint64_t magic;
    std::uint16_t permissions = 01777;  // of the root
    bool changeable = true;
    PageCount most_pages{0};  // of all files; 0: no limit but memory
  };
  [[nodiscard]] static Result<Ref<RamFileSystem>> create(Files& files, const Kind& kind, Lower* lower);

  FileSystemFigures figures() override;
  Result<void> rename(Entry& old_directory, std::string_view old_name, Entry& new_directory, std::string_view new_name,
                      std::uint32_t flags) override;
  // A node that has no name yet. Error: no_memory.
  [[nodiscard]] Result<Ref<Node>> make_node(const NewNode& what);
  // The node of a lower one, whose handle becomes its own, or is released where this fails. Error: no_memory.
  [[nodiscard]] Result<Ref<Node>> make_lower_node(const LowerNode& node);
  // Null where there is no limit.
  [[nodiscard]] const Ref<PageQuota>& quota() const { return quota_; }
  [[nodiscard]] bool is_changeable() const { return kind_.changeable; }
  // What came from the lower layer and may be forgotten.
  [[nodiscard]] Aging& aging() { return aging_; }
  PageCount reclaim(PageCount wanted) override;
  void trim();

 private:
  friend class FileMemory;
  RamFileSystem(Files& files, const Kind& kind, Lower* lower)
      : FileSystem(files, kind.type, files.next_device()),
        kind_(kind),
        lower_(lower),
        next_inode_(lower == nullptr ? 1 : kAboveLower) {}
  // The numbers of nodes that are made here, where a lower layer has its own.
  static constexpr std::uint64_t kAboveLower = std::uint64_t{1} << 40;
  ~RamFileSystem() = default;
  void destroy() override;
  [[nodiscard]] Result<Ref<Node>> make_from(const Attributes& attributes, std::string_view target,
                                            const LowerNode* lower);

  // Looks at the oldest entry: drops pages of a file, at the most so many, and forgets what can be forgotten. Returns
  // how many pages it dropped.
  PageCount age(PageCount most);

  const Kind kind_;
  Lower* const lower_;
  Ref<PageQuota> quota_;
  Aging aging_;
  std::atomic<std::uint64_t> next_inode_;
};

// A tmpfs or ramfs, by mount(2)'s options. `type` outlives it. Errors: invalid, no_memory.
[[nodiscard]] Result<Ref<FileSystem>> create_tmpfs(Files& files, std::string_view type, std::string_view options);

}  // namespace vellum::unix
