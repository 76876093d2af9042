#include <algorithm>
#include <bit>

#include <vellum/phys/frame_pool.hpp>

namespace vellum {

namespace {

constexpr std::uint64_t kAllBits = ~std::uint64_t{0};
constexpr unsigned kWordsInArea = 8;
constexpr unsigned kAreasInRegion = 64;
constexpr unsigned kPagesInWord = 64;
// Broken-up regions that are searched for a small block before a whole area is broken up.
constexpr std::size_t kRegionsTried = 4;

// The lowest n bits, 1 <= n <= 64.
constexpr std::uint64_t low_bits(std::uint64_t n) { return kAllBits >> (64 - n); }

// Where runs of 2^log set bits begin at multiples of 2^log.
constexpr std::uint64_t aligned_runs(std::uint64_t bits, unsigned log) {
  constexpr std::uint64_t kStarts[] = {kAllBits,           0x5555555555555555, 0x1111111111111111, 0x0101010101010101,
                                       0x0001000100010001, 0x0000000100000001, 0x0000000000000001};
  for (unsigned i = 0; i < log; ++i) {
    bits &= bits >> (1U << i);
  }
  return bits & kStarts[log];
}

unsigned first_bit(std::uint64_t bits) { return static_cast<unsigned>(std::countr_zero(bits)); }

// The first set bit at `from` or after it, or else the first of all.
unsigned first_bit_around(std::uint64_t bits, unsigned from) {
  const std::uint64_t rest = bits & (kAllBits << from);
  return first_bit(rest != 0 ? rest : bits);
}

// Calls visit(word index, mask, bits in it) for each word of a region that `count` frames from `first` touch.
template <class Visitor>
void for_each_word(std::uint64_t first, std::uint64_t count, Visitor visit) {
  while (count != 0) {
    const std::uint64_t offset = first % kPagesInWord;
    const std::uint64_t here = std::min(count, kPagesInWord - offset);
    visit(static_cast<std::size_t>(first / kPagesInWord), low_bits(here) << offset, static_cast<unsigned>(here));
    first += here;
    count -= here;
  }
}

std::size_t in_region(Pfn frame) { return static_cast<std::size_t>(frame.value() & (FramePool::kRegionPages - 1)); }

std::size_t region_of(Pfn frame) { return static_cast<std::size_t>(frame.value() >> FramePool::kRegionOrder); }

unsigned area_of(Pfn frame) { return static_cast<unsigned>(in_region(frame) >> FramePool::kAreaOrder); }

}  // namespace

FramePool::FramePool(const MemoryMap& map, std::span<std::uint64_t> tree_words, Region* regions, Contents starts,
                     RegionHook hook, void* hook_context)
    : map_(map), regions_(regions), starts_(starts), hook_(hook), hook_context_(hook_context) {
  const std::size_t count = regions_for(map.end());
  const std::size_t words = BitTree::words_for(count);
  VELLUM_CHECK(tree_words.size() == tree_words_for(count));
  known_ = BitTree(tree_words.subspan(0, words), count);
  partial_ = BitTree(tree_words.subspan(words, words), count);
  areas_ = BitTree(tree_words.subspan(2 * words, words), count);
  whole_ = BitTree(tree_words.subspan(3 * words, words), count);
  add_free(map.total().value());
  for (const FrameRange& range : map.ranges()) {
    const std::size_t first_whole =
        static_cast<std::size_t>((range.start().value() + kRegionPages - 1) >> kRegionOrder);
    const std::size_t end_whole = region_of(range.end());
    if (first_whole < end_whole) {
      whole_.insert_all(first_whole, end_whole - 1);
    }
    // What is usable in part is set up now, to be found in the right tree.
    for (const std::size_t edge : {region_of(range.start()), region_of(range.last())}) {
      if ((edge < first_whole || edge >= end_whole) && !known_.contains(edge)) {
        set_up(edge);
        reclassify(edge);
      }
    }
  }
}

FramePool::Region& FramePool::set_up(std::size_t index) {
  Region& region = regions_[index];
  if (known_.contains(index)) {
    return region;
  }
  known_.insert(index);
  region = Region{};
  const FrameRange window = FrameRange::must(frame_at(index, 0), PageCount(kRegionPages));
  for (const FrameRange& range : map_.ranges()) {
    set_usable_bits(region, range.intersection(window));
  }
  for (unsigned area = 0; area < kAreasInRegion; ++area) {
    unsigned free = 0;
    for (unsigned word = 0; word < kWordsInArea; ++word) {
      free += static_cast<unsigned>(std::popcount(region.words[area * kWordsInArea + word]));
    }
    count_area(region, area, free);
    region.fresh[area] = starts_ == Contents::zeroed ? 0xFF : 0;
  }
  if (hook_ != nullptr) {
    hook_(hook_context_, window.intersection(FrameRange::between(Pfn(0), map_.end())));
  }
  return region;
}

void FramePool::set_usable_bits(Region& region, FrameRange frames) {
  for_each_word(in_region(frames.start()), frames.size().value(),
                [&](std::size_t word, std::uint64_t mask, unsigned /*count*/) { region.words[word] |= mask; });
}

bool FramePool::count_area(Region& region, unsigned area, unsigned free) {
  const auto is_partial = [](unsigned count) { return count - 1 < kAreaPages - 1; };
  const unsigned before = region.free[area];
  region.free[area] = static_cast<std::uint16_t>(free);
  if (is_partial(before) && is_partial(free)) [[likely]] {
    return false;
  }
  const std::uint64_t bit = std::uint64_t{1} << area;
  region.whole = free == kAreaPages ? region.whole | bit : region.whole & ~bit;
  region.partial = is_partial(free) ? region.partial | bit : region.partial & ~bit;
  return true;
}

void FramePool::reclassify(std::size_t index) {
  const Region& region = regions_[index];
  const auto put = [index](BitTree& tree, bool belongs) {
    if (tree.contains(index) != belongs) {
      belongs ? tree.insert(index) : tree.erase(index);
    }
  };
  put(partial_, region.partial != 0);
  put(areas_, region.whole != 0 && region.whole != kAllBits);
  put(whole_, region.whole == kAllBits);
}

FramePool::Position FramePool::position_of(Pfn frame) { return {region_of(frame), area_of(frame)}; }

std::optional<FramePool::Position> FramePool::find_free(Pfn near) {
  const Position wish = position_of(near);
  if (const auto region = partial_.next_around(wish.region)) {
    return Position{*region, first_bit_around(regions_[*region].partial, *region == wish.region ? wish.area : 0)};
  }
  if (const auto region = areas_.next_around(wish.region)) {
    return Position{*region, first_bit_around(regions_[*region].whole, *region == wish.region ? wish.area : 0)};
  }
  if (const auto region = whole_.next_around(wish.region)) {
    set_up(*region);
    return Position{*region, 0};
  }
  return std::nullopt;
}

std::optional<FramePool::Taken> FramePool::take(Pfn near, unsigned wanted) {
  VELLUM_ASSERT(wanted >= 1 && wanted <= kPagesInWord);
  const std::optional<Position> found = find_free(near);
  if (!found) {
    return std::nullopt;
  }
  Region& region = regions_[found->region];
  unsigned word = 0;
  while (region.words[found->area * kWordsInArea + word] == 0) {
    ++word;
  }
  std::uint64_t& bits = region.words[found->area * kWordsInArea + word];
  std::uint64_t taken = bits;
  unsigned count = static_cast<unsigned>(std::popcount(bits));
  for (; count > wanted; --count) {
    taken &= ~(std::uint64_t{1} << (63 - std::countl_zero(taken)));
  }
  bits &= ~taken;
  const auto word_bit = static_cast<std::uint8_t>(1U << word);
  const Contents contents = (region.fresh[found->area] & word_bit) != 0 ? Contents::zeroed : Contents::any;
  region.fresh[found->area] &= static_cast<std::uint8_t>(~word_bit);
  if (count_area(region, found->area, region.free[found->area] - count)) {
    reclassify(found->region);
  }
  add_free(-std::uint64_t{count});
  return Taken{frame_at(found->region, found->area, word), taken, contents};
}

// The cheapest way first: memory that is broken up anyway, then a whole area, then a search through all that is left.
std::optional<Pfn> FramePool::find_block(Order order) {
  if (order.value() > kRegionOrder) {
    return find_whole_regions(order);
  }
  if (order.value() >= kAreaOrder) {
    return find_whole_areas(order);
  }
  std::optional<Pfn> found = find_in_partial(order, kRegionsTried);
  if (!found) {
    found = find_whole_areas(Order(kAreaOrder));
  }
  return found ? found : find_in_partial(order, partial_.size());
}

std::optional<Pfn> FramePool::find_in_partial(Order order, std::size_t regions_tried) {
  auto index = partial_.next(0);
  for (; index && regions_tried != 0; --regions_tried, index = partial_.next(*index + 1)) {
    const Region& region = regions_[*index];
    for (std::uint64_t areas = region.partial; areas != 0; areas &= areas - 1) {
      const unsigned area = first_bit(areas);
      if (region.free[area] < order.pages().value()) {
        continue;
      }
      const std::uint64_t* words = &region.words[area * kWordsInArea];
      const unsigned in_word = std::min(order.value(), kWordOrder);
      std::uint64_t full_words = 0;
      for (unsigned word = 0; word < kWordsInArea; ++word) {
        const std::uint64_t runs = aligned_runs(words[word], in_word);
        if (runs != 0 && order.value() <= kWordOrder) {
          return frame_at(*index, area, word) + PageCount(first_bit(runs));
        }
        full_words |= std::uint64_t{runs != 0} << word;
      }
      const std::uint64_t runs = order.value() > kWordOrder ? aligned_runs(full_words, order.value() - kWordOrder) : 0;
      if (runs != 0) {
        return frame_at(*index, area, first_bit(runs));
      }
    }
  }
  return std::nullopt;
}

std::optional<Pfn> FramePool::find_whole_areas(Order order) {
  const unsigned log = order.value() - kAreaOrder;
  for (auto index = areas_.next(0); index; index = areas_.next(*index + 1)) {
    const std::uint64_t runs = aligned_runs(regions_[*index].whole, log);
    if (runs != 0) {
      return frame_at(*index, first_bit(runs));
    }
  }
  const auto index = whole_.next(0);
  return index ? std::optional(frame_at(*index, 0)) : std::nullopt;
}

std::optional<Pfn> FramePool::find_whole_regions(Order order) {
  for (auto index = whole_.next(0); index; index = whole_.next((*index / 64 + 1) * 64)) {
    const std::uint64_t runs = aligned_runs(whole_.group(*index / 64), order.value() - kRegionOrder);
    if (runs != 0) {
      return frame_at(*index / 64 * 64 + first_bit(runs), 0);
    }
  }
  return std::nullopt;
}

std::optional<Pfn> FramePool::take_block(Order order) {
  const std::optional<Pfn> found = find_block(order);
  if (!found) {
    return std::nullopt;
  }
  const std::uint64_t pages = order.pages().value();
  for (std::uint64_t done = 0; done < pages;) {
    const Pfn here = *found + PageCount(done);
    const std::size_t index = region_of(here);
    Region& region = set_up(index);
    const std::uint64_t in_this = std::min(pages - done, kRegionPages);
    for_each_word(in_region(here), in_this, [&](std::size_t word, std::uint64_t mask, unsigned count) {
      const auto area = static_cast<unsigned>(word / kWordsInArea);
      region.words[word] &= ~mask;
      count_area(region, area, region.free[area] - count);
    });
    reclassify(index);
    done += in_this;
  }
  add_free(-pages);
  return found;
}

void FramePool::give(std::span<const Pfn> frames) {
  add_free(frames.size());
  while (!frames.empty()) {
    const Pfn first = frames.front();
    const std::uint64_t word = first.value() / kPagesInWord;
    std::uint64_t bits = 0;
    unsigned count = 0;
    do {
      const std::uint64_t bit = std::uint64_t{1} << (frames.front().value() % kPagesInWord);
      VELLUM_CHECK((bits & bit) == 0);  // freed twice
      bits |= bit;
      ++count;
      frames = frames.subspan(1);
    } while (!frames.empty() && frames.front().value() / kPagesInWord == word);
    const std::size_t index = region_of(first);
    if (give_bits(index, in_region(first) / kPagesInWord, bits, count)) {
      reclassify(index);
    }
  }
}

void FramePool::give_block(Pfn first, Order order) {
  const std::uint64_t pages = order.pages().value();
  for (std::uint64_t done = 0; done < pages;) {
    const Pfn here = first + PageCount(done);
    const std::size_t index = region_of(here);
    const std::uint64_t in_this = std::min(pages - done, kRegionPages);
    for_each_word(in_region(here), in_this, [&](std::size_t word, std::uint64_t bits, unsigned count) {
      (void)give_bits(index, word, bits, count);
    });
    reclassify(index);
    done += in_this;
  }
  add_free(pages);
}

bool FramePool::give_bits(std::size_t index, std::size_t word, std::uint64_t bits, unsigned count) {
  VELLUM_ASSERT(known_.contains(index));
  Region& region = regions_[index];
  const auto area = static_cast<unsigned>(word / kWordsInArea);
  VELLUM_CHECK((region.words[word] & bits) == 0);  // freed twice
  region.words[word] |= bits;
  return count_area(region, area, region.free[area] + count);
}

Contents FramePool::begin_use(Pfn first, Order order) {
  VELLUM_ASSERT(order.value() <= kAreaOrder);
  Region& region = regions_[region_of(first)];
  const unsigned first_word = static_cast<unsigned>(in_region(first) / kPagesInWord) % kWordsInArea;
  const std::uint64_t words = (order.pages().value() + kPagesInWord - 1) / kPagesInWord;
  const auto mask = static_cast<std::uint8_t>(low_bits(words) << first_word);
  std::uint8_t& fresh = region.fresh[area_of(first)];
  const bool all_fresh = (fresh & mask) == mask;
  fresh &= static_cast<std::uint8_t>(~mask);
  return all_fresh ? Contents::zeroed : Contents::any;
}

bool FramePool::is_free(Pfn frame) const {
  if (!known_.contains(region_of(frame))) {
    return whole_.contains(region_of(frame));
  }
  return (regions_[region_of(frame)].words[in_region(frame) / kPagesInWord] >> (frame.value() % kPagesInWord) & 1U) !=
         0;
}

void FramePool::check_region(std::size_t index) const {
  const Region& region = regions_[index];
  for (unsigned area = 0; area < kAreasInRegion; ++area) {
    unsigned free = 0;
    for (unsigned word = 0; word < kWordsInArea; ++word) {
      free += static_cast<unsigned>(std::popcount(region.words[area * kWordsInArea + word]));
    }
    VELLUM_CHECK(region.free[area] == free);
    VELLUM_CHECK((region.whole >> area & 1U) == (free == kAreaPages ? 1U : 0U));
    VELLUM_CHECK((region.partial >> area & 1U) == (free != 0 && free != kAreaPages ? 1U : 0U));
  }
  VELLUM_CHECK(partial_.contains(index) == (region.partial != 0));
  VELLUM_CHECK(areas_.contains(index) == (region.whole != 0 && region.whole != kAllBits));
  VELLUM_CHECK(whole_.contains(index) == (region.whole == kAllBits));
}

void FramePool::check_invariants() const {
  std::uint64_t free = 0;
  for (std::size_t index = 0; index < known_.size(); ++index) {
    if (!known_.contains(index)) {
      VELLUM_CHECK(!partial_.contains(index) && !areas_.contains(index));
      free += whole_.contains(index) ? kRegionPages : 0;
      continue;
    }
    check_region(index);
    for (const std::uint16_t count : regions_[index].free) {
      free += count;
    }
  }
  VELLUM_CHECK(free == free_count().value());
}

}  // namespace vellum
