// Random operations on names and contents, on a RAM file system over a lower one, against a naive model: after each
// operation its error must be the model's, and in between all is compared: names, kinds, numbers of links, contents.
// The lower layer must be what it was. At the end all memory must be free, which the system's end checks.
#include <map>
#include <memory>
#include <string>

#include <vellum/fuzz/fuzz.hpp>

#include "test/memory_lower.hpp"
#include "test/world.hpp"

namespace vellum {
namespace {

using test::MemoryLower;
using test::World;
using unix::NodeKind;
namespace flag = unix::open_flag;

struct ModelNode;
using Held = std::shared_ptr<ModelNode>;

struct ModelNode {
  bool is_directory = false;
  std::uint32_t links = 1;
  std::string content{};
  std::map<std::string, Held> children{};
};

// A tree of names without symlinks, and the errors of Linux.
class Model {
 public:
  struct Place {
    Held directory;  // of the last name; null: the way there does not exist
    std::string name;
    Held node;  // null: there is no such name
    Errno error{};
  };

  [[nodiscard]] Place find(const std::string& path) const {
    Place place = {.directory = root, .name = "", .node = root};
    for (std::size_t start = 1; start <= path.size();) {
      const std::size_t end = std::min(path.find('/', start), path.size());
      if (!place.node) {
        return {.directory = nullptr, .name = "", .node = nullptr, .error = Errno::no_entry};
      }
      if (!place.node->is_directory) {
        return {.directory = nullptr, .name = "", .node = nullptr, .error = Errno::not_directory};
      }
      place.directory = place.node;
      place.name = path.substr(start, end - start);
      const auto child = place.directory->children.find(place.name);
      place.node = child == place.directory->children.end() ? nullptr : child->second;
      start = end + 1;
    }
    return place;
  }
  [[nodiscard]] Errno make(const std::string& path, bool is_directory) {
    const Place place = find(path);
    if (!place.directory) {
      return place.error;
    }
    if (place.node) {
      return Errno::exists;
    }
    place.directory->children[place.name] =
        std::make_shared<ModelNode>(ModelNode{.is_directory = is_directory, .links = is_directory ? 2U : 1U});
    place.directory->links += is_directory ? 1 : 0;
    return {};
  }
  [[nodiscard]] Errno link(const std::string& from, const std::string& to) {
    const Place source = find(from);
    const Place target = find(to);
    if (!source.node) {
      return source.directory ? Errno::no_entry : source.error;
    }
    if (!target.directory) {
      return target.error;
    }
    if (target.node) {
      return Errno::exists;
    }
    if (source.node->is_directory) {
      return Errno::not_permitted;
    }
    target.directory->children[target.name] = source.node;
    ++source.node->links;
    return {};
  }
  [[nodiscard]] Errno remove(const std::string& path, bool directory) {
    const Place place = find(path);
    if (!place.node) {
      return place.directory ? Errno::no_entry : place.error;
    }
    if (place.node->is_directory != directory) {
      return directory ? Errno::not_directory : Errno::is_directory;
    }
    if (!place.node->children.empty()) {
      return Errno::not_empty;
    }
    forget(place);
    return {};
  }
  [[nodiscard]] Errno rename(const std::string& from, const std::string& to, std::uint32_t flags) {
    const Place source = find(from);
    const Place target = find(to);
    if (!source.directory || !target.directory) {
      return !source.directory ? source.error : target.error;
    }
    if (!source.node) {
      return Errno::no_entry;
    }
    if (is_within(target.directory, source.node)) {
      return Errno::invalid;
    }
    const bool exchanges = flags == 2;
    if (exchanges && !target.node) {
      return Errno::no_entry;
    }
    if (flags == 1 && target.node) {
      return Errno::exists;
    }
    if (target.node && is_within(source.directory, target.node)) {
      return exchanges ? Errno::invalid : Errno::not_empty;
    }
    if (target.node == source.node) {
      return {};
    }
    return exchanges ? exchange(source, target) : move(source, target);
  }

  Held root = std::make_shared<ModelNode>(ModelNode{.is_directory = true, .links = 2});

