// struct iovec: stretches of memory that a program names, copied from it.
#pragma once

#include <algorithm>

#include <vellum/unix/transfer.hpp>

#include "paths.hpp"

namespace vellum::unix {

class Segments {
 public:
  static constexpr std::uint64_t kMostSegments = 1024;      // UIO_MAXIOV
  static constexpr std::uint64_t kMostAtOnce = 0x7ffff000;  // MAX_RW_COUNT

  Segments() : scratch_(all_files().memory()) {}
  // Errors: invalid (too many, lengths that make no sense), bad_address, no_memory.
  [[nodiscard]] Result<void> read(VirtAddr from, std::uint64_t count) {
    static_assert(sizeof(UserSegment) == 16 && std::is_trivially_copyable_v<UserSegment>);
    if (count > kMostSegments) {
      return Errno::invalid;
    }
    if (count == 0) {
      return {};
    }
    VELLUM_TRY(scratch_.allocate(ByteCount(count * sizeof(UserSegment))));
    VELLUM_TRY(copy_in(scratch_.bytes(), from));
    segments_ = {reinterpret_cast<UserSegment*>(scratch_.bytes().data()), static_cast<std::size_t>(count)};
    std::uint64_t left = kMostAtOnce;
    for (UserSegment& segment : segments_) {
      if (static_cast<std::int64_t>(segment.size.value()) < 0) {
        return Errno::invalid;
      }
      segment.size = ByteCount(std::min(segment.size.value(), left));
      left -= segment.size.value();
    }
    return {};
  }
  [[nodiscard]] std::span<const UserSegment> get() const { return segments_; }

 private:
  Scratch scratch_;
  std::span<UserSegment> segments_;
};

}  // namespace vellum::unix
