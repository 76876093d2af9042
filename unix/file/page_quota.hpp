// How many pages the files of a file system may come to.
#pragma once

#include <algorithm>
#include <atomic>

#include <vellum/unix/file_memory.hpp>
#include <vellum/unix/reference.hpp>

namespace vellum::unix {

// Held by the file system and by the contents of its files, which may outlive it in mappings.
class PageQuota final : public Counted {
 public:
  // Zero: without limit.
  [[nodiscard]] PageCount limit() const { return limit_; }
  [[nodiscard]] PageCount used() const { return PageCount(used_.load(std::memory_order_relaxed)); }
  // Error: no_space.
  [[nodiscard]] Result<void> take() {
    const std::uint64_t used = used_.fetch_add(1, std::memory_order_relaxed);
    if (!limit_.is_zero() && used >= limit_.value()) {
      used_.fetch_sub(1, std::memory_order_relaxed);
      return Errno::no_space;
    }
    return {};
  }
  void give(PageCount pages) { used_.fetch_sub(pages.value(), std::memory_order_relaxed); }

 private:
  friend class FileMemory;
  PageQuota(FileMemory& memory, PageCount limit) : memory_(memory), limit_(limit) {}
  ~PageQuota() = default;
  void destroy() override { memory_.destroy(this); }

  FileMemory& memory_;
  const PageCount limit_;
  std::atomic<std::uint64_t> used_{0};
};

}  // namespace vellum::unix
