// Looking at a space.

#include <vellum/pagetable/instantiate.hpp>
#include <vellum/pagetable/leaf_change.hpp>
#include <vellum/space/space.hpp>

#include "attempt.hpp"
#include "held_region.hpp"

namespace vellum {

namespace {

// A stretch that means the same, as it was found under the lock of the node that says so: afterwards its backing may be
// gone, so that nothing here points to that.
template <PageTableFormat F>
struct SameMeaning {
  VpnRange pages;
  Meaning meaning;                   // without the backing
  const Backing* backing = nullptr;  // to tell one from another only
  MemoryObject<F>* object = nullptr;
  PageIndex first{0};

  [[nodiscard]] static SameMeaning of(VpnRange pages, const Meaning& meaning) {
    SameMeaning found{.pages = pages, .meaning = meaning, .backing = meaning.backing};
    found.meaning.backing = nullptr;
    if (meaning.backing != nullptr) {
      const auto& mapping = static_cast<const Mapping<F>&>(*meaning.backing);
      found.object = &mapping.object;
      found.first = mapping.index_of(pages.start());
    }
    return found;
  }
  // Whether it means the same as the one before it: also where two mmaps show one object without a break.
  [[nodiscard]] bool continues(const SameMeaning& before) const {
    return meaning == before.meaning && object == before.object &&
           (backing == before.backing || first == before.first + before.pages.size());
  }
  [[nodiscard]] Region<F> region() const {
    return {.range = VirtRange::must(address_of<F>(pages.start()), bytes_of(pages.size())),
            .prot = meaning.prot,
            .maximum = meaning.maximum,
            .traits = meaning.traits,
            .object = object,
            .first = first};
  }
};

}  // namespace

template <PageTableFormat F>
std::optional<Region<F>> AddressSpace<F>::region_at_or_after(VirtAddr from) {
  return find_region(from, Hold::nothing);
}

// The region at an address, where one table says all of it: most are small. Nothing where it might go on elsewhere.
template <PageTableFormat F>
std::optional<Region<F>> AddressSpace<F>::region_in_leaf(Vpn page, Hold hold) {
  const TreeSection section(tree);
  LeafChange<F> leaf(tree, tables_, path_of(section.cpu()));
  if (!leaf.lock(VpnRange::must(page, PageCount(1)), 0)) {
    return std::nullopt;
  }
  const std::optional<RunValue> run = leaf.lone_run();
  if (!run) {
    return std::nullopt;
  }
  const unsigned slot = entry_index<F>(page, 1);
  const Vpn first = page - PageCount(slot - run->first());
  const auto found =
      SameMeaning<F>::of(VpnRange::must(first, PageCount(run->last() - run->first() + 1)), run->meaning());
  if (hold == Hold::object && found.object != nullptr) {
    found.object->retain();
  }
  return found.region();
}

template <PageTableFormat F>
std::optional<Region<F>> AddressSpace<F>::find_region(VirtAddr from, Hold hold) {
  if (layout_.contains(from)) {
    if (const std::optional<Region<F>> region = region_in_leaf(vpn_of<F>(from), hold)) {
      return region;
    }
  }
  if (from >= layout_.user[0].end() && from < layout_.user[1].start()) {
    from = layout_.user[1].start();  // between the halves
  }
  if (from >= layout_.end()) {
    return std::nullopt;
  }
  const Vpn end = vpn_of<F>(layout_.end() - ByteCount(1)) + PageCount(1);
  std::optional<SameMeaning<F>> region;
  TreeOperation<F> operation(tree);
  TlbGather<F>& gather = operation.gather();
  {
    Cursor<F> cursor(tree, gather);
    cursor.lock(VpnRange::between(Vpn(0), end), Cursor<F>::Intent::look);
    cursor.for_each_whole(VpnRange::between(vpn_of<F>(from), end), [&](VpnRange found, const Meaning& meaning) {
      region = SameMeaning<F>::of(found, meaning);
      if (hold == Hold::object && region->object != nullptr) {
        region->object->retain();
      }
      return false;
    });
    // What goes on, to the left and to the right, is looked up page by page of its edges: a search for the next mapping
    // would go far where there is none.
    for (bool grown = region.has_value(); grown && region->pages.start() > Vpn(0);) {
      grown = false;
      cursor.for_each_whole(VpnRange::must(region->pages.start() - PageCount(1), PageCount(1)),
                            [&](VpnRange found, const Meaning& meaning) {
                              SameMeaning<F> before = SameMeaning<F>::of(found, meaning);
                              grown = region->continues(before);
                              if (grown) {
                                before.pages = VpnRange::between(before.pages.start(), region->pages.end());
                                region = before;
                              }
                              return false;
                            });
    }
    for (bool grown = region.has_value(); grown && region->pages.end() < end;) {
      grown = false;
      cursor.for_each_whole(VpnRange::must(region->pages.end(), PageCount(1)),
                            [&](VpnRange found, const Meaning& meaning) {
                              const SameMeaning<F> next = SameMeaning<F>::of(found, meaning);
                              grown = next.continues(*region);
                              if (grown) {
                                region->pages = VpnRange::between(region->pages.start(), next.pages.end());
                              }
                              return false;
                            });
    }
  }
  gather.finish();
  if (!region) {
    return std::nullopt;
  }
  return region->region();
}

template <PageTableFormat F>
bool AddressSpace<F>::is_resident(VirtAddr address) {
  const HeldRegion region(*this, address);
  if (!region) {
    return false;
  }
  const TreeSection section(tree);
  return is_resident_in(*region, vpn_of<F>(address));
}

template <PageTableFormat F>
PageCount AddressSpace<F>::list_resident(VirtRange range, std::span<std::uint8_t> into) {
  VirtAddr at = range.start();
  while (range.contains(at)) {
    const HeldRegion region(*this, at);
    if (!region) {
      break;
    }
    const VirtRange part = region->range.intersection(VirtRange::must(at, range.size() - (at - range.start())));
    const TreeSection section(tree);
    for (VirtAddr page = at; part.contains(page); page += ByteCount(kPageSize)) {
      into[static_cast<std::size_t>(whole_pages(page - range.start()).value())] =
          is_resident_in(*region, vpn_of<F>(page)) ? 1 : 0;
    }
    at += part.size();
  }
  return whole_pages(at - range.start());
}

// Inside a section of the tree.
template <PageTableFormat F>
bool AddressSpace<F>::is_resident_in(const Region<F>& region, Vpn page) const {
  const Walk walk = descend(page);
  if (tables_.state(tables_.load(*walk.node, tables_.slot_of(*walk.node, page)), *walk.node) == EntryState::page) {
    return true;
  }
  return region.object != nullptr &&
         region.object->is_resident(region.first + (page - vpn_of<F>(region.range.start())));
}

template <PageTableFormat F>
typename AddressSpace<F>::Residence AddressSpace<F>::residence() {
  const TreeSection section(tree);
  Residence sum;
  add_residence(*tree.root, sum);
  return sum;
}

template <PageTableFormat F>
void AddressSpace<F>::add_residence(Node& node, Residence& sum) {
  const LockGuard guard(node.lock);
  sum.tables += PageCount(1);
  sum.pages += tables_.span(node) * node.resident;
  if (node.level == 1) {
    return;
  }
  const unsigned last = node.slot_count - 1U;
  for (unsigned slot = tables_.next_entry(node, 0, last); slot <= last;
       slot = tables_.next_entry(node, slot + 1, last)) {
    const Entry entry = tables_.load(node, slot);
    if (tables_.state(entry, node) == EntryState::table) {
      add_residence(tables_.child(entry, node), sum);
    }
  }
}

template <PageTableFormat F>
void AddressSpace<F>::check_invariants() {
  const TreeSection section(tree);
  const std::uint64_t pages = check_node(*tree.root, nullptr, true);
  VELLUM_CHECK(PageCount(pages) == mapped());
}

// Checks what node.hpp promises, below `node`, whose range all means `above` where it is content only. Returns the
// pages that runs here and below give a meaning to.
template <PageTableFormat F>
std::uint64_t AddressSpace<F>::check_node(Node& node, const Meaning* above, bool exclusive) {
  const LockGuard guard(node.lock);
  VELLUM_CHECK(!node.stale.load(std::memory_order_relaxed));
  const bool owning = node.owning.load(std::memory_order_relaxed);
  VELLUM_CHECK(owning == (above == nullptr));
  VELLUM_CHECK(owning || node.runs() == 0);
  node.check_runs();
  std::uint64_t pages = 0;
  for (unsigned index = 0; index < node.runs(); ++index) {
    pages += (node.run(index).last() - node.run(index).first() + 1) * tables_.span(node).value();
  }
  unsigned live = 0;
  unsigned resident = 0;
  unsigned owning_children = 0;
  for (unsigned slot = 0; slot < node.slot_count; ++slot) {
    const Entry entry = tables_.load(node, slot);
    if (entry.bits == 0) {
      continue;
    }
    ++live;
    VELLUM_CHECK(tables_.next_entry(node, slot, slot) == slot);
    const std::optional<Meaning> own = owning ? node.meaning_at(slot) : std::nullopt;
    const Meaning* meaning = own ? &*own : above;
    const EntryState state = tables_.state(entry, node);
    if (state != EntryState::swapped && F::restricts(node.level)) {
      const EntryRights rights = F::rights(entry, node.level);
      VELLUM_CHECK((tables_.grant_bits(rights) & ~node.granted) == 0);
      if (own) {
        VELLUM_CHECK((tables_.grant_bits(rights) & ~own->prot.bits()) == 0);
        VELLUM_CHECK(!own->prot.is_none() || !F::is_present(entry));
      }
    }
    if (state == EntryState::table) {
      Node& child = tables_.child(entry, node);
      const bool shared = child.share.load(std::memory_order_relaxed) > 1;
      if (shared && !child.object_owned && F::restricts(node.level)) {
        VELLUM_CHECK(!F::rights(entry, node.level).write);
      }
      if (child.owning.load(std::memory_order_relaxed)) {
        ++owning_children;
        VELLUM_CHECK(meaning == nullptr);
      }
      VELLUM_CHECK(child.base == tables_.page_of(node, slot) || child.object_owned);
      pages +=
          check_node(child, child.owning.load(std::memory_order_relaxed) ? nullptr : meaning, exclusive && !shared);
    } else if (tables_.is_large(entry, node)) {
      VELLUM_CHECK(meaning != nullptr && meaning->backing == nullptr && !node.object_owned);
      ++resident;
      check_large(tables_.child(entry, node), F::rights(entry, node.level).write);
    } else if (state == EntryState::page) {
      VELLUM_CHECK(meaning != nullptr);
      const Frame& frame = system_.memory.frame(EntryCodec<F>::frame(entry, node.level));
      resident += frame.kind() == FrameKind::zero_page ? 0 : 1;
      VELLUM_CHECK(frame.kind() == FrameKind::zero_page || frame.share() > 0);
      if (F::rights(entry, node.level).write && !node.object_owned) {
        VELLUM_CHECK(frame.kind() == FrameKind::object ? meaning->traits.is_shared() : frame.share() == 1);
      }
    }
  }
  VELLUM_CHECK(live == node.live && resident == node.resident && owning_children == node.owning_children);
  return pages;
}

template <PageTableFormat F>
void AddressSpace<F>::check_large(const Node& large, bool writable) {
  VELLUM_CHECK(large.large && large.slot_count == entry_count<F>(1));
  VELLUM_CHECK(large.share.load(std::memory_order_relaxed) == 1 || !writable);
  for (unsigned i = 0; i < large.slot_count; ++i) {
    const Frame& frame = system_.memory.frame(large.table + PageCount(i));
    VELLUM_CHECK(frame.kind() == FrameKind::anonymous && frame.share() > 0);
    VELLUM_CHECK(frame.share() == 1 || !writable);
  }
}

#define VELLUM_COMPILE(F)                                                                \
  template std::optional<Region<F>> AddressSpace<F>::region_at_or_after(VirtAddr);       \
  template std::optional<Region<F>> AddressSpace<F>::find_region(VirtAddr, Hold);        \
  template PageCount AddressSpace<F>::list_resident(VirtRange, std::span<std::uint8_t>); \
  template bool AddressSpace<F>::is_resident(VirtAddr);                                  \
  template typename AddressSpace<F>::Residence AddressSpace<F>::residence();             \
  template void AddressSpace<F>::check_invariants();
VELLUM_FOR_EACH_FORMAT(VELLUM_COMPILE)
#undef VELLUM_COMPILE

}  // namespace vellum
