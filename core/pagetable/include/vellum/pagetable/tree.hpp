// Page tables: the one structure that says what a process can touch. This is the layer's main header.
//
// Concepts. A tree of *nodes* (node.hpp); each is a page of a hardware page table and what the software knows about its
// entries. A *run* gives a stretch of a node's slots a *meaning* (meaning.hpp): rights, shared or private, and what
// backs it, whether anything is there yet or not. A meaning stands once, at the highest level that it fills
// (docs/decisions/001); everything below is *content*: pages, swap slots, tables. There is no other list of regions
// beside the tree.
//
// Subtrees are *shared*: by spaces related by fork, and by all that map a table-sized piece of one object. A node
// counts the entries that name it; a frame counts the leaf entries that name it. What more than one path leads to
// cannot be written through any of them: the entries that name it let no write through, so that the hardware enforces
// it.
//
// Implementation.
//   format.hpp, formats.hpp   constants and bits of amd64, PAE and toys; everything else is written once for all
//   entry.hpp                 the states of an entry: empty, page, table, swapped; present or denied
//   node.hpp, node_store.hpp  nodes and their runs, and where they come from
//   tables.hpp                steps: load, limit, link, clone, push down, release
//   cursor.hpp                transactions on ranges: lock, prepare (may fail, changes nothing), change (cannot fail)
//   content_move.hpp          what stands in one range, moved to another
//   gather.hpp                what to forget and then to free
//   wired.hpp                 the kernel's own mappings, without meaning
//   tree.hpp                  this file: a tree that CPUs run, and the section in which all of this happens
//
// Six rules keep it sound:
//   1. A meaning is changed only in a node to which one path leads, under its lock. Content of a shared node changes in
//      place only where that is the same for all who reach it: filling for a read, eviction, unmapping by the object.
//   2. An entry that names a node with more than one reference lets no write through; where its level cannot deny, the
//      entries of that node let none through. (Not the tables of objects: those are written by all who map them
//      shared.)
//   3. An entry grants no more than its content permits, nor than its run; it may grant less, and a fault adds the
//   rest.
//   4. What leaves a tree is freed after every TLB that could lead to it has forgotten it, and a node only when every
//   CPU
//      that might still be looking at it has left its section (epochs).
//   5. Only fork and restore make the exclusive shared, and no operation is inside the tree meanwhile.
//   6. Whoever locked a node looks whether it is stale, and starts again from the root if so. A path found without
//   locks may
//      be out of date otherwise: what is then filled is right for whoever owns the node now, and what is refused is
//      settled under the cursor's locks.
//
// Locks: of a node, top-down and from left to right; the order of all is in <vellum/base/lock.hpp>.
//
// Never: sleeps; knows processes, files or system calls; maps a page without counting it (wired mappings excepted).
#pragma once

#include <atomic>

#include <vellum/base/cpu.hpp>
#include <vellum/base/epoch.hpp>
#include <vellum/pagetable/node.hpp>
#include <vellum/pagetable/node_store.hpp>

namespace vellum {

// A tree of nodes that a CPU can run, and the door through which operations enter it.
struct Tree {
  explicit Tree(NodeStore& node_store) : store(node_store) {}

  NodeStore& store;
  Node* root = nullptr;             // set once, before anybody else sees the tree
  AtomicCpuSet cpus;                // CPUs that may hold translations of this tree
  std::atomic<bool> closed{false};  // fork, mremap and restore shut operations out
  // Another number after what makes a way from the root to a node untrue (leaf_path.hpp).
  std::atomic<std::uint64_t> shape{0};

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
