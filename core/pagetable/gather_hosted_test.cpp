// The gather against TLBs that keep what nobody flushed.

#include <vellum/hosted/mmu.hpp>

#include "test/world.hpp"

namespace vellum {
namespace {

using test::page_range;
using test::TreeWorld;

template <class F>
class Gather : public ::testing::Test {
 public:
  static constexpr std::uint64_t kPages = std::min<std::uint64_t>(TreeWorld<F>::kAllPages / 2, 48);

  // Pages 0 .. kPages - 1 mapped by hand, and looked at by every CPU.
  Gather() : world_({.cpus = 2}) {
    const Tables<F> tables = world_.tables();
    for (std::uint64_t page = 0; page < kPages; ++page) {
      Node* node = world_.tree().root;
      while (node->level > 1) {
        const LockGuard guard(node->lock);
        const unsigned slot = tables.slot_of(*node, Vpn(page));
        if (tables.load(*node, slot).bits == 0) {
          Node* const child = tables.create_child(*node, slot).value();
          tables.link(*node, slot, *child, EntryRights::everything(), true);
        }
        node = &tables.child(tables.load(*node, slot), *node);
      }
      const LockGuard guard(node->lock);
      const Pfn frame = world_.memory().allocate(Contents::zeroed).value();
      world_.memory().frame(frame).assign(FrameKind::anonymous, nullptr, 0);
      ++node->live;
      ++node->resident;
      tables.set(*node, tables.slot_of(*node, Vpn(page)), EntryCodec<F>::page(frame, 1, EntryRights::everything()));
      frames_.push_back(frame);
    }
    on_each_cpu([&](CpuIndex cpu) {
      world_.tree().cpus.add(cpu);
      world_.machine().set_root(world_.tree().root_address());
      for (std::uint64_t page = 0; page < kPages; ++page) {
        EXPECT_TRUE(translates(page));
      }
    });
  }
  ~Gather() override {
    on_each_cpu([&](CpuIndex cpu) {
      world_.machine().set_root(PhysAddr(0));
      world_.tree().cpus.remove(cpu);
    });
  }
  template <class Body>
  void on_each_cpu(Body body) {
    body(CpuIndex(0));
    const hosted::CpuScope scope(world_.machine(), CpuIndex(1));
    body(CpuIndex(1));
  }
  // Whether the calling CPU still leads somewhere: by its tables or by what it remembers of them.
  [[nodiscard]] bool translates(std::uint64_t page) {
    hosted::Mmu<F> mmu(world_.machine());
    return mmu.access(address_of<F>(Vpn(page)), Access::read, Privilege::user).has_value();
  }
  // Takes a page's entry out of the tables and nothing else.
  Pfn take_out(std::uint64_t page) {
    const Tables<F> tables = world_.tables();
    Node* node = world_.tree().root;
    while (node->level > 1) {
      node = &tables.child(tables.load(*node, tables.slot_of(*node, Vpn(page))), *node);
    }
    const LockGuard guard(node->lock);
    const Entry entry = tables.exchange(*node, tables.slot_of(*node, Vpn(page)), {});
    --node->live;
    --node->resident;
    return EntryCodec<F>::frame(entry, 1);
  }
  // Pages that are gone from the tables, but that the calling CPU still reaches.
  [[nodiscard]] std::vector<std::uint64_t> remembered(const std::vector<std::uint64_t>& gone) {
    std::vector<std::uint64_t> found;
    for (const std::uint64_t page : gone) {
      if (translates(page)) {
        found.push_back(page);
      }
    }
    return found;
  }

