// What the nodes of RAM file systems have in common, and the small kinds.
#include "ram_node.hpp"

#include <algorithm>

#include <vellum/unix/file_caller.hpp>
#include <vellum/unix/scratch.hpp>

namespace vellum::unix {

namespace {

constexpr std::int64_t kDay = 24 * 60 * 60;

}  // namespace

Timestamp now() {
  constexpr std::uint64_t kSecond = 1'000'000'000;
  const std::uint64_t time = realtime_now().value();
  return {.seconds = static_cast<std::int64_t>(time / kSecond),
          .nanoseconds = static_cast<std::uint32_t>(time % kSecond)};
}

Attributes new_attributes(std::uint64_t inode, const NewNode& what) {
  const Timestamp time = now();
  return {.kind = what.kind,
          .permissions = what.permissions,
          .owner = what.owner,
          .group = what.group,
          .inode = inode,
          .links = what.kind == NodeKind::directory ? 2U : 0U,
          .size = ByteCount(what.target.size()),
          .device = what.device,
          .accessed = time,
          .modified = time,
          .changed = time,
          .created = time};
}

Attributes RamNode::attributes() {
  const LockGuard guard(attributes_lock_);
  return attributes_;
}

Result<void> RamNode::change(const AttributeChange& change) {
  const Timestamp time = now();
  const LockGuard guard(attributes_lock_);
  attributes_.permissions = change.permissions.value_or(attributes_.permissions);
  attributes_.owner = change.owner.value_or(attributes_.owner);
  attributes_.group = change.group.value_or(attributes_.group);
  attributes_.accessed = change.accessed.value_or(attributes_.accessed);
  attributes_.modified = change.modified.value_or(attributes_.modified);
  attributes_.changed = time;
  changed_.store(true, std::memory_order_relaxed);
  return {};
}

// The time of access as with relatime: when it is not after the last change, or a day old.
void RamNode::touch(bool modified) {
  const Timestamp time = now();
  const LockGuard guard(attributes_lock_);
  if (modified) {
    attributes_.modified = attributes_.changed = time;
    changed_.store(true, std::memory_order_relaxed);
  } else if (attributes_.accessed <= attributes_.modified || attributes_.accessed <= attributes_.changed ||
             attributes_.accessed.seconds + kDay < time.seconds) {
    attributes_.accessed = time;
  }
}

bool RamNode::count_link(int change) {
  const Timestamp time = now();
  const LockGuard guard(attributes_lock_);
  changed_.store(true, std::memory_order_relaxed);
  const std::int64_t links = std::int64_t{attributes_.links} + change;
  attributes_.links = static_cast<std::uint32_t>(std::max<std::int64_t>(links, 0));
  attributes_.changed = time;
  return attributes_.links == 0;
}

void RamNode::drop_lent_rights() {
  const LockGuard guard(attributes_lock_);
  const std::uint16_t group_bits = kSetGroupId | 010;
  if ((attributes_.permissions & group_bits) == group_bits) {
    attributes_.permissions &= static_cast<std::uint16_t>(~kSetGroupId);
  }
  attributes_.permissions &= static_cast<std::uint16_t>(~kSetUserId);
}

Result<Text> RamSymlink::link_target(FileMemory& memory) {
  if (lower_ == nullptr) {
    return Text::create(memory, target_.view());
  }
  Scratch scratch(memory);
  VELLUM_TRY(scratch.allocate(ByteCount(kLongestPath)));
  const std::size_t length = VELLUM_TRY(lower_->read_link(handle_, scratch.characters()));
  return Text::create(memory, {scratch.characters().data(), length});
}

void RamSymlink::destroy() {
  if (lower_ != nullptr) {
    lower_->release(handle_);
  }
  memory().destroy(this);
}

Result<Ref<OpenFile>> RamDevice::open(const Path& path, std::uint32_t flags) {
  Files& files = file_system().files();
  if (path.mount && (path.mount->flags() & mount_flag::kNoDevices) != 0) {
    return Errno::access_denied;
  }
  Device* const device = VELLUM_TRY(files.find_device(kind(), attributes().device));
  return device->open(files.memory(), path, flags);
}

void RamDevice::destroy() { memory().destroy(this); }

}  // namespace vellum::unix
