// The way from a tree's root to the leaf that was used last, so that it need not be gone again. Every entry on it let
// writes through when it was found, which means that its nodes are only this tree's (rule 2 in tree.hpp) and that no
// object owns them.
//
// What can end that is fork, and a table that leaves the tree: both change the tree's shape number first, and a node is
// freed only when all sections have ended that might not have seen the change. What the way does not tell is what
// mprotect may change at any time: which of its nodes owns the meaning, and what that node's entry lets through.
//
// For one CPU, inside a TreeSection.
#pragma once

#include <vellum/pagetable/tables.hpp>
#include <vellum/pagetable/tree.hpp>

namespace vellum {

template <PageTableFormat F>
class LeafPath {
 public:
  // The leaf of a page, not locked; null where there is none with such a way. The other functions are for the page that
  // was found last.
  [[nodiscard]] Node* find(const Tree& tree, const Tables<F>& tables, Vpn page) {
    const std::uint64_t shape = tree.shape.load(std::memory_order_acquire);
    if (table_of(page) == table_ && shape == shape_) [[likely]] {
      return nodes_[1];
    }
    table_ = kNone;
    if (!go<F::kLevels>(*tree.root, tables, page)) {
      return nullptr;
    }
    table_ = table_of(page);
    shape_ = shape;
    return nodes_[1];
  }
  // Whether a cursor above holds the way (cursor.hpp).
  [[nodiscard]] bool is_held(Vpn page) const {
    bool held = false;
    for (unsigned level = 2; level <= F::kLevels; ++level) {
      held = held || nodes_[level]->holds_slot(entry_index<F>(page, level));
    }
    return held;
  }
  // The node whose runs say what a leaf means that owns no meaning.
  [[nodiscard]] Node& owner() const {
    unsigned level = 2;
    while (level < F::kLevels && !nodes_[level]->owning.load(std::memory_order_acquire)) {
      ++level;
    }
    return *nodes_[level];
  }

 private:
  static constexpr std::uint64_t kNone = ~std::uint64_t{0};

  [[nodiscard]] static std::uint64_t table_of(Vpn page) { return page.value() >> F::index_bits(1); }

  // A step for each level, so that shifts are constants.
  template <unsigned level>
  [[nodiscard]] bool go(Node& node, const Tables<F>& tables, Vpn page) {
    nodes_[level] = &node;
    if constexpr (level == 1) {
      return !node.object_owned;
    } else {
      Node* const child = tables.own_child(tables.load(node, entry_index<F>(page, level)), level);
      return child != nullptr && go<level - 1>(*child, tables, page);
    }
  }

  std::uint64_t table_ = kNone;
  std::uint64_t shape_ = 0;
  Node* nodes_[F::kLevels + 1] = {};
};

}  // namespace vellum
