// TLB gather: what an operation takes out of a tree may be freed only when no TLB can lead to it any more. The gather
// collects what to forget (merged into few ranges, or all) and what to free (without memory of its own: frames are
// chained through their descriptors), and does both in that order: the CPUs that run the space forget, then the frames,
// tables and backings go.
//
// A gather must be finished, with no lock held; to drop it unfinished is a bug that panics.
#pragma once

#include <vellum/pagetable/tables.hpp>
#include <vellum/pagetable/tree.hpp>

namespace vellum {

template <PageTableFormat F>
class [[nodiscard]] TlbGather final : public MeaningSink {
 public:
  // Inside an epoch section on `cpu`, which must last until finish().
  TlbGather(Tree& tree, CpuIndex cpu) : tree_(tree), cpu_(cpu) {}
  ~TlbGather() { VELLUM_CHECK(!pending()); }
  TlbGather(const TlbGather&) = delete;
  TlbGather& operator=(const TlbGather&) = delete;

  [[nodiscard]] CpuIndex cpu() const { return cpu_; }

  // Translations of these pages are to be forgotten.
  void flush(VpnRange pages);
  void flush_everything() { flush_.everything = true; }
  // An entry that named a frame is gone: one reference less, and the frame is free when that was the last.
  void release_frame(Pfn frame);
  // An entry that named a table is gone: one reference less, after the flush. The caller must not hold the lock of the
  // node or of one below it: when many tables are waiting, they are flushed and released at once.
  void release_table(Node& node);
  // An entry that named a swap slot is gone.
  void release_swap(SwapSlot slot) { tree_.store.swap().release(slot); }
  // A run that held the last reference to a backing is gone.
  void dropped(Backing& backing) override;
  void removed(const Meaning& /*meaning*/, unsigned /*slots*/) override {}

  // Forgets, then frees. With no lock held.
  void finish();

  // How many pages a flush names one by one at the most; beyond, everything is forgotten.
  static constexpr std::uint64_t kMaxPagesByName = 32;

 private:
  [[nodiscard]] bool pending() const {
    return flush_.everything || flush_.range_count != 0 || frames_ != Frame::kNoFrame || table_count_ != 0 ||
           backings_ != nullptr;
  }
  void send_flush();
  void release_tables();

  Tree& tree_;
  CpuIndex cpu_;
  TlbFlush flush_;
  std::uint64_t pages_by_name_ = 0;
  Pfn frames_ = Frame::kNoFrame;
  static constexpr unsigned kMaxTables = 32;
  Node* tables_[kMaxTables];
  unsigned table_count_ = 0;
  Backing* backings_ = nullptr;
};

}  // namespace vellum
