#include <array>
#include <optional>
#include <random>

#include <vellum/pagetable/node.hpp>
#include <vellum/pagetable/node_store.hpp>

#include "test/world.hpp"

namespace vellum {
namespace {

using test::meaning_of;

class CountedBacking final : public Backing {
 public:
  void unreferenced() override {}
  bool dropped = false;
};

class Sink final : public MeaningSink {
 public:
  void dropped(Backing& backing) override {
    auto& counted = static_cast<CountedBacking&>(backing);
    EXPECT_FALSE(counted.dropped);
    counted.dropped = true;
  }
};

// A node of 512 slots beside the plainest description of what it should say.
class ModelledNode {
 public:
  static constexpr unsigned kSlots = 512;
  using Model = std::array<std::optional<Meaning>, kSlots>;

  explicit ModelledNode(test::NodeWorld& world)
      : world_(world), node_(*world.store().create(1, kSlots, Vpn(0), LockRank::node).value()) {}
  ~ModelledNode() {
    assign(0, kSlots - 1, nullptr);
    world_.store().destroy(node_);
  }
  ModelledNode(const ModelledNode&) = delete;
  ModelledNode& operator=(const ModelledNode&) = delete;

  void assign(unsigned first, unsigned last, const Meaning* meaning) {
    unsigned covered = 0;
    for (unsigned slot = first; slot <= last; ++slot) {
      covered += model_[slot] ? 1 : 0;
      model_[slot] = meaning != nullptr ? std::optional(*meaning) : std::nullopt;
    }
    const EpochSection section(world_.epochs(), world_.machine());
    const LockGuard guard(node_.lock);
    ASSERT_TRUE(node_.reserve_runs(2).ok());
    EXPECT_EQ(node_.assign(first, last, meaning, sink_).all, covered);
  }
  void set_prot(unsigned first, unsigned last, Prot prot) {
    for (unsigned slot = first; slot <= last; ++slot) {
      if (model_[slot]) {
        model_[slot]->prot = prot;
      }
    }
    const EpochSection section(world_.epochs(), world_.machine());
    const LockGuard guard(node_.lock);
    ASSERT_TRUE(node_.reserve_runs(2).ok());
    node_.change(first, last, {.prot = prot, .add = {}, .drop = {}}, sink_);
  }
  // The node says what the model says, in as few runs as possible.
  void check() {
    unsigned runs = 0;
    const EpochSection section(world_.epochs(), world_.machine());
    const LockGuard guard(node_.lock);
    node_.check_runs();
    for (unsigned slot = 0; slot < kSlots; ++slot) {
      ASSERT_TRUE(node_.meaning_at(slot) == model_[slot]);
      ASSERT_TRUE(node_.meaning_at_unlocked(slot) == model_[slot]);
      runs += model_[slot] && (slot == 0 || !(model_[slot - 1] == model_[slot])) ? 1 : 0;
    }
    EXPECT_EQ(node_.runs(), runs);
    EXPECT_EQ(node_.is_uniform(), runs == 1 && model_[0] && model_[kSlots - 1]);
  }
  [[nodiscard]] bool names(const Backing& backing) const {
    for (const std::optional<Meaning>& meaning : model_) {
      if (meaning && meaning->backing == &backing) {
        return true;
      }
    }
    return false;
  }
  [[nodiscard]] Node& node() { return node_; }
  [[nodiscard]] Model& model() { return model_; }
  [[nodiscard]] Sink& sink() { return sink_; }

