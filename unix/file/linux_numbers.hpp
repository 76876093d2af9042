// Numbers of Linux that this layer needs in several places.
#pragma once

#include <cstdint>

#include <vellum/unix/types.hpp>

namespace vellum::unix {

namespace signals {
inline constexpr Signal kHangUp{1};
inline constexpr Signal kInterrupt{2};
inline constexpr Signal kQuit{3};
inline constexpr Signal kBrokenPipe{13};
inline constexpr Signal kContinue{18};
inline constexpr Signal kTerminalStop{20};
inline constexpr Signal kTerminalInput{21};
inline constexpr Signal kTerminalOutput{22};
inline constexpr Signal kFileTooBig{25};
inline constexpr Signal kWindowChanged{28};
}  // namespace signals

// ioctl requests.
namespace request {
inline constexpr std::uint32_t kReadable = 0x541b;  // FIONREAD
}  // namespace request

}  // namespace vellum::unix
