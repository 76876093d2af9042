#include <vellum/hosted/tlb.hpp>

namespace vellum::hosted {

void Tlb::insert_page(VirtAddr address, unsigned level, PhysAddr page, PageRights rights) {
  const std::uint64_t key = address.value() >> geometry_.shift[level];
  Entry& entry = level == 1 ? pages_[key % kPages] : large_pages_[level][key % kLargePages];
  entry = {.key = key, .generation = generation_, .target = page, .rights = rights};
}

void Tlb::insert_table(VirtAddr address, unsigned level, PhysAddr table, PageRights rights) {
  const std::uint64_t key = address.value() >> geometry_.shift[level + 1];
  tables_[level][key % kTables] = {.key = key, .generation = generation_, .target = table, .rights = rights};
}

void Tlb::use(const TableGeometry& geometry) {
  VELLUM_CHECK(geometry.levels >= 1 && geometry.levels <= TableGeometry::kMaxLevels);
  source_ = &geometry;
  geometry_ = geometry;
  flush_everything();
}

void Tlb::flush(const TlbFlush& flush) {
  if (flush.everything) {
    flush_everything();
    return;
  }
  for (unsigned i = 0; i < flush.range_count; ++i) {
    flush_range(flush.ranges[i]);
  }
}

void Tlb::flush_range(VirtRange range) {
  if (range.empty()) {
    return;
  }
  const std::uint64_t first = range.start().value();
  const std::uint64_t last = range.last().value();
  drop(pages_, kPages, first >> kPageShift, last >> kPageShift);
  for (unsigned level = 2; level <= geometry_.levels; ++level) {
    const unsigned shift = geometry_.shift[level];
    drop(large_pages_[level], kLargePages, first >> shift, last >> shift);
    drop(tables_[level - 1], kTables, first >> shift, last >> shift);
  }
}

void Tlb::drop(Entry* entries, std::size_t count, std::uint64_t first, std::uint64_t last) {
  if (last - first >= count) {
    for (std::size_t i = 0; i < count; ++i) {
      if (entries[i].key - first <= last - first) {
        entries[i].generation = 0;
      }
    }
    return;
  }
  for (std::uint64_t key = first;; ++key) {
    Entry& entry = entries[key % count];
    if (entry.key == key) {
      entry.generation = 0;
    }
    if (key == last) {
      return;
    }
  }
}

}  // namespace vellum::hosted
