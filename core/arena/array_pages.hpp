// A page source over an array, for tests: it counts what is out, checks what comes back, and fails when told to.
#pragma once

#include <cstddef>
#include <cstdint>

#include <vellum/arena/page_source.hpp>
#include <vellum/base/lock.hpp>
#include <vellum/base/types.hpp>

namespace vellum {

template <std::size_t kPages>
class ArrayPages final : public PageSource {
 public:
  ArrayPages() = default;
  ~ArrayPages() { VELLUM_CHECK(pages_out_ == 0); }
  ArrayPages(const ArrayPages&) = delete;
  ArrayPages& operator=(const ArrayPages&) = delete;

  Result<std::byte*> allocate(unsigned order) override {
    const LockGuard guard(lock_);
    if (permitted_ == 0) {
      return Errno::no_memory;
    }
    const std::size_t pages = std::size_t{1} << order;
    for (std::size_t first = 0; first + pages <= kPages; first += pages) {
      if (is_free(first, pages)) {
        mark(first, pages, static_cast<std::uint8_t>(order + 1));
        pages_out_ += pages;
        permitted_ -= permitted_ == kUnlimited ? 0 : 1;
        return bytes_ + (first << kPageShift);
      }
    }
    return Errno::no_memory;
  }

  void free(std::byte* block, unsigned order) override {
    const LockGuard guard(lock_);
    const std::size_t first = static_cast<std::size_t>(block - bytes_) >> kPageShift;
    const std::size_t pages = std::size_t{1} << order;
    for (std::size_t page = first; page < first + pages; ++page) {
      VELLUM_CHECK(page < kPages && owned_[page] == order + 1);
    }
    mark(first, pages, 0);
    pages_out_ -= pages;
  }

  // After so many more allocations each fails.
  void permit(std::uint64_t allocations) {
    const LockGuard guard(lock_);
    permitted_ = allocations;
  }
  void permit_all() { permit(kUnlimited); }

  [[nodiscard]] PageCount pages_out() const {
    const LockGuard guard(lock_);
    return PageCount(pages_out_);
  }

 private:
  static constexpr std::uint64_t kUnlimited = ~std::uint64_t{0};

  [[nodiscard]] bool is_free(std::size_t first, std::size_t pages) const VELLUM_REQUIRES(lock_) {
    for (std::size_t page = first; page < first + pages; ++page) {
      if (owned_[page] != 0) {
        return false;
      }
    }
    return true;
  }
  void mark(std::size_t first, std::size_t pages, std::uint8_t value) VELLUM_REQUIRES(lock_) {
    for (std::size_t page = first; page < first + pages; ++page) {
      owned_[page] = value;
    }
  }

  mutable Spinlock lock_{LockRank::physical};
  std::uint64_t permitted_ VELLUM_GUARDED_BY(lock_) = kUnlimited;
  std::uint64_t pages_out_ VELLUM_GUARDED_BY(lock_) = 0;
  std::uint8_t owned_[kPages] VELLUM_GUARDED_BY(lock_) = {};  // order + 1 of the block that a page is of, 0: free
  // Aligned to the greatest block that this layer asks for.
  alignas(std::size_t{16} << kPageShift) std::byte bytes_[kPages << kPageShift];
};

}  // namespace vellum