  TreeWorld<F> world_;
  std::vector<Pfn> frames_;
};
using Formats = ::testing::Types<Amd64, I386Pae, ToyNarrow, ToyDeep>;
TYPED_TEST_SUITE(Gather, Formats);

TYPED_TEST(Gather, FlushesWhatWasNamedOnAllProcessors) {
  using F = TypeParam;
  const std::vector<std::uint64_t> gone = {3, 4, 5, 9, 20};
  {
    const TreeSection section(this->world_.tree());
    TlbGather<F> gather(this->world_.tree(), section.cpu());
    for (const std::uint64_t page : gone) {
      gather.release_frame(this->take_out(page));
      if (page != 9) {
        gather.flush(page_range(page, 1));
      }
    }
    EXPECT_EQ(this->remembered(gone), gone);  // nothing is flushed yet
    gather.finish();
  }
  // Page 9 was not named: the test sees what is stale.
  this->on_each_cpu([&](CpuIndex) { EXPECT_EQ(this->remembered(gone), std::vector<std::uint64_t>{9}); });
}

// Told about the end of a mapping, when neither translations nor frames of it may be left.
template <class F>
class Witness final : public Backing {
 public:
  Witness(Gather<F>& test, PageCount free) : test_(test), free_(free) {}
  void unreferenced() override {
    test_.on_each_cpu([&](CpuIndex) { EXPECT_FALSE(test_.translates(1)); });
    EXPECT_EQ(test_.world_.memory().free_count(), free_);
    told = true;
  }
  bool told = false;

 private:
  Gather<F>& test_;
  PageCount free_;
};

TYPED_TEST(Gather, FreesFramesOnlyAfterTheFlush) {
  using F = TypeParam;
  const PageCount free = this->world_.memory().free_count();
  Witness<F> witness(*this, free + PageCount(2));
  {
    TreeOperation<F> operation(this->world_.tree());
    TlbGather<F>& gather = operation.gather();
    for (const std::uint64_t page : {std::uint64_t{1}, std::uint64_t{2}}) {
      gather.release_frame(this->take_out(page));
      gather.flush(page_range(page, 1));
    }
    EXPECT_TRUE(witness.release());
    gather.dropped(witness);
    EXPECT_EQ(this->world_.memory().free_count(), free);
    EXPECT_TRUE(this->translates(1));
    gather.finish();
    EXPECT_FALSE(this->translates(1));
    EXPECT_EQ(this->world_.memory().free_count(), free + PageCount(2));
    EXPECT_FALSE(witness.told);  // not before the section is left
  }
  EXPECT_TRUE(witness.told);
}

TYPED_TEST(Gather, KeepsAFrameThatAnotherEntryNames) {
  using F = TypeParam;
  const PageCount free = this->world_.memory().free_count();
  Frame& frame = this->world_.memory().frame(this->frames_[7]);
  frame.retain();
  const TreeSection section(this->world_.tree());
  TlbGather<F> gather(this->world_.tree(), section.cpu());
  gather.release_frame(this->take_out(7));
  gather.flush(page_range(7, 1));
  gather.finish();
  EXPECT_EQ(this->world_.memory().free_count(), free);
  EXPECT_EQ(frame.share(), 1U);
  this->world_.memory().free(this->frames_[7]);
}

// Neighbours become one range, so that many pages in a row need no more than one.
TYPED_TEST(Gather, MergesNeighbours) {
  using F = TypeParam;
  std::vector<std::uint64_t> gone;
  for (std::uint64_t page = 2; page < 2 + 2 * TlbFlush::kMaxRanges; ++page) {
    gone.push_back(page);
  }
  const std::uint64_t unnamed = 40;
  gone.push_back(unnamed);
  const TreeSection section(this->world_.tree());
  TlbGather<F> gather(this->world_.tree(), section.cpu());
  for (const std::uint64_t page : gone) {
    gather.release_frame(this->take_out(page));
    if (page != unnamed) {
      gather.flush(page_range(page, 1));
    }
  }
  gather.finish();
  EXPECT_EQ(this->remembered(gone), std::vector<std::uint64_t>{unnamed});
}

TYPED_TEST(Gather, ForgetsEverythingWhenTheRangesAreTooMany) {
  using F = TypeParam;
  const std::uint64_t unnamed = 45;
  for (const bool one_by_one : {true, false}) {
    const std::uint64_t first = one_by_one ? 0 : 1;
    std::vector<std::uint64_t> gone = {one_by_one ? unnamed : unnamed + 1};
    const TreeSection section(this->world_.tree());
    TlbGather<F> gather(this->world_.tree(), section.cpu());
    gather.release_frame(this->take_out(gone[0]));
    if (one_by_one) {
      for (std::uint64_t i = 0; i <= TlbFlush::kMaxRanges; ++i) {
        gone.push_back(first + 2 * i);
        gather.release_frame(this->take_out(first + 2 * i));
        gather.flush(page_range(first + 2 * i, 1));
      }
    } else {
      gather.flush(page_range(0, TlbGather<F>::kMaxPagesByName + 1));
    }
    gather.finish();
    EXPECT_TRUE(this->remembered(gone).empty());
  }
}

TYPED_TEST(Gather, FlushesBeforeItReleasesManyTables) {
  using F = TypeParam;
  NodeStore& store = this->world_.store();
  const std::uint64_t before = this->world_.nodes();
  const TreeSection section(this->world_.tree());
  TlbGather<F> gather(this->world_.tree(), section.cpu());
  gather.release_frame(this->take_out(5));
  gather.flush(page_range(5, 1));
  for (int i = 0; i < 33; ++i) {
    Node* const node = store.create(1, entry_count<F>(1), Vpn(0), LockRank::node).value();
    gather.release_table(*node);
    EXPECT_EQ(this->translates(5), i < 32);  // with the 33rd what waits is flushed
  }
  gather.finish();
  EXPECT_GE(store.node_count(), before);
}

// Told when a table that names its slot is torn down.
template <class F>
class SwapWitness final : public SwapStore {
 public:
  explicit SwapWitness(Gather<F>& test) : test_(test) {}
  void retain(SwapSlot /*slot*/) override {}
  void release(SwapSlot /*slot*/) override {
    EXPECT_FALSE(test_.translates(5));
    told = true;
  }
  Result<void> read(SwapSlot /*slot*/, std::span<std::byte> /*page*/) override { return Errno::io_error; }
  bool told = false;

