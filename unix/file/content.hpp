// What a file contains: the pager of its memory object.
#pragma once

#include <vellum/unix/file_pager.hpp>
#include <vellum/unix/files.hpp>
#include <vellum/unix/open_file.hpp>

#include "page_quota.hpp"

namespace vellum::unix {

// Lives as long as the object: a mapping keeps the pages of a file that has no name any more. Pages that no lower file
// has are zeros; what was written stays in the object: only clean pages that the lower file has are taken out of it.
class FileContent final : public FilePager {
 public:
  struct Source {
    Lower* lower = nullptr;
    LowerHandle handle{};  // ownership goes to the content
    ByteCount size{0};     // bytes that the lower file has
  };
  // A new object of a size, whose pages count for `quota`, if any, and are promised as said. Error: no_memory;
  // `source` is still the caller's then.
  [[nodiscard]] static Result<Ref<FileObject>> create(Files& files, DeviceNumber device, std::uint64_t inode,
                                                      ByteCount size, const Source& source, Ref<PageQuota> quota,
                                                      Promise promise);
  [[nodiscard]] static FileContent& of(const FileObject& object) {
    return *static_cast<FileContent*>(static_cast<FilePager*>(object.pager()));
  }

  // The lower file's bytes beyond `size` are not to be seen any more.
  void cut(ByteCount size);
  // Whether a page that is not in memory is zeros.
  [[nodiscard]] bool is_hole(PageIndex index) { return index >= zeros_from(); }
  // Whether pages may be called clean that nobody but the object has, so that none must be dropped.
  [[nodiscard]] bool keeps_all() const { return keeps_all_.load(std::memory_order_relaxed); }
  // Remembers the path for /proc/PID/maps. Where memory lacks there is none.
  void remember_path(const Path& path);
  // The file has no name any more.
  void mark_deleted() { deleted_.store(true, std::memory_order_relaxed); }

  ObjectName describe(std::span<char> into) override;
  Result<void> read(PageIndex index, std::span<std::byte> page) override;
  // There is no other place to keep a page: from now on all stay where they are.
  Result<void> write(PageIndex /*index*/, std::span<const std::byte> /*page*/) override {
    keeps_all_.store(true, std::memory_order_relaxed);
    return {};
  }
  PageIndex zeros_from() override {
    return PageIndex(pages_for(ByteCount(lower_size_.load(std::memory_order_acquire))).value());
  }
  bool keeps_what_is_clean() const override { return lower_ != nullptr && !keeps_all(); }
  IndexRange neighbours(PageIndex index) override;
  bool is_memory() const override { return lower_ == nullptr; }
  void pages_gone(PageCount count) override;
  void object_ended() override;

 private:
  friend class FileMemory;
  FileContent(Files& files, DeviceNumber device, std::uint64_t inode, const Source& source, Ref<PageQuota> quota)
      : files_(files),
        device_(device),
        inode_(inode),
        lower_(source.lower),
        handle_(source.handle),
        lower_size_(source.size.value()),
        quota_(std::move(quota)) {}
  ~FileContent() = default;

  Files& files_;
  const DeviceNumber device_;
  const std::uint64_t inode_;
  Lower* const lower_;
  const LowerHandle handle_;
  std::atomic<std::uint64_t> lower_size_;
  const Ref<PageQuota> quota_;
  std::atomic<std::uint64_t> counted_{0};  // pages that count for the quota
  std::atomic<bool> deleted_{false};
  std::atomic<bool> keeps_all_{false};
  Mutex path_lock_;
  Text path_ VELLUM_GUARDED_BY(path_lock_);
};

}  // namespace vellum::unix