 private:
  static bool is_within(const Held& node, const Held& above) {
    if (node == above) {
      return true;
    }
    for (const auto& [name, child] : above->children) {
      if (is_within(node, child)) {
        return true;
      }
    }
    return false;
  }
  static void forget(const Place& place) {
    place.directory->children.erase(place.name);
    if (place.node->is_directory) {
      place.node->links = 0;
      --place.directory->links;
    } else {
      --place.node->links;
    }
  }
  static Errno move(const Place& source, const Place& target) {
    if (target.node) {
      if (target.node->is_directory && !source.node->is_directory) {
        return Errno::is_directory;
      }
      if (!target.node->is_directory && source.node->is_directory) {
        return Errno::not_directory;
      }
      if (!target.node->children.empty()) {
        return Errno::not_empty;
      }
      forget(target);
    }
    source.directory->children.erase(source.name);
    source.directory->links -= source.node->is_directory ? 1 : 0;
    target.directory->children[target.name] = source.node;
    target.directory->links += source.node->is_directory ? 1 : 0;
    return {};
  }
  static Errno exchange(const Place& source, const Place& target) {
    source.directory->children[source.name] = target.node;
    target.directory->children[target.name] = source.node;
    source.directory->links += (target.node->is_directory ? 1U : 0U) - (source.node->is_directory ? 1U : 0U);
    target.directory->links += (source.node->is_directory ? 1U : 0U) - (target.node->is_directory ? 1U : 0U);
    return {};
  }
};

class Fuzzer {
 public:
  explicit Fuzzer(FuzzInput& input) : input_(input) {
    fill(*lower_.top, *model_.root, 0);
    world_ = std::make_unique<World>(&lower_);
  }

  void run() {
    for (unsigned count = 0; !input_.empty(); ++count) {
      ++vellum_fuzz_operations;
      step();
      if (count % 16 == 15) {
        compare("/", *model_.root);
      }
    }
    compare("/", *model_.root);
  }

 private:
  static constexpr const char* kNames[] = {"a", "b", "c"};
  static constexpr std::size_t kMostContent = 10000;

  // The same tree in the lower layer and in the model.
  void fill(MemoryLower::Thing& thing, ModelNode& node, unsigned depth) {
    for (const char* const name : kNames) {
      const std::uint64_t kind = input_.take_in_range(0, 3);
      if (kind == 0 || (kind == 1 && depth == 2)) {
        continue;
      }
      const bool is_directory = kind == 1;
      const Held child =
          std::make_shared<ModelNode>(ModelNode{.is_directory = is_directory, .links = is_directory ? 2U : 1U});
      MemoryLower::Thing* const below = lower_.add(&thing, name, is_directory ? NodeKind::directory : NodeKind::file);
      node.children[name] = child;
      if (is_directory) {
        ++node.links;
        fill(*below, *child, depth + 1);
        below->links = child->links;
      } else {
        below->text = child->content = content();
      }
    }
    thing.links = node.links;
  }
  [[nodiscard]] std::string content() {
    return std::string(input_.take_in_range(0, 6000), static_cast<char>(input_.take_in_range('a', 'z')));
  }
  [[nodiscard]] std::string path() {
    std::string path;
    for (std::uint64_t depth = input_.take_in_range(1, 3); depth > 0; --depth) {
      path += '/';
      path += kNames[input_.take_in_range(0, std::size(kNames) - 1)];
    }
    return path;
  }
  static void check(Errno expected, const Result<void>& got) {
    VELLUM_CHECK((got.ok() ? Errno{} : got.error()) == expected);
  }

  void step() {
    const std::string first = path();
    switch (input_.take_in_range(0, 10)) {
      case 0:
        check(model_.make(first, true), world_->make_directory(first));
        break;
      case 1:
        check(model_.make(first, false), world_->make(first, NodeKind::file));
        break;
      case 2:
        check(model_.remove(first, false), world_->remove(first));
        break;
      case 3:
        check(model_.remove(first, true), world_->remove(first, NodeKind::directory));
        break;
      case 4: {
        const std::string second = path();
        const auto flags = static_cast<std::uint32_t>(input_.take_in_range(0, 2));
        check(model_.rename(first, second, flags), world_->rename(first, second, flags));
        break;
      }
      case 5: {
        const std::string second = path();
        const Errno expected = model_.link(first, second);
        const Result<unix::Path> place = world_->find(first, unix::LastSymlink::keep);
        check(expected, place.ok() ? unix::link_name(world_->files(), place.value(), world_->from(), second)
                                   : Result<void>(place.error()));
        break;
      }
      case 6:
        write(first);
        break;
      case 7:
        truncate(first);
        break;
      case 8:
        (void)world_->files().reclaim(PageCount(input_.take_in_range(0, 100)));
        break;
      case 9:
        write_mapped(first);
        break;
      default:
        read(first);
        break;
    }
  }

