// Changes of an object that reach into the spaces that map it: truncation and write-back.

#include <algorithm>

#include <vellum/base/racing_copy.hpp>
#include <vellum/object/object.hpp>
#include <vellum/pagetable/instantiate.hpp>

namespace vellum {

// Visits mappings that show a part of `range`, with the pages of their spaces that do.
template <PageTableFormat F>
template <class Visitor>
void MemoryObject<F>::for_each_mapping_of(IndexRange range, Visitor visit) {
  mappings_.for_each([&](Mapping<F>& mapping) {
    const IndexRange shown = IndexRange::must(mapping.first, mapping.pages.size()).intersection(range);
    if (!shown.empty()) {
      visit(mapping, VpnRange::must(mapping.pages.start() + (shown.start() - mapping.first), shown.size()));
    }
  });
}

// Visits the pages of a range in ascending order until visit(node, slot, entry) returns false. Whether it never did.
template <PageTableFormat F>
template <class Visitor>
bool MemoryObject<F>::for_each_page(Node& node, IndexRange range, Visitor& visit) {
  const LockGuard guard(node.lock);
  unsigned left = node.live;
  for (unsigned slot = 0; left > 0; ++slot) {
    const Entry entry = tables_.load(node, slot);
    if (entry.bits == 0) {
      continue;
    }
    --left;
    const IndexRange covered = IndexRange::must(PageIndex(tables_.page_of(node, slot).value()), tables_.span(node));
    if (!covered.overlaps(range)) {
      continue;
    }
    const bool go_on =
        node.level > 1 ? for_each_page(tables_.child(entry, node), range, visit) : visit(node, slot, entry);
    if (!go_on) {
      return false;
    }
  }
  return true;
}

template <PageTableFormat F>
void MemoryObject<F>::resize(ByteCount size) {
  const ByteCount before = this->size();
  if (size >= before) {
    clear_tail(before);  // programs may have written there through their mappings
  }
  {
    const LockGuard guard(lock_);
    size_.store(size.value(), std::memory_order_release);
  }
  if (size >= before) {
    return;
  }
  const PageCount keep = std::min(pages_for(size), kMaxPages);
  for (;;) {
    Batch batch;
    {
      const TreeSection section(tree_);
      take_pages(IndexRange::must(PageIndex(keep.value()), kMaxPages - keep), batch);
    }
    if (batch.count == 0) {
      break;
    }
    unmap(batch.range());
    release(batch);
  }
  unmap(IndexRange::must(PageIndex(keep.value()), kMaxPages - keep));  // private copies, where the object has no page
  clear_tail(size);
}

// Takes pages of a range out of the object's own tables, as many as a batch holds, lowest first. Their references
// stay until every TLB has forgotten them: linked tables led there without references of their own, and whoever looks
// at a page for a moment (lookup) may be the last to hold it, and frees it.
template <PageTableFormat F>
void MemoryObject<F>::take_pages(IndexRange range, Batch& batch) {
  Node* const root = root_.load(std::memory_order_acquire);
  if (root == nullptr) {
    return;
  }
  auto take = [&](Node& node, unsigned slot, Entry entry) {
    node.lock.assert_held();
    tables_.set(node, slot, {});
    --node.live;
    --node.resident;
    const PageIndex index(tables_.page_of(node, slot).value());
    batch.first = batch.count == 0 ? index : batch.first;
    batch.last = index;
    batch.frames[batch.count++] = EntryCodec<F>::frame(entry, 1);
    return batch.count < Batch::kMost;
  };
  (void)for_each_page(*root, range, take);
}

template <PageTableFormat F>
void MemoryObject<F>::release(const Batch& batch) {
  const TreeSection section(tree_);
  TlbGather<F> gather(tree_, section.cpu());
  for (unsigned i = 0; i < batch.count; ++i) {
    gather.release_frame(batch.frames[i]);
  }
  gather.finish();
  if (promise_ == Promise::by_page) {
    forget_promises(PageCount(batch.count));
  }
  if (is_file()) {
    pager_->pages_gone(PageCount(batch.count));
  }
}

template <PageTableFormat F>
bool MemoryObject<F>::is_mapped() {
  const LockGuard guard(lock_);
  return !mappings_.empty();
}

// Takes clean pages of a range out of the object's own tables, as many as fit the batch and at most `most`. While no
// space maps the object, nothing leads to its pages but its own tables: who holds a page took it out of them, under
// their lock, with a reference of its own.
template <PageTableFormat F>
void MemoryObject<F>::take_clean(IndexRange range, std::uint64_t most, Batch& batch) {
  Node* const root = root_.load(std::memory_order_acquire);
  if (root == nullptr) {
    return;
  }
  auto take = [&](Node& node, unsigned slot, Entry entry) {
    node.lock.assert_held();
    const Pfn frame = EntryCodec<F>::frame(entry, 1);
    if (F::rights(entry, 1).write || tables_.memory().frame(frame).share() != 1) {
      return true;
    }
    tables_.set(node, slot, {});
    --node.live;
    --node.resident;
    const PageIndex index(tables_.page_of(node, slot).value());
    batch.first = batch.count == 0 ? index : batch.first;
    batch.last = index;
    batch.frames[batch.count++] = frame;
    return batch.count < std::min<std::uint64_t>(Batch::kMost, most);
  };
  (void)for_each_page(*root, range, take);
}

template <PageTableFormat F>
PageCount MemoryObject<F>::drop_clean(PageCount most) {
  PageCount dropped{0};
  PageIndex from(0);
  while (is_file() && dropped < most) {
    Batch batch;
    {
      const LockGuard guard(lock_);
      if (!mappings_.empty()) {
        break;
      }
      const TreeSection section(tree_);
      take_clean(IndexRange::must(from, kMaxPages - (from - PageIndex(0))), (most - dropped).value(), batch);
    }
    if (batch.count == 0) {
      break;
    }
    release(batch);
    dropped += PageCount(batch.count);
    from = batch.last + PageCount(1);
  }
  return dropped;
}

template <PageTableFormat F>
Result<void> MemoryObject<F>::punch(IndexRange range) {
  const IndexRange inside = range.intersection(IndexRange::must(PageIndex(0), std::min(page_count(), kMaxPages)));
  PageIndex index = inside.start();
  const PageIndex zeros = pager_ != nullptr ? pager_->zeros_from() : PageIndex(0);
  for (; inside.contains(index) && index < zeros; index += PageCount(1)) {
    VELLUM_TRY(clear_page(index));
  }
  if (inside.contains(index)) {
    free_pages(IndexRange::must(index, inside.size() - (index - inside.start())));
  }
  return {};
}

// What others bring in again meanwhile is zeros already, or was written since.
template <PageTableFormat F>
void MemoryObject<F>::free_pages(IndexRange range) {
  for (PageIndex from = range.start(); range.contains(from);) {
    Batch batch;
    {
      const TreeSection section(tree_);
      take_pages(IndexRange::must(from, range.size() - (from - range.start())), batch);
    }
    if (batch.count == 0) {
      return;
    }
    {
      const LockGuard guard(lock_);
      unmap_shown(batch.range());
    }
    release(batch);
    from = batch.last + PageCount(1);
  }
}

template <PageTableFormat F>
Result<void> MemoryObject<F>::clear_page(PageIndex index) {
  do {
    const Result<void> populated = populate(index);
    if (!populated.ok()) {
      return populated.error() == Errno::out_of_range ? Result<void>() : populated;  // it shrank meanwhile
    }
  } while (!clear_rest(index, 0));
  return {};
}

// Spaces forget the pages twice: first to let go of them, then, when they are out of the object's tables, because
// linked tables led there.
template <PageTableFormat F>
PageCount MemoryObject<F>::page_out(IndexRange range, const MappingOwner<F>& owner) {
  PageCount gone{0};
  for (PageIndex from = range.start(); !is_memory() && range.contains(from);) {
    const IndexRange rest = IndexRange::must(from, range.size() - (from - range.start()));
    Batch batch;
    {
      const LockGuard guard(lock_);
      bool others = false;
      for_each_mapping_of(rest, [&](const Mapping<F>& mapping, VpnRange) { others |= &mapping.owner != &owner; });
      if (others) {
        break;
      }
      unmap_shown(rest);
      {
        const TreeSection section(tree_);
        take_clean(rest, Batch::kMost, batch);
      }
      if (batch.count == 0) {
        break;
      }
      unmap_shown(batch.range());
    }
    release(batch);
    gone += PageCount(batch.count);
    from = batch.last + PageCount(1);
  }
  return gone;
}

template <PageTableFormat F>
void MemoryObject<F>::unmap_shown(IndexRange pages) {
  for_each_mapping_of(pages, [](Mapping<F>& mapping, VpnRange shown) { mapping.owner.unmap_shown(mapping, shown); });
}

template <PageTableFormat F>
void MemoryObject<F>::unmap(IndexRange pages) {
  const LockGuard guard(lock_);
  for_each_mapping_of(pages, [](Mapping<F>& mapping, VpnRange shown) { mapping.owner.unmap(mapping, shown); });
}

// What is beyond the end of the last page reads as zeros should the object grow again.
template <PageTableFormat F>
void MemoryObject<F>::clear_tail(ByteCount size) {
  const std::uint64_t used = size.value() & (kPageSize - 1);
  if (used == 0) {
    return;
  }
  const PageIndex index(size.value() >> kPageShift);
  if (is_file() && !populate(index).ok()) {
    return;  // the page cannot be read: nobody can see its tail either
  }
  (void)clear_rest(index, used);
}

// Clears a page from `used` bytes on. False where it is not in memory.
template <PageTableFormat F>
bool MemoryObject<F>::clear_rest(PageIndex index, std::uint64_t used) {
  const TreeSection section(tree_);
  const std::optional<Pfn> frame = lookup(index, Access::read);
  if (!frame) {
    return false;
  }
  {
    const auto window = tables_.machine().window(*frame);
    racing_clear(window.data() + used, static_cast<std::size_t>(kPageSize - used));
  }
  TlbGather<F> gather(tree_, section.cpu());
  mark_dirty(index, gather);
  gather.release_frame(*frame);
  gather.finish();
  return true;
}

template <PageTableFormat F>
Result<void> MemoryObject<F>::write_back(IndexRange range) {
  if (!is_file()) {
    return {};
  }
  const IndexRange inside = range.intersection(IndexRange::must(PageIndex(0), page_count()));
  for (std::uint64_t i = 0; i < inside.size().value(); ++i) {
    const PageIndex index = inside.start() + PageCount(i);
    const Result<void> written = write_back_page(index);
    if (!written.ok()) {
      return written;
    }
  }
  return {};
}

// Makes a dirty page clean, and returns it, retained once: nobody drops it before it is written. Whoever writes it from
// now on faults, and makes it dirty again. Nothing where it was clean.
template <PageTableFormat F>
std::optional<Pfn> MemoryObject<F>::clean(PageIndex index) {
  std::optional<Pfn> frame;
  {
    const TreeSection section(tree_);
    Node* const leaf = find_table(index, 1);
    if (leaf == nullptr) {
      return std::nullopt;
    }
    const unsigned slot = tables_.slot_of(*leaf, Vpn(index.value()));
    const LockGuard guard(leaf->lock);
    const Entry entry = tables_.load(*leaf, slot);
    if (entry.bits == 0 || !F::rights(entry, 1).write) {
      return std::nullopt;
    }
    frame = EntryCodec<F>::frame(entry, 1);
    tables_.memory().frame(*frame).retain();
    tables_.deny_write(*leaf, slot);
  }
  const LockGuard guard(lock_);
  for_each_mapping_of(IndexRange::must(index, PageCount(1)),
                      [](Mapping<F>& mapping, VpnRange pages) { mapping.owner.write_protect(mapping, pages); });
  return frame;
}

template <PageTableFormat F>
Result<void> MemoryObject<F>::write_back_page(PageIndex index) {
  const std::optional<Pfn> frame = clean(index);
  if (!frame) {
    return {};
  }
  Result<void> written;
  {
    const auto window = tables_.machine().window(*frame);
    written = pager_->write(index, std::span<const std::byte>(window.data(), kPageSize));
  }
  const TreeSection section(tree_);
  if (!written.ok()) {
    const std::optional<Pfn> again = lookup(index, Access::write);  // dirty still
    if (again) {
      TlbGather<F> gather(tree_, section.cpu());
      gather.release_frame(*again);
      gather.finish();
    }
  }
  TlbGather<F> gather(tree_, section.cpu());
  gather.release_frame(*frame);
  gather.finish();
  return written;
}

template <PageTableFormat F>
PageCount MemoryObject<F>::resident() {
  const TreeSection section(tree_);
  Node* const root = root_.load(std::memory_order_acquire);
  return root != nullptr ? resident_below(*root) : PageCount(0);
}

template <PageTableFormat F>
PageCount MemoryObject<F>::resident_below(Node& node) {
  const LockGuard guard(node.lock);
  if (node.level == 1) {
    return PageCount(node.resident);
  }
  PageCount pages{0};
  const unsigned last = node.slot_count - 1U;
  for (unsigned slot = tables_.next_entry(node, 0, last); slot <= last;
       slot = tables_.next_entry(node, slot + 1, last)) {
    pages += resident_below(tables_.child(tables_.load(node, slot), node));
  }
  return pages;
}

template <PageTableFormat F>
PageCount MemoryObject<F>::dirty() {
  const TreeSection section(tree_);
  PageCount pages{0};
  Node* const root = root_.load(std::memory_order_acquire);
  if (root != nullptr && is_file()) {
    auto count = [&](Node&, unsigned, Entry entry) {
      if (F::rights(entry, 1).write) {
        pages += PageCount(1);
      }
      return true;
    };
    (void)for_each_page(*root, IndexRange::must(PageIndex(0), kMaxPages), count);
  }
  return pages;
}

#define VELLUM_COMPILE(F)                                                           \
  template Result<void> MemoryObject<F>::punch(IndexRange);                         \
  template PageCount MemoryObject<F>::page_out(IndexRange, const MappingOwner<F>&); \
  template void MemoryObject<F>::resize(ByteCount);                                 \
  template Result<void> MemoryObject<F>::write_back(IndexRange);                    \
  template PageCount MemoryObject<F>::drop_clean(PageCount);                        \
  template bool MemoryObject<F>::is_mapped();                                       \
  template PageCount MemoryObject<F>::resident();                                   \
  template PageCount MemoryObject<F>::dirty();
VELLUM_FOR_EACH_FORMAT(VELLUM_COMPILE)
#undef VELLUM_COMPILE

}  // namespace vellum
