// From texts to places: path resolution, and the operations that begin with it.
#pragma once

#include <vellum/unix/files.hpp>

namespace vellum::unix {

// Where a path is resolved from and for whom.
struct Resolution {
  Path root;     // of the process
  Path current;  // that relative paths start at
  FileCredentials who;
};

enum class LastSymlink : bool { follow, keep };

// Resolves as Linux does; an empty path is an error. Errors: no_entry, not_directory, access_denied, name_too_long,
// link_loop, no_memory, io_error.
[[nodiscard]] Result<Path> resolve(Files& files, const Resolution& from, std::string_view path,
                                   LastSymlink last = LastSymlink::follow);

// The directory in which a path's last name is, or is to be.
struct Parent {
  Path directory;
  Text name;                    // `.` or `..` or empty (the path was a root) too
  bool trailing_slash = false;  // only a directory may have the name
  // Whether there is a name to create or remove.
  [[nodiscard]] bool is_special() const { return name.empty() || name.view() == "." || name.view() == ".."; }
};
[[nodiscard]] Result<Parent> resolve_parent(Files& files, const Resolution& from, std::string_view path);

struct OpenRequest {
  std::uint32_t flags = 0;
  std::uint16_t permissions = 0;  // of a file that is created, the umask not yet taken off
  std::uint16_t umask = 0;
};
// open(2): what a path leads to, opened with permissions checked. Errors: open(2)'s.
[[nodiscard]] Result<Ref<OpenFile>> open_path(Files& files, const Resolution& from, std::string_view path,
                                              const OpenRequest& request);
// Opens a place that was resolved already; permissions are checked.
[[nodiscard]] Result<Ref<OpenFile>> open_place(Files& files, const Path& place, const FileCredentials& who,
                                               std::uint32_t flags);
// For exec: a file that `who` may execute, opened for reading. Errors: access_denied (no file, no right, mounted
// no-execute), resolve()'s.
[[nodiscard]] Result<Ref<OpenFile>> open_program(Files& files, const Resolution& from, std::string_view path);

// Makes a node; permissions are checked, the umask is taken off already. Errors: mkdir(2)'s, mknod(2)'s.
[[nodiscard]] Result<void> make_node(Files& files, const Resolution& from, std::string_view path, const NewNode& what);
// unlink(2), rmdir(2).
[[nodiscard]] Result<void> remove_name(Files& files, const Resolution& from, std::string_view path, NodeKind what);
// link(2): a further name for a place.
[[nodiscard]] Result<void> link_name(Files& files, const Path& place, const Resolution& to, std::string_view path);
// rename(2), with renameat2's flags.
[[nodiscard]] Result<void> rename_name(Files& files, const Resolution& from, std::string_view old_path,
                                       const Resolution& to, std::string_view new_path, std::uint32_t flags);

// Permission of the place for `who`, a read-only mount considered. Errors: access_denied, read_only.
[[nodiscard]] Result<void> check_place(const Path& place, const FileCredentials& who, Wanted wanted);

}  // namespace vellum::unix
