// Runs that are read without the lock while they change.

#include <atomic>
#include <thread>

#include "test/world.hpp"

namespace vellum {
namespace {

using test::meaning_of;

class Ignore final : public MeaningSink {
 public:
  void dropped(Backing& /*backing*/) override {}
};

// The writer splits and joins, grows the room for runs and empties it; slot 300 is in a run that is always cut anew but
// always means the same, slot 100 means one of two things or nothing.
TEST(NodeRunsUnlocked, ShowSomethingThatWasTrue) {
  test::NodeWorld world({.cpus = 2});
  Node& node = *world.store().create(1, 512, Vpn(0), LockRank::node).value();
  const Meaning steady = meaning_of(Prot::read());
  const Meaning one = meaning_of(Prot::write());
  const Meaning other = meaning_of(Prot::execute());
  Ignore sink;
  const auto change = [&](unsigned first, unsigned last, const Meaning* meaning) {
    const EpochSection section(world.epochs(), world.machine());
    const LockGuard guard(node.lock);
    VELLUM_CHECK(node.reserve_runs(2).ok());
    node.assign(first, last, meaning, sink);
  };
  change(250, 350, &steady);
  std::atomic<bool> stop{false};
  std::atomic<bool> reading{false};
  std::thread reader([&] {
    const hosted::CpuScope scope(world.machine(), CpuIndex(1));
    reading.store(true);
    while (!stop.load()) {
      const EpochSection section(world.epochs(), world.machine());
      ASSERT_TRUE(node.meaning_at_unlocked(300) == steady);
      const std::optional<Meaning> found = node.meaning_at_unlocked(100);
      ASSERT_TRUE(!found || *found == one || *found == other);
      ASSERT_FALSE(node.meaning_at_unlocked(511).has_value());
    }
  });
  while (!reading.load()) {
    std::this_thread::yield();
  }
  for (unsigned round = 0; round < 3000; ++round) {
    change(0, 240, round % 2 == 0 ? &one : &other);
    for (unsigned slot = 90; slot < 110; slot += 2) {
      change(slot, slot, round % 3 == 0 ? nullptr : &one);
    }
    change(260 + round % 30, 261 + round % 30, &one);
    change(250, 299, &steady);
    change(302 + round % 30, 340, &other);
    change(301, 350, &steady);
    change(0, 240, nullptr);
  }
  stop.store(true);
  reader.join();
  change(0, 511, nullptr);
  world.store().destroy(node);
}

}  // namespace
}  // namespace vellum
