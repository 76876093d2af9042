// What a mapping permits and what an access asks for. Kept apart from each other and from the bits of any format.
#pragma once

#include <cstdint>

namespace vellum {

// Rights to a page: any mix of read, write, execute. On x86 a page that can be written or executed can be read
// [intel/vol3 4.6]: the hardware's view is computed by the page-table format, this is what was asked for.
class Prot {
 public:
  constexpr Prot() = default;

  [[nodiscard]] static constexpr Prot none() { return Prot(0); }
  [[nodiscard]] static constexpr Prot read() { return Prot(1); }
  [[nodiscard]] static constexpr Prot write() { return Prot(2); }
  [[nodiscard]] static constexpr Prot execute() { return Prot(4); }
  [[nodiscard]] static constexpr Prot all() { return Prot(7); }
  // The low three bits as in Linux's PROT_READ 1, PROT_WRITE 2, PROT_EXEC 4.
  [[nodiscard]] static constexpr Prot from_bits(unsigned bits) { return Prot(static_cast<std::uint8_t>(bits & 7U)); }

  [[nodiscard]] constexpr unsigned bits() const { return bits_; }
  [[nodiscard]] constexpr bool can_read() const { return (bits_ & 1U) != 0; }
  [[nodiscard]] constexpr bool can_write() const { return (bits_ & 2U) != 0; }
  [[nodiscard]] constexpr bool can_execute() const { return (bits_ & 4U) != 0; }
  [[nodiscard]] constexpr bool is_none() const { return bits_ == 0; }
  [[nodiscard]] constexpr bool within(Prot maximum) const { return (bits_ & ~maximum.bits_) == 0; }

  constexpr bool operator==(const Prot&) const = default;
  constexpr Prot operator|(Prot other) const { return Prot(static_cast<std::uint8_t>(bits_ | other.bits_)); }
  constexpr Prot operator&(Prot other) const { return Prot(static_cast<std::uint8_t>(bits_ & other.bits_)); }
  [[nodiscard]] constexpr Prot without(Prot other) const {
    return Prot(static_cast<std::uint8_t>(bits_ & ~other.bits_));
  }

 private:
  constexpr explicit Prot(std::uint8_t bits) : bits_(bits) {}

  std::uint8_t bits_ = 0;
};

enum class Access : std::uint8_t { read, write, execute };

enum class Privilege : std::uint8_t { user, kernel };

[[nodiscard]] constexpr Prot needed_for(Access access) {
  switch (access) {
    case Access::read:
      return Prot::read();
    case Access::write:
      return Prot::write();
    case Access::execute:
      return Prot::execute();
  }
  return Prot::all();
}

}  // namespace vellum
