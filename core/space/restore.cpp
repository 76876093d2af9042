// restore: the root names again what the root of the space's snapshot names. What both still share stays as it is; what
// was written since hangs below nodes that are this space's alone, and goes with them: so the cost is that of what
// changed, whatever the size of the space.

#include <vellum/pagetable/instantiate.hpp>
#include <vellum/space/space.hpp>

namespace vellum {

template <PageTableFormat F>
Result<void> AddressSpace<F>::restore(AddressSpace& snapshot) {
  if (snapshot.family_ != family_ || &snapshot == this) {
    return Errno::invalid;
  }
  DroppedBackings dropped;
  const LockGuard guard(lock_);
  const LockGuard snapshot_guard(snapshot.lock_);

  CpuSection<Machine> section(system_.memory.machine());
  const CpuIndex cpu = system_.memory.machine().current_cpu();
  // As in fork: nobody is inside while whole subtrees change hands.
  family_->lock.lock();
  tree.closed.store(true, std::memory_order_seq_cst);
  system_.epochs.wait_for_sections(cpu);
  system_.epochs.enter(cpu);
  Result<void> taken;
  {
    TlbGather<F> gather(tree, cpu, &dropped);
    taken = take_root_of(snapshot, gather);
    gather.flush_everything();
    gather.finish();
  }
  if (taken.ok()) {
    break_start_ = snapshot.break_start_;
    break_end_ = snapshot.break_end_;
    break_limit_ = snapshot.break_limit_;
    stack_limit_.store(snapshot.stack_limit_.load(std::memory_order_relaxed), std::memory_order_relaxed);
    size_limit_.store(snapshot.size_limit_.load(std::memory_order_relaxed), std::memory_order_relaxed);
    place_below_.store(snapshot.place_below_.load(std::memory_order_relaxed), std::memory_order_relaxed);
    count_mapped(cpu, static_cast<std::int64_t>(snapshot.mapped().value() - mapped().value()));
  }
  tree.closed.store(false, std::memory_order_release);
  family_->lock.unlock();
  system_.epochs.leave(cpu);
  return taken;
}

// Error: no_memory, before anything changed.
template <PageTableFormat F>
Result<void> AddressSpace<F>::take_root_of(AddressSpace& snapshot, TlbGather<F>& gather) {
  Node& to = *tree.root;
  Node& from = *snapshot.tree.root;
  const LockGuard to_guard(to.lock);
  const LockGuard from_guard(from.lock);
  VELLUM_TRY(to.reserve_runs(from.runs() + 2));
  // The snapshot's runs hold their backings, so that none ends between the two.
  to.assign(0, to.slot_count - 1U, nullptr, gather);
  VELLUM_TRY(to.copy_runs(from));
  for (unsigned slot = 0; slot < from.slot_count; ++slot) {
    const Entry old = tables_.load(to, slot);
    Entry entry = tables_.load(from, slot);
    if (old.bits == 0 && entry.bits == 0) {
      continue;
    }
    Node* const had = old.bits == 0 ? nullptr : &tables_.child(old, to);
    Node* const wanted = entry.bits == 0 ? nullptr : &tables_.child(entry, from);
    if (wanted != nullptr) {
      entry = share_child(from, slot, *wanted);
    }
    tables_.set(to, slot, entry);
    if (had != nullptr) {
      gather.release_table(*had);
    }
  }
  to.live = from.live;
  to.owning_children = from.owning_children;
  to.granted = from.granted;
  return {};
}

// Counts one more entry that names a child of a root, denies writing to those that do, and gives the entry for the
// other root.
template <PageTableFormat F>
Entry AddressSpace<F>::share_child(Node& root, unsigned slot, Node& child) {
  child.share.fetch_add(1, std::memory_order_relaxed);
  if (F::restricts(root.level)) {
    tables_.deny_write(root, slot);
  } else {
    const LockGuard guard(child.lock);
    tables_.deny_writes(child);
  }
  return tables_.load(root, slot);
}

#define VELLUM_COMPILE(F) template Result<void> AddressSpace<F>::restore(AddressSpace&);
VELLUM_FOR_EACH_FORMAT(VELLUM_COMPILE)
#undef VELLUM_COMPILE

}  // namespace vellum
