// Where the pages of a file come from and go to.
#pragma once

#include <cstddef>
#include <span>

#include <vellum/base/range.hpp>

namespace vellum {

// Called with no lock held and outside of sections, so it may sleep; possibly by several CPUs at once, even for one
// page.
class Pager {
 public:
  // Fills a page; what lies beyond the end of the file is zeros. Errors: io_error, no_memory.
  [[nodiscard]] virtual Result<void> read(PageIndex index, std::span<std::byte> page) = 0;
  // Keeps a page. The page may be written meanwhile; then it will be handed over again. Errors: io_error, no_space.
  [[nodiscard]] virtual Result<void> write(PageIndex index, std::span<const std::byte> page) = 0;

  // The pages that are cheap to read right after page `index`, itself included: where memory is plenty they come into
  // memory with it.
  [[nodiscard]] virtual IndexRange neighbours(PageIndex index) { return IndexRange::must(index, PageCount(1)); }

  // From this page on, read() gives zeros: a page that is to be zeros again need not be kept.
  [[nodiscard]] virtual PageIndex zeros_from() { return PageIndex(~std::uint64_t{0}); }

  // Whether the pages are nowhere but in memory: there is nobody to ask for them again.
  [[nodiscard]] virtual bool is_memory() const { return false; }
  // So many pages that read() filled are not kept any more. Does not sleep.
  virtual void pages_gone(PageCount /*count*/) {}
  // The object whose pages these are ends and asks no more: whoever lives for it may end.
  virtual void object_ended() {}

 protected:
  ~Pager() = default;
};

}  // namespace vellum
