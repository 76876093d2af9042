// Entries that name swap slots: each slot is counted by who names it, and its page comes back when it is touched.

#include <algorithm>
#include <map>
#include <vector>

#include "test/typed.hpp"

namespace vellum {
namespace {

using test::kRead;
using test::kReadWrite;
using test::Outcome;
using test::pages;
using test::Program;

// Slots count who names them; a slot nobody names is gone.
class CountingSwap final : public SwapStore {
 public:
  void retain(SwapSlot slot) override { ++counts_.at(slot.value()); }
  void release(SwapSlot slot) override {
    if (--counts_.at(slot.value()) == 0) {
      counts_.erase(slot.value());
      contents_.erase(slot.value());
    }
  }
  Result<void> read(SwapSlot slot, std::span<std::byte> page) override {
    if (error != Errno{}) {
      return error;
    }
    const std::vector<std::byte>& from = contents_.at(slot.value());
    std::copy(from.begin(), from.end(), page.begin());
    return {};
  }
  // A slot with this content, named once.
  [[nodiscard]] SwapSlot put(std::span<const std::byte> page) {
    const std::uint64_t slot = next_++;
    counts_[slot] = 1;
    contents_[slot] = {page.begin(), page.end()};
    return SwapSlot(slot);
  }
  [[nodiscard]] std::uint64_t names_of(SwapSlot slot) const {
    const auto found = counts_.find(slot.value());
    return found == counts_.end() ? 0 : found->second;
  }
  [[nodiscard]] bool empty() const { return counts_.empty(); }

  Errno error{};

 private:
  std::map<std::uint64_t, std::uint64_t> counts_;
  std::map<std::uint64_t, std::vector<std::byte>> contents_;
  std::uint64_t next_ = 0;
};

template <class F>
class Swapped : public ::testing::Test {
 protected:
  Swapped() : space(system.create()) {
    system.vm().nodes.set_swap(swap);
    at = space.map({.address = {}, .length = pages(12), .prot = kReadWrite}).value();
    Program<F> program(space);
    for (std::uint64_t page = 0; page < 4; ++page) {
      EXPECT_EQ(program.store(at + pages(page), 100 + page), Outcome::done);
    }
  }
  ~Swapped() override {
    space.check_invariants();
    space.destroy();
    system.vm().epochs.drain();
    EXPECT_TRUE(swap.empty());
  }
  // Moves a page that one entry names to swap, while nobody runs the space.
  [[nodiscard]] SwapSlot push_out(VirtAddr address) {
    const Tables<F> tables(system.vm().nodes);
    const Vpn page = vpn_of<F>(address);
    Node* node = space.tree.root;
    while (node->level > 1) {
      node = &tables.child(tables.load(*node, tables.slot_of(*node, page)), *node);
    }
    const LockGuard guard(node->lock);
    const unsigned slot = tables.slot_of(*node, page);
    const Pfn frame = EntryCodec<F>::frame(tables.load(*node, slot), 1);
    const SwapSlot to = swap.put(std::span(system.machine().window(frame).data(), kPageSize));
    tables.set(*node, slot, EntryCodec<F>::swapped(to));
    --node->resident;
    VELLUM_CHECK(system.memory().frame(frame).release());
    system.memory().free(frame);
    return to;
  }

