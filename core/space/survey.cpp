// A walk over what the tables of a space name.

#include <algorithm>

#include <vellum/pagetable/instantiate.hpp>
#include <vellum/space/survey.hpp>

namespace vellum {

namespace {

template <PageTableFormat F>
class Surveyor {
 public:
  Surveyor(AddressSpace<F>& space, VpnRange pages, PageVisitor& visitor)
      : memory_(space.system().memory), tables_(space.system().nodes), pages_(pages), visitor_(visitor) {}

  // `paths`: how many spaces come to the node.
  void look(Node& node, std::uint64_t paths) {
    const LockGuard guard(node.lock);
    const Vpn last_of_node = Tables<F>::page_of(node, node.slot_count - 1U);
    const Vpn last = pages_.start() + (pages_.size() - PageCount(1));
    const unsigned first_slot = pages_.start() > node.base ? tables_.slot_of(node, pages_.start()) : 0;
    const unsigned last_slot = last < last_of_node ? tables_.slot_of(node, last) : node.slot_count - 1U;
    look_at(node, first_slot, last_slot, node.base, paths);
  }

 private:
  void look_at(Node& node, unsigned first, unsigned last, Vpn base, std::uint64_t paths) VELLUM_REQUIRES(node.lock) {
    for (unsigned slot = tables_.next_entry(node, first, last); slot <= last;
         slot = tables_.next_entry(node, slot + 1, last)) {
      const Entry entry = tables_.load(node, slot);
      const Vpn page = base + Tables<F>::span(node) * slot;
      switch (tables_.state(entry, node)) {
        case EntryState::empty:
          break;
        case EntryState::table:
          look_below(tables_.child(entry, node), page, paths);
          break;
        case EntryState::page:
          if (tables_.is_large(entry, node)) {
            show_large(node, entry, page, paths);
          } else {
            show(node, entry, page, EntryCodec<F>::frame(entry, node.level), paths);
          }
          break;
        case EntryState::swapped:
          visitor_.visit({.page = page, .swapped = true});
          break;
      }
    }
  }

  // A table of an object knows where it lies in the object only: `base` is where it lies here.
  void look_below(Node& child, Vpn base, std::uint64_t paths) {
    const std::uint64_t share = child.share.load(std::memory_order_relaxed);
    if (!child.object_owned) {
      look(child, paths * share);
      return;
    }
    const LockGuard guard(child.lock);
    const VpnRange all = VpnRange::must(base, Tables<F>::span(child) * child.slot_count);
    const VpnRange part = all.intersection(pages_);
    if (!part.empty()) {
      const auto first = static_cast<unsigned>((part.start() - base).value() / Tables<F>::span(child).value());
      const auto last =
          static_cast<unsigned>((part.end() - PageCount(1) - base).value() / Tables<F>::span(child).value());
      look_at(child, first, last, base, paths * std::max<std::uint64_t>(share - 1, 1));
    }
  }

  void show_large(const Node& node, Entry entry, Vpn start, std::uint64_t paths) VELLUM_REQUIRES(node.lock) {
    const Node& large = tables_.child(entry, node);
    const VpnRange part = VpnRange::must(start, Tables<F>::span(node)).intersection(pages_);
    for (Vpn page = part.start(); part.contains(page); page += PageCount(1)) {
      show(node, entry, page, large.table + (page - start), paths * large.share.load(std::memory_order_relaxed));
    }
  }

  void show(const Node& node, Entry entry, Vpn page, Pfn start, std::uint64_t paths) {
    if (!memory_.is_managed(start)) {
      return;
    }
    const Frame& frame = memory_.frame(start);
    // Of an object's page the object itself is a holder too.
    const std::uint64_t held_by_object = frame.kind() == FrameKind::object ? 1 : 0;
    const std::uint64_t entries = std::max<std::uint64_t>(frame.share() - held_by_object, 1);
    visitor_.visit({.page = page,
                    .frame = start,
                    .kind = frame.kind(),
                    .users = paths * (node.object_owned ? 1 : entries),
                    .accessed = (entry.bits & F::accessed_bit(node.level)) != 0,
                    .dirty = (entry.bits & F::kDirty) != 0,
                    .large = node.level > 1});
  }

  PhysicalMemory& memory_;
  const Tables<F> tables_;
  const VpnRange pages_;
  PageVisitor& visitor_;
};

}  // namespace

template <PageTableFormat F>
void survey(AddressSpace<F>& space, VpnRange pages, PageVisitor& visitor) {
  if (pages.empty()) {
    return;
  }
  const TreeSection section(space.tree);
  Node& root = *space.tree.root;
  Surveyor<F>(space, pages, visitor).look(root, root.share.load(std::memory_order_relaxed));
}

#define VELLUM_COMPILE(F) template void survey(AddressSpace<F>&, VpnRange, PageVisitor&);
VELLUM_FOR_EACH_FORMAT(VELLUM_COMPILE)
#undef VELLUM_COMPILE

}  // namespace vellum
