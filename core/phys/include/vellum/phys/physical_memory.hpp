// Physical memory: who has which page.
//
// Concepts. Memory is frames of 4 KB. Each has a descriptor (Frame, 16 bytes) that says what it is used for, by whom,
// and how many hold it. A frame is free, or cached by a CPU, or allocated; allocated frames belong to the caller, who
// counts the holders in the descriptor and frees the frame when the last lets go. Blocks of 2^n frames (Order) are
// allocated and freed whole. What a free page holds is known to be zeros or is not known; a caller says what it needs.
//
// Implementation. Three steps, each called for about a 64th of the calls of the one before it:
//
//   CpuCache      two stacks of frames of each CPU: dirty pages and pages of zeros. Used inside a CpuSection, without
//     |           a lock, and no line of it is written by two CPUs. One page: push or pop.
//     | 64 at a time, under lock_
//   zero pool     a chain of pages that hold zeros, filled by prezero() when a CPU idles.
//     |
//   FramePool     the bits of all free frames; blocks come straight from here. See frame_pool.hpp.
//
// Freed pages go to the CPU that freed them, the last freed is the first used again, for it is still in that CPU's
// cache. A full stack gives up its older half.
//
// One lock, not many: it is taken once for 64 pages, is held for less than the zeroing of one of them takes, and a
// block costs so much to fill that its lock does not show. README.md has the measurement.
//
// Descriptors and bits of a region (128 MB) are set up when its first frame is used, so that a machine with terabytes
// starts as quickly as one with megabytes.
//
// Locks.  lock_ (LockRank::physical): zero pool and FramePool. Taken inside CpuSections, so interrupts are out.
//         CpuCache: only its CPU, inside a CpuSection.
//         Frame: see its legend.
//
// Never: sleeps; calls back into its caller; allocates from anywhere else; retries or reclaims (callers do, when they
// see no_memory or when level() tells them to); takes pages out of another CPU's cache, except in drain_caches().
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>

#include <vellum/base/annotations.hpp>
#include <vellum/base/lock.hpp>
#include <vellum/base/machine.hpp>
#include <vellum/base/result.hpp>
#include <vellum/phys/frame.hpp>
#include <vellum/phys/frame_pool.hpp>
#include <vellum/phys/memory_map.hpp>

namespace vellum {

class Reservation;

// Whether freed pages are filled with a pattern that is checked when they are allocated again. Finds writes to freed
// memory, costs as much as zeroing each page twice.
enum class Poison : std::uint8_t { off, on };

// How much is free, by the watermarks.
enum class MemoryLevel : std::uint8_t {
  plenty,    // nothing to do
  low,       // below Watermarks::high: reclaim in the background until it is plenty
  scarce,    // below Watermarks::low: reclaim in earnest
  critical,  // below Watermarks::minimum: only what frees memory should allocate
};

// illumos's rules, without its floor of 16 MB: lotsfree = memory / 64, at most 2 GB; desfree = lotsfree / 2; minfree =
// 3/4 of desfree [illumos, os/vm_pageout.c].
struct Watermarks {
  PageCount minimum;
  PageCount low;
  PageCount high;
  [[nodiscard]] static Watermarks for_total(PageCount total);
};

// What an allocation may do where nothing fits that is free for all: look through what this CPU and the zero pool hold.
enum class Effort : std::uint8_t { full, none };

struct PhysicalMemoryConfig {
  // What the area for descriptors holds. zeroed where that is known, e.g. where it faults in zeros on demand.
  Contents area = Contents::any;
  Poison poison = Poison::off;
};

class PhysicalMemory {
 public:
  using Config = PhysicalMemoryConfig;

  // Bytes of address space for the descriptors and all else; what belongs to holes of `map` is never touched.
  [[nodiscard]] static ByteCount area_size(const MemoryMap& map, unsigned cpu_count);

  // Builds the allocator for the frames of `map` into `area`, which is aligned to a page, outside of the frames of
  // `map`, and lives as long as the allocator; so does `machine`. There is no destroy(): it owns nothing but the area.
  // Errors: invalid where the area is too small or not aligned, no_memory where the map is empty.
  [[nodiscard]] static Result<PhysicalMemory*> create(Machine& machine, const MemoryMap& map, std::span<std::byte> area,
                                                      const Config& config = {});

  PhysicalMemory(const PhysicalMemory&) = delete;
  PhysicalMemory& operator=(const PhysicalMemory&) = delete;

