#include <vellum/pagetable/gather.hpp>

#include <vellum/pagetable/instantiate.hpp>

namespace vellum {

template <PageTableFormat F>
void TlbGather<F>::flush(VpnRange pages) {
  if (flush_.everything) {
    return;
  }
  pages_by_name_ += pages.size().value();
  if (pages_by_name_ > kMaxPagesByName) {
    flush_.everything = true;
    return;
  }
  const VirtAddr start = address_of<F>(pages.start());
  const ByteCount size = bytes_of(pages.size());
  if (flush_.range_count > 0) {
    VirtRange& last = flush_.ranges[flush_.range_count - 1];
    if (last.end() == start) {
      last = VirtRange::must(last.start(), last.size() + size);
      return;
    }
  }
  if (flush_.range_count == TlbFlush::kMaxRanges) {
    flush_.everything = true;
    return;
  }
  flush_.ranges[flush_.range_count++] = VirtRange::must(start, size);
}

template <PageTableFormat F>
void TlbGather<F>::release_shared_frame(Pfn frame, const Frame& descriptor) {
  if (descriptor.kind() == FrameKind::zero_page) {
    return;
  }
  // As with tables: whoever is left with the only reference writes the page, or frees it, so this one is kept until the
  // flush.
  if (is_full()) {
    send_flush();
    drop_shared_frames();
  }
  shared_frames_.push(frame);
}

template <PageTableFormat F>
void TlbGather<F>::drop_shared_frames() {
  while (!shared_frames_.empty()) {
    const Pfn frame = shared_frames_.pop();
    Frame& descriptor = memory_.frame(frame);
    if (descriptor.release()) {
      free_later(frame, descriptor);
    }
  }
}

template <PageTableFormat F>
void TlbGather<F>::release_table(Node& node) {
  tree_.shape.fetch_add(1, std::memory_order_acq_rel);
  // Even a reference of many is kept until the flush: once it is gone another space may take the subtree for its own
  // and write pages that this one's TLBs can still read.
  if (tables_.is_full()) {
    send_flush();
    release_tables();
  }
  tables_.push(&node);
}

template <PageTableFormat F>
void TlbGather<F>::release_tables() {
  const Tables<F> tables(tree_.store);
  while (!tables_.empty()) {
    tables.release(*tables_.pop(), *this);
  }
}

template <PageTableFormat F>
void TlbGather<F>::send_flush() {
  if (!flush_.everything && flush_.range_count == 0) {
    return;
  }
  // The entries must be seen changed by a CPU that is not in the set yet: it enters before it reads them.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (tree_.cpus.contains(cpu_)) {
    tree_.store.machine().flush_local(flush_);
    tree_.store.count(cpu_, MemoryEvent::flushed);
  }
  if (!tree_.cpus.none_but(cpu_)) {
    CpuSet others = tree_.cpus.snapshot();
    others.remove(cpu_);
    tree_.store.machine().flush_remote(others, tree_.root_address(), flush_);
    tree_.store.count(cpu_, MemoryEvent::shot_down);
  }
  flush_.everything = false;
  flush_.range_count = 0;
  pages_by_name_ = 0;
}

template <PageTableFormat F>
void TlbGather<F>::finish_pending() {
  send_flush();
  release_tables();
  drop_shared_frames();
  memory_.free_chain(frames_);
  frames_ = Frame::kNoFrame;
}

#define VELLUM_COMPILE(F) template class TlbGather<F>;
VELLUM_FOR_EACH_FORMAT(VELLUM_COMPILE)
#undef VELLUM_COMPILE

}  // namespace vellum
