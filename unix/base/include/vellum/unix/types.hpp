// The vocabulary of the UNIX surface.
#pragma once

#include <compare>
#include <cstdint>

#include <vellum/base/types.hpp>

namespace vellum::unix {

using Nanoseconds = Amount<struct NanosecondUnit>;

// A small number that names something; numbers of different things do not mix.
template <class What, class Number>
class Id {
 public:
  constexpr Id() = default;
  constexpr explicit Id(Number value) : value_(value) {}
  [[nodiscard]] constexpr Number value() const { return value_; }
  constexpr auto operator<=>(const Id&) const = default;

 private:
  Number value_ = 0;
};

using ProcessId = Id<struct ProcessTag, std::int32_t>;  // of a process, a thread, a process group or a session; from 1
using UserId = Id<struct UserTag, std::uint32_t>;
using GroupId = Id<struct GroupTag, std::uint32_t>;

// Signals by Linux's numbers, 1 to 64.
using Signal = Id<struct SignalTag, std::uint8_t>;

}  // namespace vellum::unix
