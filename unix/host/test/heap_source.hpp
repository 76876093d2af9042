// Pages from the test's heap.
#pragma once

#include <cstdlib>

#include <vellum/arena/page_source.hpp>
#include <vellum/base/types.hpp>

namespace vellum::host {

class HeapSource final : public PageSource {
 public:
  Result<std::byte*> allocate(unsigned order) override {
    void* const pages = std::aligned_alloc(kPageSize << order, kPageSize << order);
    return pages != nullptr ? Result<std::byte*>(static_cast<std::byte*>(pages)) : Errno::no_memory;
  }
  void free(std::byte* block, unsigned /*order*/) override { std::free(block); }
};

}  // namespace vellum::host
