// A tree with nobody in it but its owner: what fork and mremap need. Operations that come meanwhile wait at the door.
#pragma once

#include <vellum/space/space.hpp>

namespace vellum {

// The space's lock is held, so that only one closes the tree at a time. Short: nobody sleeps while a tree is closed.
template <PageTableFormat F>
class [[nodiscard]] ClosedTree {
 public:
  // No object may look for pages in the family while one of its trees is closed; see Family::change.
  ClosedTree(VirtualMemory<F>& system, Family<F>& family, Tree& tree) VELLUM_NO_THREAD_SAFETY_ANALYSIS
      : section_(system.memory.machine()),
        system_(system),
        family_(family),
        tree_(tree),
        cpu_(system.memory.machine().current_cpu()) {
    family.lock.lock();
    tree.closed.store(true, std::memory_order_seq_cst);
    system.epochs.wait_for_sections(cpu_);
    system.epochs.enter(cpu_);
    tree.shape.fetch_add(1, std::memory_order_acq_rel);
  }
  ~ClosedTree() VELLUM_NO_THREAD_SAFETY_ANALYSIS {
    tree_.closed.store(false, std::memory_order_release);
    family_.lock.unlock();
    system_.epochs.leave(cpu_);
  }
  ClosedTree(const ClosedTree&) = delete;
  ClosedTree& operator=(const ClosedTree&) = delete;

  [[nodiscard]] CpuIndex cpu() const { return cpu_; }

 private:
  CpuSection<Machine> section_;
  VirtualMemory<F>& system_;
  Family<F>& family_;
  Tree& tree_;
  const CpuIndex cpu_;
};

}  // namespace vellum
