// Zero-filled memory of the host process that costs nothing until it is touched.
#pragma once

#include <cstddef>
#include <utility>

#include <vellum/base/result.hpp>
#include <vellum/base/types.hpp>

namespace vellum::hosted {

// A private mapping without reserved swap [mmap(2), MAP_NORESERVE]: terabytes are possible, each page becomes real when
// it is first touched. Simulated RAM lies in one; so may arrays indexed by frame number. Left out of core dumps.
class HostArea {
 public:
  static constexpr ByteCount kAlignment{std::uint64_t{2} << 20};

  // `size` is rounded up to whole pages. Errors: no_memory, invalid for zero bytes.
  [[nodiscard]] static Result<HostArea> create(ByteCount size);

  HostArea(HostArea&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(other.size_) {}
  HostArea& operator=(HostArea&&) = delete;
  ~HostArea();

  // Aligned to kAlignment, so that blocks of simulated memory are aligned in the host too.
  [[nodiscard]] std::byte* data() const { return data_; }
  [[nodiscard]] ByteCount size() const { return size_; }

  // Makes whole pages trap when touched: holes in memory.
  void forbid(ByteCount from, ByteCount size);
  // Gives the host its memory back; the area reads as zeros again. Nobody may be using it.
  void discard();

 private:
  HostArea(std::byte* data, ByteCount size) : data_(data), size_(size) {}

  std::byte* data_;
  ByteCount size_;
};

}  // namespace vellum::hosted
