#include <vellum/unix/transfer.hpp>

#include <algorithm>

namespace vellum::unix {

Transfer::Transfer(std::span<const UserSegment> segments) : segments_(segments) {
  for (const UserSegment& segment : segments) {
    left_ += segment.size;
  }
}

Transfer::Transfer(std::span<std::byte> kernel_buffer) : kernel_(kernel_buffer.data()), left_(kernel_buffer.size()) {}

// get() does not write through the pointer.
Transfer::Transfer(std::span<const std::byte> kernel_buffer)
    : kernel_(const_cast<std::byte*>(kernel_buffer.data())), left_(kernel_buffer.size()) {}

// Calls move(kernel pointer or null, user address, offset in the caller's bytes, size) for each piece that lies in one
// segment and one page.
template <class Move>
Result<void> Transfer::step(std::size_t size, Move move) {
  VELLUM_ASSERT(size <= left_.value());
  for (std::size_t done = 0; done < size;) {
    std::size_t piece = size - done;
    if (kernel_ != nullptr) {
      VELLUM_TRY(move(kernel_ + moved_.value(), VirtAddr(0), done, piece));
    } else {
      while (offset_ == segments_.front().size) {
        segments_ = segments_.subspan(1);
        offset_ = ByteCount(0);
      }
      const UserSegment& segment = segments_.front();
      const VirtAddr at = segment.base + offset_;
      piece = std::min<std::size_t>(piece, (segment.size - offset_).value());
      piece = std::min<std::size_t>(piece, kPageSize - at.offset_in_page().value());
      VELLUM_TRY(move(nullptr, at, done, piece));
      offset_ += ByteCount(piece);
    }
    done += piece;
    left_ -= ByteCount(piece);
    moved_ += ByteCount(piece);
  }
  return {};
}

Result<void> Transfer::put(std::span<const std::byte> bytes) {
  return step(bytes.size(), [&](std::byte* kernel, VirtAddr user, std::size_t done, std::size_t size) -> Result<void> {
    if (kernel == nullptr) {
      return copy_out(user, bytes.subspan(done, size));
    }
    __builtin_memcpy(kernel, bytes.data() + done, size);
    return {};
  });
}

Result<void> Transfer::get(std::span<std::byte> bytes) {
  return step(bytes.size(),
              [&](const std::byte* kernel, VirtAddr user, std::size_t done, std::size_t size) -> Result<void> {
                if (kernel == nullptr) {
                  return copy_in(bytes.subspan(done, size), user);
                }
                __builtin_memcpy(bytes.data() + done, kernel, size);
                return {};
              });
}

}  // namespace vellum::unix
