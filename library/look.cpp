// Looking at a space: regions, the way to an address, what an address means.
#include <vellum/object/mapping.hpp>
#include <vellum/pagetable/tables.hpp>

#include "typed_space.hpp"

namespace libvellum::detail {

using vellum::EntryState;
using vellum::VirtAddr;

namespace {

EntryKind kind_of(EntryState state) {
  switch (state) {
    case EntryState::page:
      return EntryKind::page;
    case EntryState::table:
      return EntryKind::table;
    case EntryState::swapped:
      return EntryKind::swapped;
    case EntryState::empty:
      break;
  }
  return EntryKind::empty;
}

Rights operator&(Rights one, Rights other) {
  return {.read = one.read && other.read, .write = one.write && other.write, .execute = one.execute && other.execute};
}

}  // namespace

template <class F>
Meaning TypedSpace<F>::meaning_of(const vellum::Meaning& meaning, vellum::Vpn page) const {
  Meaning result = {.rights = rights_of(meaning.prot),
                    .maximum = rights_of(meaning.maximum),
                    .shared = meaning.traits.is_shared(),
                    .grows_down = meaning.traits.is_growing_down()};
  if (meaning.backing != nullptr) {
    const auto& mapping = static_cast<const vellum::Mapping<F>&>(*meaning.backing);
    result.has_object = true;
    result.object = owner_->id_of(mapping.object);
    result.offset = mapping.index_of(page).value() * kPageSize;
  }
  return result;
}

template <class F>
std::optional<Region> TypedSpace<F>::region_at_or_after(std::uint64_t address) {
  const OnCpu on(*owner_);
  const auto found = core_.region_at_or_after(VirtAddr(address));
  if (!found) {
    return std::nullopt;
  }
  Region region = {.start = found->range.start().value(),
                   .end = found->range.end().value(),
                   .meaning = {.rights = rights_of(found->prot),
                               .maximum = rights_of(found->maximum),
                               .shared = found->traits.is_shared(),
                               .grows_down = found->traits.is_growing_down()}};
  if (found->object != nullptr) {
    region.meaning.has_object = true;
    region.meaning.object = owner_->id_of(*found->object);
    region.meaning.offset = found->first.value() * kPageSize;
  }
  return region;
}

// One step of the way, as it stands at some moment during the call. Under the node's lock, because its runs are what
// keeps mappings.
template <class F>
WalkLevel TypedSpace<F>::look_at(vellum::Node& node, vellum::Vpn page) const {
  const vellum::Tables<F> tables(owner_->vm().nodes);
  const unsigned slot = tables.slot_of(node, page);
  const vellum::LockGuard guard(node.lock);
  const vellum::Entry entry = tables.load(node, slot);
  const EntryState state = tables.state(entry, node);
  WalkLevel level = {.level = node.level,
                     .index = slot,
                     .table = address_of(node.table).value(),
                     .table_users = node.share.load(std::memory_order_relaxed),
                     .object_table = node.object_owned,
                     .entry = entry.bits,
                     .kind = kind_of(state),
                     .present = F::is_present(entry)};
  if (state == EntryState::page || state == EntryState::table) {
    const vellum::EntryRights rights = F::rights(entry, node.level);
    level.rights = {.read = level.present, .write = rights.write, .execute = rights.execute};
    level.user = rights.user;
    level.accessed = (entry.bits & F::accessed_bit(node.level)) != 0;
    level.dirty = state == EntryState::page && (entry.bits & F::kDirty) != 0;
    level.target = address_of(vellum::EntryCodec<F>::frame(entry, node.level)).value();
  }
  if (node.owning.load(std::memory_order_relaxed) && slot < node.slot_count) {
    if (const std::optional<vellum::Meaning> meaning = node.meaning_at(slot); meaning) {
      level.meaning = meaning_of(*meaning, page);
    }
  }
  return level;
}

template <class F>
Result<Walk> TypedSpace<F>::walk(std::uint64_t address) {
  if (!vellum::is_canonical<F>(VirtAddr(address))) {
    return std::unexpected(Error{.code = Errc::non_canonical, .address = address});
  }
  const vellum::Vpn page = vellum::vpn_of<F>(VirtAddr(address));
  Walk walk = {.address = address, .levels = {}, .meaning = {}, .granted = Rights::all(), .physical = {}};
  const OnCpu on(*owner_);
  const vellum::TreeSection section(core_.tree);
  for (vellum::Node* node = core_.tree.root;;) {
    const WalkLevel& level = walk.levels.emplace_back(look_at(*node, page));
    walk.granted = walk.granted & level.rights;
    if (level.meaning) {
      walk.meaning = level.meaning;
    }
    if (level.kind == EntryKind::page) {
      const std::uint64_t size = std::uint64_t{1} << F::shift(level.level);
      walk.physical = level.target + (address & (size - 1));
      const vellum::Frame& frame = owner_->vm().memory.frame(vellum::frame_of(vellum::PhysAddr(*walk.physical)));
      walk.page_users = frame.kind() == vellum::FrameKind::zero_page ? 0 : frame.share();
    }
    if (level.kind != EntryKind::table) {
      return walk;
    }
    node = &owner_->vm().nodes.node_of(vellum::frame_of(vellum::PhysAddr(level.target)));
  }
}

template <class F>
Result<Explanation> TypedSpace<F>::explain(std::uint64_t address) {
  std::optional<Explanation> found = detail::explain(*map_, address);
  if (!found) {
    return std::unexpected(Error{.code = Errc::non_canonical, .address = address});
  }
  for (std::optional<Region> region = region_at_or_after(0); region; region = region_at_or_after(region->end)) {
    if (region->end <= address) {
      found->below = *region;
    } else if (region->start <= address) {
      found->region = *region;
    } else {
      found->above = *region;
      break;
    }
  }
  return *std::move(found);
}

template <class F>
std::vector<LayoutRegion> TypedSpace<F>::layout() {
  std::vector<LayoutRegion> all;
  for (const vellum::LayoutRegion& region : map_->regions()) {
    all.push_back(layout_region_of(region));
  }
  return all;
}

template <class F>
SpaceUse TypedSpace<F>::use() {
  const OnCpu on(*owner_);
  const auto residence = core_.residence();
  return {.mapped_pages = core_.mapped().value(),
          .resident_pages = residence.pages.value(),
          .tables = residence.tables.value(),
          .locked_pages = core_.locked().value()};
}

#define LIBVELLUM_COMPILE(F)                                                             \
  template Meaning TypedSpace<F>::meaning_of(const vellum::Meaning&, vellum::Vpn) const; \
  template WalkLevel TypedSpace<F>::look_at(vellum::Node&, vellum::Vpn) const;           \
  template std::optional<Region> TypedSpace<F>::region_at_or_after(std::uint64_t);       \
  template Result<Walk> TypedSpace<F>::walk(std::uint64_t);                              \
  template Result<Explanation> TypedSpace<F>::explain(std::uint64_t);                    \
  template std::vector<LayoutRegion> TypedSpace<F>::layout();                            \
  template SpaceUse TypedSpace<F>::use();
LIBVELLUM_COMPILE(vellum::Amd64)
LIBVELLUM_COMPILE(vellum::I386Pae)
#undef LIBVELLUM_COMPILE

}  // namespace libvellum::detail
