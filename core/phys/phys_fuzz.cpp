// Random operations on physical memory of odd shapes, from several CPUs, against a list of who holds what.
//
// Checked after each operation: nothing handed out twice or outside of the map, the free count to the page, contents
// (zeros where they were asked for; nobody writes to what is held), and that an allocation fails only where it must.
// At the end, with all freed, memory must divide into the largest blocks that the map permits.
#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <vector>

#include <vellum/fuzz/fuzz.hpp>
#include <vellum/phys/physical_memory.hpp>

namespace vellum {
namespace {

using namespace literals;

struct Shape {
  std::vector<RawMemoryEntry> entries;
  unsigned cpus;
  Poison poison;
};

// Small maps have the corner cases, large ones the large blocks.
Shape decode_shape(FuzzInput& input) {
  static constexpr std::uint64_t kPagesIn[] = {200, 3000, 70'000, 600'000};
  const std::uint64_t size_class = input.take_in_range(0, 3);
  const std::uint64_t pages = kPagesIn[size_class];
  Shape shape;
  shape.cpus = static_cast<unsigned>(input.take_in_range(1, 3));
  shape.poison = size_class < 2 && input.take_bool() ? Poison::on : Poison::off;
  for (std::uint64_t count = input.take_in_range(1, 6); count != 0; --count) {
    const std::uint64_t first = input.take_in_range(0, pages - 1);
    const std::uint64_t size = input.take_in_range(1, pages - first);
    const auto kind = shape.entries.empty() ? MemoryKind::usable : static_cast<MemoryKind>(input.take_in_range(1, 2));
    shape.entries.push_back({address_of(Pfn(first)), bytes_of(PageCount(size)), kind});
  }
  return shape;
}

// What somebody holds.
struct Holding {
  Order order;
  std::uint64_t tag;  // stands in the first and the last word of the block's first and last page
  Contents rest;      // of all else
};

class Fuzzer {
 public:
  Fuzzer(const Shape& shape, const MemoryMap& map, FuzzInput& input)
      : input_(input),
        map_(map),
        machine_(machine_for(map, shape.cpus)),
        area_(std::move(hosted::HostArea::create(PhysicalMemory::area_size(map, shape.cpus))).value()),
        memory_(**PhysicalMemory::create(*machine_, map, {area_.data(), area_.size().value()},
                                         {.area = Contents::zeroed, .poison = shape.poison})) {}

  void run() {
    while (!input_.empty()) {
      const std::uint8_t operation = input_.take_u8();
      const hosted::CpuScope scope(*machine_, CpuIndex((operation >> 5) % machine_->cpu_count()));
      step(operation & 31U);
      ++vellum_fuzz_operations;
      VELLUM_CHECK(memory_.free_count() == expected_free());
      if (++steps_ % 16 == 0) {
        memory_.check_invariants();
      }
    }
    finish();
  }

 private:
  static std::unique_ptr<Machine> machine_for(const MemoryMap& map, unsigned cpus) {
    hosted::MachineConfig config;
    config.memory = address_of(map.end()) - PhysAddr(0);
    config.cpus = cpus;
    return std::move(hosted::Machine::create(config)).value();
  }

  [[nodiscard]] PageCount expected_free() const {
    PageCount free = map_.total() - held_pages_;
    for (const Reservation& reservation : reservations_) {
      free -= reservation.count();
    }
    return free;
  }

  void step(unsigned operation) {
    if (operation < 9) {
      allocate(Order(0));
    } else if (operation < 14) {
      allocate(Order(static_cast<unsigned>(input_.take_in_range(0, Order::kLargest))));
    } else if (operation < 22) {
      release_one();
    } else {
      step_rarely(operation);
    }
  }

  void step_rarely(unsigned operation) {
    switch (operation) {
      case 22:
        return reserve();
      case 23:
      case 24:
        return take_reserved();
      case 25:
        if (!reservations_.empty()) {
          reservations_.pop_back();
        }
        return;
      case 26:
        return split();
      case 27:
        return release_chain();
      case 28:
        return refuse_one();
      case 29:
        (void)memory_.prezero(PageCount(input_.take_in_range(1, 100)));
        return;
      case 30:
        return memory_.drain_caches();
      default:
        return allocate_many();
    }
  }

  void allocate(Order order) {
    const Contents contents = order.value() <= 9 && input_.take_bool() ? Contents::zeroed : Contents::any;
    const Result<Pfn> block = order == Order(0) ? memory_.allocate(contents) : memory_.allocate_block(order, contents);
    if (block.ok()) {
      hold(block.value(), order, contents);
    } else {
      VELLUM_CHECK(block.error() == Errno::no_memory);
      check_failure(order);
    }
  }

