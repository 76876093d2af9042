// A file kept in host memory, which remembers what was asked of it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <vector>

#include <vellum/object/pager.hpp>

namespace vellum::test {

class MemoryPager final : public Pager {
 public:
  // Each page begins with first_word() of it; the rest is zeros.
  explicit MemoryPager(ByteCount size) : bytes_(size.value()) {
    for (std::uint64_t at = 0; at + sizeof(std::uint64_t) <= bytes_.size(); at += kPageSize) {
      const std::uint64_t word = first_word(PageIndex(at >> kPageShift));
      std::memcpy(bytes_.data() + at, &word, sizeof word);
    }
  }
  [[nodiscard]] static std::uint64_t first_word(PageIndex index) { return 0x1000'0000 + index.value(); }

  Result<void> read(PageIndex index, std::span<std::byte> page) override {
    reads.push_back(index.value());
    if (error) {
      return *error;
    }
    const std::uint64_t length = in_file(index);
    std::fill(page.begin(), page.end(), std::byte{0});
    std::copy_n(bytes_.data() + start(index), length, page.data());
    return {};
  }
  Result<void> write(PageIndex index, std::span<const std::byte> page) override {
    writes.push_back(index.value());
    if (error) {
      return *error;
    }
    std::copy_n(page.data(), in_file(index), bytes_.data() + start(index));
    return {};
  }

  IndexRange neighbours(PageIndex index) override {
    return IndexRange::must(PageIndex(round_down(index.value(), together)), PageCount(together));
  }

  // The word at a byte offset of the file.
  [[nodiscard]] std::uint64_t word(std::uint64_t offset) const {
    std::uint64_t value = 0;
    std::memcpy(&value, bytes_.data() + offset, sizeof value);
    return value;
  }
  void resize(ByteCount size) { bytes_.resize(size.value()); }

  // Given to every call from now on.
  std::optional<Errno> error;
  // Pages that come together: a power of two.
  std::uint64_t together = 1;
  // The pages asked for, in order.
  std::vector<std::uint64_t> reads;
  std::vector<std::uint64_t> writes;

 private:
  [[nodiscard]] std::uint64_t start(PageIndex index) const {
    return std::min<std::uint64_t>(index.value() << kPageShift, bytes_.size());
  }
  [[nodiscard]] std::uint64_t in_file(PageIndex index) const {
    return std::min<std::uint64_t>(kPageSize, bytes_.size() - start(index));
  }

  std::vector<std::byte> bytes_;
};

}  // namespace vellum::test
