#include <vellum/object/object.hpp>

#include <algorithm>

#include <vellum/base/racing_copy.hpp>
#include <vellum/pagetable/instantiate.hpp>

namespace vellum {

template <PageTableFormat F>
MemoryObject<F>::MemoryObject(ObjectStore<F>& store, Pager* pager, ByteCount size, Promise promise)
    : store_(store),
      tree_(store.nodes()),
      tables_(store.nodes()),
      pager_(pager),
      promise_(promise),
      promised_(promise == Promise::whole ? pages_for(size).value() : 0),
      size_(size.value()) {}

template <PageTableFormat F>
void MemoryObject<F>::release() {
  if (references_.fetch_sub(1, std::memory_order_acq_rel) != 1) {
    return;
  }
  Node* const root = root_.load(std::memory_order_relaxed);
  if (root != nullptr) {
    TreeOperation<F> operation(tree_);
    TlbGather<F>& gather = operation.gather();
    gather.release_table(*root);
    gather.finish();
  }
  forget_promises(PageCount(promised_.load(std::memory_order_relaxed)));
  if (pager_ != nullptr) {
    pager_->object_ended();  // before the memory goes: until then try_retain() may ask
  }
  store_.objects_.destroy(this);
}

template <PageTableFormat F>
bool MemoryObject<F>::try_retain() {
  std::uint32_t held = references_.load(std::memory_order_relaxed);
  while (held != 0 && !references_.compare_exchange_weak(held, held + 1, std::memory_order_relaxed)) {
  }
  return held != 0;
}

template <PageTableFormat F>
Node* MemoryObject<F>::find_table(PageIndex index, unsigned level) const {
  Node* node = root_.load(std::memory_order_acquire);
  const Vpn page(index.value());
  if (node == nullptr || index.value() >= tables_.span(*node).value() * node->slot_count) {
    return nullptr;
  }
  while (node != nullptr && node->level > level) {
    const Entry entry = tables_.load(*node, tables_.slot_of(*node, page));
    node = entry.bits == 0 ? nullptr : &tables_.child(entry, *node);
  }
  return node != nullptr && node->level == level ? node : nullptr;
}

template <PageTableFormat F>
Result<void> MemoryObject<F>::grow_to(unsigned level, PageIndex index) {
  const LockGuard guard(root_lock_);
  for (;;) {
    Node* const root = root_.load(std::memory_order_relaxed);
    const unsigned height = root == nullptr ? 0U : root->level;
    if (height >= level && index.value() < tables_.span(*root).value() * root->slot_count) {
      return {};
    }
    if (height == F::kLevels) {
      return Errno::out_of_range;
    }
    Node* const grown =
        VELLUM_TRY(store_.nodes().create(height + 1, entry_count<F>(height + 1), Vpn(0), LockRank::object_node));
    grown->object_owned = true;
    if (root != nullptr) {
      const LockGuard grown_guard(grown->lock);
      tables_.link(*grown, 0, *root, EntryRights::everything(), true);
    }
    root_.store(grown, std::memory_order_release);
  }
}

template <PageTableFormat F>
Result<Node*> MemoryObject<F>::make_table(PageIndex index, unsigned level) {
  if (index.value() >= kMaxPages.value() || level > F::kLevels) {
    return Errno::out_of_range;
  }
  VELLUM_TRY(grow_to(level, index));
  const Vpn page(index.value());
  Node* node = root_.load(std::memory_order_acquire);
  while (node->level > level) {
    const unsigned slot = tables_.slot_of(*node, page);
    const LockGuard guard(node->lock);
    Entry entry = tables_.load(*node, slot);
    if (entry.bits == 0) {
      Node* const below = VELLUM_TRY(store_.nodes().create(node->level - 1U, entry_count<F>(node->level - 1U),
                                                           tables_.page_of(*node, slot), LockRank::object_node));
      below->object_owned = true;
      tables_.link(*node, slot, *below, EntryRights::everything(), true);
      entry = tables_.load(*node, slot);
    }
    node = &tables_.child(entry, *node);
  }
  return node;
}

template <PageTableFormat F>
std::optional<Pfn> MemoryObject<F>::lookup(PageIndex index, Access access) {
  Node* const leaf = find_table(index, 1);
  if (leaf == nullptr) {
    return std::nullopt;
  }
  const unsigned slot = tables_.slot_of(*leaf, Vpn(index.value()));
  const LockGuard guard(leaf->lock);
  const Entry entry = tables_.load(*leaf, slot);
  if (entry.bits == 0 || index.value() >= page_count().value()) {
    return std::nullopt;
  }
  const Pfn frame = EntryCodec<F>::frame(entry, 1);
  tables_.memory().frame(frame).retain();
  if (access == Access::write && !F::rights(entry, 1).write) {
    tables_.set(*leaf, slot, EntryCodec<F>::with(entry, 1, EntryRights::everything(), true));
  }
  return frame;
}

template <PageTableFormat F>
bool MemoryObject<F>::is_resident(PageIndex index) const {
  const Node* const leaf = find_table(index, 1);
  return leaf != nullptr && tables_.load(*leaf, tables_.slot_of(*leaf, Vpn(index.value()))).bits != 0;
}

template <PageTableFormat F>
Result<Node*> MemoryObject<F>::table_for(PageIndex index, unsigned level) {
  Node* table = find_table(index, level);
  if (table == nullptr) {
    table = VELLUM_TRY(make_table(index, level));
  }
  table->share.fetch_add(1, std::memory_order_relaxed);
  return table;
}

template <PageTableFormat F>
Result<void> MemoryObject<F>::populate(PageIndex index) {
  {
    const TreeSection section(tree_);
    const std::optional<Pfn> present = lookup(index, Access::read);
    if (present) {
      TlbGather<F> gather(tree_, section.cpu());
      gather.release_frame(*present);
      gather.finish();
      return {};
    }
  }
  if (index.value() >= page_count().value()) {
    return Errno::out_of_range;
  }
  VELLUM_TRY(bring_in(index));
  if (is_file()) {
    bring_in_neighbours(index);
  }
  return {};
}

template <PageTableFormat F>
Result<void> MemoryObject<F>::promise_page() {
  if (promise_ != Promise::by_page) {
    return {};
  }
  if (!store_.commitment().charge(tables_.machine().current_cpu(), PageCount(1))) {
    return Errno::no_space;
  }
  promised_.fetch_add(1, std::memory_order_relaxed);
  return {};
}

template <PageTableFormat F>
void MemoryObject<F>::forget_promises(PageCount pages) {
  promised_.fetch_sub(pages.value(), std::memory_order_relaxed);
  store_.commitment().uncharge(tables_.machine().current_cpu(), pages);
}

template <PageTableFormat F>
Result<void> MemoryObject<F>::bring_in(PageIndex index) {
  PhysicalMemory& memory = tables_.memory();
  VELLUM_TRY(promise_page());
  const Result<Pfn> allocated = memory.allocate(is_file() ? Contents::any : Contents::zeroed);
  if (!allocated.ok()) {
    forget_promises(PageCount(promise_ == Promise::by_page ? 1 : 0));
    return allocated.error();
  }
  const Pfn frame = allocated.value();
  memory.frame(frame).assign(FrameKind::object, is_memory() ? this : nullptr,
                             static_cast<std::uint32_t>(index.value()));
  Result<void> result;
  if (is_file()) {
    const auto window = tables_.machine().window(frame);
    result = pager_->read(index, std::span(window.data(), kPageSize));
  }
  if (result.ok()) {
    result = insert(index, frame);
    if (!result.ok() && is_file()) {
      pager_->pages_gone(PageCount(1));
    }
  }
  if (!result.ok()) {
    memory.free(frame);
    forget_promises(PageCount(promise_ == Promise::by_page ? 1 : 0));
    return result.error() == Errno::exists ? Result<void>() : result;
  }
  return {};
}

// A page that nobody asked for may fail to come.
template <PageTableFormat F>
void MemoryObject<F>::bring_in_neighbours(PageIndex index) {
  const IndexRange range = pager_->neighbours(index);
  for (PageIndex page = range.start(); page < range.end() && page.value() < page_count().value();
       page += PageCount(1)) {
    bool resident = false;
    {
      const TreeSection section(tree_);
      resident = is_resident(page);
    }
    if (!resident && (tables_.memory().level() != MemoryLevel::plenty || !bring_in(page).ok())) {
      return;
    }
  }
}

template <PageTableFormat F>
Result<void> MemoryObject<F>::insert(PageIndex index, Pfn frame) {
  const TreeSection section(tree_);
  Node* leaf = find_table(index, 1);
  if (leaf == nullptr) {
    leaf = VELLUM_TRY(make_table(index, 1));
  }
  const unsigned slot = tables_.slot_of(*leaf, Vpn(index.value()));
  const LockGuard guard(leaf->lock);
  if (index.value() >= page_count().value()) {
    return Errno::out_of_range;
  }
  if (tables_.load(*leaf, slot).bits != 0) {
    return Errno::exists;
  }
  const EntryRights rights = {.write = !is_file(), .execute = true, .user = true};
  ++leaf->live;
  ++leaf->resident;
  leaf->granted |= Tables<F>::grant_bits(EntryRights::everything());
  tables_.set(*leaf, slot, EntryCodec<F>::page(frame, 1, rights));
  return {};
}

template <PageTableFormat F>
Result<ByteCount> MemoryObject<F>::read(ByteCount offset, std::span<std::byte> into) {
  const std::uint64_t end = size().value();
  std::uint64_t done = 0;
  while (done < into.size() && offset.value() + done < end) {
    const std::uint64_t at = offset.value() + done;
    const PageIndex index(at >> kPageShift);
    const std::uint64_t in_page = at & (kPageSize - 1);
    const std::uint64_t length = std::min({kPageSize - in_page, into.size() - done, end - at});
    const Result<void> populated = populate(index);
    if (!populated.ok()) {
      return done > 0 ? Result<ByteCount>(ByteCount(done)) : Result<ByteCount>(populated.error());
    }
    const TreeSection section(tree_);
    const std::optional<Pfn> frame = lookup(index, Access::read);
    if (!frame) {
      continue;  // taken away again, or the object shrank: look again
    }
    {
      const auto window = tables_.machine().window(*frame);
      racing_copy(into.data() + done, window.data() + in_page, static_cast<std::size_t>(length));
    }
    TlbGather<F> gather(tree_, section.cpu());
    gather.release_frame(*frame);
    gather.finish();
    done += length;
  }
  return ByteCount(done);
}

template <PageTableFormat F>
Result<ByteCount> MemoryObject<F>::write(ByteCount offset, std::span<const std::byte> from) {
  const std::uint64_t end = size().value();
  std::uint64_t done = 0;
  while (done < from.size() && offset.value() + done < end) {
    const std::uint64_t at = offset.value() + done;
    const PageIndex index(at >> kPageShift);
    const std::uint64_t in_page = at & (kPageSize - 1);
    const std::uint64_t length = std::min({kPageSize - in_page, from.size() - done, end - at});
    const Result<void> populated = populate(index);
    if (!populated.ok()) {
      return done > 0 ? Result<ByteCount>(ByteCount(done)) : Result<ByteCount>(populated.error());
    }
    const TreeSection section(tree_);
    const std::optional<Pfn> frame = lookup(index, Access::read);
    if (!frame) {
      continue;
    }
    {
      const auto window = tables_.machine().window(*frame);
      racing_copy(window.data() + in_page, from.data() + done, static_cast<std::size_t>(length));
    }
    TlbGather<F> gather(tree_, section.cpu());
    mark_dirty(index, gather);
    gather.release_frame(*frame);
    gather.finish();
    done += length;
  }
  return ByteCount(done);
}

// After its bytes were changed: marked before, the page could be written back, and be clean, with the old ones.
template <PageTableFormat F>
void MemoryObject<F>::mark_dirty(PageIndex index, TlbGather<F>& gather) {
  const std::optional<Pfn> frame = lookup(index, Access::write);
  if (frame) {
    gather.release_frame(*frame);
  }
}

template <PageTableFormat F>
Result<void> MemoryObject<F>::deny_writers() {
  const LockGuard guard(lock_);
  bool writes = false;
  mappings_.for_each([&](const Mapping<F>& mapping) { writes |= mapping.may_write; });
  if (writes) {
    return Errno::busy;
  }
  denies_writers_ = true;
  return {};
}

template <PageTableFormat F>
Result<void> MemoryObject<F>::add_mapping(Mapping<F>& mapping) {
  const LockGuard guard(lock_);
  if (mapping.may_write && denies_writers_) {
    return Errno::not_permitted;
  }
  mappings_.push_back(mapping);
  return {};
}

template <PageTableFormat F>
void MemoryObject<F>::remove_mapping(Mapping<F>& mapping) {
  const LockGuard guard(lock_);
  mappings_.remove(mapping);
}

template <PageTableFormat F>
Result<MemoryObject<F>*> ObjectStore<F>::create(Pager* pager, ByteCount size, Promise promise) {
  const PageCount promised = promise == Promise::whole ? pages_for(size) : PageCount(0);
  const CpuIndex cpu = nodes_.machine().current_cpu();
  if (!promised.is_zero() && !commitment_.charge(cpu, promised)) {
    return Errno::no_memory;
  }
  const Result<MemoryObject<F>*> created = objects_.create(*this, pager, size, promise);
  if (!created.ok()) {
    commitment_.uncharge(cpu, promised);
  }
  return created;
}

template <PageTableFormat F>
Result<Mapping<F>*> ObjectStore<F>::create_mapping(MemoryObject<F>& object, MappingOwner<F>& owner, VpnRange pages,
                                                   PageIndex first, bool may_write) {
  Mapping<F>* const mapping = VELLUM_TRY(mappings_.create(object, owner, pages, first, may_write));
  if (const Result<void> added = object.add_mapping(*mapping); !added.ok()) {
    mappings_.destroy(mapping);
    return added.error();
  }
  object.retain();
  owner.retain();
  return mapping;
}

template <PageTableFormat F>
void Mapping<F>::unreferenced() {
  ObjectStore<F>& store = object.store();
  MemoryObject<F>& mapped = object;
  MappingOwner<F>& mapping_owner = owner;
  mapped.remove_mapping(*this);
  store.mappings_.destroy(this);
  mapping_owner.release();
  mapped.release();
}

#define VELLUM_COMPILE(F)         \
  template class MemoryObject<F>; \
  template class ObjectStore<F>;  \
  template class Mapping<F>;
VELLUM_FOR_EACH_FORMAT(VELLUM_COMPILE)
#undef VELLUM_COMPILE

}  // namespace vellum