 private:
  test::NodeWorld& world_;
  Node& node_;
  Model model_{};
  Sink sink_;
};

TEST(NodeRuns, AssigningSplitsAndJoins) {
  test::NodeWorld world;
  ModelledNode node(world);
  const Meaning read = meaning_of(Prot::read());
  const Meaning write = meaning_of(Prot::write());
  node.check();
  node.assign(0, 511, &read);
  node.check();
  node.assign(100, 200, &write);
  node.check();
  EXPECT_EQ(node.node().runs(), 3U);
  node.assign(150, 150, nullptr);
  node.check();
  node.assign(150, 150, &write);
  node.check();
  EXPECT_EQ(node.node().runs(), 3U);
  node.assign(90, 210, &read);
  node.check();
  EXPECT_EQ(node.node().runs(), 1U);
  EXPECT_TRUE(node.node().is_uniform());
  node.assign(0, 0, nullptr);
  node.check();
  node.assign(511, 511, nullptr);
  node.check();
}

TEST(NodeRuns, EachFieldOfAMeaningKeepsNeighboursApart) {
  test::NodeWorld world;
  ModelledNode node(world);
  CountedBacking backing;
  Meaning meaning = meaning_of(Prot::read());
  node.assign(0, 9, &meaning);
  meaning.maximum = Prot::read();
  node.assign(10, 19, &meaning);
  meaning.traits = Traits::no_reserve();
  node.assign(20, 29, &meaning);
  meaning.backing = &backing;
  node.assign(30, 39, &meaning);
  node.check();
  EXPECT_EQ(node.node().runs(), 4U);
  node.assign(0, 511, nullptr);
  EXPECT_FALSE(backing.dropped);  // the test still holds it
  EXPECT_TRUE(backing.release());
}

TEST(NodeRuns, FiveHundredAndTwelveOfThem) {
  test::NodeWorld world;
  ModelledNode node(world);
  const Meaning even = meaning_of(Prot::read());
  const Meaning odd = meaning_of(Prot::write());
  for (unsigned slot = 0; slot < 512; ++slot) {
    node.assign(slot, slot, slot % 2 == 0 ? &even : &odd);
    if (slot % 61 == 0) {
      node.check();
    }
  }
  node.check();
  EXPECT_EQ(node.node().runs(), 512U);
  node.set_prot(0, 511, Prot::execute());
  node.check();
  EXPECT_EQ(node.node().runs(), 1U);
  for (unsigned slot = 1; slot < 512; slot += 2) {
    node.assign(slot, slot, nullptr);
  }
  node.check();
  EXPECT_EQ(node.node().runs(), 256U);
}

TEST(NodeRuns, ABackingIsHeldAsLongAsSomeSlotNamesIt) {
  test::NodeWorld world;
  ModelledNode node(world);
  CountedBacking backing;
  const Meaning shown = meaning_of(Prot::read(), &backing);
  node.assign(10, 400, &shown);
  EXPECT_FALSE(backing.release());
  node.assign(100, 200, nullptr);  // two runs
  node.set_prot(20, 30, Prot::write());
  node.assign(10, 99, nullptr);
  node.assign(201, 399, nullptr);
  EXPECT_FALSE(backing.dropped);
  node.assign(400, 400, nullptr);
  EXPECT_TRUE(backing.dropped);
}

TEST(NodeRuns, AreThoseOfANaiveArray) {
  test::NodeWorld world;
  std::mt19937 random(7);
  CountedBacking backings[24];
  {
    ModelledNode node(world);
    unsigned next = 0;
    Meaning meanings[4] = {meaning_of(Prot::read()), meaning_of(Prot::write()), meaning_of(Prot::none()),
                           meaning_of(Prot::all())};
    Backing* current = nullptr;
    for (unsigned step = 0; step < 3000; ++step) {
      // Now and then long ranges, so that there are few runs as well as many.
      const unsigned widest = step % 500 < 20 ? 512 : 1 + static_cast<unsigned>(random() % 24);
      const unsigned first = static_cast<unsigned>(random() % 512);
      const unsigned last = std::min(511U, first + static_cast<unsigned>(random() % widest));
      switch (random() % 6) {
        case 0:
          node.assign(first, last, nullptr);
          break;
        case 1:
          node.set_prot(first, last, Prot::from_bits(static_cast<unsigned>(random() % 8)));
          break;
        case 2: {
          const bool gone = current == nullptr || static_cast<CountedBacking*>(current)->dropped;
          if (gone && next == 24) {
            break;
          }
          const bool fresh = gone;
          if (fresh) {
            current = &backings[next++];
          }
          const Meaning meaning = meaning_of(Prot::from_bits(static_cast<unsigned>(random() % 8)), current);
          node.assign(first, last, &meaning);
          if (fresh) {
            EXPECT_FALSE(current->release());
          }
          break;
        }
        default:
          node.assign(first, last, &meanings[random() % 4]);
          break;
      }
      if (step % 10 == 0) {
        node.check();
        for (unsigned i = 0; i < next; ++i) {
          ASSERT_EQ(backings[i].dropped, !node.names(backings[i]));
        }
      }
    }
    EXPECT_GT(next, 1U);
  }
}

TEST(NodeRuns, CopiesAreEqualAndHoldTheirBackings) {
  test::NodeWorld world;
  CountedBacking backing;
  const Meaning shown = meaning_of(Prot::read(), &backing);
  const Meaning plain = meaning_of(Prot::write());
  ModelledNode copy(world);
  {
    ModelledNode original(world);
    for (unsigned slot = 0; slot < 512; slot += 3) {
      original.assign(slot, slot, &shown);
      original.assign(slot + 1, slot + 1, &plain);
    }
    EXPECT_FALSE(backing.release());
    const EpochSection section(world.epochs(), world.machine());
    const LockGuard from(original.node().lock);
    const LockGuard to(copy.node().lock);
    ASSERT_TRUE(copy.node().copy_runs(original.node()).ok());
    copy.model() = original.model();
  }
  copy.check();
  EXPECT_FALSE(backing.dropped);
  for (unsigned slot = 0; slot < 512; slot += 3) {
    EXPECT_FALSE(backing.dropped);
    copy.assign(slot, slot, nullptr);
  }
  EXPECT_TRUE(backing.dropped);
}

#ifndef VELLUM_TEST_IN_KERNEL  // only the simulated machine fails on demand
TEST(NodeRuns, RoomThatCannotBeHadChangesNothing) {
  test::NodeWorld world;
  ModelledNode node(world);
  ModelledNode other(world);
  const Meaning even = meaning_of(Prot::read());
  const Meaning odd = meaning_of(Prot::write());
  unsigned refused = 0;
  for (unsigned slot = 0; slot < 512; ++slot) {
    world.machine().failures().fail_nth(1);
    Result<void> reserved;
    {
      const EpochSection section(world.epochs(), world.machine());
      const LockGuard guard(node.node().lock);
      reserved = node.node().reserve_runs(2);
    }
    world.machine().failures().off();
    if (!reserved.ok()) {
      EXPECT_EQ(reserved.error(), Errno::no_memory);
      ++refused;
      node.check();
    }
    node.assign(slot, slot, slot % 2 == 0 ? &even : &odd);
  }
  EXPECT_GE(refused, 2U);
  node.check();
  world.machine().failures().fail_nth(1);
  {
    const EpochSection section(world.epochs(), world.machine());
    const LockGuard from(node.node().lock);
    const LockGuard to(other.node().lock);
    EXPECT_EQ(other.node().copy_runs(node.node()).error(), Errno::no_memory);
  }
  world.machine().failures().off();
  other.check();
  node.check();
}
#endif

}  // namespace
}  // namespace vellum
