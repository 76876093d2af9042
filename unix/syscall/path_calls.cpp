// Names: directories, links, renames, where a process stands, and mounts.
#include <algorithm>

#include <vellum/unix/system_call.hpp>

#include "paths.hpp"

namespace vellum::unix {

namespace {

std::uint16_t without_umask(std::uint64_t mode, std::uint16_t mask) {
  return static_cast<std::uint16_t>(mode & mask & ~std::uint64_t{calling_files().paths->umask()});
}

NewNode new_node(NodeKind kind, std::uint16_t permissions) {
  const FileCredentials who = calling_credentials();
  return {.kind = kind, .permissions = permissions, .owner = who.user, .group = who.group};
}

// --- making and removing

Result<std::uint64_t> make_directory(std::int32_t directory, VirtAddr path, std::uint64_t mode) {
  UserText text;
  VELLUM_TRY(text.read(path));
  const Resolution from = VELLUM_TRY(resolution_from(directory, text.view()));
  VELLUM_TRY(make_node(all_files(), from, text.view(), new_node(NodeKind::directory, without_umask(mode, 01777))));
  return 0;
}

Result<std::uint64_t> sys_mkdir(const Arguments& arguments) {
  return make_directory(kCurrentDirectory, arguments.address(0), arguments.value[1]);
}
Result<std::uint64_t> sys_mkdirat(const Arguments& arguments) {
  return make_directory(arguments.integer(0), arguments.address(1), arguments.value[2]);
}

Result<std::uint64_t> make_special(std::int32_t directory, VirtAddr path, std::uint64_t mode, std::uint64_t device) {
  NodeKind kind = NodeKind::file;
  switch (static_cast<NodeKind>(mode & kKindMask)) {
    case NodeKind::directory:
      return Errno::not_permitted;
    case NodeKind::symlink:
      return Errno::invalid;
    case NodeKind::character_device:
    case NodeKind::block_device:
      if (!calling_credentials().superuser) {
        return Errno::not_permitted;
      }
      [[fallthrough]];
    case NodeKind::file:
    case NodeKind::fifo:
    case NodeKind::socket:
      kind = static_cast<NodeKind>(mode & kKindMask);
      break;
    default:
      if ((mode & kKindMask) != 0) {
        return Errno::invalid;
      }
  }
  UserText text;
  VELLUM_TRY(text.read(path));
  const Resolution from = VELLUM_TRY(resolution_from(directory, text.view()));
  NewNode what = new_node(kind, without_umask(mode, kPermissionMask));
  what.device = DeviceNumber::decoded(static_cast<std::uint32_t>(device));
  VELLUM_TRY(make_node(all_files(), from, text.view(), what));
  return 0;
}

Result<std::uint64_t> sys_mknod(const Arguments& arguments) {
  return make_special(kCurrentDirectory, arguments.address(0), arguments.value[1], arguments.value[2]);
}
Result<std::uint64_t> sys_mknodat(const Arguments& arguments) {
  return make_special(arguments.integer(0), arguments.address(1), arguments.value[2], arguments.value[3]);
}

Result<std::uint64_t> make_symlink(VirtAddr target, std::int32_t directory, VirtAddr path) {
  UserText target_text;
  UserText text;
  VELLUM_TRY(target_text.read(target));
  VELLUM_TRY(text.read(path));
  if (target_text.view().empty()) {
    return Errno::no_entry;
  }
  const Resolution from = VELLUM_TRY(resolution_from(directory, text.view()));
  NewNode what = new_node(NodeKind::symlink, 0777);
  what.target = target_text.view();
  VELLUM_TRY(make_node(all_files(), from, text.view(), what));
  return 0;
}

Result<std::uint64_t> sys_symlink(const Arguments& arguments) {
  return make_symlink(arguments.address(0), kCurrentDirectory, arguments.address(1));
}
Result<std::uint64_t> sys_symlinkat(const Arguments& arguments) {
  return make_symlink(arguments.address(0), arguments.integer(1), arguments.address(2));
}

Result<std::uint64_t> remove_at(std::int32_t directory, VirtAddr path, NodeKind kind) {
  UserText text;
  VELLUM_TRY(text.read(path));
  const Resolution from = VELLUM_TRY(resolution_from(directory, text.view()));
  VELLUM_TRY(remove_name(all_files(), from, text.view(), kind));
  return 0;
}

Result<std::uint64_t> sys_unlink(const Arguments& arguments) {
  return remove_at(kCurrentDirectory, arguments.address(0), NodeKind::file);
}
Result<std::uint64_t> sys_rmdir(const Arguments& arguments) {
  return remove_at(kCurrentDirectory, arguments.address(0), NodeKind::directory);
}
Result<std::uint64_t> sys_unlinkat(const Arguments& arguments) {
  const auto flags = static_cast<std::uint32_t>(arguments.value[2]);
  if ((flags & ~at_flag::kRemoveDirectory) != 0) {
    return Errno::invalid;
  }
  return remove_at(arguments.integer(0), arguments.address(1), flags != 0 ? NodeKind::directory : NodeKind::file);
}

Result<std::uint64_t> link_at(std::int32_t old_directory, VirtAddr old_path, std::int32_t new_directory,
                              VirtAddr new_path, std::uint64_t flags) {
  const std::uint64_t follow = (flags & at_flag::kFollow) != 0 ? 0 : at_flag::kNoFollow;
  const Path place = VELLUM_TRY(place_at(old_directory, old_path, follow | (flags & at_flag::kEmptyPath)));
  UserText text;
  VELLUM_TRY(text.read(new_path));
  const Resolution to = VELLUM_TRY(resolution_from(new_directory, text.view()));
  VELLUM_TRY(link_name(all_files(), place, to, text.view()));
  return 0;
}

Result<std::uint64_t> sys_link(const Arguments& arguments) {
  return link_at(kCurrentDirectory, arguments.address(0), kCurrentDirectory, arguments.address(1), 0);
}
Result<std::uint64_t> sys_linkat(const Arguments& arguments) {
  if ((arguments.value[4] & ~(at_flag::kFollow | at_flag::kEmptyPath)) != 0) {
    return Errno::invalid;
  }
  return link_at(arguments.integer(0), arguments.address(1), arguments.integer(2), arguments.address(3),
                 arguments.value[4]);
}

Result<std::uint64_t> rename_at(std::int32_t old_directory, VirtAddr old_path, std::int32_t new_directory,
                                VirtAddr new_path, std::uint64_t flags) {
  constexpr std::uint64_t kNoReplace = 1;
  constexpr std::uint64_t kExchange = 2;
  if ((flags & ~(kNoReplace | kExchange)) != 0 || flags == (kNoReplace | kExchange)) {
    return Errno::invalid;
  }
  UserText old_text;
  UserText new_text;
  VELLUM_TRY(old_text.read(old_path));
  VELLUM_TRY(new_text.read(new_path));
  const Resolution from = VELLUM_TRY(resolution_from(old_directory, old_text.view()));
  const Resolution to = VELLUM_TRY(resolution_from(new_directory, new_text.view()));
  VELLUM_TRY(rename_name(all_files(), from, old_text.view(), to, new_text.view(), static_cast<std::uint32_t>(flags)));
  return 0;
}

Result<std::uint64_t> sys_rename(const Arguments& arguments) {
  return rename_at(kCurrentDirectory, arguments.address(0), kCurrentDirectory, arguments.address(1), 0);
}
Result<std::uint64_t> sys_renameat(const Arguments& arguments) {
  return rename_at(arguments.integer(0), arguments.address(1), arguments.integer(2), arguments.address(3), 0);
}
Result<std::uint64_t> sys_renameat2(const Arguments& arguments) {
  return rename_at(arguments.integer(0), arguments.address(1), arguments.integer(2), arguments.address(3),
                   static_cast<std::uint32_t>(arguments.value[4]));
}

Result<std::uint64_t> read_link(std::int32_t directory, VirtAddr path, VirtAddr into, std::uint64_t size) {
  if (static_cast<std::int32_t>(size) <= 0) {
    return Errno::invalid;
  }
  const Path place = VELLUM_TRY(place_at(directory, path, at_flag::kNoFollow | at_flag::kEmptyPath));
  if (place.node().kind() != NodeKind::symlink) {
    return Errno::invalid;
  }
  const Text target = VELLUM_TRY(place.node().link_target(all_files().memory()));
  place.node().touch(false);
  const std::string_view text = target.view().substr(0, std::min<std::size_t>(target.view().size(), size));
  VELLUM_TRY(copy_out(into, std::as_bytes(std::span(text.data(), text.size()))));
  return text.size();
}

Result<std::uint64_t> sys_readlink(const Arguments& arguments) {
  UserText text;
  VELLUM_TRY(text.read(arguments.address(0)));
  if (text.view().empty()) {
    return Errno::no_entry;
  }
  return read_link(kCurrentDirectory, arguments.address(0), arguments.address(1), arguments.value[2]);
}
Result<std::uint64_t> sys_readlinkat(const Arguments& arguments) {
  return read_link(arguments.integer(0), arguments.address(1), arguments.address(2), arguments.value[3]);
}

// --- where a process stands

Result<std::uint64_t> sys_getcwd(const Arguments& arguments) {
  PathContext& paths = *calling_files().paths;
  const Path current = paths.current();
  if (current.entry->is_removed()) {
    return Errno::no_entry;
  }
  Scratch scratch(all_files().memory());
  VELLUM_TRY(scratch.allocate(ByteCount(kLongestPath)));
  const std::span<char> room = scratch.characters();
  const std::string_view path = VELLUM_TRY(all_files().write_path(current, paths.root(), room.first(room.size() - 1)));
  if (path.size() + 1 > arguments.value[1]) {
    return Errno::out_of_range;
  }
  room.back() = '\0';  // which follows the path, for that ends where the room does
  VELLUM_TRY(copy_out(arguments.address(0), std::as_bytes(std::span(path.data(), path.size() + 1))));
  return path.size() + 1;
}

Result<std::uint64_t> enter(const Path& place) {
  if (!place.node().is_directory()) {
    return Errno::not_directory;
  }
  VELLUM_TRY(check_place(place, calling_credentials(), {.execute = true}));
  calling_files().paths->set_current(place);
  return 0;
}

Result<std::uint64_t> sys_chdir(const Arguments& arguments) {
  return enter(VELLUM_TRY(place_at(kCurrentDirectory, arguments.address(0), 0)));
}
Result<std::uint64_t> sys_fchdir(const Arguments& arguments) {
  return enter(VELLUM_TRY(any_file(arguments.integer(0)))->path());
}

Result<std::uint64_t> sys_chroot(const Arguments& arguments) {
  const Path place = VELLUM_TRY(place_at(kCurrentDirectory, arguments.address(0), 0));
  if (!place.node().is_directory()) {
    return Errno::not_directory;
  }
  VELLUM_TRY(check_place(place, calling_credentials(), {.execute = true}));
  if (!calling_credentials().superuser) {
    return Errno::not_permitted;
  }
  calling_files().paths->set_root(place);
  return 0;
}

Result<std::uint64_t> sys_umask(const Arguments& arguments) {
  return calling_files().paths->set_umask(static_cast<std::uint16_t>(arguments.value[0]));
}

// --- mounts

constexpr std::uint64_t kRemount = 32;
constexpr std::uint64_t kBind = 4096;
constexpr std::uint64_t kMove = 8192;
constexpr std::uint64_t kPropagation = 0xfULL << 17;  // unbindable, private, slave, shared

// Texts that may be left out.
Result<void> read_optional(UserText& text, VirtAddr from) {
  return from == VirtAddr(0) ? Result<void>() : text.read(from);
}

Result<void> remount(const Path& place, std::uint32_t flags) {
  if (!place.mount || place.entry != place.mount->root()) {
    return Errno::invalid;
  }
  place.mount->set_flags(flags & mount_flag::kKept);
  return {};
}

Result<void> mount_source(const Path& place, const Arguments& arguments, std::uint32_t flags) {
  if ((arguments.value[3] & kRemount) != 0) {
    return remount(place, flags);
  }
  if ((arguments.value[3] & kBind) != 0) {
    return all_files().bind(place, VELLUM_TRY(place_at(kCurrentDirectory, arguments.address(0), 0)), flags);
  }
  if ((arguments.value[3] & kPropagation) != 0) {
    return place.mount && place.entry == place.mount->root() ? Result<void>() : Result<void>(Errno::invalid);
  }
  if ((arguments.value[3] & kMove) != 0) {
    return all_files().move_mount(VELLUM_TRY(place_at(kCurrentDirectory, arguments.address(0), 0)), place);
  }
  UserText source;
  UserText type;
  UserText options;
  VELLUM_TRY(read_optional(source, arguments.address(0)));
  VELLUM_TRY(type.read(arguments.address(2)));
  VELLUM_TRY(read_optional(options, arguments.address(4)));
  return all_files().mount(place,
                           {.type = type.view(), .source = source.view(), .options = options.view(), .flags = flags});
}

Result<std::uint64_t> sys_mount(const Arguments& arguments) {
  const Path place = VELLUM_TRY(place_at(kCurrentDirectory, arguments.address(1), 0));
  if (!calling_credentials().superuser) {
    return Errno::not_permitted;
  }
  VELLUM_TRY(mount_source(place, arguments, static_cast<std::uint32_t>(arguments.value[3])));
  return 0;
}

Result<std::uint64_t> sys_umount2(const Arguments& arguments) {
  constexpr std::uint64_t kDetach = 2;
  constexpr std::uint64_t kNoFollow = 8;
  constexpr std::uint64_t kKnown = 15;
  if ((arguments.value[1] & ~kKnown) != 0) {
    return Errno::invalid;
  }
  const std::uint64_t follow = (arguments.value[1] & kNoFollow) != 0 ? at_flag::kNoFollow : 0;
  const Path place = VELLUM_TRY(place_at(kCurrentDirectory, arguments.address(0), follow));
  if (!calling_credentials().superuser) {
    return Errno::not_permitted;
  }
  VELLUM_TRY(all_files().unmount(place, (arguments.value[1] & kDetach) != 0));
  return 0;
}

constexpr Shown kText = Shown::text;
constexpr Shown kFd = Shown::descriptor;
constexpr Shown kFlags = Shown::flags;
constexpr Shown kHex = Shown::hexadecimal;
constexpr Shown kDecimal = Shown::decimal;

constexpr SystemCall kCalls[] = {
    {79, "getcwd", sys_getcwd, 2, {kHex, kDecimal}},
    {80, "chdir", sys_chdir, 1, {kText}},
    {81, "fchdir", sys_fchdir, 1, {kFd}},
    {82, "rename", sys_rename, 2, {kText, kText}},
    {83, "mkdir", sys_mkdir, 2, {kText, kFlags}},
    {84, "rmdir", sys_rmdir, 1, {kText}},
    {86, "link", sys_link, 2, {kText, kText}},
    {87, "unlink", sys_unlink, 1, {kText}},
    {88, "symlink", sys_symlink, 2, {kText, kText}},
    {89, "readlink", sys_readlink, 3, {kText, kHex, kDecimal}},
    {95, "umask", sys_umask, 1, {kFlags}},
    {133, "mknod", sys_mknod, 3, {kText, kFlags, kHex}},
    {161, "chroot", sys_chroot, 1, {kText}},
    {165, "mount", sys_mount, 5, {kText, kText, kText, kFlags, kHex}},
    {166, "umount2", sys_umount2, 2, {kText, kFlags}},
    {258, "mkdirat", sys_mkdirat, 3, {kFd, kText, kFlags}},
    {259, "mknodat", sys_mknodat, 4, {kFd, kText, kFlags, kHex}},
    {263, "unlinkat", sys_unlinkat, 3, {kFd, kText, kFlags}},
    {264, "renameat", sys_renameat, 4, {kFd, kText, kFd, kText}},
    {265, "linkat", sys_linkat, 5, {kFd, kText, kFd, kText, kFlags}},
    {266, "symlinkat", sys_symlinkat, 3, {kText, kFd, kText}},
    {267, "readlinkat", sys_readlinkat, 4, {kFd, kText, kHex, kDecimal}},
    {316, "renameat2", sys_renameat2, 5, {kFd, kText, kFd, kText, kFlags}},
};

}  // namespace

std::span<const SystemCall> path_calls() { return kCalls; }

}  // namespace vellum::unix
