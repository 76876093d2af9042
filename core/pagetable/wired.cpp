#include <vellum/pagetable/wired.hpp>

#include <vellum/pagetable/instantiate.hpp>

namespace vellum {

namespace {

constexpr std::uint64_t kWriteThrough = 1U << 3;
constexpr std::uint64_t kCacheDisable = 1U << 4;
constexpr std::uint64_t kGlobal = 1U << 8;

// The highest level whose pages fit both addresses and what is left.
template <PageTableFormat F>
unsigned page_level(Vpn page, Pfn frame, PageCount left, unsigned largest) {
  unsigned level = 1;
  for (unsigned higher = 2; higher <= largest && higher <= F::kLevels; ++higher) {
    const std::uint64_t span = entry_span<F>(higher).value();
    if (!F::maps_pages(higher) || ((page.value() | frame.value()) & (span - 1)) != 0 || left.value() < span) {
      break;
    }
    level = higher;
  }
  return level;
}

// Calls visit(Node&, slot, Entry) for each entry that maps a part of the range, or would.
template <PageTableFormat F, class Visitor>
void for_each_entry(const Tables<F>& tables, Node& root, VirtRange range, Visitor visit) {
  const Vpn first = vpn_of<F>(range.start());
  const PageCount pages = whole_pages(range.size());
  PageCount done{0};
  while (done < pages) {
    Node* node = &root;
    Entry entry = tables.load(*node, tables.slot_of(*node, first + done));
    while (tables.state(entry, *node) == EntryState::table) {
      node = &tables.child(entry, *node);
      entry = tables.load(*node, tables.slot_of(*node, first + done));
    }
    const unsigned slot = tables.slot_of(*node, first + done);
    visit(*node, slot, entry);
    done = tables.range_of(*node, slot).end() - first;
  }
}

// An entry of a page with the attributes of another entry.
template <PageTableFormat F>
Entry same_page_with(Entry like, Pfn frame, unsigned level, EntryRights rights) {
  Entry entry = F::make_page(frame, level, rights);
  entry.bits |= like.bits & (kWriteThrough | kCacheDisable | kGlobal);
  return entry;
}

// Replaces pages that `address` lies inside of, and does not begin, by tables of smaller ones that lead to the same
// place with the same rights. Nothing to flush: the translations stay true.
template <PageTableFormat F>
Result<void> split_at(const Tables<F>& tables, Node& root, VirtAddr address) {
  const Vpn page = vpn_of<F>(address);
  Node* node = &root;
  for (;;) {
    const unsigned slot = tables.slot_of(*node, page);
    const LockGuard guard(node->lock);
    const Entry entry = tables.load(*node, slot);
    if (tables.state(entry, *node) == EntryState::table) {
      node = &tables.child(entry, *node);
      continue;
    }
    if (entry.bits == 0 || node->level == 1 || tables.page_of(*node, slot) == page) {
      return {};
    }
    Node* const child = VELLUM_TRY(tables.create_child(*node, slot));
    const Pfn first = F::frame(entry, node->level);
    for (unsigned i = 0; i < entry_count<F>(child->level); ++i) {
      tables.set(
          *child, i,
          same_page_with<F>(entry, first + tables.span(*child) * i, child->level, F::rights(entry, node->level)));
    }
    {
      const LockGuard child_guard(child->lock);
      child->live = static_cast<std::uint16_t>(entry_count<F>(child->level));
    }
    // In one store: the page may hold this very table.
    tables.set(*node, slot, EntryCodec<F>::table(child->table, node->level, EntryRights::everything()));
    node = child;
  }
}

}  // namespace

template <PageTableFormat F>
Entry wired_entry(Pfn frame, unsigned level, const WiredAttributes& attributes) {
  Entry entry = F::make_page(frame, level, attributes.rights);
  if (attributes.caching == Caching::uncached) {
    entry.bits |= kCacheDisable | kWriteThrough;
  }
  if (attributes.lifetime == Lifetime::global) {
    entry.bits |= kGlobal;
  }
  return entry;
}

template <PageTableFormat F>
Result<Node*> wired_table(const Tables<F>& tables, Node& root, VirtAddr address, unsigned level) {
  const Vpn page = vpn_of<F>(address);
  Node* node = &root;
  while (node->level > level) {
    const unsigned slot = tables.slot_of(*node, page);
    const LockGuard guard(node->lock);
    const Entry entry = tables.load(*node, slot);
    if (entry.bits != 0) {
      VELLUM_CHECK(tables.state(entry, *node) == EntryState::table);
      node = &tables.child(entry, *node);
      continue;
    }
    Node* const child = VELLUM_TRY(tables.create_child(*node, slot));
    tables.link(*node, slot, *child, EntryRights::everything(), true);
    node = child;
  }
  return node;
}

template <PageTableFormat F>
Result<void> map_wired(const Tables<F>& tables, Node& root, VirtRange range, PhysAddr target,
                       const WiredAttributes& attributes) {
  if (!range.start().is_page_aligned() || !target.is_page_aligned() || (range.size().value() & (kPageSize - 1)) != 0 ||
      range.empty() || !is_canonical<F>(range.start()) || !is_canonical<F>(range.last())) {
    return Errno::invalid;
  }
  const Vpn first = vpn_of<F>(range.start());
  const PageCount pages = whole_pages(range.size());
  PageCount done{0};
  while (done < pages) {
    const Vpn page = first + done;
    const Pfn frame = frame_of(target) + done;
    const unsigned level = page_level<F>(page, frame, pages - done, attributes.largest_level);
    const Result<Node*> table = wired_table(tables, root, address_of<F>(page), level);
    if (!table.ok()) {
      if (!done.is_zero()) {
        unmap_wired(tables, root, VirtRange::must(range.start(), bytes_of(done)));
      }
      return table.error();
    }
    Node& node = *table.value();
    const unsigned slot = tables.slot_of(node, page);
    const LockGuard guard(node.lock);
    VELLUM_CHECK(tables.load(node, slot).bits == 0);
    ++node.live;
    tables.set(node, slot, wired_entry<F>(frame, level, attributes));
    done += entry_span<F>(level);
  }
  return {};
}

template <PageTableFormat F>
void unmap_wired(const Tables<F>& tables, Node& root, VirtRange range) {
  for_each_entry(tables, root, range, [&tables](Node& node, unsigned slot, Entry entry) {
    const LockGuard guard(node.lock);
    if (entry.bits != 0) {
      tables.set(node, slot, {});
      --node.live;
    }
  });
}

template <PageTableFormat F>
Result<void> protect_wired(const Tables<F>& tables, Node& root, VirtRange range, EntryRights rights) {
  // Large pages at the edges first, so that nothing was changed where there is no memory for that.
  VELLUM_TRY(split_at(tables, root, range.start()));
  VELLUM_TRY(split_at(tables, root, range.end()));
  for_each_entry(tables, root, range, [&tables, rights](Node& node, unsigned slot, Entry entry) {
    VELLUM_CHECK(entry.bits != 0);
    const LockGuard guard(node.lock);
    tables.set(node, slot, same_page_with<F>(entry, F::frame(entry, node.level), node.level, rights));
  });
  return {};
}

template <PageTableFormat F>
std::optional<WiredPage> find_wired(const Tables<F>& tables, Node& root, VirtAddr address) {
  const Vpn page = vpn_of<F>(address);
  const Node* node = &root;
  Entry entry = tables.load(*node, tables.slot_of(*node, page));
  while (tables.state(entry, *node) == EntryState::table) {
    node = &tables.child(entry, *node);
    entry = tables.load(*node, tables.slot_of(*node, page));
  }
  if (entry.bits == 0) {
    return std::nullopt;
  }
  const std::uint64_t offset = address.value() & (bytes_of(tables.span(*node)).value() - 1);
  return WiredPage{.address = vellum::address_of(F::frame(entry, node->level)) + ByteCount(offset),
                   .level = node->level,
                   .rights = F::rights(entry, node->level)};
}

#define VELLUM_COMPILE(F)                                                                                   \
  template Result<void> map_wired<F>(const Tables<F>&, Node&, VirtRange, PhysAddr, const WiredAttributes&); \
  template void unmap_wired<F>(const Tables<F>&, Node&, VirtRange);                                         \
  template Result<void> protect_wired<F>(const Tables<F>&, Node&, VirtRange, EntryRights);                  \
  template Entry wired_entry<F>(Pfn, unsigned, const WiredAttributes&);                                     \
  template Result<Node*> wired_table<F>(const Tables<F>&, Node&, VirtAddr, unsigned);                       \
  template std::optional<WiredPage> find_wired<F>(const Tables<F>&, Node&, VirtAddr);
VELLUM_FOR_EACH_FORMAT(VELLUM_COMPILE)
#undef VELLUM_COMPILE

}  // namespace vellum
