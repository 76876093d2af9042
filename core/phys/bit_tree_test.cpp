#include <vellum/phys/bit_tree.hpp>
#include <vellum/test/test.hpp>

namespace vellum {
namespace {

constexpr std::size_t kSize = 64 * 64 * 3 + 7;  // three levels, none of them full

struct TreeOf {
  std::uint64_t words[BitTree::words_for(kSize)] = {};
  BitTree tree{words, kSize};
};

TEST(BitTree, NeedsAWordForEach64AndTheWordsAbove) {
  EXPECT_EQ(BitTree::words_for(1), 1U);
  EXPECT_EQ(BitTree::words_for(64), 1U);
  EXPECT_EQ(BitTree::words_for(65), 3U);
  EXPECT_EQ(BitTree::words_for(4096), 65U);
  EXPECT_EQ(BitTree::words_for(4097), 68U);
}

TEST(BitTree, FindsNextMemberAcrossWordsAndLevels) {
  TreeOf set;
  EXPECT_FALSE(set.tree.next(0).has_value());
  for (const std::size_t member : {std::size_t{0}, std::size_t{63}, std::size_t{64}, std::size_t{4096}, kSize - 1}) {
    set.tree.insert(member);
  }
  EXPECT_EQ(set.tree.next(0).value(), 0U);
  EXPECT_EQ(set.tree.next(1).value(), 63U);
  EXPECT_EQ(set.tree.next(64).value(), 64U);
  EXPECT_EQ(set.tree.next(65).value(), 4096U);
  EXPECT_EQ(set.tree.next(4097).value(), kSize - 1);
  EXPECT_FALSE(set.tree.next(kSize).has_value());
}

TEST(BitTree, GoesAround) {
  TreeOf set;
  set.tree.insert(10);
  EXPECT_EQ(set.tree.next_around(10).value(), 10U);
  EXPECT_EQ(set.tree.next_around(11).value(), 10U);
  EXPECT_EQ(set.tree.next_around(kSize - 1).value(), 10U);
}

TEST(BitTree, EraseClearsUpperLevelsOnlyWhenAWordIsEmpty) {
  TreeOf set;
  set.tree.insert(200);
  set.tree.insert(201);
  set.tree.erase(200);
  EXPECT_EQ(set.tree.next(0).value(), 201U);
  set.tree.erase(201);
  EXPECT_FALSE(set.tree.next(0).has_value());
  for (const std::uint64_t word : set.words) {
    EXPECT_EQ(word, 0U);
  }
}

TEST(BitTree, InsertAllIsInsertOfEach) {
  struct Bounds {
    std::size_t first;
    std::size_t last;
  };
  for (const Bounds bounds : {Bounds{0, 0}, Bounds{0, 63}, Bounds{5, 64}, Bounds{63, 4096}, Bounds{70, kSize - 1}}) {
    TreeOf at_once;
    TreeOf one_by_one;
    at_once.tree.insert_all(bounds.first, bounds.last);
    for (std::size_t i = bounds.first; i <= bounds.last; ++i) {
      one_by_one.tree.insert(i);
    }
    for (std::size_t i = 0; i < BitTree::words_for(kSize); ++i) {
      EXPECT_EQ(at_once.words[i], one_by_one.words[i]);
    }
  }
}

}  // namespace
}  // namespace vellum
