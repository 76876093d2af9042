// Attributes: stat and its relatives, access, modes, owners, times.
#include <algorithm>

#include <vellum/unix/system_call.hpp>

#include "paths.hpp"

namespace vellum::unix {

namespace {

// --- stat

// struct stat of x86-64.
struct Stat {
  std::uint64_t device;
  std::uint64_t inode;
  std::uint64_t links;
  std::uint32_t mode;
  std::uint32_t owner;
  std::uint32_t group;
  std::uint32_t padding;
  std::uint64_t special;
  std::int64_t size;
  std::int64_t block_size;
  std::int64_t blocks;
  std::int64_t accessed;
  std::uint64_t accessed_nanoseconds;
  std::int64_t modified;
  std::uint64_t modified_nanoseconds;
  std::int64_t changed;
  std::uint64_t changed_nanoseconds;
  std::int64_t unused[3];
};
static_assert(sizeof(Stat) == 144);

Result<std::uint64_t> give_stat(Node& node, VirtAddr into) {
  const Attributes attributes = node.attributes();
  const Stat stat = {.device = node.file_system().device().encoded(),
                     .inode = attributes.inode,
                     .links = attributes.links,
                     .mode = attributes.mode(),
                     .owner = attributes.owner.value(),
                     .group = attributes.group.value(),
                     .padding = 0,
                     .special = attributes.device.encoded(),
                     .size = static_cast<std::int64_t>(attributes.size.value()),
                     .block_size = kPageSize,
                     .blocks = static_cast<std::int64_t>(attributes.blocks),
                     .accessed = attributes.accessed.seconds,
                     .accessed_nanoseconds = attributes.accessed.nanoseconds,
                     .modified = attributes.modified.seconds,
                     .modified_nanoseconds = attributes.modified.nanoseconds,
                     .changed = attributes.changed.seconds,
                     .changed_nanoseconds = attributes.changed.nanoseconds,
                     .unused = {}};
  VELLUM_TRY(write_user(into, stat));
  return 0;
}

Result<std::uint64_t> sys_stat(const Arguments& arguments) {
  return give_stat(VELLUM_TRY(place_at(kCurrentDirectory, arguments.address(0), 0)).node(), arguments.address(1));
}
Result<std::uint64_t> sys_lstat(const Arguments& arguments) {
  return give_stat(VELLUM_TRY(place_at(kCurrentDirectory, arguments.address(0), at_flag::kNoFollow)).node(),
                   arguments.address(1));
}
Result<std::uint64_t> sys_fstat(const Arguments& arguments) {
  return give_stat(VELLUM_TRY(any_file(arguments.integer(0)))->node(), arguments.address(1));
}
Result<std::uint64_t> sys_newfstatat(const Arguments& arguments) {
  const std::uint64_t flags = arguments.value[3];
  if ((flags & ~(at_flag::kNoFollow | at_flag::kNoAutomount | at_flag::kEmptyPath)) != 0) {
    return Errno::invalid;
  }
  return give_stat(VELLUM_TRY(place_at(arguments.integer(0), arguments.address(1), flags)).node(),
                   arguments.address(2));
}

struct StatxTime {
  std::int64_t seconds;
  std::uint32_t nanoseconds;
  std::int32_t padding;
};

struct Statx {
  std::uint32_t mask;
  std::uint32_t block_size;
  std::uint64_t attributes;
  std::uint32_t links;
  std::uint32_t owner;
  std::uint32_t group;
  std::uint16_t mode;
  std::uint16_t padding;
  std::uint64_t inode;
  std::uint64_t size;
  std::uint64_t blocks;
  std::uint64_t attributes_mask;
  StatxTime accessed;
  StatxTime created;
  StatxTime changed;
  StatxTime modified;
  std::uint32_t special_major;
  std::uint32_t special_minor;
  std::uint32_t device_major;
  std::uint32_t device_minor;
  std::uint64_t mount;
  std::uint64_t spare[13];
};
static_assert(sizeof(Statx) == 256);

StatxTime statx_time(const Timestamp& time) {
  return {.seconds = time.seconds, .nanoseconds = time.nanoseconds, .padding = 0};
}

Result<std::uint64_t> sys_statx(const Arguments& arguments) {
  constexpr std::uint64_t kReserved = 0x80000000;
  constexpr std::uint32_t kBasicAndBirthAndMount = 0x1fff;
  const std::uint64_t flags = arguments.value[2];
  const std::uint64_t known = at_flag::kNoFollow | at_flag::kNoAutomount | at_flag::kEmptyPath | at_flag::kSyncMask;
  if ((flags & ~known) != 0 || (flags & at_flag::kSyncMask) == at_flag::kSyncMask ||
      (arguments.value[3] & kReserved) != 0) {
    return Errno::invalid;
  }
  const Path place = VELLUM_TRY(place_at(arguments.integer(0), arguments.address(1), flags));
  const Attributes attributes = place.node().attributes();
  const DeviceNumber device = place.node().file_system().device();
  Statx statx = {};
  statx.mask = kBasicAndBirthAndMount;
  statx.block_size = kPageSize;
  statx.links = attributes.links;
  statx.owner = attributes.owner.value();
  statx.group = attributes.group.value();
  statx.mode = attributes.mode();
  statx.inode = attributes.inode;
  statx.size = attributes.size.value();
  statx.blocks = attributes.blocks;
  statx.accessed = statx_time(attributes.accessed);
  statx.created = statx_time(attributes.created);
  statx.changed = statx_time(attributes.changed);
  statx.modified = statx_time(attributes.modified);
  statx.special_major = attributes.device.major;
  statx.special_minor = attributes.device.minor;
  statx.device_major = device.major;
  statx.device_minor = device.minor;
  statx.mount = place.mount ? place.mount->id() : 0;
  VELLUM_TRY(write_user(arguments.address(4), statx));
  return 0;
}

// --- statfs

struct StatFs {
  std::uint64_t type;
  std::uint64_t block_size;
  std::uint64_t blocks;
  std::uint64_t free_blocks;
  std::uint64_t available_blocks;
  std::uint64_t files;
  std::uint64_t free_files;
  std::uint32_t id[2];
  std::uint64_t longest_name;
  std::uint64_t fragment_size;
  std::uint64_t flags;
  std::uint64_t spare[4];
};
static_assert(sizeof(StatFs) == 120);

Result<std::uint64_t> give_statfs(const Path& place, VirtAddr into) {
  constexpr std::uint64_t kValid = 0x20;
  const FileSystemFigures figures = place.node().file_system().figures();
  StatFs stat = {};
  stat.type = figures.magic;
  stat.block_size = stat.fragment_size = figures.block_size;
  stat.blocks = figures.blocks;
  stat.free_blocks = stat.available_blocks = figures.free_blocks;
  stat.files = figures.files;
  stat.free_files = figures.free_files;
  stat.longest_name = kLongestName;
  stat.flags = kValid | (place.mount ? place.mount->flags() & 0xf : 0);
  VELLUM_TRY(write_user(into, stat));
  return 0;
}

Result<std::uint64_t> sys_statfs(const Arguments& arguments) {
  return give_statfs(VELLUM_TRY(place_at(kCurrentDirectory, arguments.address(0), 0)), arguments.address(1));
}
Result<std::uint64_t> sys_fstatfs(const Arguments& arguments) {
  return give_statfs(VELLUM_TRY(any_file(arguments.integer(0)))->path(), arguments.address(1));
}

// --- access

Result<std::uint64_t> access_at(std::int32_t directory, VirtAddr path, std::uint64_t mode, std::uint64_t flags) {
  if ((mode & ~std::uint64_t{7}) != 0) {
    return Errno::invalid;
  }
  UserText text;
  VELLUM_TRY(text.read(path));
  Resolution from = VELLUM_TRY(resolution_from(directory, text.view()));
  if ((flags & at_flag::kEffective) == 0) {
    from.who = calling_real_credentials();
  }
  const LastSymlink last = (flags & at_flag::kNoFollow) != 0 ? LastSymlink::keep : LastSymlink::follow;
  const bool is_itself = text.view().empty() && (flags & at_flag::kEmptyPath) != 0;
  const Path place = is_itself ? from.current : VELLUM_TRY(resolve(all_files(), from, text.view(), last));
  VELLUM_TRY(
      check_place(place, from.who, {.read = (mode & 4) != 0, .write = (mode & 2) != 0, .execute = (mode & 1) != 0}));
  const bool is_executed = (mode & 1) != 0 && place.node().kind() == NodeKind::file;
  if (is_executed && place.mount && (place.mount->flags() & mount_flag::kNoExecute) != 0) {
    return Errno::access_denied;
  }
  return 0;
}

Result<std::uint64_t> sys_access(const Arguments& arguments) {
  return access_at(kCurrentDirectory, arguments.address(0), static_cast<std::uint32_t>(arguments.value[1]), 0);
}
Result<std::uint64_t> sys_faccessat(const Arguments& arguments) {
  return access_at(arguments.integer(0), arguments.address(1), static_cast<std::uint32_t>(arguments.value[2]), 0);
}
Result<std::uint64_t> sys_faccessat2(const Arguments& arguments) {
  const std::uint64_t flags = arguments.value[3];
  if ((flags & ~(at_flag::kEffective | at_flag::kNoFollow | at_flag::kEmptyPath)) != 0) {
    return Errno::invalid;
  }
  return access_at(arguments.integer(0), arguments.address(1), static_cast<std::uint32_t>(arguments.value[2]), flags);
}

// --- modes and owners

Result<void> check_changeable(const Path& place) {
  return place.mount && place.mount->is_read_only() ? Result<void>(Errno::read_only) : Result<void>();
}

// Only the owner's group may share a set-group-id file's rights.
Result<std::uint64_t> change_mode(const Path& place, std::uint64_t mode) {
  VELLUM_TRY(check_changeable(place));
  const Attributes attributes = place.node().attributes();
  const FileCredentials who = calling_credentials();
  if (!who.superuser && who.user != attributes.owner) {
    return Errno::not_permitted;
  }
  auto permissions = static_cast<std::uint16_t>(mode & kPermissionMask);
  if (!who.superuser && !who.is_in(attributes.group)) {
    permissions &= static_cast<std::uint16_t>(~kSetGroupId);
  }
  VELLUM_TRY(place.node().change({.permissions = permissions}));
  return 0;
}

Result<std::uint64_t> sys_chmod(const Arguments& arguments) {
  return change_mode(VELLUM_TRY(place_at(kCurrentDirectory, arguments.address(0), 0)), arguments.value[1]);
}
Result<std::uint64_t> sys_fchmod(const Arguments& arguments) {
  return change_mode(VELLUM_TRY(usable_file(arguments.integer(0)))->path(), arguments.value[1]);
}
Result<std::uint64_t> sys_fchmodat(const Arguments& arguments) {
  return change_mode(VELLUM_TRY(place_at(arguments.integer(0), arguments.address(1), 0)), arguments.value[2]);
}

Result<std::uint64_t> change_owner(const Path& place, std::uint64_t user_argument, std::uint64_t group_argument) {
  constexpr std::uint32_t kKeep = ~std::uint32_t{0};
  VELLUM_TRY(check_changeable(place));
  const auto user = static_cast<std::uint32_t>(user_argument);
  const auto group = static_cast<std::uint32_t>(group_argument);
  const Attributes attributes = place.node().attributes();
  const FileCredentials who = calling_credentials();
  const bool is_owner = who.superuser || who.user == attributes.owner;
  const bool keeps_user = user == kKeep || UserId(user) == attributes.owner;
  const bool may_group = who.superuser || GroupId(group) == attributes.group || who.is_in(GroupId(group));
  if ((user != kKeep && !who.superuser && !(is_owner && keeps_user)) || (group != kKeep && !(is_owner && may_group))) {
    return Errno::not_permitted;
  }
  AttributeChange change;
  if (user != kKeep) {
    change.owner = UserId(user);
  }
  if (group != kKeep) {
    change.group = GroupId(group);
  }
  if (!place.node().is_directory()) {
    const std::uint16_t lent = (attributes.permissions & 010) != 0 ? kSetUserId | kSetGroupId : kSetUserId;
    change.permissions = static_cast<std::uint16_t>(attributes.permissions & ~lent);
  }
  VELLUM_TRY(place.node().change(change));
  return 0;
}

Result<std::uint64_t> sys_chown(const Arguments& arguments) {
  return change_owner(VELLUM_TRY(place_at(kCurrentDirectory, arguments.address(0), 0)), arguments.value[1],
                      arguments.value[2]);
}
Result<std::uint64_t> sys_lchown(const Arguments& arguments) {
  return change_owner(VELLUM_TRY(place_at(kCurrentDirectory, arguments.address(0), at_flag::kNoFollow)),
                      arguments.value[1], arguments.value[2]);
}
Result<std::uint64_t> sys_fchown(const Arguments& arguments) {
  return change_owner(VELLUM_TRY(usable_file(arguments.integer(0)))->path(), arguments.value[1], arguments.value[2]);
}
Result<std::uint64_t> sys_fchownat(const Arguments& arguments) {
  if ((arguments.value[4] & ~(at_flag::kNoFollow | at_flag::kEmptyPath)) != 0) {
    return Errno::invalid;
  }
  return change_owner(VELLUM_TRY(place_at(arguments.integer(0), arguments.address(1), arguments.value[4])),
                      arguments.value[2], arguments.value[3]);
}

// --- times

struct TimePair {
  std::int64_t accessed[2];  // seconds, and nanoseconds or microseconds
  std::int64_t modified[2];
};

constexpr std::int64_t kNow = 0x3fffffff;
constexpr std::int64_t kOmit = 0x3ffffffe;

Timestamp time_now() {
  const std::uint64_t time = realtime_now().value();
  return {.seconds = static_cast<std::int64_t>(time / 1'000'000'000),
          .nanoseconds = static_cast<std::uint32_t>(time % 1'000'000'000)};
}

Result<std::optional<Timestamp>> timestamp_of(const std::int64_t (&time)[2]) {
  if (time[1] == kOmit) {
    return std::optional<Timestamp>();
  }
  if (time[1] == kNow) {
    return std::optional(time_now());
  }
  if (time[1] < 0 || time[1] >= 1'000'000'000) {
    return Errno::invalid;
  }
  return std::optional(Timestamp{.seconds = time[0], .nanoseconds = static_cast<std::uint32_t>(time[1])});
}

// To set both times to now it suffices to be able to write.
Result<std::uint64_t> change_times(const Path& place, const TimePair& times) {
  const std::optional<Timestamp> accessed = VELLUM_TRY(timestamp_of(times.accessed));
  const std::optional<Timestamp> modified = VELLUM_TRY(timestamp_of(times.modified));
  if (!accessed && !modified) {
    return 0;
  }
  VELLUM_TRY(check_changeable(place));
  const FileCredentials who = calling_credentials();
  const Attributes attributes = place.node().attributes();
  if (!who.superuser && who.user != attributes.owner) {
    if (times.accessed[1] != kNow || times.modified[1] != kNow) {
      return Errno::not_permitted;
    }
    VELLUM_TRY(check_access(attributes, who, {.write = true}));
  }
  VELLUM_TRY(place.node().change({.accessed = accessed, .modified = modified}));
  return 0;
}

constexpr TimePair kBothNow = {.accessed = {0, kNow}, .modified = {0, kNow}};

Result<std::uint64_t> sys_utimensat(const Arguments& arguments) {
  if ((arguments.value[3] & ~(at_flag::kNoFollow | at_flag::kEmptyPath)) != 0) {
    return Errno::invalid;
  }
  const TimePair times = arguments.value[2] == 0 ? kBothNow : VELLUM_TRY(read_user<TimePair>(arguments.address(2)));
  if (arguments.value[1] == 0) {  // the descriptor's own file
    return change_times(VELLUM_TRY(usable_file(arguments.integer(0)))->path(), times);
  }
  return change_times(VELLUM_TRY(place_at(arguments.integer(0), arguments.address(1), arguments.value[3])), times);
}

Result<std::uint64_t> change_times_in_microseconds(std::int32_t directory, VirtAddr path, VirtAddr from) {
  TimePair times = kBothNow;
  if (from != VirtAddr(0)) {
    times = VELLUM_TRY(read_user<TimePair>(from));
    for (std::int64_t(&time)[2] : {std::ref(times.accessed), std::ref(times.modified)}) {
      if (time[1] < 0 || time[1] >= 1'000'000) {
        return Errno::invalid;
      }
      time[1] *= 1000;
    }
  }
  return change_times(VELLUM_TRY(place_at(directory, path, 0)), times);
}

Result<std::uint64_t> sys_utimes(const Arguments& arguments) {
  return change_times_in_microseconds(kCurrentDirectory, arguments.address(0), arguments.address(1));
}
Result<std::uint64_t> sys_futimesat(const Arguments& arguments) {
  return change_times_in_microseconds(arguments.integer(0), arguments.address(1), arguments.address(2));
}

Result<std::uint64_t> sys_utime(const Arguments& arguments) {
  struct Seconds {
    std::int64_t accessed;
    std::int64_t modified;
  };
  TimePair times = kBothNow;
  if (arguments.value[1] != 0) {
    const auto seconds = VELLUM_TRY(read_user<Seconds>(arguments.address(1)));
    times = {.accessed = {seconds.accessed, 0}, .modified = {seconds.modified, 0}};
  }
  return change_times(VELLUM_TRY(place_at(kCurrentDirectory, arguments.address(0), 0)), times);
}

// --- extended attributes: no file system has any

Result<std::uint64_t> sys_no_attribute(const Arguments& /*arguments*/) { return Errno::not_supported; }

constexpr Shown kText = Shown::text;
constexpr Shown kFd = Shown::descriptor;
constexpr Shown kFlags = Shown::flags;
constexpr Shown kHex = Shown::hexadecimal;
constexpr Shown kDecimal = Shown::decimal;

constexpr SystemCall kCalls[] = {
    {4, "stat", sys_stat, 2, {kText, kHex}},
    {5, "fstat", sys_fstat, 2, {kFd, kHex}},
    {6, "lstat", sys_lstat, 2, {kText, kHex}},
    {21, "access", sys_access, 2, {kText, kFlags}},
    {90, "chmod", sys_chmod, 2, {kText, kFlags}},
    {91, "fchmod", sys_fchmod, 2, {kFd, kFlags}},
    {92, "chown", sys_chown, 3, {kText, kDecimal, kDecimal}},
    {93, "fchown", sys_fchown, 3, {kFd, kDecimal, kDecimal}},
    {94, "lchown", sys_lchown, 3, {kText, kDecimal, kDecimal}},
    {132, "utime", sys_utime, 2, {kText, kHex}},
    {137, "statfs", sys_statfs, 2, {kText, kHex}},
    {138, "fstatfs", sys_fstatfs, 2, {kFd, kHex}},
    {188, "setxattr", sys_no_attribute, 5, {kText, kText, kHex, kDecimal, kFlags}},
    {189, "lsetxattr", sys_no_attribute, 5, {kText, kText, kHex, kDecimal, kFlags}},
    {190, "fsetxattr", sys_no_attribute, 5, {kFd, kText, kHex, kDecimal, kFlags}},
    {191, "getxattr", sys_no_attribute, 4, {kText, kText, kHex, kDecimal}},
    {192, "lgetxattr", sys_no_attribute, 4, {kText, kText, kHex, kDecimal}},
    {193, "fgetxattr", sys_no_attribute, 4, {kFd, kText, kHex, kDecimal}},
    {194, "listxattr", sys_no_attribute, 3, {kText, kHex, kDecimal}},
    {195, "llistxattr", sys_no_attribute, 3, {kText, kHex, kDecimal}},
    {196, "flistxattr", sys_no_attribute, 3, {kFd, kHex, kDecimal}},
    {197, "removexattr", sys_no_attribute, 2, {kText, kText}},
    {198, "lremovexattr", sys_no_attribute, 2, {kText, kText}},
    {199, "fremovexattr", sys_no_attribute, 2, {kFd, kText}},
    {235, "utimes", sys_utimes, 2, {kText, kHex}},
    {260, "fchownat", sys_fchownat, 5, {kFd, kText, kDecimal, kDecimal, kFlags}},
    {261, "futimesat", sys_futimesat, 3, {kFd, kText, kHex}},
    {262, "newfstatat", sys_newfstatat, 4, {kFd, kText, kHex, kFlags}},
    {268, "fchmodat", sys_fchmodat, 3, {kFd, kText, kFlags}},
    {269, "faccessat", sys_faccessat, 3, {kFd, kText, kFlags}},
    {280, "utimensat", sys_utimensat, 4, {kFd, kText, kHex, kFlags}},
    {332, "statx", sys_statx, 5, {kFd, kText, kFlags, kHex, kHex}},
    {439, "faccessat2", sys_faccessat2, 4, {kFd, kText, kFlags, kFlags}},
};

}  // namespace

std::span<const SystemCall> attribute_calls() { return kCalls; }

}  // namespace vellum::unix