  void allocate_many() {
    for (std::uint64_t count = input_.take_in_range(1, 300); count != 0; --count) {
      ++vellum_fuzz_operations;
      const Result<Pfn> page = memory_.allocate(Contents::any);
      if (!page.ok()) {
        return check_failure(Order(0));
      }
      hold(page.value(), Order(0), Contents::any);
    }
  }

  void hold(Pfn first, Order order, Contents contents) {
    const FrameRange block = FrameRange::must(first, order.pages());
    VELLUM_CHECK(order.aligns(first));
    VELLUM_CHECK(map_.contains(first) && map_.contains(block.last()));
    const auto after = held_.lower_bound(first);
    VELLUM_CHECK(after == held_.end() || block.end() <= after->first);
    VELLUM_CHECK(after == held_.begin() || std::prev(after)->first + std::prev(after)->second.order.pages() <= first);
    const Frame& frame = memory_.frame(first);
    VELLUM_CHECK(frame.kind() == FrameKind::kernel && frame.share() == 1 && frame.order() == order);
    if (contents == Contents::zeroed) {
      for (PageCount i; i < order.pages(); i += 1_pages) {
        check_zero(first + i);
      }
    }
    held_pages_ += order.pages();
    const Holding& holding = held_[first] = {order, ++last_tag_, contents};
    write_tags(first, order, holding.tag);
  }

  // Where pages are out of reach in other CPUs' caches or in reservations, only their number is known.
  void check_failure(Order order) const {
    if (machine_->cpu_count() > 1 || !reservations_.empty()) {
      VELLUM_CHECK(order != Order(0) || expected_free() <= map_.total() / 16 + PageCount(4 * machine_->cpu_count()));
      return;
    }
    for (const FrameRange& range : map_.ranges()) {
      VELLUM_CHECK(!has_room(range, order));
    }
  }
  [[nodiscard]] bool has_room(const FrameRange& range, Order order) const {
    const auto align = [order](Pfn frame) { return Pfn(round_up(frame.value(), order.pages().value())); };
    for (Pfn at = align(range.start()); at + order.pages() <= range.end();) {
      auto after = held_.lower_bound(at + order.pages());
      if (after == held_.begin() || (--after)->first + after->second.order.pages() <= at) {
        return true;
      }
      at = align(after->first + after->second.order.pages());
    }
    return false;
  }

  // Ends a holding, after checking that nobody wrote to it; the caller frees it.
  [[nodiscard]] std::pair<Pfn, Holding> end_one() {
    const auto some = held_.lower_bound(Pfn(input_.take_in_range(0, map_.end().value() - 1)));
    const auto chosen = some == held_.end() ? held_.begin() : some;
    const std::pair<Pfn, Holding> ended = *chosen;
    held_.erase(chosen);
    held_pages_ -= ended.second.order.pages();
    check_tags(ended.first, ended.second.order, ended.second.tag);
    return ended;
  }

  void release_one() {
    if (held_.empty()) {
      return;
    }
    const auto [first, holding] = end_one();
    if (holding.order != Order(0)) {
      return memory_.free_block(first, holding.order);
    }
    Frame& frame = memory_.frame(first);
    if (input_.take_bool()) {
      frame.retain();
      VELLUM_CHECK(!frame.release());
      VELLUM_CHECK(frame.release());
    }
    if (holding.rest == Contents::zeroed) {
      write_tags(first, Order(0), 0);
      return memory_.free_zeroed(first);
    }
    memory_.free(first);
  }

  void release_chain() {
    Pfn chain = Frame::kNoFrame;
    for (std::uint64_t count = input_.take_in_range(1, 300); count != 0 && !held_.empty(); --count) {
      ++vellum_fuzz_operations;
      const auto [first, holding] = end_one();
      if (holding.order != Order(0)) {
        memory_.free_block(first, holding.order);
        continue;
      }
      VELLUM_CHECK(memory_.frame(first).release());
      memory_.frame(first).set_next(chain);
      chain = first;
    }
    while (chain != Frame::kNoFrame) {
      const Pfn freed = chain;
      chain = memory_.frame(freed).next();
      memory_.free(freed);
    }
  }

  void split() {
    const auto block = held_.lower_bound(Pfn(input_.take_in_range(0, map_.end().value() - 1)));
    if (block == held_.end() || block->second.order > Order(9)) {
      return;
    }
    const auto [first, holding] = *block;
    memory_.split_block(first, holding.order);
    held_.erase(block);
    write_tags(first, holding.order, 0);
    for (PageCount i; i < holding.order.pages(); i += 1_pages) {
      held_[first + i] = {Order(0), ++last_tag_, holding.rest};
      write_tags(first + i, Order(0), last_tag_);
    }
  }

