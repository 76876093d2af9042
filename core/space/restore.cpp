// restore: the space's tree is made again what its snapshot's is. What both share stays as it is. A table that was
// written since is this space's alone: its entries that differ are put back, and it stays, for what was written once
// will be written again; one in which nothing differs any more is let go for the snapshot's. So the cost is that of
// what changed, whatever the size of the space.

#include <vellum/pagetable/instantiate.hpp>
#include <vellum/space/space.hpp>

namespace vellum {

namespace {

bool have_same_runs(const Node& one, const Node& other) {
  if (one.runs() != other.runs()) {
    return false;
  }
  for (unsigned index = 0; index < one.runs(); ++index) {
    const RunValue first = one.run(index).value();
    const RunValue second = other.run(index).value();
    if (first.backing != second.backing || first.word != second.word) {
      return false;
    }
  }
  return true;
}

}  // namespace

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
  tree.shape.fetch_add(1, std::memory_order_acq_rel);
  snapshot.tree.shape.fetch_add(1, std::memory_order_acq_rel);
  Result<void> restored;
  {
    TlbGather<F> gather(tree, cpu, &dropped);
    restored = restore_root(snapshot, gather);
    gather.flush_everything();
    gather.finish();
  }
  if (restored.ok()) {
    break_start_ = snapshot.break_start_;
    break_end_ = snapshot.break_end_;
    break_limit_ = snapshot.break_limit_;
    stack_limit_.store(snapshot.stack_limit_.load(std::memory_order_relaxed), std::memory_order_relaxed);
    size_limit_.store(snapshot.size_limit_.load(std::memory_order_relaxed), std::memory_order_relaxed);
    data_limit_.store(snapshot.data_limit_.load(std::memory_order_relaxed), std::memory_order_relaxed);
    future_locks_.store(snapshot.future_locks_.load(std::memory_order_relaxed), std::memory_order_relaxed);
    is_marked_.store(snapshot.is_marked_.load(std::memory_order_relaxed), std::memory_order_relaxed);
    place_below_.store(snapshot.place_below_.load(std::memory_order_relaxed), std::memory_order_relaxed);
    set_large_pages_permitted(snapshot.permits_large_pages());
    count_mapped(cpu, static_cast<std::int64_t>(snapshot.mapped().value() - mapped().value()));
    const auto promised = static_cast<std::int64_t>(snapshot.reserved().value() - reserved().value());
    count_reserved(cpu, promised);
    commitment().count(cpu, promised);
  }
  tree.closed.store(false, std::memory_order_release);
  family_->lock.unlock();
  system_.epochs.leave(cpu);
  return restored;
}

// Error: no_memory, before anything changed.
template <PageTableFormat F>
Result<void> AddressSpace<F>::restore_root(AddressSpace& snapshot, TlbGather<F>& gather) {
  Node& to = *tree.root;
  Node& from = *snapshot.tree.root;
  const LockGuard to_guard(to.lock);
  const LockGuard from_guard(from.lock);
  if (!have_same_runs(to, from)) {
    VELLUM_TRY(to.reserve_runs(from.runs() + 2));
    // The snapshot's runs hold their backings, so that none ends between the two.
    to.assign(0, to.slot_count - 1U, nullptr, gather);
    VELLUM_TRY(to.copy_runs(from));
  }
  static_cast<void>(restore_entries(to, from, gather));
  return {};
}

// Makes the entries of a table those of the snapshot's table, whose runs are the same. Whether any differed.
template <PageTableFormat F>
bool AddressSpace<F>::restore_entries(Node& to, Node& from, TlbGather<F>& gather) {
  system_.nodes.count(gather.cpu(), MemoryEvent::table_restored);
  bool differed = false;
  for (unsigned slot = 0; slot < from.slot_count; ++slot) {
    const Entry old = tables_.load(to, slot);
    const Entry entry = tables_.load(from, slot);
    if (old.bits == entry.bits) {
      continue;
    }
    const bool other = to.level > 1 ? restore_table(to, from, slot, gather) : restore_page(to, from, slot, gather);
    differed = differed || other;
  }
  to.live = from.live;
  to.resident = from.resident;
  to.owning_children = from.owning_children;
  to.granted |= from.granted;
  return differed;
}

