// Names: making nodes, removing, linking, renaming.
#include <vellum/unix/resolve.hpp>

#include "names.hpp"

namespace vellum::unix {

NewNode made_in(const Attributes& directory, NewNode what) {
  if ((directory.permissions & kSetGroupId) != 0) {
    what.group = directory.group;
    if (what.kind == NodeKind::directory) {
      what.permissions |= kSetGroupId;
    }
  }
  return what;
}

namespace {

constexpr Wanted kChange = {.write = true, .execute = true};

Result<void> check_writable(const Path& directory) {
  return directory.mount && directory.mount->is_read_only() ? Result<void>(Errno::read_only) : Result<void>();
}

// Whether a name may be taken out of a directory: in a sticky one only by the owner of either.
Result<void> check_removal(const Path& directory, Node& node, const FileCredentials& who) {
  VELLUM_TRY(check_place(directory, who, kChange));
  const Attributes above = directory.node().attributes();
  const bool is_sticky = (above.permissions & kSticky) != 0 && !who.superuser;
  if (is_sticky && who.user != above.owner && who.user != node.attributes().owner) {
    return Errno::not_permitted;
  }
  return {};
}

Result<Ref<Entry>> look_up(const Parent& parent) {
  return parent.directory.node().lookup(*parent.directory.entry, parent.name.view());
}

// That the name is free. Error: exists.
Result<void> check_free(const Parent& parent) {
  if (parent.is_special()) {
    return Errno::exists;
  }
  const Result<Ref<Entry>> entry = look_up(parent);
  if (entry.ok()) {
    return Errno::exists;
  }
  return entry.error() == Errno::no_entry ? Result<void>() : Result<void>(entry.error());
}

// Who does not own a file may only give it further names if it is harmless [linux, fs.protected_hardlinks].
Result<void> check_linkable(Node& node, const FileCredentials& who) {
  const Attributes attributes = node.attributes();
  if (who.superuser || who.user == attributes.owner) {
    return {};
  }
  const std::uint16_t group_bits = kSetGroupId | 010;
  const bool lends = (attributes.permissions & kSetUserId) != 0 || (attributes.permissions & group_bits) == group_bits;
  if (attributes.kind != NodeKind::file || lends ||
      !check_access(attributes, who, {.read = true, .write = true}).ok()) {
    return Errno::not_permitted;
  }
  return {};
}

}  // namespace

Result<void> make_node(Files& files, const Resolution& from, std::string_view path, const NewNode& what) {
  const Parent parent = VELLUM_TRY(resolve_parent(files, from, path));
  VELLUM_TRY(check_free(parent));
  if (parent.trailing_slash && what.kind != NodeKind::directory) {
    return Errno::no_entry;
  }
  VELLUM_TRY(check_place(parent.directory, from.who, kChange));
  Node& directory = parent.directory.node();
  const NewNode made = made_in(directory.attributes(), what);
  (void)VELLUM_TRY(directory.create(*parent.directory.entry, parent.name.view(), made));
  return {};
}

Result<void> remove_name(Files& files, const Resolution& from, std::string_view path, NodeKind what) {
  const Parent parent = VELLUM_TRY(resolve_parent(files, from, path));
  const bool is_directory = what == NodeKind::directory;
  if (parent.is_special()) {
    if (!is_directory) {
      return Errno::is_directory;
    }
    return parent.name.empty() ? Errno::busy : parent.name.view() == "." ? Errno::invalid : Errno::not_empty;
  }
  VELLUM_TRY(check_writable(parent.directory));
  const Ref<Entry> entry = VELLUM_TRY(look_up(parent));
  if (parent.trailing_slash && !entry->node().is_directory()) {
    return Errno::not_directory;
  }
  VELLUM_TRY(check_removal(parent.directory, entry->node(), from.who));
  return parent.directory.node().remove(*parent.directory.entry, parent.name.view(), what);
}

Result<void> link_name(Files& files, const Path& place, const Resolution& to, std::string_view path) {
  const Parent parent = VELLUM_TRY(resolve_parent(files, to, path));
  VELLUM_TRY(check_free(parent));
  if (parent.trailing_slash) {
    return Errno::no_entry;
  }
  if (place.mount != parent.directory.mount) {
    return Errno::cross_device;
  }
  if (place.node().is_directory()) {
    return Errno::not_permitted;
  }
  VELLUM_TRY(check_linkable(place.node(), to.who));
  VELLUM_TRY(check_place(parent.directory, to.who, kChange));
  return parent.directory.node().link(*parent.directory.entry, parent.name.view(), place.node());
}

namespace {

Result<void> check_rename(const Parent& from, const Parent& to, const FileCredentials& who) {
  const Ref<Entry> source = VELLUM_TRY(look_up(from));
  const bool is_directory = source->node().is_directory();
  if ((from.trailing_slash || to.trailing_slash) && !is_directory) {
    return Errno::not_directory;
  }
  VELLUM_TRY(check_removal(from.directory, source->node(), who));
  const Result<Ref<Entry>> target = look_up(to);
  if (target.ok()) {
    VELLUM_TRY(check_removal(to.directory, target.value()->node(), who));
  } else if (target.error() != Errno::no_entry) {
    return target.error();
  } else {
    VELLUM_TRY(check_place(to.directory, who, kChange));
  }
  // Its `..` will change.
  if (is_directory && from.directory.entry != to.directory.entry) {
    VELLUM_TRY(check_access(source->node().attributes(), who, {.write = true}));
  }
  return {};
}

}  // namespace

Result<void> rename_name(Files& files, const Resolution& from, std::string_view old_path, const Resolution& to,
                         std::string_view new_path, std::uint32_t flags) {
  const Parent source = VELLUM_TRY(resolve_parent(files, from, old_path));
  const Parent target = VELLUM_TRY(resolve_parent(files, to, new_path));
  if (source.directory.mount != target.directory.mount) {
    return Errno::cross_device;
  }
  if (source.is_special() || target.is_special()) {
    constexpr std::uint32_t kNoReplace = 1;
    return (flags & kNoReplace) != 0 && target.is_special() ? Errno::exists : Errno::busy;
  }
  VELLUM_TRY(check_writable(source.directory));
  const MutexGuard guard(files.rename_lock());
  VELLUM_TRY(check_rename(source, target, from.who));
  return source.directory.node().file_system().rename(*source.directory.entry, source.name.view(),
                                                      *target.directory.entry, target.name.view(), flags);
}

}  // namespace vellum::unix
