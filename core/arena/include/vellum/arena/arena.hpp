// Arenas: allocators of address ranges, in the manner of illumos's vmem [Bonwick & Adams 2001, "Magazines and Vmem",
// section 4].
//
// Concepts. An arena hands out ranges of addresses; it never looks at what lies there, so the addresses may be mapped,
// unmapped, or mean something else. It owns *spans*, which are given to it (add_span) or borrowed from a source when it
// runs short (import) and returned when they are wholly free. Spans are cut into *segments*, free or allocated, in
// units of the arena's quantum.
//
// Implementation. Boundary tags (segment.hpp), outside the managed addresses:
//
//   all tags, by address     [span]--[allocated]--[free]--[allocated]   [span]--[free]          freeing joins
//   neighbours free, by size class      class k: 2^k <= size < 2^(k+1); a bitmap tells the classes that have any
//   allocated, by start      a hash that grows bucket by bucket (segment_hash.hpp)
//
// Instant fit takes any segment of the first class all of whose members fit: constant time, whatever the number of
// segments. Where no such class has any it walks the one class that may hold a fit, so that a request fails only if
// nothing fits. Best fit takes the smallest that fits and walks one class for it. Next fit goes on behind the range
// that it handed out last, so that addresses are reused as late as possible and stale pointers fault. Constraints
// (alignment and phase, a boundary not to be crossed, bounds) are honoured by each: alignment alone costs instant fit
// nothing more, the others walk.
//
// Freeing needs no memory and cannot fail: tags only go back. Allocating needs up to two tags, adding a span two more;
// a small reserve is filled before anything changes, and where it cannot be filled the request fails.
//
// Locks. One, of rank `arena`, for each arena. Inside it: the tags' cache (`cache`) and the metadata's page source
// (`physical`). The source of an import is called with no lock held, so arenas may import from arenas to any depth.
//
// What it never does: touch the addresses it manages, sleep, wait for a range to be freed, move an allocated range.
#pragma once

#include <bit>
#include <cstdint>
#include <optional>

#include <vellum/arena/segment.hpp>
#include <vellum/arena/segment_hash.hpp>
#include <vellum/base/lock.hpp>

namespace vellum {

enum class Fit : std::uint8_t { instant, best, next };

// Where a range may lie. The default demands nothing.
struct RangeConstraints {
  ByteCount alignment{};             // a power of two; the start is `phase` beyond a multiple of it
  ByteCount phase{};                 // below the alignment, a multiple of the quantum
  ByteCount no_cross{};              // a power of two no multiple of which may lie inside the range; 0 for none
  VirtAddr first{};                  // no address of the range is below
  VirtAddr last{~std::uint64_t{0}};  // nor above
};

struct ArenaConfig {
  const char* name;               // outlives the arena
  ByteCount quantum;              // a power of two: every range is a multiple of it
  RangeSource* source = nullptr;  // where it imports from, or nowhere; outlives the arena
  ByteCount least_import{};       // imports are not smaller
};

class Arena final : public RangeSource {
 public:
  // Without spans, and without memory before the first is added.
  Arena(const ArenaConfig& config, ArenaMetadata& metadata);
  // Every range must have been freed.
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // Makes a range allocatable; it stays with the arena for good. Does not join spans that touch.
  // Errors: invalid (empty, or not in units of the quantum), exists (overlaps a span), no_memory.
  [[nodiscard]] Result<void> add_span(VirtRange span) VELLUM_EXCLUDES(lock_);

  // A range of `size` bytes, rounded up to the quantum. Without an acceptable free segment it imports, unless bounds
  // are given. Errors, with nothing changed: invalid (no size, constraints that no range can meet), no_memory (no such
  // range, or no boundary tag).
  [[nodiscard]] Result<VirtRange> allocate(ByteCount size, Fit fit = Fit::instant) VELLUM_EXCLUDES(lock_);
  [[nodiscard]] Result<VirtRange> allocate(ByteCount size, Fit fit, const RangeConstraints& constraints)
      VELLUM_EXCLUDES(lock_);
  // Takes back a range as it was handed out. Panics on anything else.
  void free(VirtRange range) VELLUM_EXCLUDES(lock_);

  // An arena is a source for others.
  [[nodiscard]] Result<VirtRange> allocate_span(ByteCount size) override { return allocate(size); }
  void free_span(VirtRange span) override { free(span); }

  // Allocated bytes, and the bytes of all spans. Exact.
  [[nodiscard]] ByteCount in_use() const VELLUM_EXCLUDES(lock_);
  [[nodiscard]] ByteCount total() const VELLUM_EXCLUDES(lock_);
  [[nodiscard]] std::uint64_t segments_in_use() const VELLUM_EXCLUDES(lock_);
  [[nodiscard]] ByteCount quantum() const { return ByteCount(quantum_); }
  [[nodiscard]] const char* name() const { return name_; }

  // For debug builds of a cache in front of the arena: notes that an allocated range lies unused in the cache, or is in
  // use again. Panics if the range is not allocated, or already is what it is to become.
  void note_cached(VirtRange range) VELLUM_EXCLUDES(lock_);
  void note_in_use(VirtRange range) VELLUM_EXCLUDES(lock_);

