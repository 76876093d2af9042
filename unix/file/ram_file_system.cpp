// RAM file systems: tmpfs, devtmpfs, the root over a lower layer.
#include "ram_node.hpp"

namespace vellum::unix {

Result<Ref<RamFileSystem>> RamFileSystem::create(Files& files, const Kind& kind, Lower* lower) {
  FileMemory& memory = files.memory();
  Ref<RamFileSystem> system = Ref<RamFileSystem>::adopt(VELLUM_TRY(memory.create<RamFileSystem>(files, kind, lower)));
  if (!kind.most_pages.is_zero()) {
    system->quota_ = Ref<PageQuota>::adopt(VELLUM_TRY(memory.create<PageQuota>(memory, kind.most_pages)));
  }
  Ref<Node> root;
  if (lower != nullptr) {
    const LowerNode node = VELLUM_TRY(lower->root());
    if (node.attributes.kind != NodeKind::directory) {
      lower->release(node.handle);
      return Errno::not_directory;
    }
    root = VELLUM_TRY(system->make_lower_node(node));
  } else {
    root = VELLUM_TRY(system->make_node({.kind = NodeKind::directory, .permissions = kind.permissions}));
  }
  system->set_root(VELLUM_TRY(Entry::create(memory, files.naming(), nullptr, "", std::move(root))));
  return system;
}

void RamFileSystem::destroy() {
  if (root()) {
    static_cast<RamDirectory&>(root()->node()).clear_tree();
    set_root(nullptr);
  }
  files().memory().destroy(this);
}

Result<Ref<Node>> RamFileSystem::make_node(const NewNode& what) {
  return make_from(new_attributes(next_inode_.fetch_add(1, std::memory_order_relaxed), what), what.target, nullptr);
}

Result<Ref<Node>> RamFileSystem::make_lower_node(const LowerNode& node) {
  Result<Ref<Node>> made = make_from(node.attributes, {}, &node);
  const bool keeps_handle = node.attributes.kind == NodeKind::file || node.attributes.kind == NodeKind::symlink ||
                            node.attributes.kind == NodeKind::directory;
  if (!made.ok() || !keeps_handle) {
    lower_->release(node.handle);
  }
  return made;
}

Result<Ref<Node>> RamFileSystem::make_from(const Attributes& attributes, std::string_view target,
                                           const LowerNode* lower_node) {
  FileMemory& memory = files().memory();
  Lower* const lower = lower_node != nullptr ? lower_ : nullptr;
  const LowerHandle handle = lower_node != nullptr ? lower_node->handle : LowerHandle{};
  switch (attributes.kind) {
    case NodeKind::file:
      return Ref<Node>(Ref<RamFile>::adopt(VELLUM_TRY(memory.create<RamFile>(
          *this, attributes, FileContent::Source{.lower = lower, .handle = handle, .size = attributes.size}))));
    case NodeKind::directory:
      return Ref<Node>(
          Ref<RamDirectory>::adopt(VELLUM_TRY(memory.create<RamDirectory>(*this, attributes, lower, handle))));
    case NodeKind::symlink: {
      Text text = VELLUM_TRY(Text::create(memory, target));
      return Ref<Node>(Ref<RamSymlink>::adopt(
          VELLUM_TRY(memory.create<RamSymlink>(*this, attributes, std::move(text), lower, handle))));
    }
    case NodeKind::fifo:
      return Ref<Node>(Ref<RamFifo>::adopt(VELLUM_TRY(memory.create<RamFifo>(*this, attributes))));
    case NodeKind::character_device:
    case NodeKind::block_device:
    case NodeKind::socket:
      return Ref<Node>(Ref<RamDevice>::adopt(VELLUM_TRY(memory.create<RamDevice>(*this, attributes))));
  }
  return Errno::invalid;
}

FileSystemFigures RamFileSystem::figures() {
  PhysicalMemory& memory = files().virtual_memory().memory;
  const std::uint64_t total = memory.total_count().value();
  const std::uint64_t free = memory.free_count().value();
  const std::uint64_t most = quota_ ? quota_->limit().value() : total / 2;
  const std::uint64_t left = quota_ ? most - std::min(quota_->used().value(), most) : std::min(free, most);
  return {.magic = kind_.magic,
          .block_size = kPageSize,
          .blocks = most,
          .free_blocks = left,
          .files = total / 2,
          .free_files = std::min(free, total / 2)};
}

}  // namespace vellum::unix
