// Shared memory segments of System V: memory objects with a number and perhaps a key, that outlive who made them.
//
// A segment's object is held by this registry until the segment is removed, and by whoever has it attached; with the
// last reference the segment ends (the object's pager, which the segment is, is told so). So nobody counts attachments:
// fork, exec and exit need do nothing. Who asks for their number pays for a look at all programs' regions.
//
// Locks: process_lock, then lock_ (leaf).
#pragma once

#include <array>

#include <vellum/unix/file_pager.hpp>
#include <vellum/unix/file_types.hpp>
#include <vellum/unix/files.hpp>
#include <vellum/unix/process.hpp>
#include <vellum/unix/text_sink.hpp>

namespace vellum::unix {

class SharedSegments;

// What shmctl(2) tells of a segment.
struct SegmentStatus {
  std::int32_t key = 0;  // 0: private
  std::int32_t id = 0;
  ByteCount size{0};
  std::uint16_t mode = 0;  // rights; kDestroyed, kLocked
  std::uint16_t sequence = 0;
  UserId owner;
  GroupId group;
  UserId creator;
  GroupId creator_group;
  ProcessId made_by;
  ProcessId last_user;           // 0: nobody attached or detached it
  std::int64_t attached_at = 0;  // seconds since 1970; 0: never
  std::int64_t detached_at = 0;
  std::int64_t changed_at = 0;
  std::uint64_t attachments = 0;
  PageCount resident{0};

  static constexpr std::uint16_t kRights = 0777;
  static constexpr std::uint16_t kDestroyed = 01000;  // SHM_DEST: it ends with its last attachment
  static constexpr std::uint16_t kLocked = 02000;     // SHM_LOCKED
};

class SharedSegment final : public FilePager {
 public:
  ObjectName describe(std::span<char> into) override;
  Result<void> read(PageIndex index, std::span<std::byte> page) override;
  Result<void> write(PageIndex /*index*/, std::span<const std::byte> /*page*/) override { return {}; }
  PageIndex zeros_from() override { return PageIndex(0); }
  bool is_memory() const override { return true; }
  void object_ended() override;

 private:
  friend class FileMemory;
  friend class SharedSegments;
  SharedSegment(SharedSegments& registry, std::int32_t key) : registry_(registry), key_(key) {}
  ~SharedSegment() = default;

  SharedSegments& registry_;
  const std::int32_t key_;  // that it was made with
  FileObject* object_ = nullptr;
  SegmentStatus status_;  // under the registry's lock
  UserId locked_by_;      // likewise; where it is locked
};

class SharedSegments {
 public:
  static constexpr unsigned kMost = 4096;                                      // SHMMNI
  static constexpr std::uint64_t kLargest = ~std::uint64_t{0} - (1ULL << 24);  // SHMMAX in bytes, SHMALL in pages

  explicit SharedSegments(Files& files) : files_(files) {}
  SharedSegments(const SharedSegments&) = delete;
  SharedSegments& operator=(const SharedSegments&) = delete;

  // shmget(2). Errors: invalid (sizes), no_space (too many), no_entry, exists, access_denied, no_memory.
  [[nodiscard]] Result<std::int32_t> get(std::int32_t key, ByteCount size, std::uint32_t flags);
  // The object of a segment, for the calling process, that wants `rights` (read 4, write 2, execute 1).
  // Errors: invalid (no such segment), access_denied.
  [[nodiscard]] Result<Ref<FileObject>> object_of(std::int32_t id, std::uint16_t rights);
  // Takes note that the calling process attached or detached an object. Nothing where it is no segment's.
  void note_attached(const FileObject& object);
  void note_detached(const FileObject& object);
  // Whether it is a segment's.
  [[nodiscard]] bool is_segment(const FileObject& object);

  enum class Naming : std::uint8_t { id, slot };
  enum class Asking : std::uint8_t { reader, anybody };
  // IPC_STAT, SHM_STAT, SHM_STAT_ANY. Errors: invalid, access_denied.
  [[nodiscard]] Result<SegmentStatus> status(std::int32_t number, Naming naming, Asking asking);
  // IPC_SET, IPC_RMID, SHM_LOCK, SHM_UNLOCK. Errors: invalid, not_permitted (not its owner).
  [[nodiscard]] Result<void> set_owner(std::int32_t id, UserId owner, GroupId group, std::uint16_t mode);
  [[nodiscard]] Result<void> remove(std::int32_t id);
  // `most` pages of segments the caller's user may have locked, if there is a limit. Errors as well: no_memory (beyond
  // it), not_permitted (it is zero). Segments never leave memory: what is locked is told, and counted.
  [[nodiscard]] Result<void> lock(std::int32_t id, std::optional<PageCount> most);
  [[nodiscard]] Result<void> unlock(std::int32_t id);

  struct Totals {
    std::uint32_t segments = 0;
    std::uint32_t highest = 0;  // slot in use; 0 where there is none
    PageCount pages{0};
    PageCount resident{0};
    PageCount locked{0};  // of those
  };
  [[nodiscard]] Totals totals();
  // /proc/sysvipc/shm.
  void write(TextSink& sink);

 private:
  friend class SharedSegment;
  static constexpr unsigned kSlotBits = 15;  // of an id; the rest is a sequence number

  [[nodiscard]] SharedSegment* find(std::int32_t id) VELLUM_REQUIRES(lock_);
  [[nodiscard]] SharedSegment* find_key(std::int32_t key) VELLUM_REQUIRES(lock_);
  [[nodiscard]] SharedSegment* find_object(const FileObject& object) VELLUM_REQUIRES(lock_);
  [[nodiscard]] Result<std::int32_t> enter(SharedSegment& segment) VELLUM_REQUIRES(lock_);
  // A new segment, not yet entered.
  [[nodiscard]] Result<SharedSegment*> make(std::int32_t key, ByteCount size, std::uint32_t flags,
                                            const FileCredentials& who);
  // What shmget(2) says to a segment that there is.
  [[nodiscard]] static Result<std::int32_t> get_found(const SegmentStatus& status, const FileCredentials& who,
                                                      ByteCount size, std::uint32_t flags);
  [[nodiscard]] Result<SharedSegment*> owned(std::int32_t id, const FileCredentials& who) VELLUM_REQUIRES(lock_);
  void leave(SharedSegment& segment);
  void count_attachments();

  Files& files_;
  Spinlock lock_{LockRank::leaf};
  std::array<SharedSegment*, kMost> slots_ VELLUM_GUARDED_BY(lock_) = {};
  unsigned used_ VELLUM_GUARDED_BY(lock_) = 0;
  unsigned end_ VELLUM_GUARDED_BY(lock_) = 0;  // no slot from here on is in use
  unsigned next_slot_ VELLUM_GUARDED_BY(lock_) = 0;
  std::uint16_t sequence_ VELLUM_GUARDED_BY(lock_) = 0;
};

}  // namespace vellum::unix