  // For tests: walks everything, and panics where tags, lists, bitmap, hash and counts disagree.
  void check_invariants() VELLUM_EXCLUDES(lock_);

 private:
  using SizeClass = IntrusiveList<Segment, &Segment::peers>;
  static constexpr unsigned kClasses = 64;
  static constexpr unsigned kTagsToAllocate = 2;
  static constexpr unsigned kTagsToAddSpan = 2;
  static constexpr unsigned kMostReserve = 16;

  // A free segment, and where in it the range goes.
  struct Place {
    Segment* segment;
    VirtAddr start;
  };

  // A request with its constraints checked and brought to one form.
  struct Request {
    std::uint64_t size;
    std::uint64_t alignment;
    std::uint64_t phase;
    std::uint64_t no_cross;
    std::uint64_t first;
    std::uint64_t last;
    // Every free segment of this size has room, unless there are bounds; 0 where that would be 2^64 or more.
    std::uint64_t padded;
    [[nodiscard]] bool bounded() const { return first != 0 || last != ~std::uint64_t{0}; }
  };

  [[nodiscard]] Result<Request> checked(ByteCount size, const RangeConstraints& constraints) const;
  [[nodiscard]] Result<VirtRange> serve(const Request& request, Fit fit) VELLUM_EXCLUDES(lock_);
  [[nodiscard]] Result<VirtRange> import_and_allocate(const Request& request, Fit fit) VELLUM_EXCLUDES(lock_);
  [[nodiscard]] bool overlaps_span(VirtRange range) VELLUM_REQUIRES(lock_);
  void insert_span(VirtRange span, Segment::Kind kind) VELLUM_REQUIRES(lock_);
  void remove_span(Segment& span) VELLUM_REQUIRES(lock_);

  // arena_fit.cpp: the policies.
  [[nodiscard]] static std::optional<VirtAddr> start_in(const Segment& segment, const Request& request);
  [[nodiscard]] std::optional<Place> find(const Request& request, Fit fit) VELLUM_REQUIRES(lock_);
  [[nodiscard]] std::optional<Place> find_instant(const Request& request) VELLUM_REQUIRES(lock_);
  [[nodiscard]] std::optional<Place> find_best(const Request& request) VELLUM_REQUIRES(lock_);
  [[nodiscard]] std::optional<Place> find_next(const Request& request) VELLUM_REQUIRES(lock_);

  VirtRange take(const Place& place, const Request& request, Fit fit) VELLUM_REQUIRES(lock_);
  // Frees an allocated segment; returns the span if it was borrowed and is wholly free, cut out of the arena.
  [[nodiscard]] VirtRange release(Segment& segment) VELLUM_REQUIRES(lock_);
  void note(VirtRange range, Segment::Kind before, Segment::Kind after) VELLUM_EXCLUDES(lock_);

  [[nodiscard]] static unsigned class_of(std::uint64_t size) { return static_cast<unsigned>(std::bit_width(size)) - 1; }
  void insert_free(Segment& segment) VELLUM_REQUIRES(lock_);
  void remove_free(Segment& segment) VELLUM_REQUIRES(lock_);
  void resize_free(Segment& segment, VirtRange range) VELLUM_REQUIRES(lock_);
  // Ends a tag, into the reserve or to the cache of tags; a rotor on it moves to `heir`.
  void remove_tag(Segment& tag, Segment* heir) VELLUM_REQUIRES(lock_);

  [[nodiscard]] Result<void> fill_reserve(unsigned tags) VELLUM_REQUIRES(lock_);
  [[nodiscard]] Segment& tag_from_reserve(VirtRange range, Segment::Kind kind) VELLUM_REQUIRES(lock_);

  const char* name_;
  std::uint64_t quantum_;
  RangeSource* source_;
  std::uint64_t least_import_;
  ArenaMetadata& metadata_;

  mutable Spinlock lock_{LockRank::arena};
  IntrusiveList<Segment, &Segment::by_address> tags_ VELLUM_GUARDED_BY(lock_);
  IntrusiveList<Segment, &Segment::peers> spans_ VELLUM_GUARDED_BY(lock_);
  SizeClass classes_[kClasses] VELLUM_GUARDED_BY(lock_);
  std::uint64_t classes_with_any_ VELLUM_GUARDED_BY(lock_) = 0;
  SegmentHash allocated_ VELLUM_GUARDED_BY(lock_);
  std::uint64_t in_use_ VELLUM_GUARDED_BY(lock_) = 0;
  std::uint64_t total_ VELLUM_GUARDED_BY(lock_) = 0;
  Segment* reserve_ VELLUM_GUARDED_BY(lock_) = nullptr;
  unsigned reserve_count_ VELLUM_GUARDED_BY(lock_) = 0;
  // Next fit goes on at this address, which lies in or just behind this tag; none before the first.
  Segment* rotor_ VELLUM_GUARDED_BY(lock_) = nullptr;
  VirtAddr rotor_address_ VELLUM_GUARDED_BY(lock_);
};

}  // namespace vellum
