// Objects as spaces show them: what is dirty, what truncation takes away, whose tables are whose.

#include "../object/test/memory_pager.hpp"
#include "test/typed.hpp"

namespace vellum {
namespace {

using test::kRead;
using test::kReadWrite;
using test::MemoryPager;
using test::Outcome;
using test::pages;
using test::Program;

template <class F>
class Files : public ::testing::Test {
 protected:
  static constexpr std::uint64_t table = entry_span<F>(2).value();
  static constexpr std::uint64_t file_pages = 3 * table;

  Files()
      : pager(pages(file_pages)),
        file(*system.vm().objects.create_file(pager, pages(file_pages)).value()),
        first(system.create()),
        second(system.create()) {}
  ~Files() override {
    first.check_invariants();
    first.destroy();
    second.check_invariants();
    second.destroy();
    file.release();
  }
  // `skew` pages from where the object's tables could be linked.
  [[nodiscard]] VirtAddr map(AddressSpace<F>& space, std::uint64_t skew, Prot prot, Traits traits) {
    const VirtAddr at = VirtAddr(2 * table * kPageSize) + pages(skew);
    return space
        .map({.address = at,
              .length = pages(file_pages),
              .prot = prot,
              .traits = traits,
              .placement = Placement::fixed,
              .object = &file})
        .value();
  }
  // The table that describes a page of a space.
  [[nodiscard]] static Node* leaf_of(AddressSpace<F>& space, VirtAddr at) {
    const Tables<F> tables(space.system().nodes);
    Node* node = space.tree.root;
    while (node->level > 1) {
      const Entry entry = tables.load(*node, tables.slot_of(*node, vpn_of<F>(at)));
      if (entry.bits == 0) {
        return nullptr;
      }
      node = &tables.child(entry, *node);
    }
    return node;
  }

  test::SpaceSystem<F> system{{.cpus = 2}};
  MemoryPager pager;
  MemoryObject<F>& file;
  AddressSpace<F>& first;
  AddressSpace<F>& second;
};
TYPED_TEST_SUITE(Files, test::AllFormats);

// A program on each of two CPUs, in two spaces, whose TLBs live on between the steps.
template <class F>
class Pair {
 public:
  Pair(test::SpaceSystem<F>& system, AddressSpace<F>& first, AddressSpace<F>& second)
      : one_(first), cpu_(system.machine(), CpuIndex(1)), two_(second) {}
  [[nodiscard]] Program<F>& second() { return two_; }
  // Runs on CPU 0.
  template <class Body>
  void on_first(test::SpaceSystem<F>& system, Body body) {
    const hosted::CpuScope scope(system.machine(), CpuIndex(0));
    body(one_);
  }

