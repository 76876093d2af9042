#include <vellum/unix/entry_table.hpp>
#include <vellum/unix/open_file.hpp>

namespace vellum::unix {

namespace {

std::uint32_t hash_of(std::string_view name) {  // FNV-1a
  std::uint32_t hash = 2166136261U;
  for (const char character : name) {
    hash = (hash ^ static_cast<std::uint8_t>(character)) * 16777619U;
  }
  return hash;
}

}  // namespace

Result<Ref<Entry>> Entry::create(FileMemory& memory, Naming& naming, Ref<Entry> parent, std::string_view name,
                                 Ref<Node> node) {
  Text text = VELLUM_TRY(Text::create(memory, name));
  return Ref<Entry>::adopt(
      VELLUM_TRY(memory.create<Entry>(memory, naming, std::move(parent), std::move(text), std::move(node))));
}

Ref<Entry> Entry::parent() {
  const LockGuard guard(naming_.lock);
  return parent_;
}

void Entry::move(Ref<Entry> parent, Text name) {
  const LockGuard guard(naming_.lock);
  std::swap(parent_, parent);
  std::swap(name_, name);
}

// Not by recursion: a parent may end with its last child, and the tree may be deep.
void Entry::destroy() {
  Entry* entry = this;
  while (entry != nullptr) {
    Entry* parent = nullptr;
    {
      const LockGuard guard(entry->naming_.lock);
      parent = entry->parent_.detach();
    }
    entry->memory_.destroy(entry);
    entry = parent != nullptr && parent->drop() ? parent : nullptr;
  }
}

// --- EntryTable

EntryTable::~EntryTable() {
  VELLUM_ASSERT(used_ == 0);
  if (chains_ != nullptr) {
    memory_.free(chains_, ByteCount(chain_count_ * sizeof(Entry*)));
  }
}

Entry** EntryTable::chain_of(std::string_view name) { return &chains_[hash_of(name) & (chain_count_ - 1)]; }

// Names of entries that a directory keeps change under that directory's lock only.
std::string_view EntryTable::name_of(Entry& entry) VELLUM_NO_THREAD_SAFETY_ANALYSIS { return entry.name_.view(); }

Entry* EntryTable::find(std::string_view name) {
  if (chain_count_ == 0) {
    return nullptr;
  }
  Entry* entry = *chain_of(name);
  while (entry != nullptr && name_of(*entry) != name) {
    entry = entry->table_next_;
  }
  return entry;
}

Result<void> EntryTable::reserve() {
  if (used_ < chain_count_) {
    return {};
  }
  const Result<void> grown = grow();
  return chain_count_ != 0 ? Result<void>() : grown;  // longer chains will do
}

Result<void> EntryTable::grow() {
  const std::uint32_t count = chain_count_ == 0 ? 8 : chain_count_ * 2;
  auto** const chains = static_cast<Entry**>(VELLUM_TRY(memory_.allocate(ByteCount(count * sizeof(Entry*)))));
  for (std::uint32_t i = 0; i < count; ++i) {
    chains[i] = nullptr;
  }
  if (chains_ != nullptr) {
    memory_.free(chains_, ByteCount(chain_count_ * sizeof(Entry*)));
  }
  chains_ = chains;
  chain_count_ = count;
  entries_.for_each([this](Entry& entry) {
    Entry** const chain = chain_of(name_of(entry));
    entry.table_next_ = *chain;
    *chain = &entry;
  });
  return {};
}

void EntryTable::insert(Ref<Entry> owned, Origin origin) {
  Entry& entry = *owned.detach();
  Entry** const chain = chain_of(name_of(entry));
  entry.table_next_ = *chain;
  *chain = &entry;
  entry.position_ = next_position_++;
  entry.origin_ = origin;
  entries_.push_back(entry);
  ++used_;
  size_ += is_whiteout(entry) ? 0 : 1;
}

Ref<Entry> EntryTable::remove(Entry& entry) {
  Entry** place = chain_of(name_of(entry));
  while (*place != &entry) {
    place = &(*place)->table_next_;
  }
  *place = entry.table_next_;
  entry.table_next_ = nullptr;
  entries_.remove(entry);
  --used_;
  size_ -= is_whiteout(entry) ? 0 : 1;
  return Ref<Entry>::adopt(&entry);
}

void EntryTable::move_all(Entry*& chain) {
  while (Entry* const first = entries_.front()) {
    Entry* const entry = remove(*first).detach();
    entry->table_next_ = chain;
    chain = entry;
  }
}

Ref<Entry> EntryTable::pop(Entry*& chain) {
  Entry* const entry = chain;
  if (entry != nullptr) {
    chain = entry->table_next_;
    entry->table_next_ = nullptr;
  }
  return Ref<Entry>::adopt(entry);
}

Entry* EntryTable::after(std::uint64_t position) {
  Entry* entry = entries_.front();
  while (entry != nullptr && entry->position_ <= position) {
    entry = entries_.next(*entry);
  }
  return entry;
}

// --- Node: what a kind of node does not have

Result<void> Node::change(const AttributeChange& /*change*/) { return Errno::not_permitted; }
Result<Ref<OpenFile>> Node::open(const Path& /*path*/, std::uint32_t /*flags*/) { return Errno::no_such_device; }
Result<void> Node::truncate(ByteCount /*size*/) { return is_directory() ? Errno::is_directory : Errno::invalid; }

Result<Ref<Entry>> Node::lookup(Entry& /*directory*/, std::string_view /*name*/) { return Errno::not_directory; }
Result<Ref<Entry>> Node::create(Entry& /*directory*/, std::string_view /*name*/, const NewNode& /*what*/) {
  return is_directory() ? Errno::not_permitted : Errno::not_directory;
}
Result<void> Node::link(Entry& /*directory*/, std::string_view /*name*/, Node& /*target*/) {
  return is_directory() ? Errno::not_permitted : Errno::not_directory;
}
Result<void> Node::remove(Entry& /*directory*/, std::string_view /*name*/, NodeKind /*what*/) {
  return is_directory() ? Errno::not_permitted : Errno::not_directory;
}
Result<void> Node::list(Entry& /*directory*/, Listing& /*listing*/, DirectorySink& /*sink*/) {
  return Errno::not_directory;
}
Result<Text> Node::link_target(FileMemory& /*memory*/) { return Errno::invalid; }
Result<std::optional<Path>> Node::jump() { return std::optional<Path>(); }

Result<void> FileSystem::rename(Entry& /*old_directory*/, std::string_view /*old_name*/, Entry& /*new_directory*/,
                                std::string_view /*new_name*/, std::uint32_t /*flags*/) {
  return Errno::not_permitted;
}

// --- rules

bool FileCredentials::is_in(GroupId wanted) const {
  if (wanted == group) {
    return true;
  }
  for (const GroupId other : groups) {
    if (other == wanted) {
      return true;
    }
  }
  return false;
}

Result<void> check_access(const Attributes& attributes, const FileCredentials& who, Wanted wanted) {
  const unsigned mask = (wanted.read ? 4U : 0U) | (wanted.write ? 2U : 0U) | (wanted.execute ? 1U : 0U);
  if (who.superuser) {
    // Even the superuser executes only what somebody may execute.
    const bool executable = attributes.kind == NodeKind::directory || (attributes.permissions & 0111U) != 0;
    return !wanted.execute || executable ? Result<void>() : Result<void>(Errno::access_denied);
  }
  unsigned granted = attributes.permissions & 07U;
  if (who.user == attributes.owner) {
    granted = (attributes.permissions >> 6) & 07U;
  } else if (who.is_in(attributes.group)) {
    granted = (attributes.permissions >> 3) & 07U;
  }
  return (mask & ~granted) == 0 ? Result<void>() : Result<void>(Errno::access_denied);
}

}  // namespace vellum::unix
