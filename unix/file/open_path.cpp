// open(2): from a path to an open file.
#include <vellum/unix/resolve.hpp>

#include "names.hpp"

namespace vellum::unix {

namespace {

// Names a place and nothing more (O_PATH).
class PlaceFile final : public OpenFile {
 public:
  PlaceFile(FileMemory& memory, const Path& path, std::uint32_t flags) : OpenFile(memory, path, flags) {}

 private:
  friend FileMemory;
  ~PlaceFile() = default;
  void destroy() override { memory().destroy(this); }
};

Wanted wanted_by(std::uint32_t flags) {
  const std::uint32_t access = flags & open_flag::kAccessMask;
  return {.read = access != open_flag::kWriteOnly,
          .write = access != open_flag::kReadOnly || (flags & open_flag::kTruncate) != 0};
}

// After permissions were checked.
Result<Ref<OpenFile>> open_node(const Path& place, std::uint32_t flags) {
  Ref<OpenFile> file = VELLUM_TRY(place.node().open(place, flags));
  if ((flags & open_flag::kTruncate) != 0 && place.node().kind() == NodeKind::file) {
    VELLUM_TRY(place.node().truncate(ByteCount(0)));
  }
  return file;
}

// One resolution of open(2) with O_CREAT, which follows even a symlink that leads to nothing.
class Creation {
 public:
  Creation(Files& files, const Resolution& from, const OpenRequest& request)
      : files_(files), from_(from), request_(request) {}
  [[nodiscard]] Result<Ref<OpenFile>> run(std::string_view path);

 private:
  // The file, or nothing: text_ is to be resolved from from_.current.
  [[nodiscard]] Result<Ref<OpenFile>> attempt(std::string_view path);
  [[nodiscard]] Result<Ref<OpenFile>> found(const Parent& parent, Ref<Entry> entry);
  [[nodiscard]] Result<Ref<OpenFile>> create(const Parent& parent);

  Files& files_;
  Resolution from_;
  const OpenRequest& request_;
  Text text_;
};

Result<Ref<OpenFile>> Creation::run(std::string_view path) {
  for (unsigned links = 0; links <= kMostSymlinks; ++links) {
    Ref<OpenFile> file = VELLUM_TRY(attempt(path));
    if (file) {
      return file;
    }
    path = text_.view();
  }
  return Errno::link_loop;
}

Result<Ref<OpenFile>> Creation::attempt(std::string_view path) {
  const Parent parent = VELLUM_TRY(resolve_parent(files_, from_, path));
  if (parent.is_special() || parent.trailing_slash) {
    return Errno::is_directory;
  }
  Node& directory = parent.directory.node();
  for (;;) {
    Result<Ref<Entry>> entry = directory.lookup(*parent.directory.entry, parent.name.view());
    if (entry.ok()) {
      return found(parent, std::move(entry).value());
    }
    if (entry.error() != Errno::no_entry) {
      return entry.error();
    }
    Result<Ref<OpenFile>> created = create(parent);
    const bool has_come = !created.ok() && created.error() == Errno::exists;
    if (!has_come || (request_.flags & open_flag::kExclusive) != 0) {
      return created;
    }
  }
}

Result<Ref<OpenFile>> Creation::found(const Parent& parent, Ref<Entry> entry) {
  if ((request_.flags & open_flag::kExclusive) != 0) {
    return Errno::exists;
  }
  const Path place = files_.covered({.mount = parent.directory.mount, .entry = std::move(entry)});
  if (place.node().kind() != NodeKind::symlink || (request_.flags & open_flag::kNoFollow) != 0) {
    return open_place(files_, place, from_.who, request_.flags);
  }
  const std::optional<Path> there = VELLUM_TRY(place.node().jump());
  if (there) {
    return open_place(files_, *there, from_.who, request_.flags);
  }
  text_ = VELLUM_TRY(place.node().link_target(files_.memory()));
  from_.current = parent.directory;
  return Ref<OpenFile>();
}

Result<Ref<OpenFile>> Creation::create(const Parent& parent) {
  VELLUM_TRY(check_place(parent.directory, from_.who, {.write = true, .execute = true}));
  Node& directory = parent.directory.node();
  const auto permissions = static_cast<std::uint16_t>(request_.permissions & kPermissionMask & ~request_.umask);
  const NewNode what =
      made_in(directory.attributes(),
              {.kind = NodeKind::file, .permissions = permissions, .owner = from_.who.user, .group = from_.who.group});
  Ref<Entry> entry = VELLUM_TRY(directory.create(*parent.directory.entry, parent.name.view(), what));
  return open_node({.mount = parent.directory.mount, .entry = std::move(entry)},
                   request_.flags & ~open_flag::kTruncate);
}

}  // namespace

Result<Ref<OpenFile>> open_place(Files& files, const Path& place, const FileCredentials& who, std::uint32_t flags) {
  Node& node = place.node();
  if ((flags & open_flag::kDirectory) != 0 && !node.is_directory()) {
    return Errno::not_directory;
  }
  if ((flags & open_flag::kPath) != 0) {
    FileMemory& memory = files.memory();
    return Ref<OpenFile>(Ref<PlaceFile>::adopt(VELLUM_TRY(memory.create<PlaceFile>(memory, place, flags))));
  }
  if (node.kind() == NodeKind::symlink) {
    return Errno::link_loop;
  }
  const Wanted wanted = wanted_by(flags);
  if (node.is_directory() && (wanted.write || (flags & open_flag::kCreate) != 0)) {
    return Errno::is_directory;
  }
  VELLUM_TRY(check_place(place, who, wanted));
  if ((flags & open_flag::kNoAccessTime) != 0 && !who.superuser && who.user != node.attributes().owner) {
    return Errno::not_permitted;
  }
  if (node.kind() == NodeKind::socket) {
    return Errno::no_such_device;
  }
  return open_node(place, flags);
}

Result<Ref<OpenFile>> open_path(Files& files, const Resolution& from, std::string_view path,
                                const OpenRequest& request) {
  std::uint32_t flags = request.flags;
  if ((flags & open_flag::kTemporaryFile) == open_flag::kTemporaryFile) {
    return Errno::not_supported;
  }
  if ((flags & open_flag::kPath) != 0) {
    flags &= open_flag::kPath | open_flag::kDirectory | open_flag::kNoFollow | open_flag::kCloseOnExec;
  } else if ((flags & open_flag::kCreate) != 0) {
    if ((flags & open_flag::kDirectory) != 0) {
      return Errno::invalid;
    }
    return Creation(files, from, request).run(path);
  }
  const LastSymlink last = (flags & open_flag::kNoFollow) != 0 ? LastSymlink::keep : LastSymlink::follow;
  return open_place(files, VELLUM_TRY(resolve(files, from, path, last)), from.who, flags);
}

Result<Ref<OpenFile>> open_program(Files& files, const Resolution& from, std::string_view path) {
  const Path place = VELLUM_TRY(resolve(files, from, path));
  if (place.node().kind() != NodeKind::file || (place.mount && (place.mount->flags() & mount_flag::kNoExecute) != 0)) {
    return Errno::access_denied;
  }
  VELLUM_TRY(check_place(place, from.who, {.execute = true}));
  return place.node().open(place, open_flag::kReadOnly);
}

}  // namespace vellum::unix
