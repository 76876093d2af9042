// Where file systems are shown, and how places are told as paths.
#include <vellum/unix/files.hpp>

#include "ram_node.hpp"

namespace vellum::unix {

void Mount::destroy() { memory_.destroy(this); }

Path Files::root() {
  Ref<Mount> first = mount_at(0);
  VELLUM_ASSERT(static_cast<bool>(first));
  Ref<Entry> entry = first->root();
  return covered({.mount = std::move(first), .entry = std::move(entry)});
}

Ref<Mount> Files::mount_at(unsigned number) {
  const LockGuard guard(naming_.lock);
  Mount* mount = mounts_.front();
  while (mount != nullptr && number > 0) {
    mount = mounts_.next(*mount);
    --number;
  }
  return mount == nullptr ? Ref<Mount>() : Ref<Mount>::share(*mount);
}

Ref<Mount> Files::find_mount(const Mount& parent, const Entry* point) {
  const LockGuard guard(naming_.lock);
  for (Mount* mount = mounts_.front(); mount != nullptr; mount = mounts_.next(*mount)) {
    if (mount->parent_.get() == &parent && (point == nullptr || mount->point_.get() == point)) {
      return Ref<Mount>::share(*mount);
    }
  }
  return {};
}

Path Files::covered(Path path) {
  while (path.mount && path.entry->is_mounted_on()) {
    Ref<Mount> mount = find_mount(*path.mount, path.entry.get());
    if (!mount) {
      break;
    }
    path.entry = mount->root();
    path.mount = std::move(mount);
  }
  return path;
}

std::optional<Path> Files::point_of(const Mount& mount) {
  const LockGuard guard(naming_.lock);
  if (!mount.parent_) {
    return std::nullopt;
  }
  return Path{.mount = mount.parent_, .entry = mount.point_};
}

Result<void> Files::add_mount(const Path& point, Ref<FileSystem> file_system, Ref<Entry> root, std::string_view source,
                              std::uint32_t flags) {
  Text text = VELLUM_TRY(Text::create(memory_, source));
  const std::uint32_t id = next_mount_.fetch_add(1, std::memory_order_relaxed);
  Mount* const mount = VELLUM_TRY(memory_.create<Mount>(memory_, std::move(file_system), std::move(root),
                                                        std::move(text), flags & mount_flag::kKept, id));
  const MutexGuard changing(mount_lock_);
  const Path place = covered(point);
  if (place.entry) {
    place.entry->count_mount(1);
  }
  const LockGuard guard(naming_.lock);
  mount->parent_ = place.mount;
  mount->point_ = place.entry;
  mounts_.push_back(*mount);
  return {};
}

void Files::take_away(Mount& mount) {
  while (const Ref<Mount> child = find_mount(mount, nullptr)) {
    take_away(*child);
  }
  Ref<Mount> parent;
  Ref<Entry> point;
  const Ref<Mount> owned = Ref<Mount>::adopt(&mount);  // the list's reference
  {
    const LockGuard guard(naming_.lock);
    mounts_.remove(mount);
    parent = std::move(mount.parent_);
    point = std::move(mount.point_);
  }
  if (point) {
    point->count_mount(-1);
  }
}

Result<void> Files::mount(const Path& point, const MountRequest& request) {
  if (!point.mount || !point.node().is_directory()) {
    return Errno::not_directory;
  }
  Ref<FileSystem> system = VELLUM_TRY(create_file_system(request));
  Ref<Entry> root = system->root();
  return add_mount(point, std::move(system), std::move(root), request.source, request.flags);
}

Result<void> Files::mount_lower(const Path& point, Lower& lower, std::string_view source) {
  if (!point.mount || !point.node().is_directory()) {
    return Errno::not_directory;
  }
  constexpr std::uint64_t kOverlayMagic = 0x794c7630;
  Ref<FileSystem> system =
      VELLUM_TRY(RamFileSystem::create(*this, {.type = "overlay", .magic = kOverlayMagic}, &lower));
  Ref<Entry> root = system->root();
  return add_mount(point, std::move(system), std::move(root), source, 0);
}

Result<void> Files::bind(const Path& point, const Path& what, std::uint32_t flags) {
  if (!point.mount || !what.mount) {
    return Errno::invalid;
  }
  if (point.node().is_directory() != what.node().is_directory()) {
    return Errno::not_directory;
  }
  Ref<FileSystem> system = Ref<FileSystem>::share(what.mount->file_system());
  return add_mount(point, std::move(system), what.entry, what.mount->source(), flags | what.mount->flags());
}

Result<void> Files::move_mount(const Path& from, const Path& to) {
  if (!from.mount || !to.mount || from.entry != from.mount->root()) {
    return Errno::invalid;
  }
  if (from.node().is_directory() != to.node().is_directory()) {
    return Errno::not_directory;
  }
  const MutexGuard changing(mount_lock_);
  for (std::optional<Path> above = to; above; above = point_of(*above->mount)) {
    if (above->mount == from.mount) {
      return Errno::link_loop;
    }
  }
  const Path place = covered(to);
  Path before = place;
  {
    const LockGuard guard(naming_.lock);
    if (!from.mount->parent_) {
      return Errno::invalid;
    }
    std::swap(from.mount->parent_, before.mount);
    std::swap(from.mount->point_, before.entry);
  }
  place.entry->count_mount(1);
  before.entry->count_mount(-1);
  return {};
}

// Besides the list and `path` nobody may hold the mount, unless it goes lazily.
Result<void> Files::unmount(const Path& path, bool lazily) {
  constexpr std::uint32_t kOurs = 2;
  const MutexGuard changing(mount_lock_);
  if (!path.mount || path.entry != path.mount->root() || !point_of(*path.mount)) {
    return Errno::invalid;
  }
  if (!lazily && (find_mount(*path.mount, nullptr) || path.mount->reference_count() > kOurs)) {
    return Errno::busy;
  }
  take_away(*path.mount);
  return {};
}

namespace {

// Writes from the end of its bytes towards their beginning.
class BackwardText {
 public:
  explicit BackwardText(std::span<char> into) : into_(into), first_(into.size()) {}
  void prepend(std::string_view text) {
    cut_ = cut_ || text.size() > first_;
    if (!cut_) {
      first_ -= text.size();
      __builtin_memcpy(into_.data() + first_, text.data(), text.size());
    }
  }
  [[nodiscard]] std::string_view view() const { return {into_.data() + first_, into_.size() - first_}; }
  [[nodiscard]] bool is_cut() const { return cut_; }

