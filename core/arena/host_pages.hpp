// A page source over the host's heap, for fuzzers and benchmarks: a sanitizer sees what touches freed pages and what is
// never freed.
#pragma once

#include <cstdint>
#include <cstdlib>

#include <vellum/arena/page_source.hpp>
#include <vellum/base/types.hpp>

namespace vellum {

class HostPages final : public PageSource {
 public:
  ~HostPages() { VELLUM_CHECK(pages_out_ == 0); }

  Result<std::byte*> allocate(unsigned order) override {
    if (failing_) {
      return Errno::no_memory;
    }
    const std::size_t size = kPageSize << order;
    auto* const block = static_cast<std::byte*>(std::aligned_alloc(size, size));
    VELLUM_CHECK(block != nullptr);
    pages_out_ += std::uint64_t{1} << order;
    return block;
  }
  void free(std::byte* block, unsigned order) override {
    pages_out_ -= std::uint64_t{1} << order;
    std::free(block);
  }

  // From now on every allocation fails, or none.
  void fail() { failing_ = true; }
  void recover() { failing_ = false; }
  [[nodiscard]] bool failing() const { return failing_; }
  [[nodiscard]] PageCount pages_out() const { return PageCount(pages_out_); }

 private:
  bool failing_ = false;
  std::uint64_t pages_out_ = 0;
};

}  // namespace vellum
