// Open files of RAM file systems, and open directories of all.
#include "regular_file.hpp"

#include <vellum/unix/file_caller.hpp>
#include <vellum/unix/user_memory.hpp>

#include "linux_numbers.hpp"
#include "ram_node.hpp"

namespace vellum::unix {

namespace {

class RegularFile final : public OpenFile {
 public:
  RegularFile(FileMemory& memory, const Path& path, std::uint32_t flags) : OpenFile(memory, path, flags) {}

  bool is_seekable() const override { return true; }
  Result<void> read(Transfer& to, ByteCount position) override {
    const Result<void> result = file().read(to, position);
    if (!to.moved().is_zero() && (flags() & open_flag::kNoAccessTime) == 0) {
      file().touch(false);
    }
    return result;
  }
  Result<void> write(Transfer& from, ByteCount& position) override {
    return file().write(from, position, (flags() & open_flag::kAppend) != 0);
  }
  Result<std::uint64_t> ioctl(std::uint32_t request, std::uint64_t argument) override {
    if (request != request::kReadable) {
      return Errno::not_terminal;
    }
    const PositionGuard guard(*this);
    const ByteCount size = file().size();
    const ByteCount left = size > guard.position ? size - guard.position : ByteCount(0);
    VELLUM_TRY(write_user(VirtAddr(argument), static_cast<std::int32_t>(left.value())));
    return std::uint64_t{0};
  }
  Result<FileMapping> mapping() override {
    FileObject& object = *VELLUM_TRY(file().object());
    FileContent::of(object).remember_path(path());
    return FileMapping{.object = Ref<FileObject>::share(object)};
  }

 private:
  friend FileMemory;
  ~RegularFile() = default;
  void destroy() override { memory().destroy(this); }
  Result<ByteCount> end() override { return file().size(); }
  Result<ByteCount> find(ByteCount from, bool hole) override { return file().find(from, hole); }
  [[nodiscard]] RamFile& file() const { return static_cast<RamFile&>(node()); }
};

class DirectoryFile final : public OpenFile {
 public:
  DirectoryFile(FileMemory& memory, const Path& path, std::uint32_t flags) : OpenFile(memory, path, flags) {}

  bool is_seekable() const override { return true; }
  Result<void> read(Transfer& /*to*/, ByteCount /*position*/) override { return Errno::is_directory; }
  Result<void> write(Transfer& /*from*/, ByteCount& /*position*/) override { return Errno::is_directory; }
  Result<void> list(DirectorySink& sink) override;

 private:
  friend FileMemory;
  ~DirectoryFile() = default;
  void destroy() override { memory().destroy(this); }
  Result<ByteCount> end() override { return ByteCount(kLargestFile); }

  Listing listing_;  // used with the position held
};

// A file's positions are the node's and two more, for `.` and `..`.
constexpr std::uint64_t kDots = 2;

class DotsBefore final : public DirectorySink {
 public:
  DotsBefore(DirectorySink& sink, ByteCount& position) : sink_(sink), position_(position) {}
  bool put(std::string_view name, NodeKind kind, std::uint64_t inode, std::uint64_t next) override {
    if (!sink_.put(name, kind, inode, next + kDots)) {
      full = true;
      return false;
    }
    position_ = ByteCount(next + kDots);
    return true;
  }
  bool full = false;

 private:
  DirectorySink& sink_;
  ByteCount& position_;
};

Result<void> DirectoryFile::list(DirectorySink& sink) {
  PositionGuard guard(*this);
  Entry& entry = *path().entry;
  if (entry.is_removed()) {
    return Errno::no_entry;
  }
  if (guard.position.is_zero()) {
    if (!sink.put(".", NodeKind::directory, node().attributes().inode, 1)) {
      return {};
    }
    guard.position = ByteCount(1);
  }
  if (guard.position == ByteCount(1)) {
    const Ref<Entry> parent = entry.parent();
    Node& above = parent ? parent->node() : node();
    if (!sink.put("..", NodeKind::directory, above.attributes().inode, kDots)) {
      return {};
    }
    guard.position = ByteCount(kDots);
  }
  listing_.position = guard.position.value() - kDots;
  DotsBefore shifted(sink, guard.position);
  return node().list(entry, listing_, shifted);
}

}  // namespace

Result<Ref<OpenFile>> open_directory(const Path& path, std::uint32_t flags) {
  FileMemory& memory = path.node().file_system().files().memory();
  return Ref<OpenFile>(Ref<DirectoryFile>::adopt(VELLUM_TRY(memory.create<DirectoryFile>(memory, path, flags))));
}

Result<Ref<OpenFile>> RamDirectory::open(const Path& path, std::uint32_t flags) { return open_directory(path, flags); }

Result<Ref<OpenFile>> RamFile::open(const Path& path, std::uint32_t flags) {
  return Ref<OpenFile>(Ref<RegularFile>::adopt(VELLUM_TRY(memory().create<RegularFile>(memory(), path, flags))));
}

}  // namespace vellum::unix