  // One page, of kind `kernel`, share() == 1. Constant time but for the zeroing.
  // Errors: no_memory: no frame is free, but for those that other CPUs cache (at most a 16th of memory).
  [[nodiscard]] Result<Pfn> allocate(Contents contents);
  // The caller is the only holder (share() == 1), or took the share count to 0.
  void free(Pfn frame) { give_back(frame, Contents::any); }
  // The same for all of a chain that their share counts of 0 allow (Frame::set_next); `first` may be kNoFrame.
  void free_chain(Pfn first);
  // The same for a page that the caller knows to hold zeros.
  void free_zeroed(Pfn frame) { give_back(frame, Contents::zeroed); }

  // 2^order frames, aligned to their size. The first frame's descriptor is the block's (kind, share as above, order());
  // the others' say nothing.
  // Errors: no_memory: memory is short or too broken up.
  [[nodiscard]] Result<Pfn> allocate_block(Order order, Contents contents, Effort effort = Effort::full);
  // A whole block, `order` as it was allocated.
  void free_block(Pfn first, Order order);
  // Makes a block into frames of their own, each with the kind and owner of the first one and share() == 1, as the
  // block must have had; index() counts up from the first one's.
  void split_block(Pfn first, Order order);
  // All the frames of a block that was split, of each of which the caller is the only holder.
  void free_split_block(Pfn first, Order order);

  // Frames that can be taken later without failing. Errors: no_memory; then none is taken.
  [[nodiscard]] Result<Reservation> reserve(PageCount count);

  // The descriptor of a frame below MemoryMap::end().
  [[nodiscard]] Frame& frame(Pfn frame) {
    VELLUM_ASSERT(frame < end_);
    return frames_[frame.value()];
  }
  // Whether the frame is one of the map's. Logarithmic.
  [[nodiscard]] bool is_managed(Pfn frame) const { return map_.contains(frame); }
  [[nodiscard]] Machine& machine() { return machine_; }

  [[nodiscard]] PageCount total_count() const { return total_; }
  // All free frames, cached ones too. Exact while nobody allocates; otherwise some recent value. A step for each CPU.
  [[nodiscard]] PageCount free_count() const;
  // The fewest frames that were left since the start, or the last forget_least_free(); what CPUs cache does not count.
  [[nodiscard]] PageCount least_free_count() const { return PageCount(least_free_.load(std::memory_order_relaxed)); }
  void forget_least_free();
  [[nodiscard]] const Watermarks& watermarks() const { return watermarks_; }
  // By the free frames that every CPU can reach: what CPUs cache does not count. Constant time. The second: were so
  // many frames fewer left.
  [[nodiscard]] MemoryLevel level() const { return level_without(PageCount(0)); }
  [[nodiscard]] MemoryLevel level_without(PageCount frames) const;

  // For idle CPUs: fills up to `limit` dirty free pages with zeros, until enough are at hand. Returns how many it
  // filled; 0 means that there is nothing to do.
  PageCount prezero(PageCount limit);

  // Empties all caches and the zero pool, so that blocks can form from their frames. Only while nobody allocates.
  void drain_caches();
  // Panics where the allocator's structures contradict each other. Only while nobody allocates; takes long.
  void check_invariants();

 private:
  friend class Reservation;

  struct FrameStack {
    static constexpr std::uint32_t kCapacity = 128;
    std::atomic<std::uint32_t> count{0};  // written by the stack's CPU only; others read it to count free frames
    Pfn frames[kCapacity];

    [[nodiscard]] std::uint32_t size() const { return count.load(std::memory_order_relaxed); }
    void set_size(std::uint32_t size) { count.store(size, std::memory_order_relaxed); }
    void push(Pfn frame) {
      const std::uint32_t held = size();
      VELLUM_ASSERT(held < kCapacity);
      frames[held] = frame;
      set_size(held + 1);
    }
    [[nodiscard]] Pfn pop() {
      const std::uint32_t left = size() - 1;
      set_size(left);
      return frames[left];
    }
  };
  struct alignas(kCacheLine) CpuCache {
    FrameStack dirty;
    FrameStack zeroed;
    Pfn near{0};  // where the last frames came from

    [[nodiscard]] FrameStack& of(Contents contents) { return contents == Contents::zeroed ? zeroed : dirty; }
  };
  struct FreeFrame {
    Pfn frame;
    Contents contents;
  };
  struct Areas;

  PhysicalMemory(Machine& machine, const MemoryMap& map, const Areas& areas, const Config& config);

  [[nodiscard]] CpuCache& this_cpu() { return caches_[machine_.current_cpu().value()]; }
  void give_back(Pfn frame, Contents contents);

