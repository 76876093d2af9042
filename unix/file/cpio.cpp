#include <vellum/unix/cpio.hpp>

#include <algorithm>

#include <vellum/unix/transfer.hpp>

namespace vellum::unix {

namespace {

using Bytes = std::span<const std::byte>;

constexpr std::size_t kHeaderSize = 110;
constexpr std::string_view kTrailer = "TRAILER!!!";

// The fields of a newc header: eight hexadecimal digits each, behind the magic number.
enum class Field : std::uint8_t {
  inode,
  mode,
  owner,
  group,
  links,
  time,
  size,
  device_major,
  device_minor,
  special_major,
  special_minor,
  name_size,
  checksum
};

class Header {
 public:
  explicit Header(Bytes bytes) : bytes_(bytes) {}
  [[nodiscard]] bool has_magic() const {
    const auto* const text = reinterpret_cast<const char*>(bytes_.data());
    const std::string_view magic(text, 6);
    return magic == "070701" || magic == "070702";
  }
  // Nothing where there are other characters than digits.
  [[nodiscard]] std::optional<std::uint32_t> get(Field field) const {
    std::uint32_t value = 0;
    for (const std::byte byte : bytes_.subspan(6 + 8 * static_cast<std::size_t>(field), 8)) {
      const auto character = std::to_integer<char>(byte);
      std::uint32_t digit = 0;
      if (character >= '0' && character <= '9') {
        digit = static_cast<std::uint32_t>(character - '0');
      } else if ((character | 0x20) >= 'a' && (character | 0x20) <= 'f') {
        digit = static_cast<std::uint32_t>((character | 0x20) - 'a' + 10);
      } else {
        return std::nullopt;
      }
      value = value << 4 | digit;
    }
    return value;
  }
  [[nodiscard]] bool is_sound() const {
    for (unsigned field = 0; field <= static_cast<unsigned>(Field::checksum); ++field) {
      if (!get(static_cast<Field>(field))) {
        return false;
      }
    }
    return has_magic();
  }
  [[nodiscard]] std::uint32_t at(Field field) const { return get(field).value_or(0); }

 private:
  Bytes bytes_;
};

const char* compression_of(Bytes archive) {
  struct Magic {
    std::uint8_t bytes[4];
    std::size_t size;
    const char* problem;
  };
  constexpr Magic kMagics[] = {
      {{0x1f, 0x8b}, 2, "the archive is compressed with gzip, which is not supported: unpack it first"},
      {{0x28, 0xb5, 0x2f, 0xfd}, 4, "the archive is compressed with zstd, which is not supported: unpack it first"},
      {{0xfd, '7', 'z', 'X'}, 4, "the archive is compressed with xz, which is not supported: unpack it first"},
      {{'B', 'Z', 'h'}, 3, "the archive is compressed with bzip2, which is not supported: unpack it first"},
      {{0x02, 0x21, 0x4c, 0x18}, 4, "the archive is compressed with lz4, which is not supported: unpack it first"},
  };
  for (const Magic& magic : kMagics) {
    if (archive.size() >= magic.size && __builtin_memcmp(archive.data(), magic.bytes, magic.size) == 0) {
      return magic.problem;
    }
  }
  return nullptr;
}

class Unpacker {
 public:
  Unpacker(Files& files, const Path& root, Bytes archive)
      : files_(files),
        from_{.root = root, .current = root, .who = {.user = {}, .group = {}, .groups = {}, .superuser = true}},
        archive_(archive) {}

  UnpackReport run();

 private:
  struct Member {
    explicit Member(Header header) : head(header) {}
    Header head;
    std::string_view name;
    Bytes data;
  };

  // Each of these says what is wrong, or null.
  [[nodiscard]] const char* next();
  [[nodiscard]] const char* unpack(const Member& member);
  [[nodiscard]] const char* unpack_file(const Member& member);
  [[nodiscard]] const char* make(const Member& member, NewNode what);
  [[nodiscard]] Result<void> clear_place(std::string_view name, NodeKind kind);
  void finish(const Member& member);

