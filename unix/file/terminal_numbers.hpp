// Linux's numbers of terminals: flags of termios, indices of special characters, ioctl requests.
#pragma once

#include <cstdint>

namespace vellum::unix::tty {

// c_iflag
inline constexpr std::uint32_t kStrip = 0x20;
inline constexpr std::uint32_t kNewlineToReturn = 0x40;
inline constexpr std::uint32_t kIgnoreReturn = 0x80;
inline constexpr std::uint32_t kReturnToNewline = 0x100;
inline constexpr std::uint32_t kFlowOfOutput = 0x400;  // IXON
inline constexpr std::uint32_t kAnyStarts = 0x800;     // IXANY
inline constexpr std::uint32_t kBellWhenFull = 0x2000;
inline constexpr std::uint32_t kUtf8 = 0x4000;
// c_oflag
inline constexpr std::uint32_t kProcessOutput = 0x1;
inline constexpr std::uint32_t kNewlineToReturnNewline = 0x4;
inline constexpr std::uint32_t kReturnToNewlineOut = 0x8;
inline constexpr std::uint32_t kNoReturnAtFirst = 0x10;
inline constexpr std::uint32_t kNewlineReturns = 0x20;
inline constexpr std::uint32_t kExpandTabs = 0x1800;
// c_lflag
inline constexpr std::uint32_t kSignals = 0x1;
inline constexpr std::uint32_t kCanonical = 0x2;
inline constexpr std::uint32_t kEcho = 0x8;
inline constexpr std::uint32_t kEchoErase = 0x10;
inline constexpr std::uint32_t kEchoKill = 0x20;
inline constexpr std::uint32_t kEchoNewline = 0x40;
inline constexpr std::uint32_t kNoFlush = 0x80;
inline constexpr std::uint32_t kStopBackground = 0x100;
inline constexpr std::uint32_t kEchoControl = 0x200;
inline constexpr std::uint32_t kEchoKillErases = 0x800;
inline constexpr std::uint32_t kExtended = 0x8000;
// c_cc
inline constexpr unsigned kInterrupt = 0;
inline constexpr unsigned kQuit = 1;
inline constexpr unsigned kErase = 2;
inline constexpr unsigned kKill = 3;
inline constexpr unsigned kEndOfFile = 4;
inline constexpr unsigned kTime = 5;
inline constexpr unsigned kMinimum = 6;
inline constexpr unsigned kStart = 8;
inline constexpr unsigned kStop = 9;
inline constexpr unsigned kSuspend = 10;
inline constexpr unsigned kEndOfLine = 11;
inline constexpr unsigned kReprint = 12;
inline constexpr unsigned kWordErase = 14;
inline constexpr unsigned kLiteralNext = 15;
inline constexpr unsigned kSecondEndOfLine = 16;
// ioctl
inline constexpr std::uint32_t kGetSettings = 0x5401;
inline constexpr std::uint32_t kSetSettings = 0x5402;
inline constexpr std::uint32_t kSetSettingsDrained = 0x5403;
inline constexpr std::uint32_t kSetSettingsFlushed = 0x5404;
inline constexpr std::uint32_t kSendBreak = 0x5409;
inline constexpr std::uint32_t kFlowControl = 0x540a;
inline constexpr std::uint32_t kFlush = 0x540b;
inline constexpr std::uint32_t kExclusive = 0x540c;
inline constexpr std::uint32_t kNotExclusive = 0x540d;
inline constexpr std::uint32_t kBecomeControlling = 0x540e;
inline constexpr std::uint32_t kGetForeground = 0x540f;
inline constexpr std::uint32_t kSetForeground = 0x5410;
inline constexpr std::uint32_t kOutputQueue = 0x5411;
inline constexpr std::uint32_t kGetWindow = 0x5413;
inline constexpr std::uint32_t kSetWindow = 0x5414;
inline constexpr std::uint32_t kInputQueue = 0x541b;
inline constexpr std::uint32_t kGiveUp = 0x5422;
inline constexpr std::uint32_t kGetSession = 0x5429;

}  // namespace vellum::unix::tty
