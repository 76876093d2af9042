// Descriptors, and what else a process knows of files.
#pragma once

#include <span>

#include <vellum/unix/open_file.hpp>

namespace vellum::unix {

enum class CloseOnExec : bool { no, yes };

// The descriptors of a process, or of several that share them (CLONE_FILES).
class FileTable final : public Counted {
 public:
  // Descriptors are below this, whatever the limit of the process.
  static constexpr unsigned kMost = 65536;

  // An empty table. Error: no_memory.
  [[nodiscard]] static Result<Ref<FileTable>> create(FileMemory& memory);
  // fork: a table with the same open files.
  [[nodiscard]] Result<Ref<FileTable>> clone();
  // exec: closes what is marked so. The table must not be shared.
  void close_for_exec();

  // Error: bad_descriptor.
  [[nodiscard]] Result<Ref<OpenFile>> get(int descriptor);
  // The lowest free descriptor from `lowest` on, below `limit` (RLIMIT_NOFILE). Errors: too_many_files, no_memory.
  [[nodiscard]] Result<int> add(Ref<OpenFile> file, CloseOnExec close_on_exec, std::uint64_t limit,
                                unsigned lowest = 0);
  // dup2: exactly that one; what was there is closed. Errors: bad_descriptor (not below `limit`), no_memory.
  [[nodiscard]] Result<void> put(int descriptor, Ref<OpenFile> file, CloseOnExec close_on_exec, std::uint64_t limit);
  // Error: bad_descriptor.
  [[nodiscard]] Result<void> close(int descriptor);
  [[nodiscard]] Result<CloseOnExec> close_on_exec(int descriptor);
  [[nodiscard]] Result<void> set_close_on_exec(int descriptor, CloseOnExec close_on_exec);
  // The lowest descriptor in use from `from` on; -1 where there is none.
  [[nodiscard]] int next(int from);

 private:
  friend class FileMemory;
  explicit FileTable(FileMemory& memory) : memory_(memory) {}
  ~FileTable() = default;
  void destroy() override;

  struct Slot {
    OpenFile* file = nullptr;  // owns a reference
    bool close_on_exec = false;
  };
  [[nodiscard]] Result<void> grow_to(unsigned count);
  [[nodiscard]] Slot* used(int descriptor) VELLUM_REQUIRES(lock_);
  static void end(OpenFile* file);
  // Of a table that nobody else knows yet.
  [[nodiscard]] unsigned capacity_unlocked() const;
  void copy_from(const Slot* slots, unsigned count);

  FileMemory& memory_;
  Spinlock lock_{LockRank::leaf};
  Slot* slots_ VELLUM_GUARDED_BY(lock_) = nullptr;
  unsigned capacity_ VELLUM_GUARDED_BY(lock_) = 0;
};

// Root, current directory and umask of a process, or of several that share them (CLONE_FS).
class PathContext final : public Counted {
 public:
  // Error: no_memory.
  [[nodiscard]] static Result<Ref<PathContext>> create(FileMemory& memory, Path root, Path current);
  [[nodiscard]] Result<Ref<PathContext>> clone();

  [[nodiscard]] Path root();
  [[nodiscard]] Path current();
  void set_root(Path root);
  void set_current(Path current);
  [[nodiscard]] std::uint16_t umask() const { return umask_.load(std::memory_order_relaxed); }
  // Returns the one before.
  std::uint16_t set_umask(std::uint16_t umask) { return umask_.exchange(umask & 0777, std::memory_order_relaxed); }

 private:
  friend class FileMemory;
  PathContext(FileMemory& memory, Path root, Path current)
      : memory_(memory), root_(std::move(root)), current_(std::move(current)) {}
  ~PathContext() = default;
  void destroy() override;

  FileMemory& memory_;
  std::atomic<std::uint16_t> umask_{022};
  Spinlock lock_{LockRank::leaf};
  Path root_ VELLUM_GUARDED_BY(lock_);
  Path current_ VELLUM_GUARDED_BY(lock_);
};

// What a thread knows of files. Copied by whoever shares both; see clone() of each for the others.
struct FileContext {
  Ref<FileTable> table;
  Ref<PathContext> paths;
};

}  // namespace vellum::unix
