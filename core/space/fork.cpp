// fork: the child's root names the same tables as the parent's, and neither may write through it. What each then writes
// it copies for itself, node by node along the path (open_path in open.cpp).

#include <algorithm>

#include <vellum/pagetable/instantiate.hpp>
#include <vellum/space/space.hpp>

#include "closed_tree.hpp"

namespace vellum {

template <PageTableFormat F>
Result<AddressSpace<F>*> AddressSpace<F>::fork() {
  AddressSpace* const child = VELLUM_TRY(copy());
  if (is_marked_.load(std::memory_order_relaxed) && !child->settle_marks().ok()) {
    child->destroy();
    return Errno::no_memory;
  }
  return child;
}

template <PageTableFormat F>
Result<AddressSpace<F>*> AddressSpace<F>::snapshot() {
  AddressSpace* const snapshot = VELLUM_TRY(copy());
  snapshot->future_locks_.store(future_locks_.load(std::memory_order_relaxed), std::memory_order_relaxed);
  snapshot->is_marked_.store(is_marked_.load(std::memory_order_relaxed), std::memory_order_relaxed);
  return snapshot;
}

template <PageTableFormat F>
Result<AddressSpace<F>*> AddressSpace<F>::copy() {
  AddressSpace* const child = VELLUM_TRY(create_in(system_, layout_, *family_));
  Result<void> shared;
  const PageCount left_out = is_marked_.load(std::memory_order_relaxed) ? sum_of([](const Meaning& meaning) {
    return meaning.traits.is_reserved() && meaning.traits.is_left_out_of_forks();
  })
                                                                        : PageCount(0);
  {
    const LockGuard guard(lock_);
    {
      const LockGuard child_guard(child->lock_);
      child->break_start_ = break_start_;
      child->break_end_ = break_end_;
      child->break_limit_ = break_limit_;
    }
    child->stack_limit_.store(stack_limit_.load(std::memory_order_relaxed), std::memory_order_relaxed);
    child->size_limit_.store(size_limit_.load(std::memory_order_relaxed), std::memory_order_relaxed);
    child->data_limit_.store(data_limit_.load(std::memory_order_relaxed), std::memory_order_relaxed);
    child->place_below_.store(place_below_.load(std::memory_order_relaxed), std::memory_order_relaxed);
    child->set_large_pages_permitted(permits_large_pages());
    const ClosedTree<F> closed(system_, *family_, tree);
    // While nobody changes it.
    shared =
        promise_again_to(*child, left_out, closed.cpu()) ? share_root_with(*child) : Result<void>(Errno::no_memory);
    child->count_mapped(closed.cpu(), static_cast<std::int64_t>(mapped().value()));
    TlbGather<F> gather(tree, closed.cpu());
    gather.flush_everything();
    gather.finish();
  }
  if (!shared.ok()) {
    child->destroy();
    return Errno::no_memory;
  }
  return child;
}

// All that is promised to the parent is promised to the child as well; what the child is not to have, until it is taken
// away from it again.
template <PageTableFormat F>
bool AddressSpace<F>::promise_again_to(AddressSpace& child, PageCount left_out, CpuIndex cpu) {
  const PageCount promised = reserved();
  const PageCount kept = promised - std::min(left_out, promised);
  if (!commitment().charge_again(cpu, kept, mapped())) {
    return false;
  }
  commitment().count(cpu, static_cast<std::int64_t>((promised - kept).value()));
  child.count_reserved(cpu, static_cast<std::int64_t>(promised.value()));
  return true;
}

// Where the root cannot deny writing, its children deny it in each of their entries.
template <PageTableFormat F>
Result<void> AddressSpace<F>::share_root_with(AddressSpace& child) {
  Node& from = *tree.root;
  Node& to = *child.tree.root;
  const LockGuard from_guard(from.lock);
  const LockGuard to_guard(to.lock);
  VELLUM_TRY(to.copy_runs(from));
  const unsigned last = from.slot_count - 1U;
  for (unsigned slot = tables_.next_entry(from, 0, last); slot <= last;
       slot = tables_.next_entry(from, slot + 1, last)) {
    Entry entry = tables_.load(from, slot);
    Node& below = tables_.child(entry, from);
    below.share.fetch_add(1, std::memory_order_relaxed);
    if (F::restricts(from.level)) {
      tables_.deny_write(from, slot);
      entry.bits &= ~X86EntryBits::kWrite;
    } else {
      const LockGuard below_guard(below.lock);
      tables_.deny_writes(below);
    }
    tables_.set(to, slot, entry);
  }
  for (unsigned slot = from.slot_count; slot < entry_count<F>(from.level); ++slot) {
    tables_.set(to, slot, tables_.load(from, slot));
  }
  to.live = from.live;
  to.owning_children = from.owning_children;
  to.granted = from.granted;
  return {};
}

#define VELLUM_COMPILE(F)                                    \
  template Result<AddressSpace<F>*> AddressSpace<F>::fork(); \
  template Result<AddressSpace<F>*> AddressSpace<F>::snapshot();
VELLUM_FOR_EACH_FORMAT(VELLUM_COMPILE)
#undef VELLUM_COMPILE

}  // namespace vellum