  [[nodiscard]] Result<Pfn> allocate_slowly(Contents contents);
  void put(Pfn frame, Contents contents);
  [[nodiscard]] std::optional<FreeFrame> take(Contents preferred);
  void give_up_half(FrameStack& stack, Contents contents);
  void note_taken() VELLUM_REQUIRES(lock_);
  void refill(CpuCache& cache) VELLUM_REQUIRES(lock_);
  void refill_zeroed(CpuCache& cache) VELLUM_REQUIRES(lock_);
  void drain(CpuCache& cache) VELLUM_REQUIRES(lock_);
  void drain_zero_pool() VELLUM_REQUIRES(lock_);
  void push_zero_pool(Pfn frame) VELLUM_REQUIRES(lock_);
  [[nodiscard]] Pfn pop_zero_pool() VELLUM_REQUIRES(lock_);
  [[nodiscard]] std::optional<Pfn> take_dirty();
  [[nodiscard]] std::optional<Pfn> take_block(Order order, Effort effort);
  void begin_block(Pfn first, Order order, Contents contents);
  void make_zero(Pfn frame);
  void poison_freed(Pfn frame, Contents contents);
  void check_poison(const FreeFrame& taken);

  Machine& machine_;
  const MemoryMap map_;
  Frame* const frames_;
  CpuCache* const caches_;
  const Pfn end_;
  const PageCount total_;
  const Watermarks watermarks_;
  const std::uint32_t batch_;        // frames that move between a stack and the shared part at once
  const std::uint32_t stack_limit_;  // frames that a stack holds: two batches
  const std::uint64_t zero_pool_limit_;
  const Poison poison_;

  alignas(kCacheLine) mutable Spinlock lock_{LockRank::physical};
  FramePool pool_ VELLUM_GUARDED_BY(lock_);
  Pfn zero_pool_ VELLUM_GUARDED_BY(lock_) = Frame::kNoFrame;
  // Written under lock_, read by anyone.
  std::atomic<std::uint64_t> zero_pool_count_{0};
  const std::atomic<std::uint64_t>& pool_free_;
  std::atomic<std::uint64_t> least_free_;
};

// Frames that are already taken, for a caller that must not fail later. Ends by giving back what is left.
class [[nodiscard]] Reservation {
 public:
  Reservation(Reservation&& other) noexcept
      : memory_(other.memory_),
        first_(std::exchange(other.first_, Frame::kNoFrame)),
        count_(std::exchange(other.count_, PageCount(0))) {}
  Reservation& operator=(Reservation&& other) noexcept {
    if (this != &other) {
      finish();
      memory_ = other.memory_;
      first_ = std::exchange(other.first_, Frame::kNoFrame);
      count_ = std::exchange(other.count_, PageCount(0));
    }
    return *this;
  }
  ~Reservation() { finish(); }

  [[nodiscard]] PageCount count() const { return count_; }
  // One frame, as from PhysicalMemory::allocate(). count() must not be 0.
  [[nodiscard]] Pfn take(Contents contents);
  // Gives back the frames that are left.
  void finish();

 private:
  friend class PhysicalMemory;
  explicit Reservation(PhysicalMemory& memory) : memory_(&memory) {}
  void add(Pfn frame, Contents contents);
  [[nodiscard]] PhysicalMemory::FreeFrame remove();

  PhysicalMemory* memory_;
  Pfn first_ = Frame::kNoFrame;
  PageCount count_{0};
};

inline Result<Pfn> PhysicalMemory::allocate(Contents contents) {
  if (!machine_.allocation_permitted()) [[unlikely]] {
    return Errno::no_memory;
  }
  if (poison_ == Poison::off) [[likely]] {
    const CpuSection section(machine_);
    FrameStack& stack = this_cpu().of(contents);
    const std::uint32_t held = stack.size();
    if (held != 0) [[likely]] {
      const Pfn pfn = stack.frames[held - 1];
      stack.set_size(held - 1);
      frame(pfn).begin_use(Order(0), 1);
      return pfn;
    }
  }
  return allocate_slowly(contents);
}

inline void PhysicalMemory::give_back(Pfn pfn, Contents contents) {
  Frame& freed = frame(pfn);
  VELLUM_ASSERT(is_managed(pfn));
  VELLUM_CHECK(freed.kind() != FrameKind::free);  // freed twice, or never allocated
  VELLUM_ASSERT(freed.share() <= 1);
  VELLUM_ASSERT(freed.order() == Order(0));
  freed.end_use();
  if (poison_ == Poison::off) [[likely]] {
    const CpuSection section(machine_);
    FrameStack& stack = this_cpu().of(contents);
    const std::uint32_t held = stack.size();
    if (held < stack_limit_) [[likely]] {
      stack.frames[held] = pfn;
      stack.set_size(held + 1);
      return;
    }
  }
  put(pfn, contents);
}

}  // namespace vellum
