// Included by mmu.hpp: what happens when no cached translation serves an access.
#pragma once

#include <vellum/hosted/mmu.hpp>

namespace vellum::hosted {

template <class F>
std::optional<Translation> Mmu<F>::translate(VirtAddr address, Access access, Privilege privilege) {
  VELLUM_ASSERT(cpu_.is_driven_by_caller());
  VELLUM_CHECK(cpu_.has_root());
  cpu_.misses_.add(1);
  if (!is_canonical<F>(address)) {
    return fault(FaultKind::general_protection, address, access, privilege, 0);
  }
  if (!cpu_.tlb_.uses(kGeometry)) {
    cpu_.tlb_.use(kGeometry);
  }
  unsigned level = 1;
  if (const Tlb::Entry* cached = find_cached(address, level); cached != nullptr) {
    if (cpu_.serves(cached->rights, access, privilege)) {
      cpu_.large_page_hits_.add(1);
      const ByteCount offset(address.value() & ((std::uint64_t{1} << F::shift(level)) - 1));
      return Translation{.address = cached->target + offset, .level = level, .rights = cached->rights};
    }
    if (!permits(cpu_.controls_, cached->rights, access, privilege)) {
      return fault(FaultKind::page, address, access, privilege, Fault::kPresent);
    }
  }
  return walk_tables(address, access, privilege);
}

template <class F>
const Tlb::Entry* Mmu<F>::find_cached(VirtAddr address, unsigned& level) const {
  level = 1;
  if (const Tlb::Entry* page = cpu_.tlb_.find_page(address); page != nullptr) {
    return page;
  }
  for (level = 2; level <= F::kLevels; ++level) {
    if (F::maps_pages(level)) {
      if (const Tlb::Entry* page = cpu_.tlb_.find_large_page(address, level); page != nullptr) {
        return page;
      }
    }
  }
  return nullptr;
}

template <class F>
std::optional<Translation> Mmu<F>::walk_tables(VirtAddr address, Access access, Privilege privilege) {
  for (;;) {
    Walk walk;
    if (const std::optional<std::uint32_t> code = descend(address, walk); code) {
      return fault(FaultKind::page, address, access, privilege, *code);
    }
    if (!permits(cpu_.controls_, walk.steps[walk.bottom].rights, access, privilege)) {
      return fault(FaultKind::page, address, access, privilege, Fault::kPresent);
    }
    if (mark_used(walk, access)) {
      return remember(address, walk);
    }
  }
}

template <class F>
std::optional<std::uint32_t> Mmu<F>::descend(VirtAddr address, Walk& walk) {
  PhysAddr table = cpu_.root();
  PageRights rights = kAllRights;
  walk.top = F::kLevels;
  for (unsigned level = 1; level < F::kLevels; ++level) {
    if (const Tlb::Entry* cached = cpu_.tlb_.find_table(address, level); cached != nullptr) {
      walk.top = level;
      table = cached->target;
      rights = cached->rights;
      break;
    }
  }
  for (walk.bottom = walk.top;; --walk.bottom) {
    Step& step = walk.steps[walk.bottom];
    step = read_entry(table, address, walk.bottom);
    if (!F::is_present(step.entry)) {
      return 0;
    }
    if (has_reserved_bits(step.entry, walk.bottom)) {
      return Fault::kPresent | Fault::kReserved;
    }
    rights = rights & rights_of(step.entry, walk.bottom);
    step.rights = rights;
    table = address_of(F::frame(step.entry, walk.bottom));
    if (F::is_page(step.entry, walk.bottom)) {
      return std::nullopt;
    }
  }
}

template <class F>
typename Mmu<F>::Step Mmu<F>::read_entry(PhysAddr table, VirtAddr address, unsigned level) {
  const unsigned index = entry_index<F>(address, level);
  if constexpr (!F::restricts(F::kLevels)) {
    if (level == F::kLevels && cpu_.controls_.root_entries_in_registers) {
      static_assert(entry_count<F>(F::kLevels) <= Cpu::kRegisterEntries);
      return {.slot = nullptr, .entry = {cpu_.root_entries_[index]}, .rights = {}};
    }
  }
  VELLUM_CHECK(table < ram_end_);
  cpu_.entries_walked_.add(1);
  auto* slot = reinterpret_cast<std::uint64_t*>(ram_ + table.value()) + index;
  // Acquire: who put the entry there has written what it leads to.
  return {.slot = slot, .entry = {std::atomic_ref(*slot).load(std::memory_order_acquire)}, .rights = {}};
}

template <class F>
bool Mmu<F>::mark_used(Walk& walk, Access access) {
  for (unsigned level = walk.top; level >= walk.bottom; --level) {
    Step& step = walk.steps[level];
    std::uint64_t wanted = step.entry.bits | F::accessed_bit(level);
    if (level == walk.bottom && access == Access::write) {
      wanted |= F::kDirty;
    }
    if (wanted != step.entry.bits &&
        !std::atomic_ref(*step.slot).compare_exchange_strong(step.entry.bits, wanted, std::memory_order_acq_rel)) {
      return false;
    }
    step.entry.bits = wanted;
  }
  return true;
}

template <class F>
Translation Mmu<F>::remember(VirtAddr address, const Walk& walk) {
  for (unsigned level = walk.top; level > walk.bottom; --level) {
    const Step& step = walk.steps[level];
    cpu_.tlb_.insert_table(address, level - 1, address_of(F::frame(step.entry, level)), step.rights);
  }
  const Step& last = walk.steps[walk.bottom];
  const ByteCount size(std::uint64_t{1} << F::shift(walk.bottom));
  const PhysAddr page = address_of(F::frame(last.entry, walk.bottom)).align_down(size);
  VELLUM_CHECK(page + size <= ram_end_);
  const PageRights rights = (last.entry.bits & F::kDirty) != 0 ? last.rights | PageRights::dirty() : last.rights;
  cpu_.tlb_.insert_page(address, walk.bottom, page, rights);
  return {.address = page + ByteCount(address.value() & (size.value() - 1)), .level = walk.bottom, .rights = rights};
}

template <class F>
std::nullopt_t Mmu<F>::fault(FaultKind kind, VirtAddr address, Access access, Privilege privilege, std::uint32_t code) {
  cpu_.faults_.add(1);
  if (kind == FaultKind::page) {
    code |= access == Access::write ? Fault::kWrite : 0;
    code |= access == Access::execute ? Fault::kFetch : 0;
    code |= privilege == Privilege::user ? Fault::kUser : 0;
    cpu_.tlb_.flush_range(VirtRange::must(address, ByteCount(1)));
  }
  cpu_.last_fault_ = {.address = address, .kind = kind, .access = access, .privilege = privilege, .error_code = code};
  return std::nullopt;
}

template <class F>
PageRights Mmu<F>::rights_of(Entry entry, unsigned level) {
  const EntryRights rights = F::rights(entry, level);
  return (rights.write ? PageRights::write() : PageRights()) | (rights.execute ? PageRights::execute() : PageRights()) |
         (rights.user ? PageRights::user() : PageRights());
}

// [intel/vol3 tables 4-8 to 4-11 for PAE, 4-15 to 4-20 for four levels]. Toy formats are like the one of the two whose
// kind of root they have.
template <class F>
bool Mmu<F>::has_reserved_bits(Entry entry, unsigned level) {
  constexpr bool kLikePae = !F::restricts(F::kLevels);
  std::uint64_t reserved = 0;
  if constexpr (kLikePae) {
    reserved |= std::uint64_t{0x7FF} << 52;
  }
  if (!F::restricts(level)) {
    constexpr std::uint64_t kGlobal = 1U << 8;
    reserved |= X86EntryBits::kWrite | X86EntryBits::kUser | X86EntryBits::kAccessed | X86EntryBits::kDirty |
                X86EntryBits::kPageSize | kGlobal | X86EntryBits::kNoExecute;
  } else if (level > 1 && F::is_page(entry, level)) {
    if (!F::maps_pages(level)) {
      return true;
    }
    // Bit 12 is the memory type's (PAT), those above it up to the page's own address are reserved.
    reserved |= ((std::uint64_t{1} << F::shift(level)) - 1) & ~((std::uint64_t{1} << 13) - 1);
  }
  return (entry.bits & reserved) != 0;
}

}  // namespace vellum::hosted
