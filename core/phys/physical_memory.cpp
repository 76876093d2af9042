#include <algorithm>
#include <new>

#include <vellum/phys/physical_memory.hpp>

namespace vellum {

namespace {

constexpr std::uint64_t kPoisonPattern = 0xDEADF4A3DEADF4A3;

void poison(std::byte* page) {
  auto* const words = reinterpret_cast<std::uint64_t*>(page);
  std::fill(words, words + kPageSize / sizeof(std::uint64_t), kPoisonPattern);
}

bool page_holds(const std::byte* page, std::uint64_t pattern) {
  const auto* words = reinterpret_cast<const std::uint64_t*>(page);
  return std::all_of(words, words + kPageSize / sizeof(std::uint64_t),
                     [pattern](std::uint64_t word) { return word == pattern; });
}

// Descriptors of memory that may hold anything are cleared when their region is first used.
void clear_frames(void* frames, FrameRange range) {
  auto* first = static_cast<Frame*>(frames) + range.start().value();
  for (std::uint64_t i = 0; i < range.size().value(); ++i) {
    new (first + i) Frame;
  }
}

}  // namespace

Watermarks Watermarks::for_total(PageCount total) {
  const PageCount high = std::min(total / 64, whole_pages(ByteCount(std::uint64_t{2} << 30)));
  const PageCount low = high / 2;
  return {low * 3 / 4, low, high};
}

// How the area is divided.
struct PhysicalMemory::Areas {
  std::byte* base;
  std::uint64_t caches;
  std::uint64_t tree_words;
  std::uint64_t regions;
  std::uint64_t frames;
  std::uint64_t end;
  std::size_t region_count;

  Areas(std::byte* area, const MemoryMap& map, unsigned cpus)
      : base(area), region_count(FramePool::regions_for(map.end())) {
    caches = round_up(sizeof(PhysicalMemory), kPageSize);
    tree_words = round_up(caches + cpus * sizeof(CpuCache), kCacheLine);
    regions = round_up(tree_words + FramePool::tree_words_for(region_count) * sizeof(std::uint64_t), kPageSize);
    frames = round_up(regions + region_count * sizeof(FramePool::Region), kPageSize);
    end = round_up(frames + map.end().value() * sizeof(Frame), kPageSize);
  }