  [[nodiscard]] std::optional<Bytes> take(std::size_t size);
  void align() { position_ = std::min(archive_.size(), (position_ + 3) & ~std::size_t{3}); }

  // A file with several names: the later ones are links to the first.
  struct Linked {
    std::uint32_t inode;
    std::uint32_t major;
    std::uint32_t minor;
    std::string_view name;
    Linked* next;
  };
  [[nodiscard]] const char* link_or_remember(const Member& member, bool& linked);
  void forget_links();

  Files& files_;
  const Resolution from_;
  const Bytes archive_;
  std::size_t position_ = 0;
  Linked* linked_ = nullptr;
  UnpackReport report_;
};

std::optional<Bytes> Unpacker::take(std::size_t size) {
  if (size > archive_.size() - position_) {
    return std::nullopt;
  }
  const Bytes taken = archive_.subspan(position_, size);
  position_ += size;
  return taken;
}

UnpackReport Unpacker::run() {
  while (report_.problem == nullptr) {
    while (position_ < archive_.size() && archive_[position_] == std::byte{0}) {
      ++position_;
    }
    if (position_ == archive_.size()) {
      break;
    }
    report_.position = position_;
    report_.problem = next();
  }
  forget_links();
  return report_;
}

const char* Unpacker::next() {
  if (const char* const problem = compression_of(archive_.subspan(position_))) {
    return problem;
  }
  if (position_ % 4 != 0) {
    return "the archive has something other than zeros between its members";
  }
  const std::size_t start = position_;
  const std::optional<Bytes> bytes = take(kHeaderSize);
  if (!bytes) {
    return "the archive ends within a header";
  }
  Member member{Header(*bytes)};
  if (!member.head.has_magic()) {
    return start == 0 ? "this is no cpio archive of the format newc" : "a header is expected and something else found";
  }
  if (!member.head.is_sound()) {
    return "a header has something other than hexadecimal digits";
  }
  const std::size_t name_size = member.head.at(Field::name_size);
  if (name_size == 0 || name_size > kLongestPath) {
    return "a name is empty or too long";
  }
  const std::optional<Bytes> name = take(name_size);
  if (!name || name->back() != std::byte{0}) {
    return "a name is cut off";
  }
  const auto* const text = reinterpret_cast<const char*>(name->data());
  member.name = {text, __builtin_strlen(text)};
  align();
  const std::optional<Bytes> data = take(member.head.at(Field::size));
  if (!data) {
    return "the contents of a file are cut off";
  }
  member.data = *data;
  align();
  if (member.name == kTrailer) {
    forget_links();
    return nullptr;
  }
  return unpack(member);
}

const char* Unpacker::unpack(const Member& member) {
  const std::uint32_t mode = member.head.at(Field::mode);
  NewNode what = {
      .kind = static_cast<NodeKind>(mode & kKindMask),
      .permissions = static_cast<std::uint16_t>(mode & kPermissionMask),
      .owner = UserId(member.head.at(Field::owner)),
      .group = GroupId(member.head.at(Field::group)),
      .device = {.major = member.head.at(Field::special_major), .minor = member.head.at(Field::special_minor)}};
  switch (what.kind) {
    case NodeKind::file:
      return unpack_file(member);
    case NodeKind::symlink:
      what.target = {reinterpret_cast<const char*>(member.data.data()), member.data.size()};
      if (what.target.empty() || what.target.size() >= kLongestPath || what.target.contains('\0')) {
        return "a symlink leads nowhere or too far";
      }
      return make(member, what);
    case NodeKind::directory:
    case NodeKind::fifo:
    case NodeKind::character_device:
    case NodeKind::block_device:
    case NodeKind::socket:
      return make(member, what);
  }
  return "a member is of an unknown kind";
}

// As Linux does: what is in the way goes, but for a directory where a directory is to be.
Result<void> Unpacker::clear_place(std::string_view name, NodeKind kind) {
  const Result<Path> there = resolve(files_, from_, name, LastSymlink::keep);
  if (!there.ok()) {
    return there.error() == Errno::no_entry ? Result<void>() : Result<void>(there.error());
  }
  const NodeKind found = there.value().node().kind();
  if (found == kind && (kind == NodeKind::directory || kind == NodeKind::file)) {
    return {};
  }
  return remove_name(files_, from_, name, found == NodeKind::directory ? NodeKind::directory : NodeKind::file);
}

const char* Unpacker::make(const Member& member, NewNode what) {
  if (!clear_place(member.name, what.kind).ok()) {
    return "something is in the way of a member, or its directory is missing";
  }
  const Result<void> made = make_node(files_, from_, member.name, what);
  if (!made.ok() && !(made.error() == Errno::exists && what.kind == NodeKind::directory)) {
    return made.error() == Errno::no_memory ? "memory is too small for the archive"
                                            : "a member cannot be made: its directory is missing";
  }
  finish(member);
  return nullptr;
}

const char* Unpacker::link_or_remember(const Member& member, bool& linked) {
  const std::uint32_t inode = member.head.at(Field::inode);
  const std::uint32_t major = member.head.at(Field::device_major);
  const std::uint32_t minor = member.head.at(Field::device_minor);
  for (const Linked* other = linked_; other != nullptr; other = other->next) {
    if (other->inode != inode || other->major != major || other->minor != minor) {
      continue;
    }
    linked = true;
    if (other->name == member.name) {
      return nullptr;
    }
    const Result<Path> first = resolve(files_, from_, other->name, LastSymlink::keep);
    (void)remove_name(files_, from_, member.name, NodeKind::file);
    if (!first.ok() || !link_name(files_, first.value(), from_, member.name).ok()) {
      return "a link cannot be made";
    }
    return nullptr;
  }
  const Result<Linked*> made = files_.memory().create<Linked>(
      Linked{.inode = inode, .major = major, .minor = minor, .name = member.name, .next = linked_});
  if (!made.ok()) {
    return "memory is too small for the archive";
  }
  linked_ = made.value();
  return nullptr;
}

void Unpacker::forget_links() {
  while (linked_ != nullptr) {
    Linked* const next = linked_->next;
    files_.memory().destroy(linked_);
    linked_ = next;
  }
}

// Of a file with several names, one member, usually the last, has the contents.
const char* Unpacker::unpack_file(const Member& member) {
  bool linked = false;
  if (member.head.at(Field::links) > 1) {
    if (const char* const problem = link_or_remember(member, linked)) {
      return problem;
    }
  }
  // Also of a link: since its first name was unpacked, something else, such as a FIFO, may have taken that name.
  if (!clear_place(member.name, NodeKind::file).ok()) {
    return "something is in the way of a member";
  }
  const std::uint32_t flags = open_flag::kWriteOnly | open_flag::kCreate | open_flag::kNoFollow |
                              (linked && member.data.empty() ? 0 : open_flag::kTruncate);
  const Result<Ref<OpenFile>> file = open_path(files_, from_, member.name, {.flags = flags, .permissions = 0600});
  if (!file.ok()) {
    return "a file cannot be made: its directory is missing";
  }
  Transfer bytes(member.data);
  ByteCount position(0);
  if (!file.value()->write(bytes, position).ok()) {
    return "memory is too small for the archive";
  }
  report_.bytes += member.data.size();
  finish(member);
  return nullptr;
}

void Unpacker::finish(const Member& member) {
  ++report_.files;
  const Result<Path> place = resolve(files_, from_, member.name, LastSymlink::keep);
  if (place.ok()) {
    const Timestamp time = {.seconds = member.head.at(Field::time), .nanoseconds = 0};
    (void)place.value().node().change(
        {.permissions = static_cast<std::uint16_t>(member.head.at(Field::mode) & kPermissionMask),
         .owner = UserId(member.head.at(Field::owner)),
         .group = GroupId(member.head.at(Field::group)),
         .accessed = time,
         .modified = time});
  }
}

}  // namespace

UnpackReport unpack_cpio(Files& files, const Path& root, std::span<const std::byte> archive) {
  return Unpacker(files, root, archive).run();
}

}  // namespace vellum::unix