  void reserve() {
    const PageCount count(input_.take_in_range(0, 150));
    Result<Reservation> reservation = memory_.reserve(count);
    if (reservation.ok()) {
      VELLUM_CHECK(reservation.value().count() == count);
      reservations_.push_back(std::move(reservation).value());
    } else if (machine_->cpu_count() == 1) {
      VELLUM_CHECK(count > expected_free());
    }
  }

  void take_reserved() {
    if (reservations_.empty() || reservations_.back().count().is_zero()) {
      return;
    }
    machine_->failures().fail_nth(1);
    const Contents contents = input_.take_bool() ? Contents::zeroed : Contents::any;
    hold(reservations_.back().take(contents), Order(0), contents);
    machine_->failures().off();
  }

  void refuse_one() {
    machine_->failures().fail_nth(1);
    switch (input_.take_in_range(0, 2)) {
      case 0:
        VELLUM_CHECK(!memory_.allocate(Contents::zeroed).ok());
        break;
      case 1:
        VELLUM_CHECK(!memory_.allocate_block(Order(3), Contents::any).ok());
        break;
      default:
        VELLUM_CHECK(!memory_.reserve(3_pages).ok());
        break;
    }
    machine_->failures().off();
  }

  [[nodiscard]] std::uint64_t* words_of(Pfn pfn) const {
    return reinterpret_cast<std::uint64_t*>(machine_->window(pfn).data());
  }
  static constexpr std::size_t kLastWord = kPageSize / sizeof(std::uint64_t) - 1;

  void write_tags(Pfn first, Order order, std::uint64_t tag) const {
    for (const Pfn pfn : {first, first + (order.pages() - 1_pages)}) {
      words_of(pfn)[0] = tag;
      words_of(pfn)[kLastWord] = tag;
    }
  }
  void check_tags(Pfn first, Order order, std::uint64_t tag) const {
    for (const Pfn pfn : {first, first + (order.pages() - 1_pages)}) {
      VELLUM_CHECK(words_of(pfn)[0] == tag && words_of(pfn)[kLastWord] == tag);
    }
  }
  void check_zero(Pfn pfn) const {
    const std::uint64_t* words = words_of(pfn);
    VELLUM_CHECK(words[0] == 0 && std::memcmp(words, words + 1, kPageSize - sizeof *words) == 0);
  }

  void finish() {
    const hosted::CpuScope scope(*machine_, CpuIndex(0));
    reservations_.clear();
    for (const auto& [first, holding] : held_) {
      check_tags(first, holding.order, holding.tag);
      memory_.free_block(first, holding.order);
    }
    VELLUM_CHECK(memory_.free_count() == map_.total());
    memory_.drain_caches();
    memory_.check_invariants();
    check_largest_blocks();
  }

  void check_largest_blocks() {
    std::uint64_t expected[Order::kLargest + 1] = {};
    for (const FrameRange& range : map_.ranges()) {
      for (Pfn at = range.start(); at < range.end();) {
        unsigned order = Order::kLargest;
        while (!Order(order).aligns(at) || range.end() < at + Order(order).pages()) {
          --order;
        }
        ++expected[order];
        at += Order(order).pages();
      }
    }
    for (unsigned order = Order::kLargest; order > 0; --order) {
      for (std::uint64_t i = 0; i < expected[order]; ++i) {
        VELLUM_CHECK(memory_.allocate_block(Order(order), Contents::any).ok());
      }
      VELLUM_CHECK(!memory_.allocate_block(Order(order), Contents::any).ok());
    }
    VELLUM_CHECK(memory_.free_count() == PageCount(expected[0]));
  }

  FuzzInput& input_;
  const MemoryMap map_;
  const std::unique_ptr<Machine> machine_;
  const hosted::HostArea area_;
  PhysicalMemory& memory_;
  std::map<Pfn, Holding> held_;
  PageCount held_pages_;
  std::vector<Reservation> reservations_;
  std::uint64_t last_tag_ = 0;
  unsigned steps_ = 0;
};

}  // namespace
}  // namespace vellum

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  vellum::FuzzInput input(data, size);
  const vellum::Shape shape = vellum::decode_shape(input);
  const vellum::MemoryMap map = vellum::MemoryMap::from_firmware(shape.entries).value();
  if (!map.total().is_zero()) {
    vellum::Fuzzer(shape, map, input).run();
  }
  return 0;
}
