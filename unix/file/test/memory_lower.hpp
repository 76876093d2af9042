// A lower file system in host memory, which counts what it is asked.
#pragma once

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <vellum/unix/lower.hpp>

namespace vellum::test {

class MemoryLower final : public unix::Lower {
 public:
  struct Thing {
    unix::NodeKind kind = unix::NodeKind::file;
    std::uint64_t inode = 0;
    std::uint32_t links = 1;
    std::string text{};  // contents, or a symlink's target
    std::map<std::string, Thing*> children{};
  };

  MemoryLower() { top = make(unix::NodeKind::directory); }
  ~MemoryLower() { VELLUM_CHECK(handles == 0); }

  Thing* add(Thing* directory, const std::string& name, unix::NodeKind kind, std::string text = {}) {
    Thing* const thing = make(kind);
    thing->text = std::move(text);
    directory->children[name] = thing;
    return thing;
  }

  Result<unix::LowerNode> root() override { return open(*top); }
  Result<unix::LowerNode> lookup(unix::LowerHandle directory, std::string_view name) override {
    ++lookups;
    if (failing) {
      return Errno::io_error;
    }
    const Thing& thing = of(directory);
    const auto found = thing.children.find(std::string(name));
    return found == thing.children.end() ? Result<unix::LowerNode>(Errno::no_entry) : open(*found->second);
  }
  // Positions are big numbers in no order, as some file systems have them.
  Result<void> list(unix::LowerHandle directory, std::uint64_t position, unix::LowerListing& listing) override {
    const Thing& thing = of(directory);
    std::uint64_t number = position == 0 ? 0 : (~position) / kStep;
    for (auto child = std::next(thing.children.begin(), static_cast<std::ptrdiff_t>(number));
         child != thing.children.end(); ++child) {
      ++number;
      if (!listing.put(child->first, child->second->kind, child->second->inode, ~(number * kStep))) {
        break;
      }
    }
    return {};
  }
  Result<std::size_t> read_link(unix::LowerHandle link, std::span<char> into) override {
    const std::string& text = of(link).text;
    std::memcpy(into.data(), text.data(), text.size());
    return text.size();
  }
  Result<std::size_t> read(unix::LowerHandle file, ByteCount offset, std::span<std::byte> into) override {
    ++reads;
    if (failing) {
      return Errno::io_error;
    }
    const std::string& text = of(file).text;
    const std::size_t size =
        offset.value() >= text.size()
            ? 0
            : std::min<std::size_t>(into.size(), text.size() - static_cast<std::size_t>(offset.value()));
    std::memcpy(into.data(), text.data() + offset.value(), size);
    return size;
  }
  void release(unix::LowerHandle /*handle*/) override { --handles; }

  Thing* top = nullptr;
  bool failing = false;
  int handles = 0;
  int lookups = 0;
  int reads = 0;

 private:
  static constexpr std::uint64_t kStep = 1000003;

  Thing* make(unix::NodeKind kind) {
    things_.push_back(std::make_unique<Thing>(Thing{.kind = kind, .inode = 100 + things_.size()}));
    return things_.back().get();
  }
  static Thing& of(unix::LowerHandle handle) { return *reinterpret_cast<Thing*>(handle.value); }
  Result<unix::LowerNode> open(Thing& thing) {
    ++handles;
    return unix::LowerNode{.handle = {reinterpret_cast<std::uintptr_t>(&thing)},
                           .attributes = {.kind = thing.kind,
                                          .permissions = 0755,
                                          .inode = thing.inode,
                                          .links = thing.links,
                                          .size = ByteCount(thing.text.size())}};
  }

  std::vector<std::unique_ptr<Thing>> things_;
};

}  // namespace vellum::test
