// What one simulated CPU remembers of page tables: translations (TLB) and tables on the way to them (paging-structure
// caches) [intel/vol3 4.10.2, 4.10.3]. It knows no format; the MMU fills it.
//
// Everything stays until it is flushed or displaced, whatever happens to the tables in memory: a missing flush shows.
// Entries of the format's level 1 lie in one direct-mapped array, those of larger pages in a smaller one a level; for
// each level below the root there is an array of pointers to the tables that were used. An entry counts while its
// generation is the current one, so forgetting everything is an addition.
//
// Flushing is as strict as the manual lets a processor be: a range drops its translations, those of larger pages that
// touch it, and the table pointers on the way to it, but no other table pointers (INVLPG on real processors drops them
// all [intel/vol3 4.10.4.1]). No entry is global and there are no process-context identifiers: loading a root drops
// all.
#pragma once

#include <cstddef>
#include <cstdint>

#include <vellum/base/machine_port.hpp>
#include <vellum/base/prot.hpp>

namespace vellum::hosted {

// How a format cuts an address: shift[level], as PageTableFormat::shift. Level 1 is the leaf, `levels` the root.
struct TableGeometry {
  static constexpr unsigned kMaxLevels = 5;
  unsigned levels = 0;
  unsigned shift[kMaxLevels + 1] = {};
};

// The combined rights of a translation, and whether the dirty bit in memory is known to be set.
class PageRights {
 public:
  static constexpr unsigned kStates = 16;

  constexpr PageRights() = default;
  constexpr explicit PageRights(unsigned bits) : bits_(static_cast<std::uint8_t>(bits)) {}
  [[nodiscard]] static constexpr PageRights write() { return PageRights(1); }
  [[nodiscard]] static constexpr PageRights execute() { return PageRights(2); }
  [[nodiscard]] static constexpr PageRights user() { return PageRights(4); }
  [[nodiscard]] static constexpr PageRights dirty() { return PageRights(8); }

  [[nodiscard]] constexpr unsigned bits() const { return bits_; }
  [[nodiscard]] constexpr bool has(PageRights other) const { return (bits_ & other.bits_) == other.bits_; }
  constexpr PageRights operator|(PageRights other) const { return PageRights(unsigned{bits_} | other.bits_); }
  constexpr PageRights operator&(PageRights other) const { return PageRights(unsigned{bits_} & other.bits_); }

 private:
  std::uint8_t bits_ = 0;
};

class Tlb {
 public:
  static constexpr std::size_t kPages = 1024;
  static constexpr std::size_t kLargePages = 64;
  static constexpr std::size_t kTables = 64;

  struct Entry {
    std::uint64_t key = 0;         // address >> shift of the level
    std::uint64_t generation = 0;  // counts while equal to the TLB's
    PhysAddr target;               // of the page or table
    PageRights rights;
  };

  Tlb() = default;
  Tlb(const Tlb&) = delete;
  Tlb& operator=(const Tlb&) = delete;

  // The translation of the 4 KB page around `address`, or nullptr.
  [[nodiscard]] const Entry* find_page(VirtAddr address) const {
    const std::uint64_t key = address.value() >> kPageShift;
    const Entry& entry = pages_[key % kPages];
    return ((entry.key ^ key) | (entry.generation ^ generation_)) == 0 ? &entry : nullptr;
  }
  // The translation of the larger page of `level` >= 2 around `address`, or nullptr.
  [[nodiscard]] const Entry* find_large_page(VirtAddr address, unsigned level) const {
    return find(large_pages_[level], kLargePages, address.value() >> geometry_.shift[level]);
  }
  // The table whose entries are of `level`, below the root, and the rights of the entries above it, or nullptr.
  [[nodiscard]] const Entry* find_table(VirtAddr address, unsigned level) const {
    return find(tables_[level], kTables, address.value() >> geometry_.shift[level + 1]);
  }

  void insert_page(VirtAddr address, unsigned level, PhysAddr page, PageRights rights);
  void insert_table(VirtAddr address, unsigned level, PhysAddr table, PageRights rights);

  // Says how the tables that fill the TLB cut addresses. Forgets everything where that changes.
  void use(const TableGeometry& geometry);
  [[nodiscard]] bool uses(const TableGeometry& geometry) const { return source_ == &geometry; }

  void flush(const TlbFlush& flush);
  void flush_everything() { ++generation_; }
  void flush_range(VirtRange range);

 private:
  [[nodiscard]] const Entry* find(const Entry* entries, std::size_t count, std::uint64_t key) const {
    const Entry& entry = entries[key % count];
    return entry.key == key && entry.generation == generation_ ? &entry : nullptr;
  }
  static void drop(Entry* entries, std::size_t count, std::uint64_t first, std::uint64_t last);

  std::uint64_t generation_ = 1;
  const TableGeometry* source_ = nullptr;
  TableGeometry geometry_;
  Entry pages_[kPages];
  Entry large_pages_[TableGeometry::kMaxLevels + 1][kLargePages];
  Entry tables_[TableGeometry::kMaxLevels + 1][kTables];
};

}  // namespace vellum::hosted
