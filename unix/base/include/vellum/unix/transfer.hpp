// Where the bytes of one read or write go to or come from: a program's buffers, or the kernel's own. (illumos and BSD
// call it uio.)
#pragma once

#include <cstddef>
#include <span>

#include <vellum/unix/user_memory.hpp>

namespace vellum::unix {

struct UserSegment {
  VirtAddr base;
  ByteCount size;
};

// A cursor over buffers that is moved by the file that reads or writes. The segments must outlive it.
class Transfer {
 public:
  explicit Transfer(std::span<const UserSegment> segments);
  explicit Transfer(std::span<std::byte> kernel_buffer);
  // Only get() may be used.
  explicit Transfer(std::span<const std::byte> kernel_buffer);

  // Bytes that still fit, or are still to come.
  [[nodiscard]] ByteCount left() const { return left_; }
  [[nodiscard]] ByteCount moved() const { return moved_; }

  // Hands bytes to whoever reads; as many as given, at most left(). Error: bad_address; moved() then tells what arrived
  // before, page by page.
  [[nodiscard]] Result<void> put(std::span<const std::byte> bytes);
  // Takes bytes from whoever writes; fills all of `bytes`, at most left(). Error: as put().
  [[nodiscard]] Result<void> get(std::span<std::byte> bytes);
  // Takes all that is left from whoever writes, and looks at none of it.
  void skip() {
    moved_ += left_;
    left_ = ByteCount(0);
  }

 private:
  template <class Move>
  Result<void> step(std::size_t size, Move move);

  std::span<const UserSegment> segments_;
  std::byte* kernel_ = nullptr;
  ByteCount offset_{0};  // into the first segment
  ByteCount left_{0};
  ByteCount moved_{0};
};

}  // namespace vellum::unix
