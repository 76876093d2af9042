#include "kernel_tables.hpp"

#include <algorithm>

#include "image.hpp"

namespace vellum::kernel {

namespace {

// Of the first megabyte the firmware calls only a part usable, but its tables and the loader's notes lie there too, so
// the direct map shows all of it.
constexpr PhysAddr kFirstMegabyte{std::uint64_t{1} << 20};

// Rights that no entry above the page takes away.
constexpr EntryRights kAllInKernel{.write = true, .execute = true, .user = false};

}  // namespace

Result<void> KernelTables::build(const MemoryMap& ram, const pc::CpuFeatures& features) {
  for (unsigned level = 2; Format::maps_pages(level) && (level < 3 || features.gigabyte_pages); ++level) {
    largest_page_ = level;
  }
  root_ =
      VELLUM_TRY(tables_.store().create(Format::kLevels, entry_count<Format>(Format::kLevels), Vpn(0), LockRank::node));
  VELLUM_TRY(map_image());
  VELLUM_TRY(map_ram(PhysRange::between(PhysAddr(0), kFirstMegabyte)));
  for (const FrameRange& range : ram.ranges()) {
    const PhysAddr start = std::max(address_of(range.start()), kFirstMegabyte);
    if (start < address_of(range.end())) {
      VELLUM_TRY(map_ram(PhysRange::between(start, address_of(range.end()))));
    }
  }
  return {};
}

Result<void> KernelTables::map_image() {
  VELLUM_TRY(map(image_text(), physical(image_text()).start(), Prot::read() | Prot::execute()));
  VELLUM_TRY(map(image_constants(), physical(image_constants()).start(), Prot::read()));
  const VirtRange parts_of_data[] = {
      VirtRange::between(image_data().start(), image_guard().start()),
      VirtRange::between(image_guard().end(), image_data().end()),
  };
  for (const VirtRange& part : parts_of_data) {
    VELLUM_TRY(map(part, physical(part).start(), Prot::read() | Prot::write()));
  }
  return {};
}

// A range of RAM, in up to three parts: the middle one holds code.
Result<void> KernelTables::map_ram(PhysRange range) {
  const PhysRange code = PhysRange::between(physical(image_text()).start(), physical(image_constants()).end());
  PhysAddr from = range.start();
  while (from < range.end()) {
    PhysAddr to = range.end();
    Prot prot = Prot::read() | Prot::write();
    if (code.contains(from)) {
      to = std::min(to, code.end());
      prot = Prot::read();
    } else if (from < code.start()) {
      to = std::min(to, code.start());
    }
    VELLUM_TRY(map(VirtRange::must(pc::kDirectMap + ByteCount(from.value()), to - from), from, prot));
    from = to;
  }
  return {};
}

Result<void> KernelTables::map(VirtRange range, PhysAddr first, Prot prot) {
  return map_in(*root_, range, first, {.write = prot.can_write(), .execute = prot.can_execute(), .user = false});
}

Result<Node*> KernelTables::child(Node& node, unsigned slot) {
  const Entry entry = tables_.load(node, slot);
  if (tables_.state(entry, node) == EntryState::table) {
    return &tables_.child(entry, node);
  }
  VELLUM_CHECK(tables_.state(entry, node) == EntryState::empty);
  Node* const created = VELLUM_TRY(tables_.create_child(node, slot));
  tables_.link(node, slot, *created, kAllInKernel, true);
  return created;
}

Result<void> KernelTables::map_in(Node& node, VirtRange range, PhysAddr first, EntryRights rights) {
  const LockGuard guard(node.lock);
  const ByteCount span = bytes_of(tables_.span(node));
  VirtAddr at = range.start();
  PhysAddr from = first;
  for (;;) {
    // The part of the range in this slot. Sizes, not ends, because the last slot may end at 2^64.
    const ByteCount left = range.size() - (at - range.start());
    const ByteCount room = span - (at - at.align_down(span));
    const ByteCount size = std::min(left, room);
    const unsigned slot = entry_index<Format>(at, node.level);
    const bool whole = size == span && from.is_aligned(span);
    if (whole && node.level <= largest_page_) {
      VELLUM_CHECK(tables_.state(tables_.load(node, slot), node) == EntryState::empty);
      tables_.set(node, slot, Tables<Format>::Codec::page(frame_of(from), node.level, rights));
      ++node.live;
    } else {
      Node* const below = VELLUM_TRY(child(node, slot));
      VELLUM_TRY(map_in(*below, VirtRange::must(at, size), from, rights));
    }
    if (size == left) {
      return {};
    }
    at += size;
    from += size;
  }
}

}  // namespace vellum::kernel
