#include <vellum/heap/kernel_space.hpp>

#include <vellum/pagetable/instantiate.hpp>

namespace vellum {

template <PageTableFormat F>
Result<void> KernelSpace<F>::start(std::span<const VirtRange> ranges) {
  VELLUM_CHECK(root_ == nullptr);
  root_ = VELLUM_TRY(tables_.store().create(F::kLevels, entry_count<F>(F::kLevels), Vpn(0), LockRank::node));
  for (const VirtRange& range : ranges) {
    const unsigned first = entry_index<F>(vpn_of<F>(range.start()), F::kLevels);
    const unsigned last = entry_index<F>(vpn_of<F>(range.last()), F::kLevels);
    const LockGuard guard(root_->lock);
    for (unsigned slot = first; slot <= last; ++slot) {
      if (tables_.load(*root_, slot).bits == 0) {
        Node* const child = VELLUM_TRY(tables_.create_child(*root_, slot));
        tables_.link(*root_, slot, *child, EntryRights::everything(), true);
      }
    }
  }
  return {};
}

template <PageTableFormat F>
void KernelSpace<F>::end() {
  if (root_ != nullptr) {
    take_apart(*root_);
    root_ = nullptr;
  }
}

template <PageTableFormat F>
void KernelSpace<F>::take_apart(Node& node) {
  for (unsigned slot = 0; slot < node.slot_count; ++slot) {
    const Entry entry = tables_.load(node, slot);
    if (tables_.state(entry, node) == EntryState::table) {
      take_apart(tables_.child(entry, node));
    }
    tables_.set(node, slot, {});
  }
  tables_.store().destroy(node);
}

template <PageTableFormat F>
Result<void> KernelSpace<F>::map(VirtRange range, PhysAddr target, const WiredAttributes& attributes) {
  return map_wired(tables_, *root_, range, target, attributes);
}

template <PageTableFormat F>
void KernelSpace<F>::unmap(VirtRange range) {
  unmap_wired(tables_, *root_, range);
  flush(range);
}

template <PageTableFormat F>
Result<void> KernelSpace<F>::protect(VirtRange range, EntryRights rights) {
  VELLUM_TRY(protect_wired(tables_, *root_, range, rights));
  flush(range);
  return {};
}

template <PageTableFormat F>
Result<Node*> KernelSpace<F>::leaf_table(VirtAddr address) {
  return wired_table(tables_, *root_, address, 1);
}

template <PageTableFormat F>
void KernelSpace<F>::set_page(Node& table, VirtAddr address, Pfn frame, EntryRights rights) {
  const WiredAttributes attributes{.rights = rights, .lifetime = Lifetime::global};
  tables_.set(table, tables_.slot_of(table, vpn_of<F>(address)), wired_entry<F>(frame, 1, attributes));
}

template <PageTableFormat F>
void KernelSpace<F>::clear_page(Node& table, VirtAddr address) {
  tables_.set(table, tables_.slot_of(table, vpn_of<F>(address)), {});
}

template <PageTableFormat F>
void KernelSpace<F>::flush(VirtRange range) {
  TlbFlush flush;
  flush.ranges[flush.range_count++] = range;
  Machine& machine = tables_.machine();
  const CpuSection section(machine);
  machine.flush_everywhere(flush);
}

#define VELLUM_COMPILE(F) template class KernelSpace<F>;
VELLUM_FOR_EACH_FORMAT(VELLUM_COMPILE)
#undef VELLUM_COMPILE

}  // namespace vellum
