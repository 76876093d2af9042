// Where this layer's memory comes from.
#pragma once

#include <cstddef>

#include <vellum/base/result.hpp>

namespace vellum {

// A supplier of mapped, writable memory, injected so that a cache can stand on physical memory, on a kernel heap or on
// a test's array. An implementation may be called by several CPUs at once and with locks of rank `arena` held, so it
// takes only locks of rank `physical` or later, unless the users of an instance promise more.
class PageSource {
 public:
  // 2^order pages, aligned to their size; what they contain is not defined.
  // Errors: no_memory, with nothing changed.
  [[nodiscard]] virtual Result<std::byte*> allocate(unsigned order) = 0;
  // Takes back a whole block of allocate(order).
  virtual void free(std::byte* block, unsigned order) = 0;

 protected:
  ~PageSource() = default;
};

}  // namespace vellum
