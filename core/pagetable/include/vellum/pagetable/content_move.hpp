// Moves what stands in one range of a tree to another: pages, swap slots, and whole tables where the distance lets a
// table keep its shape. What a table holds is not looked at, unless fork relatives hold it too. A large page moves as a
// table does, or is split.
//
// For a tree that is closed (tree.hpp), by whoever closed it. So no locks are needed for nodes that only this tree
// reaches; those that others reach are locked while they are copied.
#pragma once

#include <vellum/pagetable/gather.hpp>
#include <vellum/pagetable/tables.hpp>
#include <vellum/pagetable/tree.hpp>

namespace vellum {

template <PageTableFormat F>
class [[nodiscard]] ContentMove {
 public:
  // All of `from` means the same. As many pages from `to` on do not overlap it, and nothing stands there.
  ContentMove(Tree& tree, TlbGather<F>& gather, VpnRange from, Vpn to);
  ~ContentMove();
  ContentMove(const ContentMove&) = delete;
  ContentMove& operator=(const ContentMove&) = delete;

  // Makes the way to all of it exclusively this tree's, and sets tables aside. `target` is what will mean the same; the
  // tables there that are not wholly within it exist. Error: no_memory; the tree means what it meant.
  [[nodiscard]] Result<void> prepare(VpnRange target);
  // Moves. The target means `meaning` by now. Afterwards the source range's meaning is to be replaced: where tables
  // went, it may be lost.
  void move(const Meaning& meaning);

 private:
  // Entries of one table that are moved together; of several, those that are not empty.
  struct Unit {
    Node* node;
    unsigned slot;
    unsigned last;
    Vpn page;  // of `slot`
  };
  enum class Way : std::uint8_t { look, own };

  template <class Visitor>
  [[nodiscard]] Result<void> for_each_unit(Way way, Visitor visit);
  [[nodiscard]] unsigned level_at(Vpn page) const;
  [[nodiscard]] Result<void> own_subtree(Node& node, unsigned slot);
  [[nodiscard]] Result<void> set_tables_aside(unsigned level, Vpn place, VpnRange target);
  [[nodiscard]] Vpn place_of(Vpn page) const { return to_ + (page - from_.start()); }
  [[nodiscard]] Node& target_node(Vpn page, unsigned level, const Meaning& meaning);
  void move_entry(const Unit& unit, const Meaning& meaning);
  void move_pages(const Unit& unit, const Meaning& meaning);
  void settle(Node& node, Vpn base);

  Tree& tree_;
  TlbGather<F>& gather_;
  Tables<F> tables_;
  const VpnRange from_;
  const Vpn to_;
  unsigned highest_ = 1;                      // level of the largest units
  EpochEntry* aside_[F::kLevels + 1] = {};    // nodes by level, chained
  std::uint64_t last_aside_[F::kLevels + 1];  // which table was set aside last
};

}  // namespace vellum
