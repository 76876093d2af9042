// Boundary tags: how an arena remembers its spans and what they are cut into, and where the tags come from.
#pragma once

#include <cstdint>

#include <vellum/arena/object_cache.hpp>
#include <vellum/base/intrusive_list.hpp>
#include <vellum/base/range.hpp>

namespace vellum {

// Where an arena can get spans and give them back: another arena, or a function that also maps memory. Called with no
// lock of the borrowing arena held.
class RangeSource {
 public:
  // A range of at least `size` bytes. Errors: no_memory, with nothing changed.
  [[nodiscard]] virtual Result<VirtRange> allocate_span(ByteCount size) = 0;
  // Takes back a whole range of allocate_span().
  virtual void free_span(VirtRange span) = 0;

 protected:
  ~RangeSource() = default;
};

// One boundary tag. A span's own tag stands before the tags of its segments, which tile the span in ascending order.
struct Segment {
  enum class Kind : std::uint8_t {
    span,           // given by add_span()
    imported_span,  // borrowed from the arena's RangeSource
    free,
    allocated,
    cached,  // debug builds: allocated, but lying in a quantum cache
  };

  VirtRange range;
  ListLink by_address;
  ListLink peers;              // free: its size class; spans: all spans
  Segment* chained = nullptr;  // allocated: its hash chain; unused: the reserve
  Kind kind = Kind::free;

  [[nodiscard]] bool is_allocated() const { return kind == Kind::allocated || kind == Kind::cached; }
};

// What the arenas of a system share: tags, and pages for their hashes. `pages` must not lead back to an arena, because
// it is asked with an arena's lock held.
struct ArenaMetadata {
  ArenaMetadata(PageSource& page_source, Machine& with_machine)
      : pages(page_source), machine(with_machine), tags("boundary tags", page_source, with_machine) {}

  PageSource& pages;
  Machine& machine;
  TypedCache<Segment> tags;
};

}  // namespace vellum
