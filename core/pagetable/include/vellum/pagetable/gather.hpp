// TLB gather: what an operation takes out of a tree may be freed only when no TLB can lead to it any more. The gather
// collects what to forget (merged into few ranges, or all) and what to free (without memory of its own: frames are
// chained through their descriptors), and does both in that order: the CPUs that run the space forget, then the frames,
// tables go, and when the section is left the backings.
//
// A gather must be finished, with no lock held; to drop it unfinished is a bug that panics.
#pragma once

#include <vellum/base/fixed_stack.hpp>
#include <vellum/pagetable/tables.hpp>
#include <vellum/pagetable/tree.hpp>

namespace vellum {

// Backings whose last run is gone, until they can be ended: what that takes must not be done inside a section, where it
// could wait for somebody who waits for sections to end.
class DroppedBackings {
 public:
  DroppedBackings() = default;
  ~DroppedBackings() {
    while (first_ != nullptr) {
      Backing* const backing = first_;
      first_ = backing->next_dropped;
      backing->unreferenced();
    }
  }
  DroppedBackings(const DroppedBackings&) = delete;
  DroppedBackings& operator=(const DroppedBackings&) = delete;

  void add(Backing& backing) {
    backing.next_dropped = first_;
    first_ = &backing;
  }

 private:
  Backing* first_ = nullptr;
};

template <PageTableFormat F>
class [[nodiscard]] TlbGather final : public MeaningSink {
 public:
  // Inside an epoch section on `cpu`, which must last until finish(). Backings that lose their last run go to
  // `dropped`; without, no run may lose its last.
  TlbGather(Tree& tree, CpuIndex cpu, DroppedBackings* dropped = nullptr)
      : tree_(tree), memory_(tree.store.memory()), cpu_(cpu), dropped_(dropped) {}
  ~TlbGather() { VELLUM_CHECK(!pending()); }
  TlbGather(const TlbGather&) = delete;
  TlbGather& operator=(const TlbGather&) = delete;

  [[nodiscard]] CpuIndex cpu() const { return cpu_; }

  // Translations of these pages are to be forgotten.
  void flush(VpnRange pages);
  void flush_everything() { flush_.everything = true; }
  // What an entry of `node` maps is to be forgotten. Of a large page one address is enough [intel/vol3 4.10.4.1].
  void flush_entry(const Node& node, unsigned slot, Entry entry) {
    const VpnRange all = Tables<F>::range_of(node, slot);
    flush(Tables<F>::is_large(entry, node) ? VpnRange::must(all.start(), PageCount(1)) : all);
  }
  // A slot of `parent` names another table than before, or none. A processor that keeps the root's entries in registers
  // (PAE) reads them only when it loads the root, which is what forgetting everything does [intel/vol3 4.4.1].
  void flush_table(const Node& parent, unsigned slot) {
    if (F::restricts(parent.level)) {
      flush(Tables<F>::range_of(parent, slot));
    } else {
      flush_everything();
    }
  }
  // An entry that named a frame is gone: one reference less, after the flush (where many are waiting they are flushed
  // at once), and the frame is free when that was the last.
  [[gnu::always_inline]] void release_frame(Pfn frame) {
    Frame& descriptor = memory_.frame(frame);
    if (descriptor.share() == 1 && descriptor.kind() != FrameKind::zero_page) [[likely]] {
      descriptor.release_last();
      free_later(frame, descriptor);
    } else {
      release_shared_frame(frame, descriptor);
    }
  }
  // Whether the next release_frame() may flush at once; and, for who has flushed all that must forget them, letting the
  // frames go that wait.
  [[nodiscard]] bool is_full() const { return shared_frames_.is_full(); }
  void drop_shared_frames();
  // An entry that named a table is gone: one reference less, after the flush. The caller must not hold the lock of the
  // node or of one below it: when many tables are waiting, they are flushed and released at once.
  void release_table(Node& node);
  // An entry that named a swap slot is gone.
  void release_swap(SwapSlot slot) { tree_.store.swap().release(slot); }
  // A run that held the last reference to a backing is gone.
  void dropped(Backing& backing) override {
    VELLUM_CHECK(dropped_ != nullptr);
    dropped_->add(backing);
  }

  // Forgets, then frees. With no lock held.
  void finish() {
    if (pending()) {
      finish_pending();
    }
  }

  // How many pages a flush names one by one at the most; beyond, everything is forgotten.
  static constexpr std::uint64_t kMaxPagesByName = 32;

 private:
  [[nodiscard]] bool pending() const {
    return flush_.everything || flush_.range_count != 0 || frames_ != Frame::kNoFrame || !tables_.empty() ||
           !shared_frames_.empty();
  }
  void finish_pending();
  void send_flush();
  void release_tables();
  void release_shared_frame(Pfn frame, const Frame& descriptor);
  void free_later(Pfn frame, Frame& descriptor) {
    descriptor.set_next(frames_);
    frames_ = frame;
  }

  Tree& tree_;
  PhysicalMemory& memory_;
  CpuIndex cpu_;
  TlbFlush flush_;
  std::uint64_t pages_by_name_ = 0;
  Pfn frames_ = Frame::kNoFrame;
  FixedStack<Node*, 32> tables_;
  FixedStack<Pfn, 64> shared_frames_;
  DroppedBackings* dropped_;
};

// The life of an operation that takes things out of a tree: its section, its gather, and, when the section is left, the
// end of the backings that nothing maps any more.
template <PageTableFormat F>
class [[nodiscard]] TreeOperation {
 public:
  explicit TreeOperation(Tree& tree) : section_(tree), gather_(tree, section_.cpu(), &dropped_) {}

  // To be finished before the operation ends.
  [[nodiscard]] TlbGather<F>& gather() { return gather_; }

 private:
  DroppedBackings dropped_;
  TreeSection section_;
  TlbGather<F> gather_;
};

}  // namespace vellum