template <PageTableFormat F>
bool AddressSpace<F>::restore_page(Node& to, Node& from, unsigned slot, TlbGather<F>& gather) {
  const Entry old = tables_.load(to, slot);
  Entry entry = tables_.load(from, slot);
  const EntryState had = tables_.state(old, to);
  const EntryState wanted = tables_.state(entry, from);
  const bool same_frame = had == EntryState::page && wanted == EntryState::page &&
                          EntryCodec<F>::frame(old, 1) == EntryCodec<F>::frame(entry, 1);
  if (wanted == EntryState::swapped) {
    system_.nodes.swap().retain(EntryCodec<F>::swap_slot(entry));
  } else if (wanted == EntryState::page) {
    Frame& frame = system_.memory.frame(EntryCodec<F>::frame(entry, 1));
    if (!same_frame && frame.kind() != FrameKind::zero_page) {
      frame.retain();
    }
    tables_.deny_write(from, slot);
    entry.bits &= ~X86EntryBits::kWrite;
  }
  tables_.set(to, slot, entry);
  gather.flush_everything();
  if (same_frame) {
    return false;
  }
  if (had == EntryState::page) {
    gather.release_frame(EntryCodec<F>::frame(old, 1));
  } else if (had == EntryState::swapped) {
    gather.release_swap(EntryCodec<F>::swap_slot(old));
  }
  return true;
}

template <PageTableFormat F>
bool AddressSpace<F>::restore_table(Node& to, Node& from, unsigned slot, TlbGather<F>& gather) {
  const Entry old = tables_.load(to, slot);
  const Entry entry = tables_.load(from, slot);
  Node* const had = old.bits == 0 ? nullptr : &tables_.child(old, to);
  Node* wanted = entry.bits == 0 ? nullptr : &tables_.child(entry, from);
  if (had == wanted) {  // its content is the same, but not what the entry permits
    tables_.set(to, slot, entry);
    return false;
  }
  if (had != nullptr && wanted != nullptr && wanted->large && !had->large) {
    // The space wrote a part: so that only this need be put back, now and later, the snapshot is split as well.
    const Result<Node*> table = tables_.split(from, slot, gather);
    wanted = table.ok() ? table.value() : wanted;
  }
  if (had != nullptr && wanted != nullptr && restore_in_place(*had, *wanted, gather)) {
    const std::optional<Meaning> meaning =
        to.owning.load(std::memory_order_relaxed) ? to.meaning_at(slot) : std::nullopt;
    allow_link(to, slot, *had, meaning ? meaning->prot : Prot::all());
    return true;
  }
  tables_.set(to, slot, wanted == nullptr ? Entry{} : share_child(from, slot, *wanted));
  if (had != nullptr) {
    gather.flush_everything();
    gather.release_table(*had);
  }
  return had == nullptr || wanted == nullptr;
}

// False where the table is to give way to the snapshot's: it is not this space's alone, has other meanings, or was not
// written since the last time.
template <PageTableFormat F>
bool AddressSpace<F>::restore_in_place(Node& to, Node& from, TlbGather<F>& gather) {
  if (to.share.load(std::memory_order_acquire) != 1 || to.object_owned || from.object_owned || to.large || from.large) {
    return false;
  }
  const LockGuard to_guard(to.lock);
  const LockGuard from_guard(from.lock);
  const bool owning = to.owning.load(std::memory_order_relaxed);
  return owning == from.owning.load(std::memory_order_relaxed) && have_same_runs(to, from) &&
         restore_entries(to, from, gather);
}

// Counts one more entry that names a table, denies writing through the one that does, and gives it for the other.
template <PageTableFormat F>
Entry AddressSpace<F>::share_child(Node& node, unsigned slot, Node& child) {
  child.share.fetch_add(1, std::memory_order_relaxed);
  if (F::restricts(node.level)) {
    tables_.deny_write(node, slot);
  } else {
    const LockGuard guard(child.lock);
    tables_.deny_writes(child);
  }
  return tables_.load(node, slot);
}

#define VELLUM_COMPILE(F) template Result<void> AddressSpace<F>::restore(AddressSpace&);
VELLUM_FOR_EACH_FORMAT(VELLUM_COMPILE)
#undef VELLUM_COMPILE

}  // namespace vellum
