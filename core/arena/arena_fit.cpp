// Which free segment serves a request, and where in it the range goes.

#include <algorithm>
#include <bit>

#include <vellum/arena/arena.hpp>

namespace vellum {
namespace {

// The bits of the classes from `first` up; none where first is 64.
constexpr std::uint64_t classes_from(unsigned first) { return first < 64 ? ~std::uint64_t{0} << first : 0; }

// The next address that is `phase` beyond a multiple of `alignment`; wraps beyond 2^64.
constexpr std::uint64_t phase_up(std::uint64_t address, std::uint64_t alignment, std::uint64_t phase) {
  return address + ((phase - address) & (alignment - 1));
}

}  // namespace

std::optional<VirtAddr> Arena::start_in(const Segment& segment, const Request& request) {
  const std::uint64_t first = std::max(segment.range.start().value(), request.first);
  const std::uint64_t last = std::min(segment.range.last().value(), request.last);
  // Bounds need not be in units of the quantum; starts are.
  std::uint64_t start = phase_up(first, request.alignment, request.phase);
  if (start < first) {
    return std::nullopt;
  }
  if (request.no_cross != 0 && ((start ^ (start + request.size - 1)) & ~(request.no_cross - 1)) != 0) {
    const std::uint64_t boundary = round_up(start, request.no_cross);
    const std::uint64_t behind = phase_up(boundary, request.alignment, request.phase);
    if (boundary < start || behind < boundary) {
      return std::nullopt;
    }
    start = behind;
  }
  if (start > last || last - start < request.size - 1) {
    return std::nullopt;
  }
  return VirtAddr(start);
}

std::optional<Arena::Place> Arena::find(const Request& request, Fit fit) {
  switch (fit) {
    case Fit::instant:
      return find_instant(request);
    case Fit::best:
      return find_best(request);
    case Fit::next:
      return find_next(request);
  }
  return std::nullopt;
}

std::optional<Arena::Place> Arena::find_instant(const Request& request) {
  if (!request.bounded() && request.padded != 0) {
    const unsigned enough = class_of(request.padded) + (is_power_of_two(request.padded) ? 0 : 1);
    const std::uint64_t candidates = classes_with_any_ & classes_from(enough);
    if (candidates != 0) {
      Segment* const segment = classes_[std::countr_zero(candidates)].front();
      if (request.padded == request.size) {
        return Place{segment, segment->range.start()};
      }
      const std::optional<VirtAddr> start = start_in(*segment, request);
      VELLUM_ASSERT(start.has_value());
      return Place{segment, *start};
    }
  }
  for (std::uint64_t rest = classes_with_any_ & classes_from(class_of(request.size)); rest != 0; rest &= rest - 1) {
    SizeClass& members = classes_[std::countr_zero(rest)];
    for (Segment* segment = members.front(); segment != nullptr; segment = members.next(*segment)) {
      if (const std::optional<VirtAddr> start = start_in(*segment, request)) {
        return Place{segment, *start};
      }
    }
  }
  return std::nullopt;
}

std::optional<Arena::Place> Arena::find_best(const Request& request) {
  std::optional<Place> best;
  for (std::uint64_t rest = classes_with_any_ & classes_from(class_of(request.size)); rest != 0 && !best;
       rest &= rest - 1) {
    SizeClass& members = classes_[std::countr_zero(rest)];
    for (Segment* segment = members.front(); segment != nullptr; segment = members.next(*segment)) {
      if (best && segment->range.size() >= best->segment->range.size()) {
        continue;
      }
      if (const std::optional<VirtAddr> start = start_in(*segment, request)) {
        best = Place{segment, *start};
      }
    }
  }
  return best;
}

std::optional<Arena::Place> Arena::find_next(const Request& request) {
  Segment* const begin = rotor_ != nullptr ? rotor_ : tags_.front();
  if (begin == nullptr) {
    return std::nullopt;
  }
  if (rotor_ != nullptr && begin->kind == Segment::Kind::free) {
    Request behind_rotor = request;
    behind_rotor.first = std::max(request.first, rotor_address_.value());
    if (const std::optional<VirtAddr> start = start_in(*begin, behind_rotor)) {
      return Place{begin, *start};
    }
  }
  Segment* segment = begin;
  do {
    segment = tags_.next(*segment);
    if (segment == nullptr) {
      segment = tags_.front();
    }
    if (segment->kind == Segment::Kind::free) {
      if (const std::optional<VirtAddr> start = start_in(*segment, request)) {
        return Place{segment, *start};
      }
    }
  } while (segment != begin);
  return std::nullopt;
}

}  // namespace vellum
