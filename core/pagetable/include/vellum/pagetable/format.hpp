// Page-table formats: constants and bit translation, nothing else. One walker, one cursor and one simulated MMU serve
// all formats; a format says how many levels there are, how an address is cut into indices and what the bits mean.
//
// Levels count from the leaf: level 1 entries map 4 KB pages, the root is at level kLevels. Every format here has
// 8-byte entries in x86's manner [intel/vol3 4.4, 4.5], so that the rights of a translation are the rights of all
// entries on the way to it, ANDed.
#pragma once

#include <concepts>
#include <cstdint>

#include <vellum/base/prot.hpp>
#include <vellum/base/range.hpp>
#include <vellum/base/types.hpp>

namespace vellum {

// The raw 64 bits of an entry. All zero means: nothing here, look at what covers it.
struct Entry {
  std::uint64_t bits = 0;
  constexpr bool operator==(const Entry&) const = default;
};

// What a present entry grants in the hardware's terms; reading is granted by being present.
struct EntryRights {
  bool write = false;
  bool execute = false;
  bool user = false;

  [[nodiscard]] static constexpr EntryRights everything() { return {.write = true, .execute = true, .user = true}; }
  constexpr EntryRights operator&(EntryRights other) const {
    return {.write = write && other.write, .execute = execute && other.execute, .user = user && other.user};
  }
  constexpr bool operator==(const EntryRights&) const = default;
};

template <class F>
concept PageTableFormat = requires(unsigned level, Entry entry, Pfn frame, EntryRights rights, VirtAddr address) {
  // A short name for people: "amd64".
  { F::kName } -> std::convertible_to<const char*>;
  // Number of levels; the root is at this one.
  { F::kLevels } -> std::convertible_to<unsigned>;
  // Bits of a virtual address that are translated; those above must all equal the highest of these where
  // kSignExtended, and be zero otherwise.
  { F::kVirtualBits } -> std::convertible_to<unsigned>;
  { F::kSignExtended } -> std::convertible_to<bool>;
  // Address bits below the index of a level: 12 for level 1.
  { F::shift(level) } -> std::same_as<unsigned>;
  // Bits of the index at a level; a table has 1 << index_bits(level) entries, at most 512.
  { F::index_bits(level) } -> std::same_as<unsigned>;
  // Whether an entry of this level can deny write, execute and user access. Where it cannot, its rights are everything
  // and whatever must be denied is denied below (PAE's page-directory-pointer entries).
  { F::restricts(level) } -> std::same_as<bool>;
  // Whether an entry of this level can map a page (of 1 << shift(level) bytes) rather than name a table.
  { F::maps_pages(level) } -> std::same_as<bool>;
  // A present entry that names the table of the level below, or maps a page. rights must be everything() where the
  // level does not restrict.
  { F::make_table(frame, level, rights) } -> std::same_as<Entry>;
  { F::make_page(frame, level, rights) } -> std::same_as<Entry>;
  // Of any entry: whether the hardware follows it. The other functions below need a present one.
  { F::is_present(entry) } -> std::same_as<bool>;
  { F::is_page(entry, level) } -> std::same_as<bool>;
  { F::frame(entry, level) } -> std::same_as<Pfn>;
  { F::rights(entry, level) } -> std::same_as<EntryRights>;
  // Bits that the hardware sets: accessed in any entry that it used (none where the level has no such bit), dirty in
  // the page entry of a written page.
  { F::accessed_bit(level) } -> std::same_as<std::uint64_t>;
  { F::kDirty } -> std::convertible_to<std::uint64_t>;
};

// Derived from a format, the same for all.

template <PageTableFormat F>
[[nodiscard]] constexpr unsigned entry_count(unsigned level) {
  return 1U << F::index_bits(level);
}
// Pages that one entry of a level covers.
template <PageTableFormat F>
[[nodiscard]] constexpr PageCount entry_span(unsigned level) {
  return PageCount(std::uint64_t{1} << (F::shift(level) - kPageShift));
}
template <PageTableFormat F>
[[nodiscard]] constexpr unsigned entry_index(VirtAddr address, unsigned level) {
  return static_cast<unsigned>(address.value() >> F::shift(level)) & (entry_count<F>(level) - 1);
}
template <PageTableFormat F>
[[nodiscard]] constexpr bool is_canonical(VirtAddr address) {
  if constexpr (F::kSignExtended) {
    const auto top = static_cast<std::int64_t>(address.value()) >> (F::kVirtualBits - 1);
    return top == 0 || top == -1;
  } else {
    return (address.value() >> F::kVirtualBits) == 0;
  }
}

// A page of an address space by number: the translated bits of its address, so that the numbers of all pages are one
// unbroken sequence, whether or not the addresses have a hole in the middle.
using Vpn = PageNumber<struct VirtualSpace>;
using VpnRange = Range<Vpn, PageCount>;

template <PageTableFormat F>
[[nodiscard]] constexpr Vpn vpn_of(VirtAddr address) {
  return Vpn((address.value() & ((std::uint64_t{1} << F::kVirtualBits) - 1)) >> kPageShift);
}
template <PageTableFormat F>
[[nodiscard]] constexpr VirtAddr address_of(Vpn page) {
  std::uint64_t address = page.value() << kPageShift;
  if constexpr (F::kSignExtended) {
    constexpr unsigned kUnused = 64 - F::kVirtualBits;
    address = static_cast<std::uint64_t>(static_cast<std::int64_t>(address << kUnused) >> kUnused);
  }
  return VirtAddr(address);
}
template <PageTableFormat F>
[[nodiscard]] constexpr unsigned entry_index(Vpn page, unsigned level) {
  return static_cast<unsigned>(page.value() >> (F::shift(level) - kPageShift)) & (entry_count<F>(level) - 1);
}

// What all the formats here share: x86's bits of 8-byte entries [intel/vol3 table 4-11, 4-15 to 4-20].
struct X86EntryBits {
  static constexpr std::uint64_t kPresent = 1U << 0;
  static constexpr std::uint64_t kWrite = 1U << 1;
  static constexpr std::uint64_t kUser = 1U << 2;
  static constexpr std::uint64_t kAccessed = 1U << 5;
  static constexpr std::uint64_t kDirty = 1U << 6;
  static constexpr std::uint64_t kPageSize = 1U << 7;  // above level 1: maps a page
  static constexpr std::uint64_t kNoExecute = std::uint64_t{1} << 63;
  static constexpr std::uint64_t kFrameMask = 0x000F'FFFF'FFFF'F000;

