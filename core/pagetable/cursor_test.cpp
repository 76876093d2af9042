#include <algorithm>
#include <random>

#include "test/world.hpp"

namespace vellum {
namespace {

using test::meaning_of;
using test::page_range;
using test::TreeWorld;

constexpr Meaning kReadable = {.backing = nullptr, .prot = Prot::read(), .maximum = Prot::all(), .traits = {}};
constexpr Meaning kWritable = {.backing = nullptr, .prot = Prot::write(), .maximum = Prot::all(), .traits = {}};

// The node of `level` on the way to a page, or null.
template <class F>
[[nodiscard]] Node* node_at(TreeWorld<F>& world, Tree& tree, std::uint64_t page, unsigned level) {
  const Tables<F> tables = world.tables();
  Node* node = tree.root;
  while (node->level > level) {
    const Entry entry = tables.load(*node, tables.slot_of(*node, Vpn(page)));
    if (entry.bits == 0) {
      return nullptr;
    }
    node = &tables.child(entry, *node);
  }
  return node;
}

[[nodiscard]] bool is_locked(Node& node) {
  if (!node.lock.try_lock()) {
    return true;
  }
  node.lock.unlock();
  return false;
}

// Puts a page into a leaf, as a fault would.
template <class F>
[[nodiscard]] Pfn put_page(TreeWorld<F>& world, Node& leaf, unsigned slot, EntryRights rights) {
  const Pfn frame = world.memory().allocate(Contents::zeroed).value();
  world.memory().frame(frame).assign(FrameKind::anonymous, nullptr, 0);
  const LockGuard guard(leaf.lock);
  ++leaf.live;
  ++leaf.resident;
  leaf.granted |= Tables<F>::grant_bits(rights);
  world.tables().set(leaf, slot, EntryCodec<F>::page(frame, 1, rights));
  return frame;
}

VELLUM_TEST_EACH_FORMAT(Cursor, LocksTheDeepestNodeThatDescribesTheRange) {
  TreeWorld<F> world;
  Tree& tree = world.tree();
  constexpr std::uint64_t kLeaf = TreeWorld<F>::kLeaf;
  ASSERT_TRUE(world.replace(page_range(1, 1), &kReadable).ok());
  ASSERT_TRUE(world.replace(page_range(kLeaf + 1, 1), &kReadable).ok());
  Node& leaf = *node_at(world, tree, 1, 1);
  Node& above = *node_at(world, tree, 1, 2);
  struct Case {
    VpnRange range;
    Node* covering;
  };
  const Case cases[] = {
      {page_range(0, 1), &leaf},           // beside what is mapped
      {page_range(1, kLeaf - 1), &leaf},   // up to the table's end
      {page_range(0, kLeaf), &above},      // all of it is one slot of the node above
      {page_range(kLeaf - 1, 2), &above},  // across two tables
      {page_range(0, TreeWorld<F>::kAllPages), tree.root},
  };
  for (const Case& tried : cases) {
    const TreeSection section(tree);
    TlbGather<F> gather(tree, section.cpu());
    {
      Cursor<F> cursor(tree, gather);
      cursor.lock(tried.range);
      for (Node* node : {&leaf, &above, tree.root}) {
        EXPECT_EQ(is_locked(*node), node == tried.covering);
      }
    }
    gather.finish();
    EXPECT_FALSE(is_locked(*tried.covering));
  }
  // What others reach too, and so nobody writes, is not locked for a change: the node above it is.
  const Tables<F> tables(world.store());
  const Entry written = tables.load(above, tables.slot_of(above, Vpn(1)));
  tables.deny_write(above, tables.slot_of(above, Vpn(1)));
  leaf.share = 2;
  {
    const TreeSection section(tree);
    TlbGather<F> gather(tree, section.cpu());
    {
      Cursor<F> cursor(tree, gather);
      cursor.lock(page_range(1, 1));
      EXPECT_TRUE(is_locked(above));
      EXPECT_FALSE(is_locked(leaf));
    }
    gather.finish();
  }
  leaf.share = 1;
  tables.set(above, tables.slot_of(above, Vpn(1)), written);
}

VELLUM_TEST_EACH_FORMAT(Cursor, PreparingChangesNoMeaning) {
  TreeWorld<F> world;
  constexpr std::uint64_t kLeaf = TreeWorld<F>::kLeaf;
  using Purpose = typename Cursor<F>::Purpose;
  const std::uint64_t count = std::min<std::uint64_t>(TreeWorld<F>::kAllPages, 4 * kLeaf);
  ASSERT_TRUE(world.replace(page_range(0, count), &kReadable).ok());
  ASSERT_TRUE(world.replace(page_range(kLeaf + 1, 2), &kWritable).ok());
  ASSERT_TRUE(world.replace(page_range(2 * kLeaf, 1), nullptr).ok());
  const std::vector<unsigned> before = world.rights(0, count);
  const std::uint64_t edges[] = {0,         1,         kLeaf - 1,     kLeaf,     kLeaf + 1,
                                 kLeaf + 2, 2 * kLeaf, 2 * kLeaf + 1, count - 1, count};
  for (const Purpose purpose : {Purpose::fill, Purpose::clear, Purpose::protect}) {
    for (const std::uint64_t from : edges) {
      for (const std::uint64_t to : edges) {
        if (from >= to) {
          continue;
        }
        {
          const TreeSection section(world.tree());
          TlbGather<F> gather(world.tree(), section.cpu());
          {
            Cursor<F> cursor(world.tree(), gather);
            cursor.lock(page_range(from, to - from));
            ASSERT_TRUE(cursor.prepare(page_range(from, to - from), purpose).ok());
          }
          gather.finish();
        }
        ASSERT_TRUE(world.rights(0, count) == before);
      }
    }
  }
}

// Every range between two places around the boundaries of tables: replaced, protected, cleared.
VELLUM_TEST_EACH_FORMAT(Cursor, ChangesExactlyItsRange) {
  TreeWorld<F> world;
  constexpr std::uint64_t kLeaf = TreeWorld<F>::kLeaf;
  const std::uint64_t count = std::min<std::uint64_t>(TreeWorld<F>::kAllPages, 5 * kLeaf);
  const std::uint64_t edges[] = {0,         1,         2,    kLeaf - 1, kLeaf, kLeaf + 1, 2 * kLeaf, 3 * kLeaf - 1,
                                 4 * kLeaf, count - 1, count};
  for (const std::uint64_t from : edges) {
    for (const std::uint64_t to : edges) {
      if (from >= to) {
        continue;
      }
      const VpnRange range = page_range(from, to - from);
      std::vector<unsigned> expected(count, Prot::read().bits());
      const auto expect = [&](unsigned inside) {
        std::fill(expected.begin() + static_cast<std::ptrdiff_t>(from),
                  expected.begin() + static_cast<std::ptrdiff_t>(to), inside);
        ASSERT_TRUE(world.rights(0, count) == expected);
      };
      ASSERT_TRUE(world.replace(page_range(0, count), &kReadable).ok());
      ASSERT_TRUE(world.protect(range, Prot::execute()).ok());
      expect(Prot::execute().bits());
      EXPECT_EQ(world.replace(range, &kWritable).value(), range.size());
      expect(Prot::write().bits());
      EXPECT_EQ(world.replace(range, nullptr).value(), range.size());
      expect(8);
      ASSERT_TRUE(world.protect(range, Prot::all()).ok());  // nothing is there
      expect(8);
      EXPECT_EQ(world.replace(range, nullptr).value(), PageCount(0));
      EXPECT_EQ(world.replace(range, &kReadable).value(), PageCount(0));
      expect(Prot::read().bits());
    }
  }
}

VELLUM_TEST_EACH_FORMAT(Cursor, AgreesWithANaiveArray) {
  TreeWorld<F> world;
  const std::uint64_t count = std::min<std::uint64_t>(TreeWorld<F>::kAllPages, 3 * TreeWorld<F>::kLeaf);
  std::vector<unsigned> model(count, 8);
  std::mt19937 random(3);
  for (int step = 0; step < 600; ++step) {
    const std::uint64_t from = random() % count;
    const std::uint64_t length = 1 + random() % std::min<std::uint64_t>(count - from, step % 7 == 0 ? count : 9);
    const Prot prot = Prot::from_bits(static_cast<unsigned>(random() % 8));
    const Meaning meaning = meaning_of(prot);
    const unsigned operation = static_cast<unsigned>(random() % 3);
    std::uint64_t lost = 0;
    for (std::uint64_t page = from; page < from + length; ++page) {
      lost += model[page] != 8 ? 1 : 0;
      const bool stays_empty = operation == 1 && model[page] == 8;
      model[page] = operation == 0 || stays_empty ? 8 : prot.bits();
    }
    if (operation == 1) {
      ASSERT_TRUE(world.protect(page_range(from, length), prot).ok());
    } else {
      ASSERT_EQ(world.replace(page_range(from, length), operation == 0 ? nullptr : &meaning).value(), PageCount(lost));
    }
    ASSERT_TRUE(world.rights(0, count) == model);
  }
  // All at once goes, and with it all tables.
  ASSERT_TRUE(world.replace(page_range(0, TreeWorld<F>::kAllPages), nullptr).ok());
  EXPECT_EQ(world.nodes(), 1U);
}

VELLUM_TEST_EACH_FORMAT(Cursor, EmptyTablesGo) {
  TreeWorld<F> world;
  constexpr std::uint64_t kLeaf = TreeWorld<F>::kLeaf;
  EXPECT_EQ(world.nodes(), 1U);
  // A table that is left empty stays for the next mapping, until somebody tidies up.
  ASSERT_TRUE(world.replace(page_range(3, 1), &kReadable).ok());
  EXPECT_EQ(world.nodes(), F::kLevels);
  ASSERT_TRUE(world.replace(page_range(3, 1), nullptr).ok());
  EXPECT_EQ(world.nodes(), F::kLevels);
  for (unsigned level = 2; level <= F::kLevels; ++level) {
    world.tidy(page_range(0, entry_span<F>(level).value()));
    EXPECT_EQ(world.nodes(), F::kLevels - level + 1);
  }
  // Those at the edges of a change that has more than one go at once.
  ASSERT_TRUE(world.replace(page_range(kLeaf - 1, 2), &kReadable).ok());
  EXPECT_EQ(world.nodes(), F::kLevels + 1);
  ASSERT_TRUE(world.replace(page_range(kLeaf - 1, 2), nullptr).ok());
  EXPECT_EQ(world.nodes(), F::kLevels - 1);
}

VELLUM_TEST_EACH_FORMAT(Cursor, WhatATableMeansAllThroughMovesUp) {
  TreeWorld<F> world;
  constexpr std::uint64_t kLeaf = TreeWorld<F>::kLeaf;
  ASSERT_TRUE(world.replace(page_range(0, 2 * kLeaf), &kReadable).ok());
  ASSERT_TRUE(world.protect(page_range(kLeaf - 1, 2), Prot::write()).ok());
  Node& leaf = *node_at(world, world.tree(), 0, 1);
  Node& above = *node_at(world, world.tree(), 0, 2);
  const Pfn frame = put_page(world, leaf, 1, {.write = false, .execute = false, .user = true});
  EXPECT_TRUE(leaf.owning.load());
  ASSERT_TRUE(world.protect(page_range(kLeaf - 1, 2), Prot::read()).ok());
  EXPECT_FALSE(leaf.owning.load());
  EXPECT_EQ(leaf.runs(), 0U);
  EXPECT_EQ(EntryCodec<F>::frame(world.tables().load(leaf, 1), 1), frame);  // what is there stays
  const LockGuard guard(above.lock);
  EXPECT_TRUE(above.owning.load());
  EXPECT_TRUE(above.meaning_at(0) == kReadable);
  EXPECT_TRUE(above.meaning_at(1) == kReadable);
}

VELLUM_TEST_EACH_FORMAT(Cursor, AReservationIsDescribedWhereItIsUniform) {
  TreeWorld<F> world;
  const std::uint64_t all = TreeWorld<F>::kAllPages;
  // From the second page to the last but one: two edges, and one node a level at each.
  ASSERT_TRUE(world.replace(page_range(1, all - 2), &kReadable).ok());
  EXPECT_LE(world.nodes(), 2 * F::kLevels - 1);
  EXPECT_EQ(world.replace(page_range(0, all), nullptr).value(), PageCount(all - 2));
}

TEST(CursorReservation, OfATerabyteCostsAtMost64KBOfTables) {
  TreeWorld<Amd64> world;
  const std::uint64_t terabyte = std::uint64_t{1} << (40 - kPageShift);
  ASSERT_TRUE(world.replace(page_range(12345, terabyte), &kWritable).ok());
  EXPECT_LE(world.nodes() * kPageSize, std::uint64_t{64} << 10);
  EXPECT_EQ(world.replace(page_range(12345, terabyte), nullptr).value(), PageCount(terabyte));
}

VELLUM_TEST_EACH_FORMAT(Cursor, CopiesWhatOthersReachBeforeItChanges) {
  TreeWorld<F> world;
  constexpr std::uint64_t kLeaf = TreeWorld<F>::kLeaf;
  const Tables<F> tables = world.tables();
  // Mapped so that the leaf has meanings of its own.
  ASSERT_TRUE(world.replace(page_range(0, kLeaf - 1), &kWritable).ok());
  Node& leaf = *node_at(world, world.tree(), 0, 1);
  const Pfn frame = put_page(world, leaf, 1, {.write = true, .execute = false, .user = true});
  // A second tree that names the same subtree, as after fork.
  Tree other(world.store());
  other.root = world.create_root();
  {
    Node& from = *world.tree().root;
    const LockGuard guard(from.lock);
    const LockGuard other_guard(other.root->lock);
    Entry entry = tables.load(from, 0);
    Node& below = tables.child(entry, from);
    below.share.fetch_add(1);
    if (F::restricts(F::kLevels)) {
      tables.deny_write(from, 0);
      entry.bits &= ~X86EntryBits::kWrite;
    } else {
      const LockGuard below_guard(below.lock);
      tables.deny_writes(below);
    }
    tables.set(*other.root, 0, entry);
    other.root->live = 1;
    other.root->owning_children = 1;
  }
  const std::vector<unsigned> before = world.rights(other, 0, kLeaf);
  ASSERT_TRUE(world.protect(page_range(1, 1), Prot::read()).ok());
  ASSERT_TRUE(world.replace(page_range(2, 1), nullptr).ok());
  EXPECT_TRUE(world.rights(other, 0, kLeaf) == before);
  EXPECT_EQ(world.rights(1, 1)[0], Prot::read().bits());
  EXPECT_EQ(world.rights(2, 1)[0], 8U);
  // Both name the page, and neither can write it.
  Node& copied = *node_at(world, world.tree(), 0, 1);
  EXPECT_NE(&copied, &leaf);
  EXPECT_EQ(node_at(world, other, 0, 1), &leaf);
  EXPECT_EQ(world.memory().frame(frame).share(), 2U);
  for (Node* node : {&copied, &leaf}) {
    const Entry entry = tables.load(*node, 1);
    EXPECT_EQ(EntryCodec<F>::frame(entry, 1), frame);
    EXPECT_FALSE(F::rights(entry, 1).write);
  }
  world.release_root(other);
  world.epochs().drain();
  EXPECT_EQ(world.memory().frame(frame).share(), 1U);
}

#ifndef VELLUM_TEST_IN_KERNEL  // only the simulated machine fails on demand
VELLUM_TEST_EACH_FORMAT(Cursor, FailsWithoutAChange) {
  TreeWorld<F> world;
  constexpr std::uint64_t kLeaf = TreeWorld<F>::kLeaf;
  const std::uint64_t count = std::min<std::uint64_t>(TreeWorld<F>::kAllPages, 3 * kLeaf);
  ASSERT_TRUE(world.replace(page_range(0, count), &kReadable).ok());
  const std::vector<unsigned> before = world.rights(0, count);
  unsigned failures = 0;
  for (std::uint64_t n = 1;; ++n) {
    world.machine().failures().fail_nth(n);
    const Result<void> result = world.protect(page_range(1, kLeaf), Prot::write());
    world.machine().failures().off();
    if (result.ok()) {
      break;
    }
    ++failures;
    EXPECT_EQ(result.error(), Errno::no_memory);
    ASSERT_TRUE(world.rights(0, count) == before);
  }
  EXPECT_GE(failures, 1U);
}
#endif

}  // namespace
}  // namespace vellum
