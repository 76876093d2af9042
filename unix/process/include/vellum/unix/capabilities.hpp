// What a process may do beyond its ids: the superuser's rights one by one (capabilities(7)).
#pragma once

#include <cstdint>

namespace vellum::unix {

// Linux's numbers, of those that something here asks for.
enum class Capability : std::uint8_t {
  change_owner = 0,
  override_access = 1,
  search_and_read = 2,
  act_as_owner = 3,
  keep_set_ids = 4,
  kill = 5,
  set_group = 6,
  set_user = 7,
  set_capabilities = 8,
  set_immutable = 9,
  lock_memory = 14,
  trace = 19,
  administer = 21,
  boot = 22,
  set_priority = 23,
  exceed_limits = 24,
  override_mandatory = 32,
  read_log = 34,
};

// A set of them.
class Capabilities {
 public:
  static constexpr unsigned kHighest = 40;

  constexpr Capabilities() = default;
  [[nodiscard]] static constexpr Capabilities none() { return {}; }
  [[nodiscard]] static constexpr Capabilities all() { return from_bits(~std::uint64_t{0}); }
  // Bits beyond the highest are left out.
  [[nodiscard]] static constexpr Capabilities from_bits(std::uint64_t bits) {
    Capabilities set;
    set.bits_ = bits & ((std::uint64_t{1} << (kHighest + 1)) - 1);
    return set;
  }
  // Those that setfsuid(2) moves: of access to files.
  [[nodiscard]] static constexpr Capabilities of_files() {
    return only(Capability::change_owner) | only(Capability::override_access) | only(Capability::search_and_read) |
           only(Capability::act_as_owner) | only(Capability::keep_set_ids) | only(Capability::set_immutable) |
           only(Capability::override_mandatory);
  }
  [[nodiscard]] static constexpr Capabilities only(Capability one) {
    return from_bits(std::uint64_t{1} << static_cast<unsigned>(one));
  }

  [[nodiscard]] constexpr bool has(Capability one) const { return !(*this & only(one)).is_empty(); }
  [[nodiscard]] constexpr bool is_empty() const { return bits_ == 0; }
  [[nodiscard]] constexpr bool within(Capabilities other) const { return (bits_ & ~other.bits_) == 0; }
  [[nodiscard]] constexpr Capabilities without(Capabilities other) const { return from_bits(bits_ & ~other.bits_); }
  [[nodiscard]] constexpr std::uint64_t bits() const { return bits_; }

  friend constexpr Capabilities operator&(Capabilities a, Capabilities b) { return from_bits(a.bits_ & b.bits_); }
  friend constexpr Capabilities operator|(Capabilities a, Capabilities b) { return from_bits(a.bits_ | b.bits_); }
  friend constexpr bool operator==(Capabilities, Capabilities) = default;

 private:
  std::uint64_t bits_ = 0;
};

// The sets of a process. What it does is measured by `effective`; no other set of it goes beyond `bounding` at exec.
struct CapabilitySets {
  Capabilities effective;
  Capabilities permitted;
  Capabilities inheritable;
  Capabilities bounding = Capabilities::all();
};

}  // namespace vellum::unix
