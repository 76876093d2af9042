#include <vellum/host/fid_table.hpp>

#include <algorithm>
#include <bit>

namespace vellum::host {

namespace {
constexpr std::uint64_t bit(std::uint32_t fid) { return std::uint64_t{1} << (fid % 64); }
}  // namespace

FidTable::~FidTable() {
  for (Page* const page : pages_) {
    if (page != nullptr) {
      source_.free(reinterpret_cast<std::byte*>(page), 0);
    }
  }
}

Result<std::uint32_t> FidTable::allocate() {
  for (std::uint32_t word = search_from_ / 64; word < kMostPages * kWords; ++word) {
    Page*& page = pages_[word / kWords];
    if (page == nullptr) {
      page = reinterpret_cast<Page*>(VELLUM_TRY(source_.allocate(0)));
      __builtin_memset(page, 0, sizeof(Page));
    }
    std::uint64_t& used = page->used[word % kWords];
    if (~used != 0) {
      const std::uint32_t fid = word * 64 + static_cast<std::uint32_t>(std::countr_one(used));
      used |= bit(fid);
      search_from_ = fid + 1;
      return fid;
    }
  }
  return Errno::too_many_files;
}

void FidTable::free(std::uint32_t fid) {
  Page& page = *pages_[fid / kFidsPerPage];
  const std::uint32_t word = fid % kFidsPerPage / 64;
  VELLUM_CHECK((page.used[word] & bit(fid)) != 0);
  page.used[word] &= ~bit(fid);
  page.open[word] &= ~bit(fid);
  search_from_ = std::min(search_from_, fid);
}

bool FidTable::is_open(std::uint32_t fid) const {
  return (pages_[fid / kFidsPerPage]->open[fid % kFidsPerPage / 64] & bit(fid)) != 0;
}

void FidTable::set_open(std::uint32_t fid) { pages_[fid / kFidsPerPage]->open[fid % kFidsPerPage / 64] |= bit(fid); }

}  // namespace vellum::host