 private:
  Program<F> one_;
  hosted::CpuScope cpu_;
  Program<F> two_;
};

TYPED_TEST(Files, CongruentMappingsShareTheObjectsTable) {
  using F = TypeParam;
  const VirtAddr one = this->map(this->first, 0, kRead, Traits::shared());
  const VirtAddr two = this->map(this->second, this->table, kReadWrite, Traits::shared());
  const VirtAddr skewed = this->map(this->second, 5 * this->table + 1, kRead, Traits::shared());
  {
    Program<F> program(this->first);
    EXPECT_EQ(program.at(one + pages(1)), MemoryPager::first_word(PageIndex(1)));
  }
  {
    Program<F> program(this->second);
    EXPECT_EQ(program.at(two + pages(2)), MemoryPager::first_word(PageIndex(2)));
    EXPECT_EQ(program.at(skewed + pages(1)), MemoryPager::first_word(PageIndex(1)));
    // What one space brought in the other finds.
    const std::uint64_t before = program.faults();
    EXPECT_EQ(program.at(two + pages(1)), MemoryPager::first_word(PageIndex(1)));
    EXPECT_EQ(program.faults(), before);
  }
  ASSERT_NE(this->leaf_of(this->first, one), nullptr);
  EXPECT_TRUE(this->leaf_of(this->first, one)->object_owned);
  EXPECT_EQ(this->leaf_of(this->first, one), this->leaf_of(this->second, two));
  EXPECT_FALSE(this->leaf_of(this->second, skewed)->object_owned);
}

TYPED_TEST(Files, EachMappingOfOneTableHasItsOwnRights) {
  using F = TypeParam;
  const VirtAddr one = this->map(this->first, 0, kRead, Traits::shared());
  const VirtAddr two = this->map(this->second, 0, kReadWrite, Traits::shared());
  {
    Program<F> program(this->second);
    EXPECT_EQ(program.store(two, 5), Outcome::done);
  }
  {
    Program<F> program(this->first);
    EXPECT_EQ(program.at(one), 5U);
    EXPECT_EQ(program.store(one, 6), Outcome::access_denied);
    EXPECT_EQ(program.fetch(one), Outcome::access_denied);
    ASSERT_TRUE(this->first.protect(one, pages(this->file_pages), kReadWrite).ok());
    EXPECT_EQ(program.store(one, 6), Outcome::done);
  }
  ASSERT_TRUE(this->second.protect(two, pages(this->file_pages), Prot::none()).ok());
  Program<F> program(this->second);
  std::uint64_t value = 0;
  EXPECT_EQ(program.load(two, value), Outcome::access_denied);
  EXPECT_EQ(this->leaf_of(this->first, one), this->leaf_of(this->second, two));
}

TYPED_TEST(Files, UnmappingAPartOfALinkedTableLeavesTheObjectAsItIs) {
  using F = TypeParam;
  const VirtAddr one = this->map(this->first, 0, kReadWrite, Traits::shared());
  const VirtAddr two = this->map(this->second, 0, kReadWrite, Traits::shared());
  {
    Program<F> program(this->first);
    for (std::uint64_t page = 0; page < 4; ++page) {
      EXPECT_EQ(program.store(one + pages(page), 70 + page), Outcome::done);
    }
    EXPECT_EQ(this->file.dirty(), PageCount(4));
    ASSERT_TRUE(this->first.unmap(one + pages(1), pages(1)).ok());
    EXPECT_EQ(this->file.dirty(), PageCount(4));
    EXPECT_EQ(program.at(one + pages(2)), 72U);
    EXPECT_EQ(program.store(one + pages(2), 82), Outcome::done);
    EXPECT_EQ(program.store(one + pages(1), 1), Outcome::no_mapping);
  }
  {
    Program<F> program(this->second);
    EXPECT_EQ(program.at(two + pages(1)), 71U);
    EXPECT_EQ(program.at(two + pages(2)), 82U);
  }
  ASSERT_TRUE(this->file.write_back(IndexRange::must(PageIndex(0), PageCount(this->file_pages))).ok());
  EXPECT_EQ(this->pager.word(0), 70U);
  EXPECT_EQ(this->pager.word(2 * kPageSize), 82U);
  EXPECT_EQ(this->pager.word(3 * kPageSize), 73U);
}

// A clean page that is written faults once and is dirty; after write-back it is clean and faults again: in every space,
// through the object's own table and through others.
TYPED_TEST(Files, TheFirstWriteAfterEachWriteBackIsNoticed) {
  using F = TypeParam;
  for (const std::uint64_t skew : {std::uint64_t{0}, std::uint64_t{1}}) {
    const VirtAddr one = this->map(this->first, 0, kReadWrite, Traits::shared());
    const VirtAddr two = this->map(this->second, skew, kReadWrite, Traits::shared());
    Pair<F> programs(this->system, this->first, this->second);
    const IndexRange all = IndexRange::must(PageIndex(0), PageCount(this->file_pages));
    std::uint64_t value = 1000 + skew;
    programs.on_first(this->system, [&](Program<F>& program) { (void)program.at(one); });
    (void)programs.second().at(two);
    EXPECT_EQ(this->file.dirty(), PageCount(0));
    for (int round = 0; round < 3; ++round) {
      programs.on_first(this->system, [&](Program<F>& program) {
        const std::uint64_t before = program.faults();
        EXPECT_EQ(program.store(one, ++value), Outcome::done);
        EXPECT_GE(program.faults() - before, 1U);
        const std::uint64_t after = program.faults();
        EXPECT_EQ(program.store(one, ++value), Outcome::done);
        EXPECT_EQ(program.faults(), after);
      });
      EXPECT_EQ(this->file.dirty(), PageCount(1));
      EXPECT_EQ(programs.second().store(two, ++value), Outcome::done);
      EXPECT_EQ(this->file.dirty(), PageCount(1));
      ASSERT_TRUE(this->file.write_back(all).ok());
      EXPECT_EQ(this->pager.word(0), value);
      EXPECT_EQ(this->file.dirty(), PageCount(0));
      // The other space now writes first.
      const std::uint64_t before = programs.second().faults();
      EXPECT_EQ(programs.second().store(two, ++value), Outcome::done);
      EXPECT_GE(programs.second().faults() - before, 1U);
      EXPECT_EQ(this->file.dirty(), PageCount(1));
      ASSERT_TRUE(this->file.write_back(all).ok());
      EXPECT_EQ(this->pager.word(0), value);
      const std::size_t writes = this->pager.writes.size();
      ASSERT_TRUE(this->file.write_back(all).ok());  // nothing is dirty
      EXPECT_EQ(this->pager.writes.size(), writes);
    }
  }
}

TYPED_TEST(Files, APageThatCannotBeWrittenBackStaysDirty) {
  using F = TypeParam;
  const VirtAddr at = this->map(this->first, 0, kReadWrite, Traits::shared());
  Program<F> program(this->first);
  EXPECT_EQ(program.store(at + pages(1), 5), Outcome::done);
  this->pager.error = Errno::no_space;
  const IndexRange all = IndexRange::must(PageIndex(0), PageCount(this->file_pages));
  EXPECT_EQ(this->file.write_back(all).error(), Errno::no_space);
  EXPECT_EQ(this->file.dirty(), PageCount(1));
  this->pager.error.reset();
  EXPECT_TRUE(this->file.write_back(all).ok());
  EXPECT_EQ(this->file.dirty(), PageCount(0));
  EXPECT_EQ(this->pager.word(kPageSize), 5U);
}

TYPED_TEST(Files, WritingThroughAForkedMappingIsNoticedToo) {
  using F = TypeParam;
  const VirtAddr at = this->map(this->first, 1, kReadWrite, Traits::shared());
  const IndexRange all = IndexRange::must(PageIndex(0), PageCount(this->file_pages));
  {
    Program<F> program(this->first);
    EXPECT_EQ(program.store(at, 5), Outcome::done);
  }
  AddressSpace<F>& child = *this->first.fork().value();
  ASSERT_TRUE(this->file.write_back(all).ok());
  {
    Program<F> program(child);
    EXPECT_EQ(program.store(at, 6), Outcome::done);
    EXPECT_EQ(this->file.dirty(), PageCount(1));
    ASSERT_TRUE(this->file.write_back(all).ok());
    EXPECT_EQ(program.store(at, 7), Outcome::done);
    EXPECT_EQ(this->file.dirty(), PageCount(1));
  }
  {
    Program<F> program(this->first);
    EXPECT_EQ(program.at(at), 7U);
    EXPECT_EQ(program.store(at, 8), Outcome::done);
  }
  ASSERT_TRUE(this->file.write_back(all).ok());
  EXPECT_EQ(this->pager.word(0), 8U);
  child.check_invariants();
  child.destroy();
}

TYPED_TEST(Files, TruncationTakesPagesFromAllSpacesAndPrivateCopiesToo) {
  using F = TypeParam;
  const VirtAddr one = this->map(this->first, 0, kReadWrite, Traits::shared());
  const VirtAddr two = this->map(this->second, 1, kReadWrite, Traits::shared());
  const VirtAddr own = this->map(this->second, 4 * this->table, kReadWrite, {});
  AddressSpace<F>* child = nullptr;
  {
    Program<F> program(this->second);
    EXPECT_EQ(program.store(own + pages(1), 11), Outcome::done);
    EXPECT_EQ(program.store(own + pages(3), 13), Outcome::done);
    child = this->second.fork().value();
  }
  {
    Pair<F> programs(this->system, this->first, this->second);
    for (std::uint64_t page = 0; page < 6; ++page) {
      programs.on_first(this->system,
                        [&](Program<F>& program) { EXPECT_EQ(program.store(one + pages(page), page), Outcome::done); });
      EXPECT_EQ(programs.second().at(two + pages(page)), page);
    }
    this->pager.resize(ByteCount(2 * kPageSize + 8));
    this->file.resize(ByteCount(2 * kPageSize + 8));
    EXPECT_EQ(this->file.resident(), PageCount(3));
    programs.on_first(this->system, [&](Program<F>& program) {
      std::uint64_t value = 0;
      EXPECT_EQ(program.load(one + pages(3), value), Outcome::bus_error);
      EXPECT_EQ(program.store(one + pages(5), 1), Outcome::bus_error);
      EXPECT_EQ(program.at(one + pages(2)), 2U);
    });
    std::uint64_t value = 0;
    EXPECT_EQ(programs.second().load(two + pages(3), value), Outcome::bus_error);
    EXPECT_EQ(programs.second().load(own + pages(3), value), Outcome::bus_error);
    EXPECT_EQ(programs.second().at(own + pages(1)), 11U);
    EXPECT_EQ(programs.second().at(two + pages(2)), 2U);
  }
  {
    Program<F> program(*child);
    std::uint64_t value = 0;
    EXPECT_EQ(program.load(own + pages(3), value), Outcome::bus_error);
    EXPECT_EQ(program.at(own + pages(1)), 11U);
  }
  // Longer again: zeros where there was data.
  this->pager.resize(pages(6));
  this->file.resize(pages(6));
  {
    Program<F> program(*child);
    EXPECT_EQ(program.at(two + pages(3)), 0U);
    EXPECT_EQ(program.at(own + pages(3)), 0U);
    EXPECT_EQ(program.store(own + pages(3), 1), Outcome::done);
  }
  {
    Program<F> program(this->second);
    EXPECT_EQ(program.at(own + pages(3)), 0U);
  }
  child->check_invariants();
  child->destroy();
}

TYPED_TEST(Files, TruncationWithinAPageClearsItsRest) {
  using F = TypeParam;
  const VirtAddr at = this->map(this->first, 0, kReadWrite, Traits::shared());
  Program<F> program(this->first);
  EXPECT_EQ(program.store(at + ByteCount(kPageSize + 8), 5), Outcome::done);
  EXPECT_EQ(program.store(at + ByteCount(kPageSize + 16), 6), Outcome::done);
  this->file.resize(ByteCount(kPageSize + 16));
  this->pager.resize(ByteCount(kPageSize + 16));
  EXPECT_EQ(program.at(at + ByteCount(kPageSize + 8)), 5U);
  EXPECT_EQ(program.at(at + ByteCount(kPageSize + 16)), 0U);
  // What is written beyond the end of the file is nobody's.
  EXPECT_EQ(program.store(at + ByteCount(kPageSize + 24), 7), Outcome::done);
  ASSERT_TRUE(this->file.write_back(IndexRange::must(PageIndex(0), PageCount(2))).ok());
  EXPECT_EQ(this->pager.word(kPageSize + 8), 5U);
}

TYPED_TEST(Files, WhatOneMappingWritesAllReadersOfTheObjectSee) {
  using F = TypeParam;
  const VirtAddr at = this->map(this->first, 0, kReadWrite, Traits::shared());
  {
    Program<F> program(this->first);
    EXPECT_EQ(program.store(at + ByteCount(kPageSize + 8), 0x1234), Outcome::done);
  }
  std::uint64_t word = 0;
  ASSERT_EQ(this->file.read(ByteCount(kPageSize + 8), std::as_writable_bytes(std::span(&word, 1))).value(),
            ByteCount(8));
  EXPECT_EQ(word, 0x1234U);
  word = 0x5678;
  ASSERT_TRUE(this->file.write(ByteCount(kPageSize + 8), std::as_bytes(std::span(&word, 1))).ok());
  Program<F> program(this->first);
  EXPECT_EQ(program.at(at + ByteCount(kPageSize + 8)), 0x5678U);
}

TYPED_TEST(Files, TheObjectLivesAsLongAsItIsMapped) {
  using F = TypeParam;
  MemoryObject<F>& object = *this->system.vm().objects.create_anonymous(pages(4)).value();
  const VirtAddr at =
      this->first
          .map({.address = {}, .length = pages(4), .prot = kReadWrite, .traits = Traits::shared(), .object = &object})
          .value();
  object.release();
  {
    Program<F> program(this->first);
    EXPECT_EQ(program.store(at, 5), Outcome::done);
    ASSERT_TRUE(this->first.unmap(at, pages(2)).ok());
    EXPECT_EQ(program.store(at + pages(3), 6), Outcome::done);
    EXPECT_EQ(program.at(at + pages(3)), 6U);
  }
  ASSERT_TRUE(this->first.unmap(at, pages(4)).ok());
}

TYPED_TEST(Files, SharedAnonymousMemoryIgnoresItsOffset) {
  using F = TypeParam;
  const VirtAddr at =
      this->first
          .map(
              {.address = {}, .length = pages(2), .prot = kReadWrite, .traits = Traits::shared(), .offset = pages(100)})
          .value();
  Program<F> program(this->first);
  EXPECT_EQ(program.store(at + pages(1), 6), Outcome::done);
}

}  // namespace
}  // namespace vellum
