// The arguments and the environment of an exec, on their way from the old program to the new one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include <vellum/arena/page_source.hpp>
#include <vellum/base/range.hpp>
#include <vellum/base/types.hpp>

namespace vellum::unix {

// Zero-terminated strings, one behind the other, in kernel pages.
class ArgumentStage {
 public:
  // Of all strings together, and of one with its zero byte (MAX_ARG_STRLEN).
  static constexpr ByteCount kMost{2U << 20};
  static constexpr ByteCount kLongest{128U << 10};

  explicit ArgumentStage(PageSource& source) : source_(source) {}
  ~ArgumentStage();
  ArgumentStage(const ArgumentStage&) = delete;
  ArgumentStage& operator=(const ArgumentStage&) = delete;

  // Errors: argument_list_too_long, no_memory; for a program's memory bad_address.
  [[nodiscard]] Result<void> add(std::string_view string);
  [[nodiscard]] Result<void> add_from_user(VirtAddr string);
  // All strings of an array of pointers that ends with 0, from the `skip`th on; counts them. An array at 0 is empty.
  [[nodiscard]] Result<unsigned> add_array_from_user(VirtAddr array, unsigned skip);

  [[nodiscard]] ByteCount size() const { return ByteCount(size_); }
  // Copies everything to where a program can read it. Error: bad_address.
  [[nodiscard]] Result<void> copy_to_user(VirtAddr to) const;
  // Calls visit(offset) for each string's start, from the one at `offset` on; until it fails.
  template <class Visitor>
  Result<void> for_each(std::uint64_t offset, std::uint64_t end, Visitor visit) const {
    bool at_start = true;
    for (; offset < end; ++offset) {
      if (at_start) {
        VELLUM_TRY(visit(offset));
      }
      at_start = *byte(offset) == std::byte{0};
    }
    return {};
  }

 private:
  static constexpr std::size_t kMostPages = kMost.value() / kPageSize;
  // The bytes from the end to the end of its page, which is allocated if need be.
  [[nodiscard]] Result<std::span<std::byte>> room();
  [[nodiscard]] std::byte* byte(std::uint64_t offset) const {
    return pages_[offset >> kPageShift] + (offset & (kPageSize - 1));
  }

  PageSource& source_;
  std::byte** pages_ = nullptr;  // a page of pointers
  std::size_t page_count_ = 0;
  std::uint64_t size_ = 0;
};

}  // namespace vellum::unix