 private:
  std::span<char> into_;
  std::size_t first_;
  bool cut_ = false;
};

}  // namespace

// All entries of a system share its lock of names, which the analysis cannot know.
Result<std::string_view> Files::write_path(const Path& path, const Path& root,
                                           std::span<char> into) VELLUM_NO_THREAD_SAFETY_ANALYSIS {
  BackwardText text(into);
  if (path.entry->is_removed()) {
    text.prepend(" (deleted)");
  }
  const std::size_t suffix = text.view().size();
  const LockGuard guard(naming_.lock);
  const Mount* mount = path.mount.get();
  const Entry* entry = path.entry.get();
  if (mount == nullptr) {
    text.prepend(entry->name_locked());
  } else {
    while (mount != root.mount.get() || entry != root.entry.get()) {
      if (entry != mount->root_.get()) {
        if (entry->parent_locked() == nullptr) {
          break;  // moved out of what a mount shows
        }
        text.prepend(entry->name_locked());
        text.prepend("/");
        entry = entry->parent_locked();
      } else if (mount->parent_) {
        entry = mount->point_.get();
        mount = mount->parent_.get();
      } else {
        break;
      }
    }
    if (text.view().size() == suffix) {
      text.prepend("/");
    }
    if (mount != root.mount.get() || entry != root.entry.get()) {
      text.prepend("(unreachable)");
    }
  }
  if (text.is_cut()) {
    return Errno::name_too_long;
  }
  return text.view();
}

}  // namespace vellum::unix
