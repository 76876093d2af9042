// The states of an entry. An entry that the hardware follows is `present`; any other one that is not empty still knows
// what it stands for. The software's states use the two lowest of the bits that hardware ignores in every entry (9 and
// 10) [intel/vol3 table 4-11 ff.], and only while the present bit is clear.
#pragma once

#include <vellum/pagetable/format.hpp>

namespace vellum {

// A page's place in swap.
using SwapSlot = PageNumber<struct SwapDevice>;

enum class EntryState : std::uint8_t {
  empty,    // nothing of its own: what covers it says what belongs here
  page,     // names a frame, whether or not any access is permitted at the moment
  table,    // names the table below, whether or not any access is permitted at the moment
  swapped,  // names a swap slot
};

template <PageTableFormat F>
struct EntryCodec {
  static constexpr std::uint64_t kTagMask = std::uint64_t{3} << 9;
  static constexpr std::uint64_t kDeniedPage = std::uint64_t{1} << 9;
  static constexpr std::uint64_t kDeniedTable = std::uint64_t{2} << 9;
  static constexpr std::uint64_t kSwapped = std::uint64_t{3} << 9;

  [[nodiscard]] static constexpr EntryState state(Entry entry, unsigned level) {
    if (entry.bits == 0) {
      return EntryState::empty;
    }
    if (F::is_present(entry)) {
      return F::is_page(entry, level) ? EntryState::page : EntryState::table;
    }
    switch (entry.bits & kTagMask) {
      case kDeniedPage:
        return EntryState::page;
      case kDeniedTable:
        return EntryState::table;
      default:
        return EntryState::swapped;
    }
  }

  // The frame of a page or table entry, present or denied.
  [[nodiscard]] static constexpr Pfn frame(Entry entry, unsigned level) { return F::frame(entry, level); }
  // What the entry grants were it present; everything where the level does not restrict.
  [[nodiscard]] static constexpr EntryRights rights(Entry entry, unsigned level) { return F::rights(entry, level); }

  // An entry of the same frame and state with the rights given, present or denied; accessed and dirty bits stay.
  [[nodiscard]] static constexpr Entry with(Entry entry, unsigned level, EntryRights rights, bool present) {
    const bool page = state(entry, level) == EntryState::page;
    const Pfn target = frame(entry, level);
    const std::uint64_t kept = entry.bits & (F::accessed_bit(level) | (page ? F::kDirty : 0));
    Entry changed = page ? F::make_page(target, level, rights) : F::make_table(target, level, rights);
    changed.bits |= kept;
    if (!present) {
      changed.bits = (changed.bits & ~X86EntryBits::kPresent) | (page ? kDeniedPage : kDeniedTable);
    }
    return changed;
  }
  [[nodiscard]] static constexpr Entry page(Pfn frame, unsigned level, EntryRights rights) {
    return F::make_page(frame, level, rights);
  }
  [[nodiscard]] static constexpr Entry table(Pfn frame, unsigned level, EntryRights rights) {
    return F::make_table(frame, level, F::restricts(level) ? rights : EntryRights::everything());
  }

  [[nodiscard]] static constexpr Entry swapped(SwapSlot slot) { return {(slot.value() << kPageShift) | kSwapped}; }
  [[nodiscard]] static constexpr SwapSlot swap_slot(Entry entry) { return SwapSlot(entry.bits >> kPageShift); }
};

}  // namespace vellum
