// The auxiliary vector that a program finds on its stack: AT_*, Linux's numbers.
#pragma once

#include <cstdint>

#include <vellum/unix/program.hpp>

namespace vellum::unix {

namespace auxiliary {
inline constexpr std::uint64_t kEnd = 0;
inline constexpr std::uint64_t kProgramHeaders = 3;
inline constexpr std::uint64_t kProgramHeaderSize = 4;
inline constexpr std::uint64_t kProgramHeaderCount = 5;
inline constexpr std::uint64_t kPageSize = 6;
inline constexpr std::uint64_t kInterpreterBase = 7;
inline constexpr std::uint64_t kFlags = 8;
inline constexpr std::uint64_t kEntry = 9;
inline constexpr std::uint64_t kUser = 11;
inline constexpr std::uint64_t kEffectiveUser = 12;
inline constexpr std::uint64_t kGroup = 13;
inline constexpr std::uint64_t kEffectiveGroup = 14;
inline constexpr std::uint64_t kPlatform = 15;
inline constexpr std::uint64_t kProcessorFeatures = 16;
inline constexpr std::uint64_t kClockTicks = 17;
inline constexpr std::uint64_t kSecure = 23;
inline constexpr std::uint64_t kRandom = 25;
inline constexpr std::uint64_t kProcessorFeatures2 = 26;
inline constexpr std::uint64_t kFileName = 31;
inline constexpr std::uint64_t kSignalStackSize = 51;
}  // namespace auxiliary

// Appends an entry, or changes the one that there is.
void set_auxiliary(Program& program, std::uint64_t type, std::uint64_t value);

}  // namespace vellum::unix
