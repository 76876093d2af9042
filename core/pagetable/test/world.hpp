// What the tests of page tables stand on: memory, nodes, and a tree of a format.
#pragma once

#include <memory>
#include <vector>

#include <vellum/arena/physical_page_source.hpp>
#include <vellum/pagetable/cursor.hpp>
#include <vellum/pagetable/formats.hpp>
#include <vellum/test/system.hpp>
#include <vellum/test/test.hpp>

// A test that runs once for each format that the core is compiled for; its body is that of a template over F.
#if defined(VELLUM_TEST_IN_KERNEL)
#define VELLUM_TEST_EACH_FORMAT(suite, name)          \
  template <class F>                                  \
  void suite##name();                                 \
  TEST(suite, name##_Amd64) { suite##name<Amd64>(); } \
  template <class F>                                  \
  void suite##name()
#else
#define VELLUM_TEST_EACH_FORMAT(suite, name)                  \
  template <class F>                                          \
  void suite##name();                                         \
  TEST(suite, name##_Amd64) { suite##name<Amd64>(); }         \
  TEST(suite, name##_I386Pae) { suite##name<I386Pae>(); }     \
  TEST(suite, name##_ToyNarrow) { suite##name<ToyNarrow>(); } \
  TEST(suite, name##_ToyDeep) { suite##name<ToyDeep>(); }     \
  template <class F>                                          \
  void suite##name()
#endif

namespace vellum::test {

// Nodes with nothing around them.
class NodeWorld {
 public:
  explicit NodeWorld(const SystemSize& size = {})
      : system_(size),
        source_(system_.memory()),
        epochs_(std::make_unique<EpochDomain>(size.cpus)),
        store_(std::make_unique<NodeStore>(system_.memory(), source_, *epochs_)) {}
  ~NodeWorld() {
    epochs_->drain();
    store_->reap();
  }
  NodeWorld(const NodeWorld&) = delete;
  NodeWorld& operator=(const NodeWorld&) = delete;

  [[nodiscard]] Machine& machine() { return system_.machine(); }
  [[nodiscard]] PhysicalMemory& memory() { return system_.memory(); }
  [[nodiscard]] EpochDomain& epochs() { return *epochs_; }
  [[nodiscard]] NodeStore& store() { return *store_; }

 private:
  System system_;
  PhysicalPageSource source_;
  std::unique_ptr<EpochDomain> epochs_;
  std::unique_ptr<NodeStore> store_;
};

// A tree of format F, empty, and whole transactions on it.
template <PageTableFormat F>
class TreeWorld : public NodeWorld {
 public:
  explicit TreeWorld(const SystemSize& size = {}) : NodeWorld(size), tree_(store()) { tree_.root = create_root(); }
  ~TreeWorld() { release_root(tree_); }

  static constexpr std::uint64_t kAllPages = std::uint64_t{1} << (F::kVirtualBits - kPageShift);
  // Pages of one leaf table.
  static constexpr std::uint64_t kLeaf = entry_span<F>(2).value();

  [[nodiscard]] Tree& tree() { return tree_; }
  [[nodiscard]] Tables<F> tables() { return Tables<F>(store()); }
  [[nodiscard]] Node* create_root() {
    Node* const root = store().create(F::kLevels, entry_count<F>(F::kLevels), Vpn(0), LockRank::node).value();
    root->owning = true;
    return root;
  }
  void release_root(Tree& tree) {
    TreeOperation<F> operation(tree);
    TlbGather<F>& gather = operation.gather();
    gather.release_table(*tree.root);
    gather.finish();
  }

  using Purpose = typename Cursor<F>::Purpose;
  // Gives pages a meaning, or none. Returns the pages that had one.
  Result<PageCount> replace(Tree& tree, VpnRange range, const Meaning* meaning) {
    TreeOperation<F> operation(tree);
    TlbGather<F>& gather = operation.gather();
    Result<PageCount> result = PageCount(0);
    {
      Cursor<F> cursor(tree, gather);
      cursor.lock(range);
      const Result<void> prepared = cursor.prepare(range, meaning != nullptr ? Purpose::fill : Purpose::clear);
      result = prepared.ok() ? Result<PageCount>(PageCount(cursor.replace(range, meaning).all)) : prepared.error();
    }
    gather.finish();
    return result;
  }
  Result<PageCount> replace(VpnRange range, const Meaning* meaning) { return replace(tree_, range, meaning); }
  Result<void> protect(Tree& tree, VpnRange range, Prot prot) {
    TreeOperation<F> operation(tree);
    TlbGather<F>& gather = operation.gather();
    Result<void> result;
    {
      Cursor<F> cursor(tree, gather);
      cursor.lock(range);
      result = cursor.prepare(range, Purpose::protect);
      if (result.ok()) {
        cursor.change(range, {.prot = prot, .add = {}, .drop = {}});
      }
    }
    gather.finish();
    return result;
  }
  Result<void> protect(VpnRange range, Prot prot) { return protect(tree_, range, prot); }
  // Lets the table of a slot go if it is empty, or its meaning up if it has one.
  void tidy(VpnRange slot) {
    TreeOperation<F> operation(tree_);
    {
      Cursor<F> cursor(tree_, operation.gather());
      cursor.lock(slot);
      cursor.tidy(slot);
    }
    operation.gather().finish();
  }
  // The rights that each of `count` pages from `first` on has; 8 where it means nothing.
  [[nodiscard]] std::vector<unsigned> rights(Tree& tree, std::uint64_t first, std::uint64_t count) {
    std::vector<unsigned> found(count, 8);
    TreeOperation<F> operation(tree);
    TlbGather<F>& gather = operation.gather();
    {
      Cursor<F> cursor(tree, gather);
      const VpnRange range = VpnRange::must(Vpn(first), PageCount(count));
      cursor.lock(range);
      cursor.for_each(range, [&](VpnRange stretch, const Meaning& meaning) {
        for (std::uint64_t i = 0; i < stretch.size().value(); ++i) {
          found[stretch.start().value() - first + i] = meaning.prot.bits();
        }
        return true;
      });
    }
    gather.finish();
    return found;
  }
  [[nodiscard]] std::vector<unsigned> rights(std::uint64_t first, std::uint64_t count) {
    return rights(tree_, first, count);
  }
  // Nodes that are not waiting to be freed.
  [[nodiscard]] std::uint64_t nodes() {
    epochs().drain();
    return store().node_count();
  }

 private:
  Tree tree_;
};

[[nodiscard]] constexpr VpnRange page_range(std::uint64_t first, std::uint64_t count) {
  return VpnRange::must(Vpn(first), PageCount(count));
}

[[nodiscard]] constexpr Meaning meaning_of(Prot prot, Backing* backing = nullptr) {
  return {.backing = backing, .prot = prot, .maximum = Prot::all(), .traits = {}};
}

}  // namespace vellum::test