  void write(const std::string& path) {
    const Model::Place place = model_.find(path);
    if (!place.node || place.node->is_directory) {
      return;
    }
    std::string& expected = place.node->content;
    const std::size_t at = input_.take_in_range(0, kMostContent);
    const std::string text = content();
    const auto file = world_->open(path, flag::kReadWrite);
    VELLUM_CHECK(file.ok() && World::put(*file.value(), at, text) == text.size());
    if (!text.empty()) {
      expected.resize(std::max(expected.size(), at + text.size()));
      expected.replace(at, text.size(), text);
    }
  }
  // As a program that has the file mapped, and says that it be written back.
  void write_mapped(const std::string& path) {
    const Model::Place place = model_.find(path);
    if (!place.node || place.node->is_directory || place.node->content.empty()) {
      return;
    }
    std::string& expected = place.node->content;
    const std::size_t at = input_.take_in_range(0, expected.size() - 1);
    const std::string text = content().substr(0, expected.size() - at);
    const auto file = world_->open(path, flag::kReadWrite);
    VELLUM_CHECK(file.ok());
    const unix::FileMapping mapping = file.value()->mapping().value();
    const Result<ByteCount> written = mapping.object->write(ByteCount(at), std::as_bytes(std::span(text)));
    VELLUM_CHECK(written.ok() && written.value() == ByteCount(text.size()));
    VELLUM_CHECK(mapping.object->write_back(IndexRange::must(PageIndex(0), PageCount(kMostContent))).ok());
    expected.replace(at, text.size(), text);
  }
  void truncate(const std::string& path) {
    const Model::Place place = model_.find(path);
    if (place.node && !place.node->is_directory) {
      const std::size_t size = input_.take_in_range(0, kMostContent);
      VELLUM_CHECK(world_->find(path).value().node().truncate(ByteCount(size)).ok());
      place.node->content.resize(size);
    }
  }
  void read(const std::string& path) {
    const Model::Place place = model_.find(path);
    if (!place.node || place.node->is_directory) {
      return;
    }
    const std::size_t at = input_.take_in_range(0, kMostContent);
    const std::size_t size = input_.take_in_range(0, kMostContent);
    const auto file = world_->open(path, flag::kReadOnly);
    const std::string& content = place.node->content;
    VELLUM_CHECK(World::get(*file.value(), at, size) == (at < content.size() ? content.substr(at, size) : ""));
  }

  void compare(const std::string& path, const ModelNode& node) {
    const unix::Attributes attributes = world_->attributes(path);
    VELLUM_CHECK((attributes.kind == NodeKind::directory) == node.is_directory);
    VELLUM_CHECK(attributes.links == node.links);
    if (!node.is_directory) {
      VELLUM_CHECK(attributes.size == ByteCount(node.content.size()));
      VELLUM_CHECK(world_->read(path) == node.content);
      return;
    }
    std::vector<std::string> names = world_->list(path, 1 + input_.take_in_range(0, 4));
    std::sort(names.begin(), names.end());
    std::vector<std::string> expected = {".", ".."};
    for (const auto& [name, child] : node.children) {
      expected.push_back(name);
      compare(path == "/" ? "/" + name : path + "/" + name, *child);
    }
    VELLUM_CHECK(names == expected);
  }

  FuzzInput& input_;
  MemoryLower lower_;
  Model model_;
  std::unique_ptr<World> world_;
};

}  // namespace
}  // namespace vellum

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  vellum::FuzzInput input(data, size);
  vellum::Fuzzer fuzzer(input);
  fuzzer.run();
  return 0;
}
