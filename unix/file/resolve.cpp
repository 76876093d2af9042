#include <vellum/unix/resolve.hpp>

#include <algorithm>

namespace vellum::unix {

namespace {

// A walk from place to place along a text.
class Walk {
 public:
  Walk(Files& files, const Resolution& from) : files_(files), from_(from) {}

  // Errors: no_entry (an empty path), name_too_long.
  [[nodiscard]] Result<void> begin(std::string_view path);
  // Up to the last name, which is then last() and not yet taken; empty where the path has none.
  [[nodiscard]] Result<void> to_last();
  // Takes the last name. False: it was a symlink, and there is more to walk.
  [[nodiscard]] Result<bool> take_last(LastSymlink symlink) { return step(last_, symlink == LastSymlink::follow); }

  [[nodiscard]] std::string_view last() const { return last_; }
  // Whether slashes follow the last name.
  [[nodiscard]] bool has_trailing_slash() const { return trailing_; }
  [[nodiscard]] Path& place() { return at_; }

 private:
  [[nodiscard]] Result<bool> step(std::string_view name, bool follow);
  [[nodiscard]] Result<bool> follow(Node& link);
  void step_up();

  Files& files_;
  const Resolution& from_;
  Path at_;
  Text text_;  // what rest_ lies in, once a symlink was followed
  std::string_view rest_;
  std::string_view last_;
  bool trailing_ = false;
  unsigned links_ = 0;
};

Result<void> Walk::begin(std::string_view path) {
  if (path.empty()) {
    return Errno::no_entry;
  }
  if (path.size() >= kLongestPath) {
    return Errno::name_too_long;
  }
  rest_ = path;
  at_ = path.front() == '/' ? from_.root : from_.current;
  return {};
}

Result<void> Walk::to_last() {
  for (;;) {
    rest_.remove_prefix(std::min(rest_.find_first_not_of('/'), rest_.size()));
    const std::size_t end = std::min(rest_.find('/'), rest_.size());
    last_ = rest_.substr(0, end);
    rest_.remove_prefix(end);
    trailing_ = !rest_.empty();
    if (rest_.find_first_not_of('/') == std::string_view::npos) {
      rest_ = {};
      return {};
    }
    (void)VELLUM_TRY(step(last_, true));
  }
}

// The root of the process is its own parent, and so is that of what is not mounted any more.
void Walk::step_up() {
  for (;;) {
    if (at_ == from_.root) {
      return;
    }
    if (at_.mount && at_.entry == at_.mount->root()) {
      std::optional<Path> point = files_.point_of(*at_.mount);
      if (!point) {
        return;
      }
      at_ = std::move(*point);
      continue;
    }
    if (Ref<Entry> parent = at_.entry->parent()) {
      at_.entry = std::move(parent);
      at_ = files_.covered(std::move(at_));
    }
    return;
  }
}

Result<bool> Walk::step(std::string_view name, bool follow) {
  Node& directory = at_.node();
  if (!directory.is_directory()) {
    return Errno::not_directory;
  }
  VELLUM_TRY(check_access(directory.attributes(), from_.who, {.execute = true}));
  if (name.empty() || name == ".") {
    return true;
  }
  if (name == "..") {
    step_up();
    return true;
  }
  if (name.size() > kLongestName) {
    return Errno::name_too_long;
  }
  Ref<Entry> entry = VELLUM_TRY(directory.lookup(*at_.entry, name));
  if (entry->node().kind() == NodeKind::symlink && follow) {
    const Ref<Entry> link = std::move(entry);
    return this->follow(link->node());
  }
  at_.entry = std::move(entry);
  at_ = files_.covered(std::move(at_));
  return true;
}

Result<bool> Walk::follow(Node& link) {
  if (++links_ > kMostSymlinks) {
    return Errno::link_loop;
  }
  std::optional<Path> there = VELLUM_TRY(link.jump());
  if (there) {
    at_ = std::move(*there);
    return true;
  }
  FileMemory& memory = files_.memory();
  const Text target = VELLUM_TRY(link.link_target(memory));
  if (target.empty()) {
    return Errno::no_entry;
  }
  link.touch(false);
  Text joined = VELLUM_TRY(Text::join(memory, target.view(), rest_));
  text_ = std::move(joined);
  rest_ = text_.view();
  if (rest_.front() == '/') {
    at_ = from_.root;
  }
  return false;
}

}  // namespace

Result<Path> resolve(Files& files, const Resolution& from, std::string_view path, LastSymlink last) {
  Walk walk(files, from);
  VELLUM_TRY(walk.begin(path));
  bool must_be_directory = false;
  for (bool arrived = false; !arrived;) {
    VELLUM_TRY(walk.to_last());
    must_be_directory = must_be_directory || walk.has_trailing_slash();
    if (walk.last().empty()) {
      break;
    }
    arrived = VELLUM_TRY(walk.take_last(walk.has_trailing_slash() ? LastSymlink::follow : last));
  }
  if (must_be_directory && !walk.place().node().is_directory()) {
    return Errno::not_directory;
  }
  return std::move(walk.place());
}

Result<Parent> resolve_parent(Files& files, const Resolution& from, std::string_view path) {
  Walk walk(files, from);
  VELLUM_TRY(walk.begin(path));
  VELLUM_TRY(walk.to_last());
  if (!walk.place().node().is_directory()) {
    return Errno::not_directory;
  }
  if (walk.last().size() > kLongestName) {
    return Errno::name_too_long;
  }
  VELLUM_TRY(check_access(walk.place().node().attributes(), from.who, {.execute = true}));
  Parent parent;
  parent.name = VELLUM_TRY(Text::create(files.memory(), walk.last()));
  parent.directory = std::move(walk.place());
  parent.trailing_slash = walk.has_trailing_slash();
  return parent;
}

Result<void> check_place(const Path& place, const FileCredentials& who, Wanted wanted) {
  const NodeKind kind = place.node().kind();
  const bool is_stored = kind == NodeKind::file || kind == NodeKind::directory || kind == NodeKind::symlink;
  if (wanted.write && is_stored && place.mount && place.mount->is_read_only()) {
    return Errno::read_only;
  }
  return check_access(place.node().attributes(), who, wanted);
}

}  // namespace vellum::unix