 private:
  Gather<F>& test_;
};

// Else another space could take a shared table for its own, and write what this one can still read.
TYPED_TEST(Gather, LetsTablesGoOnlyAfterTheFlush) {
  using F = TypeParam;
  NodeStore& store = this->world_.store();
  SwapWitness<F> witness(*this);
  store.set_swap(witness);
  Node& node = *store.create(1, entry_count<F>(1), Vpn(0), LockRank::node).value();
  {
    const LockGuard guard(node.lock);
    this->world_.tables().set(node, 1, EntryCodec<F>::swapped(SwapSlot(3)));
    ++node.live;
  }
  TreeOperation<F> operation(this->world_.tree());
  TlbGather<F>& gather = operation.gather();
  gather.release_frame(this->take_out(5));
  gather.flush(page_range(5, 1));
  gather.release_table(node);
  EXPECT_FALSE(witness.told);
  EXPECT_TRUE(this->translates(5));
  gather.finish();
  EXPECT_TRUE(witness.told);
}

using GatherDeathTest = Gather<Amd64>;

TEST_F(GatherDeathTest, AnUnfinishedGatherPanics) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        const TreeSection section(this->world_.tree());
        TlbGather<Amd64> gather(this->world_.tree(), section.cpu());
        gather.flush(page_range(1, 1));
      },
      "pending");
  EXPECT_DEATH(
      {
        const TreeSection section(this->world_.tree());
        TlbGather<Amd64> gather(this->world_.tree(), section.cpu());
        gather.release_frame(this->take_out(1));
      },
      "pending");
}

}  // namespace
}  // namespace vellum
