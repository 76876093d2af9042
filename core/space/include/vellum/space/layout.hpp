// Where a space may have what.
#pragma once

#include <vellum/base/range.hpp>

namespace vellum {

// Chosen by whoever makes the space, from core/layout's tables or, in tests, freely.
struct SpaceLayout {
  // What a program may map. The second range is empty, or lies above the first (the half above the hole of a 64-bit
  // space). Page-aligned; within the format's user half.
  VirtRange user[2];
  // Mappings without an address are placed downwards from here, not below `placement_bottom`; both within one of the
  // ranges above.
  VirtAddr placement_top;
  VirtAddr placement_bottom;
  // A mapping that grows down may become this large.
  ByteCount stack_limit{8 << 20};
  // And keeps this distance from what lies below it (Linux's stack_guard_gap).
  ByteCount stack_guard_gap{256 << 12};
  // All mappings together (RLIMIT_AS).
  ByteCount size_limit{~std::uint64_t{0}};
  // Private memory that may be written, but for stacks (RLIMIT_DATA).
  ByteCount data_limit{~std::uint64_t{0}};

  [[nodiscard]] bool contains(VirtRange range) const { return user[0].contains(range) || user[1].contains(range); }
  [[nodiscard]] bool contains(VirtAddr address) const { return user[0].contains(address) || user[1].contains(address); }
  // What a system call may name. Below the lowest address nothing is ever mapped, but that is no error by itself.
  [[nodiscard]] bool may_name(VirtRange range) const {
    return VirtRange::between(VirtAddr(0), user[0].end()).contains(range) || user[1].contains(range);
  }
  // One past the last address of all.
  [[nodiscard]] VirtAddr end() const { return user[1].empty() ? user[0].end() : user[1].end(); }
};

}  // namespace vellum
