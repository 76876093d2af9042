// A tree of nodes that a CPU can run, and the door through which operations enter it.
#pragma once

#include <atomic>

#include <vellum/base/cpu.hpp>
#include <vellum/base/epoch.hpp>
#include <vellum/pagetable/node.hpp>
#include <vellum/pagetable/node_store.hpp>

namespace vellum {

struct Tree {
  explicit Tree(NodeStore& node_store) : store(node_store) {}

  NodeStore& store;
  Node* root = nullptr;             // set once, before anybody else sees the tree
  AtomicCpuSet cpus;                // CPUs that may hold translations of this tree
  std::atomic<bool> closed{false};  // fork shuts operations out

  [[nodiscard]] PhysAddr root_address() const { return address_of(root->table); }
};

// The life of an operation in a tree: on one CPU, inside an epoch section, and not while the tree is closed. Short:
// nobody sleeps in one.
class [[nodiscard]] TreeSection {
 public:
  explicit TreeSection(Tree& tree) : section_(tree.store.machine()), epochs_(tree.store.epochs()) {
    cpu_ = tree.store.machine().current_cpu();
    epochs_.enter(cpu_);
    for (unsigned rounds = 0; tree.closed.load(std::memory_order_acquire); ++rounds) [[unlikely]] {
      epochs_.leave(cpu_);
      relax(rounds);
      epochs_.enter(cpu_);
    }
  }
  ~TreeSection() { epochs_.leave(cpu_); }
  TreeSection(const TreeSection&) = delete;
  TreeSection& operator=(const TreeSection&) = delete;

  [[nodiscard]] CpuIndex cpu() const { return cpu_; }

 private:
  CpuSection<Machine> section_;
  EpochDomain& epochs_;
  CpuIndex cpu_;
};

}  // namespace vellum
