// Which fids are in use, and which of them are open.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include <vellum/arena/page_source.hpp>
#include <vellum/base/types.hpp>

namespace vellum::host {

// Takes a page for each 16384 fids, when they are first needed. Not synchronised.
class FidTable {
 public:
  explicit FidTable(PageSource& source) : source_(source) {}
  ~FidTable();
  FidTable(const FidTable&) = delete;
  FidTable& operator=(const FidTable&) = delete;

  // Errors: no_memory; too_many_files: a million are in use.
  [[nodiscard]] Result<std::uint32_t> allocate();
  void free(std::uint32_t fid);

  [[nodiscard]] bool is_open(std::uint32_t fid) const;
  void set_open(std::uint32_t fid);

 private:
  static constexpr unsigned kFidsPerPage = 16384;
  static constexpr unsigned kMostPages = 64;
  static constexpr unsigned kWords = kFidsPerPage / 64;

  struct Page {
    std::uint64_t used[kWords];
    std::uint64_t open[kWords];
  };
  static_assert(sizeof(Page) == kPageSize);

  PageSource& source_;
  Page* pages_[kMostPages] = {};
  std::uint32_t search_from_ = 0;  // no fid below is free
};

}  // namespace vellum::host
