#include <algorithm>
#include <optional>

#include <vellum/phys/memory_map.hpp>

namespace vellum {

namespace {

// An entry clipped to what the hardware can address.
struct Piece {
  std::uint64_t start;
  std::uint64_t end;
};

std::optional<Piece> piece_of(const RawMemoryEntry& entry) {
  const std::uint64_t limit = MemoryMap::kLimit.value();
  const std::uint64_t start = entry.base.value();
  const std::uint64_t end = start + entry.size.value();
  const bool wraps = end < start;
  if (entry.size.is_zero() || start >= limit || (wraps && entry.kind == MemoryKind::usable)) {
    return std::nullopt;
  }
  return Piece{start, wraps ? limit : std::min(end, limit)};
}

// The first stretch of usable bytes at `from` or above, entries that touch or overlap taken as one.
std::optional<Piece> next_usable(std::span<const RawMemoryEntry> entries, std::uint64_t from) {
  std::optional<Piece> found;
  for (const RawMemoryEntry& entry : entries) {
    const std::optional<Piece> piece = piece_of(entry);
    if (entry.kind == MemoryKind::usable && piece && piece->end > from && (!found || piece->start < found->start)) {
      found = piece;
    }
  }
  for (bool grown = found.has_value(); grown;) {
    grown = false;
    for (const RawMemoryEntry& entry : entries) {
      const std::optional<Piece> piece = piece_of(entry);
      if (entry.kind == MemoryKind::usable && piece && piece->start <= found->end && piece->end > found->end) {
        found->end = piece->end;
        grown = true;
      }
    }
  }
  return found;
}

}  // namespace

Result<MemoryMap> MemoryMap::from_firmware(std::span<const RawMemoryEntry> entries) {
  MemoryMap map;
  std::uint64_t from = 0;
  while (const std::optional<Piece> piece = next_usable(entries, from)) {
    const std::uint64_t first = round_up(piece->start, kPageSize) >> kPageShift;
    const std::uint64_t end = piece->end >> kPageShift;
    if (first < end) {
      if (map.count_ == kMaxRanges) {
        return Errno::no_space;
      }
      map.ranges_[map.count_++] = FrameRange::between(Pfn(first), Pfn(end));
    }
    from = piece->end;
  }
  for (const RawMemoryEntry& entry : entries) {
    const std::optional<Piece> piece = piece_of(entry);
    if (entry.kind != MemoryKind::usable && piece) {
      VELLUM_TRY(map.exclude(PhysRange::between(PhysAddr(piece->start), PhysAddr(piece->end))));
    }
  }
  return map;
}

PageCount MemoryMap::total() const {
  PageCount total;
  for (const FrameRange& range : ranges()) {
    total += range.size();
  }
  return total;
}

bool MemoryMap::contains(Pfn frame) const {
  const auto after = std::ranges::upper_bound(ranges(), frame, {}, &FrameRange::start);
  return after != ranges().begin() && (after - 1)->contains(frame);
}

Result<void> MemoryMap::exclude(PhysRange range) {
  if (range.empty()) {
    return {};
  }
  return remove(FrameRange::between(frame_of(range.start()), frame_of(range.last()) + PageCount(1)));
}

Result<FrameRange> MemoryMap::allocate(PageCount count, PageCount alignment, PhysAddr limit) {
  VELLUM_ASSERT(!count.is_zero() && is_power_of_two(alignment.value()));
  for (std::size_t i = count_; i-- > 0;) {
    const Pfn end = std::min(ranges_[i].end(), frame_of(limit));
    if (end < ranges_[i].start() + count) {
      continue;
    }
    const Pfn start(round_down((end - count).value(), alignment.value()));
    if (start >= ranges_[i].start()) {
      const FrameRange taken = FrameRange::must(start, count);
      VELLUM_TRY(remove(taken));
      return taken;
    }
  }
  return Errno::no_memory;
}

Result<void> MemoryMap::remove(FrameRange hole) {
  for (std::size_t i = 0; i < count_;) {
    const FrameRange range = ranges_[i];
    const FrameRange gone = range.intersection(hole);
    const bool before = !gone.empty() && range.start() < gone.start();
    const bool behind = !gone.empty() && gone.end() < range.end();
    if (gone.empty()) {
      ++i;
    } else if (before && behind) {
      if (count_ == kMaxRanges) {
        return Errno::no_space;
      }
      std::copy_backward(ranges_ + i, ranges_ + count_, ranges_ + count_ + 1);
      ++count_;
      ranges_[i] = FrameRange::between(range.start(), gone.start());
      ranges_[i + 1] = FrameRange::between(gone.end(), range.end());
      return {};
    } else if (before || behind) {
      ranges_[i++] =
          before ? FrameRange::between(range.start(), gone.start()) : FrameRange::between(gone.end(), range.end());
    } else {
      std::copy(ranges_ + i + 1, ranges_ + count_, ranges_ + i);
      --count_;
    }
  }
  return {};
}

}  // namespace vellum
