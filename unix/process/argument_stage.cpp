#include "argument_stage.hpp"

#include <algorithm>
#include <span>

#include <vellum/unix/lifecycle.hpp>
#include <vellum/unix/user_memory.hpp>

namespace vellum::unix {

ArgumentStage::~ArgumentStage() {
  for (std::size_t i = 0; i < page_count_; ++i) {
    source_.free(pages_[i], 0);
  }
  if (pages_ != nullptr) {
    source_.free(reinterpret_cast<std::byte*>(pages_), 0);
  }
}

Result<std::span<std::byte>> ArgumentStage::room() {
  if (pages_ == nullptr) {
    static_assert(kMostPages * sizeof(std::byte*) <= kPageSize);
    pages_ = reinterpret_cast<std::byte**>(VELLUM_TRY(source_.allocate(0)));
  }
  const std::size_t page = size_ >> kPageShift;
  if (page == kMostPages) {
    return Errno::argument_list_too_long;
  }
  if (page == page_count_) {
    pages_[page] = VELLUM_TRY(source_.allocate(0));
    ++page_count_;
  }
  const std::size_t used = size_ & (kPageSize - 1);
  return std::span(pages_[page] + used, kPageSize - used);
}

Result<void> ArgumentStage::add(std::string_view string) {
  std::size_t done = 0;
  while (done < string.size()) {
    const std::span<std::byte> room = VELLUM_TRY(this->room());
    const std::size_t piece = std::min(room.size(), string.size() - done);
    __builtin_memcpy(room.data(), string.data() + done, piece);
    size_ += piece;
    done += piece;
  }
  VELLUM_TRY(room())[0] = std::byte{0};
  ++size_;
  return {};
}

Result<void> ArgumentStage::add_from_user(VirtAddr string) {
  for (std::uint64_t done = 0; done < kLongest.value();) {
    const std::span<std::byte> room = VELLUM_TRY(this->room());
    const std::size_t piece = std::min<std::uint64_t>(room.size(), kLongest.value() - done);
    const std::span<char> into(reinterpret_cast<char*>(room.data()), piece);
    const Result<std::size_t> length = copy_in_string(into, string + ByteCount(done));
    if (length.ok()) {
      size_ += length.value() + 1;
      return {};
    }
    if (length.error() != Errno::name_too_long) {
      return length.error();
    }
    size_ += piece;
    done += piece;
  }
  return Errno::argument_list_too_long;
}

Result<unsigned> ArgumentStage::add_array_from_user(VirtAddr array, unsigned skip) {
  unsigned count = 0;
  if (array.value() == 0) {
    return count;
  }
  for (unsigned i = 0;; ++i) {
    const auto pointer = VELLUM_TRY(read_user<std::uint64_t>(array + ByteCount(std::uint64_t{i} * 8)));
    if (pointer == 0) {
      return count;
    }
    if (i >= skip) {
      VELLUM_TRY(add_from_user(VirtAddr(pointer)));
      ++count;
    }
  }
}

Result<unsigned> StringList::add_to(ArgumentStage& stage, unsigned skip) const {
  if (user.value() != 0) {
    return stage.add_array_from_user(user, skip);
  }
  unsigned count = 0;
  for (const std::string_view string : kernel.subspan(std::min<std::size_t>(skip, kernel.size()))) {
    VELLUM_TRY(stage.add(string));
    ++count;
  }
  return count;
}

Result<void> ArgumentStage::copy_to_user(VirtAddr to) const {
  for (std::uint64_t offset = 0; offset < size_; offset += kPageSize) {
    const std::size_t piece = std::min<std::uint64_t>(kPageSize, size_ - offset);
    VELLUM_TRY(copy_out(to + ByteCount(offset), std::span<const std::byte>(pages_[offset >> kPageShift], piece)));
  }
  return {};
}

}  // namespace vellum::unix
