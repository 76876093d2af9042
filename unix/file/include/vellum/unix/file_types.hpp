// The vocabulary of files: kinds, attributes, permissions; Linux's numbers where programs see them.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <span>

#include <vellum/base/result.hpp>
#include <vellum/base/types.hpp>
#include <vellum/unix/types.hpp>

namespace vellum::unix {

inline constexpr std::size_t kLongestName = 255;   // NAME_MAX
inline constexpr std::size_t kLongestPath = 4096;  // PATH_MAX, the zero byte included
inline constexpr unsigned kMostSymlinks = 40;      // followed in one resolution
inline constexpr std::uint64_t kLargestFile = 0x7fff'ffff'ffff'ffff;

// As in the upper four bits of st_mode; shifted right by 8 they are d_type of getdents.
enum class NodeKind : std::uint16_t {
  fifo = 0010000,
  character_device = 0020000,
  directory = 0040000,
  block_device = 0060000,
  file = 0100000,
  symlink = 0120000,
  socket = 0140000,
};
inline constexpr std::uint16_t kKindMask = 0170000;
inline constexpr std::uint16_t kPermissionMask = 07777;
inline constexpr std::uint16_t kSetUserId = 04000;
inline constexpr std::uint16_t kSetGroupId = 02000;
inline constexpr std::uint16_t kSticky = 01000;

struct DeviceNumber {
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  auto operator<=>(const DeviceNumber&) const = default;
  // As st_dev and st_rdev have it.
  [[nodiscard]] constexpr std::uint64_t encoded() const {
    return (minor & 0xffU) | ((major & 0xfffU) << 8) | (std::uint64_t{minor & ~0xffU} << 12) |
           (std::uint64_t{major & ~0xfffU} << 32);
  }
  [[nodiscard]] static constexpr DeviceNumber decoded(std::uint64_t number) {
    return {.major = static_cast<std::uint32_t>(((number >> 8) & 0xfffU) | ((number >> 32) & ~0xfffULL)),
            .minor = static_cast<std::uint32_t>((number & 0xffU) | ((number >> 12) & ~0xffULL))};
  }
};

// Since 1970.
struct Timestamp {
  std::int64_t seconds = 0;
  std::uint32_t nanoseconds = 0;
  auto operator<=>(const Timestamp&) const = default;
};

struct Attributes {
  NodeKind kind = NodeKind::file;
  std::uint16_t permissions = 0;  // within kPermissionMask
  UserId owner{};
  GroupId group{};
  std::uint64_t inode = 0;
  std::uint32_t links = 1;
  ByteCount size{0};
  std::uint64_t blocks = 0;  // of 512 bytes
  DeviceNumber device{};     // that a device node stands for
  Timestamp accessed{};
  Timestamp modified{};
  Timestamp changed{};
  Timestamp created{};

  [[nodiscard]] std::uint16_t mode() const {
    return static_cast<std::uint16_t>(static_cast<std::uint16_t>(kind) | permissions);
  }
};

// What is to be changed of a node's attributes; `changed` is set to now besides.
struct AttributeChange {
  std::optional<std::uint16_t> permissions{};
  std::optional<UserId> owner{};
  std::optional<GroupId> group{};
  std::optional<Timestamp> accessed{};
  std::optional<Timestamp> modified{};
};

// Who asks. The groups must outlive it.
struct FileCredentials {
  UserId user{};
  GroupId group{};
  std::span<const GroupId> groups{};
  bool superuser = false;  // passes permission checks (CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_CHOWN ...)

  [[nodiscard]] bool is_in(GroupId wanted) const;
};

// What is wanted of a node, as the bits of access(2).
struct Wanted {
  bool read = false;
  bool write = false;
  bool execute = false;  // of a directory: to search it
};
// The rule of the permission bits. Error: access_denied.
[[nodiscard]] Result<void> check_access(const Attributes& attributes, const FileCredentials& who, Wanted wanted);

// open(2)'s flags, Linux's numbers on x86.
namespace open_flag {
inline constexpr std::uint32_t kAccessMask = 03;
inline constexpr std::uint32_t kReadOnly = 0;
inline constexpr std::uint32_t kWriteOnly = 01;
inline constexpr std::uint32_t kReadWrite = 02;
inline constexpr std::uint32_t kCreate = 0100;
inline constexpr std::uint32_t kExclusive = 0200;
inline constexpr std::uint32_t kNoControllingTerminal = 0400;
inline constexpr std::uint32_t kTruncate = 01000;
inline constexpr std::uint32_t kAppend = 02000;
inline constexpr std::uint32_t kNonBlocking = 04000;
inline constexpr std::uint32_t kDataSync = 010000;
inline constexpr std::uint32_t kAsync = 020000;
inline constexpr std::uint32_t kDirect = 040000;
inline constexpr std::uint32_t kLargeFile = 0100000;
inline constexpr std::uint32_t kDirectory = 0200000;
inline constexpr std::uint32_t kNoFollow = 0400000;
inline constexpr std::uint32_t kNoAccessTime = 01000000;
inline constexpr std::uint32_t kCloseOnExec = 02000000;
inline constexpr std::uint32_t kSync = 04010000;
inline constexpr std::uint32_t kPath = 010000000;
inline constexpr std::uint32_t kTemporaryFile = 020200000;  // O_TMPFILE, kDirectory included
}  // namespace open_flag

}  // namespace vellum::unix