  template <class T>
  [[nodiscard]] T* at(std::uint64_t offset) const {
    return reinterpret_cast<T*>(base + offset);
  }
  [[nodiscard]] std::span<std::uint64_t> words() const {
    return {at<std::uint64_t>(tree_words), FramePool::tree_words_for(region_count)};
  }
};

ByteCount PhysicalMemory::area_size(const MemoryMap& map, unsigned cpu_count) {
  return ByteCount(Areas(nullptr, map, cpu_count).end);
}

Result<PhysicalMemory*> PhysicalMemory::create(Machine& machine, const MemoryMap& map, std::span<std::byte> area,
                                               const Config& config) {
  const Areas areas(area.data(), map, machine.cpu_count());
  if (reinterpret_cast<std::uintptr_t>(area.data()) % kPageSize != 0 || area.size() < areas.end) {
    return Errno::invalid;
  }
  if (map.total().is_zero()) {
    return Errno::no_memory;
  }
  for (unsigned cpu = 0; cpu < machine.cpu_count(); ++cpu) {
    new (areas.at<CpuCache>(areas.caches) + cpu) CpuCache;
  }
  if (config.area != Contents::zeroed) {
    std::ranges::fill(areas.words(), 0);
  }
  return new (area.data()) PhysicalMemory(machine, map, areas, config);
}

// What the caches can hide from each other is bounded by a 16th of memory: four batches for each CPU.
PhysicalMemory::PhysicalMemory(Machine& machine, const MemoryMap& map, const Areas& areas, const Config& config)
    : machine_(machine),
      map_(map),
      frames_(areas.at<Frame>(areas.frames)),
      caches_(areas.at<CpuCache>(areas.caches)),
      end_(map.end()),
      total_(map.total()),
      watermarks_(Watermarks::for_total(total_)),
      batch_(static_cast<std::uint32_t>(
          std::clamp<std::uint64_t>(total_.value() / (64 * std::uint64_t{machine.cpu_count()}), 1, 64))),
      stack_limit_(2 * batch_),
      zero_pool_limit_(std::max<std::uint64_t>(total_.value() / 32, batch_)),
      poison_(config.poison),
      pool_(map_, areas.words(), areas.at<FramePool::Region>(areas.regions),
            machine.memory_starts_zeroed() ? Contents::zeroed : Contents::any,
            config.area == Contents::zeroed ? nullptr : clear_frames, frames_),
      pool_free_(pool_.free_counter()),
      least_free_(total_.value()) {}

Result<Pfn> PhysicalMemory::allocate_slowly(Contents contents) {
  const std::optional<FreeFrame> taken = take(contents);
  if (!taken) {
    return Errno::no_memory;
  }
  frame(taken->frame).begin_use(Order(0), 1);
  if (contents == Contents::zeroed && taken->contents != Contents::zeroed) {
    make_zero(taken->frame);
  }
  return taken->frame;
}

// A free frame of the preferred contents if there is one at hand, of any other rather than none.
std::optional<PhysicalMemory::FreeFrame> PhysicalMemory::take(Contents preferred) {
  std::optional<FreeFrame> taken;
  {
    const CpuSection section(machine_);
    CpuCache& cache = this_cpu();
    if (preferred == Contents::zeroed && cache.zeroed.size() == 0 &&
        zero_pool_count_.load(std::memory_order_relaxed) != 0) {
      const LockGuard guard(lock_);
      refill_zeroed(cache);
      note_taken();
    }
    if (cache.zeroed.size() == 0 && cache.dirty.size() == 0) {
      const LockGuard guard(lock_);
      refill(cache);
      if (cache.zeroed.size() == 0 && cache.dirty.size() == 0) {
        refill_zeroed(cache);
      }
      note_taken();
    }
    const Contents other = preferred == Contents::zeroed ? Contents::any : Contents::zeroed;
    for (const Contents contents : {preferred, other}) {
      if (cache.of(contents).size() != 0) {
        taken = FreeFrame{cache.of(contents).pop(), contents};
        break;
      }
    }
  }
  if (taken && poison_ == Poison::on) {
    check_poison(*taken);
  }
  return taken;
}

void PhysicalMemory::free_chain(Pfn first) {
  if (first == Frame::kNoFrame) {
    return;
  }
  if (poison_ == Poison::on) {
    while (first != Frame::kNoFrame) {
      free(std::exchange(first, frame(first).next()));
    }
    return;
  }
  constexpr unsigned kMostAtOnce = 128;  // interrupts wait for a section to end
  while (first != Frame::kNoFrame) {
    const CpuSection section(machine_);
    FrameStack& stack = this_cpu().dirty;
    for (unsigned i = 0; i < kMostAtOnce && first != Frame::kNoFrame; ++i) {
      Frame& freed = frame(first);
      VELLUM_ASSERT(is_managed(first) && freed.order() == Order(0));
      VELLUM_CHECK(freed.kind() != FrameKind::free);  // freed twice, or never allocated
      const Pfn next = freed.next();
      freed.end_use();
      if (stack.size() == stack_limit_) {
        give_up_half(stack, Contents::any);
      }
      stack.push(first);
      first = next;
    }
  }
}

void PhysicalMemory::put(Pfn pfn, Contents contents) {
  if (poison_ == Poison::on) {
    poison_freed(pfn, contents);
  }
  const CpuSection section(machine_);
  FrameStack& stack = this_cpu().of(contents);
  if (stack.size() == stack_limit_) {
    give_up_half(stack, contents);
  }
  stack.push(pfn);
}

void PhysicalMemory::note_taken() {
  const std::uint64_t free =
      pool_free_.load(std::memory_order_relaxed) + zero_pool_count_.load(std::memory_order_relaxed);
  if (free < least_free_.load(std::memory_order_relaxed)) {
    least_free_.store(free, std::memory_order_relaxed);
  }
}

void PhysicalMemory::forget_least_free() {
  const CpuSection section(machine_);
  const LockGuard guard(lock_);
  least_free_.store(total_.value(), std::memory_order_relaxed);
  note_taken();
}

void PhysicalMemory::refill(CpuCache& cache) {
  for (unsigned wanted = batch_; wanted != 0;) {
    const std::optional<FramePool::Taken> taken = pool_.take(cache.near, wanted);
    if (!taken) {
      return;
    }
    cache.near = taken->first;
    FrameStack& stack = cache.of(taken->contents);
    // The lowest frame is pushed last, to be used first.
    for (std::uint64_t bits = taken->bits; bits != 0; --wanted) {
      const unsigned highest = 63 - static_cast<unsigned>(std::countl_zero(bits));
      stack.push(taken->first + PageCount(highest));
      bits &= ~(std::uint64_t{1} << highest);
    }
  }
}

void PhysicalMemory::refill_zeroed(CpuCache& cache) {
  for (unsigned i = 0; i < batch_ && zero_pool_ != Frame::kNoFrame; ++i) {
    cache.zeroed.push(pop_zero_pool());
  }
}

void PhysicalMemory::push_zero_pool(Pfn pfn) {
  frame(pfn).set_next(zero_pool_);
  zero_pool_ = pfn;
  zero_pool_count_.store(zero_pool_count_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

Pfn PhysicalMemory::pop_zero_pool() {
  const Pfn pfn = zero_pool_;
  zero_pool_ = frame(pfn).next();
  frame(pfn).unlink();
  zero_pool_count_.store(zero_pool_count_.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
  return pfn;
}

void PhysicalMemory::give_up_half(FrameStack& stack, Contents contents) {
  const LockGuard guard(lock_);
  std::uint32_t pooled = 0;
  if (contents == Contents::zeroed) {
    for (; pooled < batch_ && zero_pool_count_.load(std::memory_order_relaxed) < zero_pool_limit_; ++pooled) {
      push_zero_pool(stack.frames[pooled]);
    }
  }
  pool_.give({stack.frames + pooled, batch_ - pooled});
  const std::uint32_t left = stack.size() - batch_;
  std::copy_n(stack.frames + batch_, left, stack.frames);
  stack.set_size(left);
}

void PhysicalMemory::drain(CpuCache& cache) {
  for (FrameStack* stack : {&cache.dirty, &cache.zeroed}) {
    pool_.give({stack->frames, stack->size()});
    stack->set_size(0);
  }
}

void PhysicalMemory::drain_zero_pool() {
  while (zero_pool_ != Frame::kNoFrame) {
    const Pfn popped = pop_zero_pool();
    pool_.give({&popped, 1});
  }
}

void PhysicalMemory::drain_caches() {
  const CpuSection section(machine_);
  const LockGuard guard(lock_);
  for (unsigned cpu = 0; cpu < machine_.cpu_count(); ++cpu) {
    drain(caches_[cpu]);
  }
  drain_zero_pool();
}

// Where no block is found, what this CPU and the zero pool hold may be what it lacks.
std::optional<Pfn> PhysicalMemory::take_block(Order order, Effort effort) {
  const CpuSection section(machine_);
  const LockGuard guard(lock_);
  std::optional<Pfn> block = pool_.take_block(order);
  if (!block && effort == Effort::full) {
    drain(this_cpu());
    drain_zero_pool();
    block = pool_.take_block(order);
  }
  note_taken();
  return block;
}

Result<Pfn> PhysicalMemory::allocate_block(Order order, Contents contents, Effort effort) {
  if (order == Order(0)) {
    return allocate(contents);
  }
  if (!machine_.allocation_permitted()) [[unlikely]] {
    return Errno::no_memory;
  }
  const std::optional<Pfn> block = take_block(order, effort);
  if (!block) {
    return Errno::no_memory;
  }
  begin_block(*block, order, contents);
  return *block;
}

// A 2 MB area at a time, so that the lock is never held for long and what is fresh need not be filled.
void PhysicalMemory::begin_block(Pfn first, Order order, Contents contents) {
  const Order step = std::min(order, Order(FramePool::kAreaOrder));
  for (PageCount done; done < order.pages(); done += step.pages()) {
    const Pfn part = first + done;
    Contents found = Contents::any;
    {
      const CpuSection section(machine_);
      const LockGuard guard(lock_);
      found = pool_.begin_use(part, step);
    }
    if (poison_ == Poison::on) {
      for (PageCount i; i < step.pages(); i += PageCount(1)) {
        check_poison({part + i, found});
      }
    }
    if (contents == Contents::zeroed && found != Contents::zeroed) {
      for (PageCount i; i < step.pages(); i += PageCount(1)) {
        make_zero(part + i);
      }
    }
  }
  frame(first).begin_use(order, 1);
}

void PhysicalMemory::free_block(Pfn first, Order order) {
  if (order == Order(0)) {
    return free(first);
  }
  Frame& head = frame(first);
  VELLUM_ASSERT(is_managed(first));
  VELLUM_CHECK(head.kind() != FrameKind::free);  // freed twice, or never allocated
  VELLUM_CHECK(head.order() == order && order.aligns(first));
  VELLUM_ASSERT(head.share() <= 1);
  head.end_use();
  if (poison_ == Poison::on) {
    for (PageCount i; i < order.pages(); i += PageCount(1)) {
      poison_freed(first + i, Contents::any);
    }
  }
  const CpuSection section(machine_);
  const LockGuard guard(lock_);
  pool_.give_block(first, order);
}

void PhysicalMemory::split_block(Pfn first, Order order) {
  Frame& head = frame(first);
  VELLUM_CHECK(head.kind() != FrameKind::free && head.order() == order);
  VELLUM_ASSERT(head.share() == 1);
  const FrameKind kind = head.kind();
  void* const owner = head.owner<void>();
  const std::uint32_t index = head.index();
  for (std::uint32_t i = 0; i < order.pages().value(); ++i) {
    Frame& part = frame(first + PageCount(i));
    part.begin_use(Order(0), 1);
    part.assign(kind, owner, index + i);
  }
}

void PhysicalMemory::free_split_block(Pfn first, Order order) {
  for (std::uint64_t i = 0; i < order.pages().value(); ++i) {
    Frame& part = frame(first + PageCount(i));
    VELLUM_CHECK(part.kind() != FrameKind::free && part.order() == Order(0));
    VELLUM_ASSERT(part.share() == 1);
    part.end_use();
  }
  frame(first).begin_use(order, 1);
  free_block(first, order);
}

Result<Reservation> PhysicalMemory::reserve(PageCount count) {
  if (!machine_.allocation_permitted()) [[unlikely]] {
    return Errno::no_memory;
  }
  Reservation reservation(*this);
  while (reservation.count() < count) {
    const std::optional<FreeFrame> taken = take(Contents::zeroed);
    if (!taken) {
      return Errno::no_memory;
    }
    reservation.add(taken->frame, taken->contents);
  }
  return reservation;
}

PageCount PhysicalMemory::free_count() const {
  std::uint64_t free = pool_free_.load(std::memory_order_relaxed) + zero_pool_count_.load(std::memory_order_relaxed);
  for (unsigned cpu = 0; cpu < machine_.cpu_count(); ++cpu) {
    free += caches_[cpu].dirty.size() + caches_[cpu].zeroed.size();
  }
  return PageCount(free);
}

MemoryLevel PhysicalMemory::level_without(PageCount frames) const {
  const PageCount all(pool_free_.load(std::memory_order_relaxed) + zero_pool_count_.load(std::memory_order_relaxed));
  const PageCount free = all > frames ? all - frames : PageCount(0);
  if (free >= watermarks_.high) {
    return MemoryLevel::plenty;
  }
  if (free >= watermarks_.low) {
    return MemoryLevel::low;
  }
  return free >= watermarks_.minimum ? MemoryLevel::scarce : MemoryLevel::critical;
}

PageCount PhysicalMemory::prezero(PageCount limit) {
  PageCount filled;
  while (filled < limit && zero_pool_count_.load(std::memory_order_relaxed) < zero_pool_limit_) {
    const std::optional<Pfn> dirty = take_dirty();
    if (!dirty) {
      break;
    }
    if (poison_ == Poison::on) {
      check_poison({*dirty, Contents::any});
    }
    make_zero(*dirty);
    put(*dirty, Contents::zeroed);
    filled += PageCount(1);
  }
  return filled;
}

std::optional<Pfn> PhysicalMemory::take_dirty() {
  const CpuSection section(machine_);
  CpuCache& cache = this_cpu();
  if (cache.dirty.size() == 0) {
    if (cache.zeroed.size() > batch_) {
      give_up_half(cache.zeroed, Contents::zeroed);
    }
    const LockGuard guard(lock_);
    refill(cache);
  }
  return cache.dirty.size() != 0 ? std::optional(cache.dirty.pop()) : std::nullopt;
}

void PhysicalMemory::make_zero(Pfn pfn) {
  const auto window = machine_.window(pfn);
  machine_.clear_page(window.data());
}

void PhysicalMemory::poison_freed(Pfn pfn, Contents contents) {
  const auto window = machine_.window(pfn);
  if (contents == Contents::zeroed) {
    VELLUM_CHECK(page_holds(window.data(), 0));  // freed as zeros, but holds something else
    return;
  }
  poison(window.data());
  frame(pfn).add_tag(Frame::kPoisoned);
}

void PhysicalMemory::check_poison(const FreeFrame& taken) {
  Frame& checked = frame(taken.frame);
  const auto window = machine_.window(taken.frame);
  if (checked.has(Frame::kPoisoned)) {
    VELLUM_CHECK(page_holds(window.data(), kPoisonPattern));  // written to after it was freed
    checked.remove_tag(Frame::kPoisoned);
  } else if (taken.contents == Contents::zeroed) {
    VELLUM_CHECK(page_holds(window.data(), 0));  // written to after it was freed
  }
}

void PhysicalMemory::check_invariants() {
  const CpuSection section(machine_);
  const LockGuard guard(lock_);
  pool_.check_invariants();
  // Each cached frame is met once; a second time it would bear the mark of the first.
  for (const bool mark : {true, false}) {
    std::uint64_t chained = 0;
    const auto visit = [&](Pfn pfn) VELLUM_REQUIRES(lock_) {
      VELLUM_CHECK(is_managed(pfn) && !pool_.is_free(pfn));
      VELLUM_CHECK(frame(pfn).kind() == FrameKind::free && frame(pfn).share() == 0);
      VELLUM_CHECK(frame(pfn).has(Frame::kSeen) != mark);
      mark ? frame(pfn).add_tag(Frame::kSeen) : frame(pfn).remove_tag(Frame::kSeen);
    };
    for (unsigned cpu = 0; cpu < machine_.cpu_count(); ++cpu) {
      for (const FrameStack* stack : {&caches_[cpu].dirty, &caches_[cpu].zeroed}) {
        VELLUM_CHECK(stack->size() <= stack_limit_);
        std::for_each_n(stack->frames, stack->size(), visit);
      }
    }
    for (Pfn pfn = zero_pool_; pfn != Frame::kNoFrame; pfn = frame(pfn).next(), ++chained) {
      visit(pfn);
    }
    VELLUM_CHECK(chained == zero_pool_count_.load(std::memory_order_relaxed));
  }
  VELLUM_CHECK(free_count() <= total_);
}

void Reservation::add(Pfn pfn, Contents contents) {
  Frame& added = memory_->frame(pfn);
  added.begin_use(Order(0), 0);
  added.set_next(first_);
  if (contents == Contents::zeroed) {
    added.add_tag(Frame::kZeroed);
  }
  first_ = pfn;
  count_ += PageCount(1);
}

PhysicalMemory::FreeFrame Reservation::remove() {
  VELLUM_CHECK(!count_.is_zero());
  Frame& removed = memory_->frame(first_);
  const PhysicalMemory::FreeFrame result{first_, removed.has(Frame::kZeroed) ? Contents::zeroed : Contents::any};
  first_ = removed.next();
  count_ -= PageCount(1);
  return result;
}

Pfn Reservation::take(Contents contents) {
  const PhysicalMemory::FreeFrame taken = remove();
  memory_->frame(taken.frame).begin_use(Order(0), 1);
  if (contents == Contents::zeroed && taken.contents != Contents::zeroed) {
    memory_->make_zero(taken.frame);
  }
  return taken.frame;
}

void Reservation::finish() {
  while (!count_.is_zero()) {
    const PhysicalMemory::FreeFrame left = remove();
    memory_->give_back(left.frame, left.contents);
  }
}

}  // namespace vellum
