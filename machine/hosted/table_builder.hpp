// Page tables built by hand, for the tests of the machine: no allocator, nothing shared, nothing freed.
#pragma once

#include <vellum/hosted/machine.hpp>
#include <vellum/pagetable/formats.hpp>

namespace vellum::hosted {

template <class F>
class TableBuilder {
 public:
  // Takes frames for tables from `first_table` on; they must be zero.
  TableBuilder(Machine& machine, Pfn first_table) : machine_(machine), root_(first_table), next_(first_table) {
    next_ += PageCount(1);
  }

  [[nodiscard]] PhysAddr root() const { return vellum::address_of(root_); }

  // The entry of `level` on the way to `address`; tables on the way are made, and restrict nothing.
  [[nodiscard]] std::atomic_ref<std::uint64_t> entry(VirtAddr address, unsigned level) {
    Pfn table = root_;
    for (unsigned at = F::kLevels; at > level; --at) {
      const std::atomic_ref slot(slot_of(table, address, at));
      if (!F::is_present({slot.load()})) {
        slot.store(F::make_table(next_, at, EntryRights::everything()).bits);
        next_ += PageCount(1);
      }
      table = F::frame({slot.load()}, at);
    }
    return std::atomic_ref(slot_of(table, address, level));
  }
  void map(VirtAddr address, Pfn frame, EntryRights rights = EntryRights::everything(), unsigned level = 1) {
    entry(address, level).store(F::make_page(frame, level, rights).bits);
  }
  void unmap(VirtAddr address, unsigned level = 1) { entry(address, level).store(0); }

  [[nodiscard]] bool has(VirtAddr address, unsigned level, std::uint64_t bit) {
    return (entry(address, level).load() & bit) != 0;
  }
  // The frames that it has taken so far end here.
  [[nodiscard]] Pfn next_table() const { return next_; }

 private:
  [[nodiscard]] std::uint64_t& slot_of(Pfn table, VirtAddr address, unsigned level) {
    return reinterpret_cast<std::uint64_t*>(machine_.window(table).data())[entry_index<F>(address, level)];
  }

  Machine& machine_;
  const Pfn root_;
  Pfn next_;
};

// One page, for a flush.
[[nodiscard]] inline TlbFlush flush_of(VirtRange range) {
  TlbFlush flush;
  flush.ranges[0] = range;
  flush.range_count = 1;
  return flush;
}
[[nodiscard]] inline TlbFlush flush_of(VirtAddr page) { return flush_of(VirtRange::must(page, ByteCount(kPageSize))); }
[[nodiscard]] inline TlbFlush flush_of_everything() {
  TlbFlush flush;
  flush.everything = true;
  return flush;
}

}  // namespace vellum::hosted
