#include <vellum/base/lock.hpp>

namespace vellum {

void HeldLocks::acquired(LockRank rank) {
  const auto mine = static_cast<unsigned>(rank);
  const bool ordered_among_themselves =
      rank == LockRank::space || rank == LockRank::node || rank == LockRank::object_node;
  const unsigned first_forbidden = ordered_among_themselves ? mine + 1 : mine;
  for (unsigned held = first_forbidden; held < sizeof(held_); ++held) {
    if (held_[held] != 0) {
      panic("lock order: a lock of a higher or equal rank is held already");
    }
  }
  VELLUM_CHECK(held_[mine] < 255);
  ++held_[mine];
}

void HeldLocks::released(LockRank rank) {
  const auto mine = static_cast<unsigned>(rank);
  VELLUM_CHECK(held_[mine] > 0);
  --held_[mine];
}

bool HeldLocks::none() const {
  for (const std::uint8_t count : held_) {
    if (count != 0) {
      return false;
    }
  }
  return true;
}

}  // namespace vellum