  CountingSwap swap;
  test::SpaceSystem<F> system;
  AddressSpace<F>& space;
  VirtAddr at;
};
TYPED_TEST_SUITE(Swapped, test::AllFormats);

TYPED_TEST(Swapped, APageComesBackWhenItIsTouched) {
  const SwapSlot first = this->push_out(this->at);
  const SwapSlot second = this->push_out(this->at + pages(1));
  EXPECT_EQ(this->space.residence().pages, PageCount(2));
  Program<TypeParam> program(this->space);
  EXPECT_EQ(program.at(this->at), 100U);
  EXPECT_EQ(this->swap.names_of(first), 0U);
  EXPECT_EQ(program.store(this->at + pages(1) + ByteCount(8), 7), Outcome::done);
  EXPECT_EQ(program.at(this->at + pages(1)), 101U);
  EXPECT_EQ(this->swap.names_of(second), 0U);
  EXPECT_EQ(this->space.residence().pages, PageCount(4));
  EXPECT_EQ(program.store(this->at, 8), Outcome::done);
}

TYPED_TEST(Swapped, UnmappingLetsTheSlotGo) {
  const SwapSlot slot = this->push_out(this->at);
  ASSERT_TRUE(this->space.unmap(this->at, pages(1)).ok());
  EXPECT_EQ(this->swap.names_of(slot), 0U);
  const SwapSlot replaced = this->push_out(this->at + pages(1));
  const MapRequest<TypeParam> request = {
      .address = this->at + pages(1), .length = pages(1), .prot = kReadWrite, .placement = Placement::fixed};
  ASSERT_TRUE(this->space.map(request).ok());
  EXPECT_EQ(this->swap.names_of(replaced), 0U);
  Program<TypeParam> program(this->space);
  EXPECT_EQ(program.at(this->at + pages(1)), 0U);
}

TYPED_TEST(Swapped, ProtectionHoldsForWhatIsInSwap) {
  const SwapSlot slot = this->push_out(this->at);
  ASSERT_TRUE(this->space.protect(this->at, pages(1), Prot::none()).ok());
  Program<TypeParam> program(this->space);
  std::uint64_t value = 0;
  EXPECT_EQ(program.load(this->at, value), Outcome::access_denied);
  EXPECT_EQ(this->swap.names_of(slot), 1U);  // nobody brought it in
  ASSERT_TRUE(this->space.protect(this->at, pages(1), kRead).ok());
  EXPECT_EQ(program.at(this->at), 100U);
  EXPECT_EQ(program.store(this->at, 1), Outcome::access_denied);
  ASSERT_TRUE(this->space.protect(this->at, pages(1), kReadWrite).ok());
  EXPECT_EQ(program.store(this->at, 1), Outcome::done);
}

// A slot counts leaf entries: as long as the table is shared there is one, whoever reaches it.
TYPED_TEST(Swapped, ForkedSpacesEachHaveTheirPage) {
  using F = TypeParam;
  const SwapSlot slot = this->push_out(this->at);
  AddressSpace<F>& child = *this->space.fork().value();
  EXPECT_EQ(this->swap.names_of(slot), 1U);
  {
    Program<F> program(child);
    EXPECT_EQ(program.store(this->at + pages(1), 1), Outcome::done);  // the child's own table from here on
    EXPECT_EQ(this->swap.names_of(slot), 2U);
    EXPECT_EQ(program.store(this->at, 5), Outcome::done);
    EXPECT_EQ(this->swap.names_of(slot), 1U);
  }
  {
    Program<F> program(this->space);
    EXPECT_EQ(program.at(this->at), 100U);
    EXPECT_EQ(this->swap.names_of(slot), 0U);
  }
  child.check_invariants();
  child.destroy();
}

TYPED_TEST(Swapped, APageReadThroughASharedTableIsThereForBoth) {
  using F = TypeParam;
  const SwapSlot slot = this->push_out(this->at);
  AddressSpace<F>& child = *this->space.fork().value();
  {
    Program<F> program(child);
    EXPECT_EQ(program.at(this->at), 100U);
    EXPECT_EQ(this->swap.names_of(slot), 0U);
  }
  {
    Program<F> program(this->space);
    const std::uint64_t before = this->system.memory().free_count().value();
    EXPECT_EQ(program.at(this->at), 100U);
    EXPECT_EQ(this->system.memory().free_count().value(), before);
    EXPECT_EQ(program.store(this->at, 3), Outcome::done);
  }
  {
    Program<F> program(child);
    EXPECT_EQ(program.at(this->at), 100U);
  }
  child.destroy();
}

TYPED_TEST(Swapped, ASpaceThatEndsLetsItsSlotsGo) {
  using F = TypeParam;
  const SwapSlot slot = this->push_out(this->at);
  AddressSpace<F>& child = *this->space.fork().value();
  {
    Program<F> program(child);
    EXPECT_EQ(program.store(this->at + pages(1), 1), Outcome::done);
  }
  child.destroy();
  this->system.vm().epochs.drain();
  EXPECT_EQ(this->swap.names_of(slot), 1U);
}

TYPED_TEST(Swapped, ADeviceThatFailsIsABusErrorAndLosesNothing) {
  const SwapSlot slot = this->push_out(this->at);
  Program<TypeParam> program(this->space);
  std::uint64_t value = 0;
  this->swap.error = Errno::io_error;
  EXPECT_EQ(program.load(this->at, value), Outcome::bus_error);
  EXPECT_EQ(this->swap.names_of(slot), 1U);
  this->swap.error = Errno{};
  this->system.machine().failures().fail_nth(1);
  EXPECT_EQ(program.load(this->at, value), Outcome::out_of_memory);
  this->system.machine().failures().off();
  EXPECT_EQ(this->swap.names_of(slot), 1U);
  EXPECT_EQ(program.at(this->at), 100U);
}

TYPED_TEST(Swapped, ARestoreNamesThemAgain) {
  using F = TypeParam;
  const SwapSlot slot = this->push_out(this->at);
  AddressSpace<F>& snapshot = *this->space.fork().value();
  {
    Program<F> program(this->space);
    for (std::uint64_t round = 0; round < 3; ++round) {
      ASSERT_EQ(program.store(this->at + pages(1), round), Outcome::done);  // the table is the space's own now
      ASSERT_EQ(program.store(this->at, round), Outcome::done);
      EXPECT_EQ(this->swap.names_of(slot), 1U);
      ASSERT_TRUE(this->space.restore(snapshot).ok());
      this->space.check_invariants();
    }
    EXPECT_EQ(this->swap.names_of(slot), 2U);
    EXPECT_EQ(program.at(this->at), 100U);
    EXPECT_EQ(program.at(this->at + pages(1)), 101U);
  }
  snapshot.destroy();
}

}  // namespace
}  // namespace vellum