  [[nodiscard]] static constexpr bool is_present(Entry entry) { return (entry.bits & kPresent) != 0; }
  [[nodiscard]] static constexpr Entry make(Pfn frame, EntryRights rights) {
    return {address_of(frame).value() | kPresent | (rights.write ? kWrite : 0) | (rights.user ? kUser : 0) |
            (rights.execute ? 0 : kNoExecute)};
  }
  [[nodiscard]] static constexpr Pfn frame_bits(Entry entry) { return frame_of(PhysAddr(entry.bits & kFrameMask)); }
  [[nodiscard]] static constexpr EntryRights rights_bits(Entry entry) {
    return {.write = (entry.bits & kWrite) != 0,
            .execute = (entry.bits & kNoExecute) == 0,
            .user = (entry.bits & kUser) != 0};
  }
};

// A format whose every level restricts, like amd64's. kIndexBits[level - 1] are the index bits of a level.
template <const auto& kIndexBits, unsigned kMaxPageLevel>
struct UniformFormat : X86EntryBits {
  static constexpr unsigned kLevels = static_cast<unsigned>(kIndexBits.size());

  [[nodiscard]] static constexpr unsigned index_bits(unsigned level) { return kIndexBits[level - 1]; }
  [[nodiscard]] static constexpr unsigned shift(unsigned level) {
    unsigned bits = kPageShift;
    for (unsigned below = 1; below < level; ++below) {
      bits += kIndexBits[below - 1];
    }
    return bits;
  }
  static constexpr unsigned kVirtualBits = shift(kLevels + 1);

  [[nodiscard]] static constexpr bool restricts(unsigned /*level*/) { return true; }
  [[nodiscard]] static constexpr bool maps_pages(unsigned level) { return level <= kMaxPageLevel; }
  [[nodiscard]] static constexpr Entry make_table(Pfn frame, unsigned /*level*/, EntryRights rights) {
    return make(frame, rights);
  }
  [[nodiscard]] static constexpr Entry make_page(Pfn frame, unsigned level, EntryRights rights) {
    Entry entry = make(frame, rights);
    if (level > 1) {
      entry.bits |= X86EntryBits::kPageSize;
    }
    return entry;
  }
  [[nodiscard]] static constexpr bool is_page(Entry entry, unsigned level) {
    return level == 1 || (entry.bits & X86EntryBits::kPageSize) != 0;
  }
  [[nodiscard]] static constexpr Pfn frame(Entry entry, unsigned /*level*/) { return frame_bits(entry); }
  [[nodiscard]] static constexpr EntryRights rights(Entry entry, unsigned /*level*/) { return rights_bits(entry); }
  [[nodiscard]] static constexpr std::uint64_t accessed_bit(unsigned /*level*/) { return kAccessed; }
};

// A uniform format but for its root, whose entries carry no rights and no accessed bit, like PAE's.
template <class Uniform>
struct UnrestrictedRoot : Uniform {
  using Uniform::kLevels;

  [[nodiscard]] static constexpr bool restricts(unsigned level) { return level < kLevels; }
  [[nodiscard]] static constexpr bool maps_pages(unsigned level) {
    return level < kLevels && Uniform::maps_pages(level);
  }
  [[nodiscard]] static constexpr Entry make_table(Pfn table, unsigned level, EntryRights rights) {
    if (level == kLevels) {
      return {address_of(table).value() | X86EntryBits::kPresent};
    }
    return Uniform::make_table(table, level, rights);
  }
  [[nodiscard]] static constexpr bool is_page(Entry entry, unsigned level) {
    return level < kLevels && Uniform::is_page(entry, level);
  }
  [[nodiscard]] static constexpr EntryRights rights(Entry entry, unsigned level) {
    return level == kLevels ? EntryRights::everything() : Uniform::rights(entry, level);
  }
  [[nodiscard]] static constexpr std::uint64_t accessed_bit(unsigned level) {
    return level == kLevels ? 0 : X86EntryBits::kAccessed;
  }
};

}  // namespace vellum
