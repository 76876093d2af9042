#include "content.hpp"

#include <algorithm>

#include <vellum/unix/scratch.hpp>
#include <vellum/unix/system_lock.hpp>
#include <vellum/unix/text_sink.hpp>

namespace vellum::unix {

Result<Ref<FileObject>> FileContent::create(Files& files, DeviceNumber device, std::uint64_t inode, ByteCount size,
                                            const Source& source, Ref<PageQuota> quota, Promise promise) {
  FileContent* const content =
      VELLUM_TRY(files.memory().create<FileContent>(files, device, inode, source, std::move(quota)));
  const Result<FileObject*> object = files.virtual_memory().objects.create_file(*content, size, promise);
  if (!object.ok()) {
    files.memory().destroy(content);
    return object.error();
  }
  return Ref<FileObject>::adopt(object.value());
}

void FileContent::pages_gone(PageCount count) {
  if (quota_) {
    counted_.fetch_sub(count.value(), std::memory_order_relaxed);
    quota_->give(count);
  }
}

void FileContent::object_ended() {
  const InSystem in_system;
  if (quota_) {
    quota_->give(PageCount(counted_.load(std::memory_order_relaxed)));
  }
  if (lower_ != nullptr) {
    lower_->release(handle_);
  }
  files_.memory().destroy(this);
}

void FileContent::cut(ByteCount size) {
  std::uint64_t before = lower_size_.load(std::memory_order_relaxed);
  while (before > size.value() && !lower_size_.compare_exchange_weak(before, size.value(), std::memory_order_acq_rel)) {
  }
}

Result<void> FileContent::read(PageIndex index, std::span<std::byte> page) {
  const InSystem in_system;  // perhaps in a page fault
  const std::uint64_t start = index.value() << kPageShift;
  const std::uint64_t end = lower_size_.load(std::memory_order_acquire);
  std::size_t filled = 0;
  files_.make_room();
  if (quota_) {
    VELLUM_TRY(quota_->take());
    counted_.fetch_add(1, std::memory_order_relaxed);
  }
  if (start < end) {
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(page.size(), end - start));
    const Result<std::size_t> got = lower_->read(handle_, ByteCount(start), page.first(wanted));
    if (!got.ok()) {
      pages_gone(PageCount(1));
      return got.error();
    }
    filled = got.value();
  }
  __builtin_memset(page.data() + filled, 0, page.size() - filled);
  return {};
}

IndexRange FileContent::neighbours(PageIndex index) {
  const std::uint64_t lower_pages = pages_for(ByteCount(lower_size_.load(std::memory_order_acquire))).value();
  if (lower_ == nullptr || index.value() >= lower_pages) {
    return IndexRange::must(index, PageCount(1));
  }
  const std::uint64_t in_piece = whole_pages(lower_->piece_size()).value();
  const std::uint64_t first = round_down(index.value(), in_piece);
  return IndexRange::must(PageIndex(first), PageCount(std::min(in_piece, lower_pages - first)));
}

void FileContent::remember_path(const Path& path) {
  Scratch scratch(files_.memory());
  if (!scratch.allocate(ByteCount(kLongestPath)).ok()) {
    return;
  }
  const Result<std::string_view> text = files_.write_path(path, files_.root(), scratch.characters());
  if (!text.ok()) {
    return;
  }
  const MutexGuard guard(path_lock_);
  if (path_.view() != text.value()) {
    Result<Text> kept = Text::create(files_.memory(), text.value());
    if (kept.ok()) {
      path_ = std::move(kept).value();
    }
  }
}

ObjectName FileContent::describe(std::span<char> into) {
  FixedText text(into);
  {
    const MutexGuard guard(path_lock_);
    text.text(path_.view());
  }
  constexpr std::string_view kDeleted = " (deleted)";
  if (deleted_.load(std::memory_order_relaxed) && !text.view().ends_with(kDeleted)) {
    text.text(kDeleted);
  }
  return {.device = device_, .inode = inode_, .path = text.is_cut() ? std::string_view() : text.view()};
}

ObjectName describe_object(const MemoryObject<Format>& object, std::span<char> into) {
  if (object.pager() != nullptr) {
    return static_cast<FilePager*>(object.pager())->describe(into);
  }
  FixedText text(into);
  text.text("/dev/zero (deleted)");
  return {.device = {.major = 0, .minor = 1}, .inode = 1, .path = text.is_cut() ? std::string_view() : text.view()};
}

}  // namespace vellum::unix
