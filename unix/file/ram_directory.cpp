// Directories in RAM, also over a lower layer.
#include "ram_node.hpp"

namespace vellum::unix {

namespace {

// Positions in the lower layer's listing follow those of the entries that are here only.
constexpr std::uint64_t kLowerPositions = std::uint64_t{1} << 62;

bool is_own_listing(Origin origin) { return origin != Origin::lower; }

}  // namespace

void RamDirectory::destroy() {
  clear_tree();
  if (lower_ != nullptr) {
    lower_->release(handle_);
  }
  memory().destroy(this);
}

// Not by recursion: trees may be deep.
void RamDirectory::clear_tree() {
  Entry* chain = nullptr;
  {
    const MutexGuard guard(lock_);
    table_.move_all(chain);
  }
  while (chain != nullptr) {
    const Ref<Entry> entry = EntryTable::pop(chain);
    static_cast<RamFileSystem&>(file_system()).aging().remove(*entry);
    entry->mark_removed();
    if (!EntryTable::is_whiteout(*entry) && entry->node().is_directory()) {
      auto& directory = static_cast<RamDirectory&>(entry->node());
      const MutexGuard guard(directory.lock_);
      directory.table_.move_all(chain);
    }
  }
}

Attributes RamDirectory::attributes() {
  Attributes attributes = RamNode::attributes();
  if (lower_ == nullptr) {
    const MutexGuard guard(lock_);
    attributes.size = ByteCount(40 + 20 * table_.size());
  }
  return attributes;
}

Result<Entry*> RamDirectory::find(Entry& directory, std::string_view name) {
  if (name.size() > kLongestName) {
    return Errno::name_too_long;
  }
  Entry* const entry = table_.find(name);
  if (entry != nullptr) {
    return EntryTable::is_whiteout(*entry) ? nullptr : entry;
  }
  return lower_ == nullptr || removed_ ? Result<Entry*>(nullptr) : find_in_lower(directory, name);
}

Result<Entry*> RamDirectory::find_in_lower(Entry& directory, std::string_view name) {
  VELLUM_TRY(table_.reserve());
  const Result<LowerNode> found = lower_->lookup(handle_, name);
  if (!found.ok()) {
    return found.error() == Errno::no_entry ? Result<Entry*>(nullptr) : Result<Entry*>(found.error());
  }
  auto& system = static_cast<RamFileSystem&>(file_system());
  Ref<Node> node = VELLUM_TRY(system.make_lower_node(found.value()));
  Ref<Entry> entry =
      VELLUM_TRY(Entry::create(memory(), directory.naming(), Ref<Entry>::share(directory), name, std::move(node)));
  Entry* const made = entry.get();
  table_.insert(std::move(entry), Origin::lower);
  system.aging().add(*made);
  return made;
}

Result<Ref<Entry>> RamDirectory::lookup(Entry& directory, std::string_view name) {
  Ref<Entry> found;
  {
    const MutexGuard guard(lock_);
    Entry* const entry = VELLUM_TRY(find(directory, name));
    if (entry == nullptr) {
      return Errno::no_entry;
    }
    found = Ref<Entry>::share(*entry);
  }
  if (lower_ != nullptr) {
    Aging::note_use(*found);
    static_cast<RamFileSystem&>(file_system()).trim();
  }
  return found;
}

Origin RamDirectory::make_place(std::string_view name) {
  Entry* const whiteout = table_.find(name);
  if (whiteout == nullptr) {
    return Origin::own;
  }
  (void)table_.remove(*whiteout);
  return Origin::hides;
}

Result<Ref<Entry>> RamDirectory::enter(Entry& directory, std::string_view name, Ref<Node> node) {
  if (removed_) {
    return Errno::no_entry;
  }
  if (!static_cast<RamFileSystem&>(file_system()).is_changeable()) {
    return Errno::not_permitted;
  }
  VELLUM_TRY(table_.reserve());
  Ref<Entry> entry =
      VELLUM_TRY(Entry::create(memory(), directory.naming(), Ref<Entry>::share(directory), name, std::move(node)));
  static_cast<RamNode&>(entry->node()).count_link(entry->node().is_directory() ? 0 : 1);
  if (entry->node().is_directory()) {
    count_link(1);
  }
  table_.insert(entry, make_place(name));
  touch(true);
  return entry;
}

Result<Ref<Entry>> RamDirectory::create(Entry& directory, std::string_view name, const NewNode& what) {
  const MutexGuard guard(lock_);
  if (VELLUM_TRY(find(directory, name)) != nullptr) {
    return Errno::exists;
  }
  Ref<Node> node = VELLUM_TRY(static_cast<RamFileSystem&>(file_system()).make_node(what));
  return enter(directory, name, std::move(node));
}

Result<void> RamDirectory::link(Entry& directory, std::string_view name, Node& target) {
  if (target.is_directory()) {
    return Errno::not_permitted;
  }
  const MutexGuard guard(lock_);
  if (VELLUM_TRY(find(directory, name)) != nullptr) {
    return Errno::exists;
  }
  (void)VELLUM_TRY(enter(directory, name, Ref<Node>::share(target)));
  return {};
}

Result<Ref<Entry>> RamDirectory::make_whiteout(Entry& directory, const Entry& entry, std::string_view name) {
  if (EntryTable::origin_of(entry) == Origin::own) {
    return Ref<Entry>();
  }
  return Entry::create(memory(), directory.naming(), nullptr, name, nullptr);
}

void RamDirectory::take_out(Entry& entry, Ref<Entry> whiteout) {
  static_cast<RamFileSystem&>(file_system()).aging().remove(entry);
  const Ref<Entry> taken = table_.remove(entry);
  if (whiteout) {
    table_.insert(std::move(whiteout), Origin::hides);
  }
  if (taken->node().is_directory()) {
    count_link(-1);
  }
  touch(true);
}

void RamDirectory::unlinked(Entry& entry) {
  entry.mark_removed();
  auto& node = static_cast<RamNode&>(entry.node());
  if (node.kind() == NodeKind::directory) {
    node.count_link(-2);
  } else if (node.count_link(-1) && node.kind() == NodeKind::file) {
    static_cast<RamFile&>(node).unlinked();
  }
}

Result<void> RamDirectory::remove(Entry& directory, std::string_view name, NodeKind what) {
  const MutexGuard guard(lock_);
  Entry* const entry = VELLUM_TRY(find(directory, name));
  if (entry == nullptr) {
    return Errno::no_entry;
  }
  const bool is_directory = entry->node().is_directory();
  if (is_directory != (what == NodeKind::directory)) {
    return is_directory ? Errno::is_directory : Errno::not_directory;
  }
  if (entry->is_mounted_on()) {
    return Errno::busy;
  }
  if (!static_cast<RamFileSystem&>(file_system()).is_changeable()) {
    return Errno::not_permitted;
  }
  Ref<Entry> whiteout = VELLUM_TRY(make_whiteout(directory, *entry, name));
  const Ref<Entry> held = Ref<Entry>::share(*entry);
  if (is_directory) {
    VELLUM_TRY(static_cast<RamDirectory&>(entry->node()).close_if_empty());
  }
  take_out(*entry, std::move(whiteout));
  unlinked(*held);
  return {};
}

Result<void> RamDirectory::close_if_empty() {
  const MutexGuard guard(lock_);
  if (!VELLUM_TRY(is_empty())) {
    return Errno::not_empty;
  }
  removed_ = true;
  return {};
}

Result<bool> RamDirectory::is_empty() {
  if (table_.size() != 0) {
    return false;
  }
  if (lower_ == nullptr || removed_) {
    return true;
  }
  // Whether the lower directory has a name that was not taken away.
  class Search final : public LowerListing {
   public:
    explicit Search(EntryTable& table) : table_(table) {}
    bool put(std::string_view name, NodeKind /*kind*/, std::uint64_t /*inode*/, std::uint64_t /*next*/) override {
      found = found || table_.find(name) == nullptr;
      return !found;
    }
    bool found = false;

   private:
    EntryTable& table_;
  };
  Search search(table_);
  VELLUM_TRY(lower_->list(handle_, 0, search));
  return !search.found;
}

bool RamDirectory::list_own(std::uint64_t position, DirectorySink& sink) {
  for (Entry* entry = table_.after(position); entry != nullptr; entry = table_.after(position)) {
    position = EntryTable::position_of(*entry);
    if (EntryTable::is_whiteout(*entry) || !is_own_listing(EntryTable::origin_of(*entry))) {
      continue;
    }
    Node& node = entry->node();
    if (!sink.put(table_.name_of(*entry), node.kind(), static_cast<RamNode&>(node).inode(), position)) {
      return false;
    }
  }
  return true;
}

namespace {

// Hands on what the lower layer lists and is neither gone nor replaced. A position counts the entries up to there, for
// the lower layer's own positions may be any numbers.
class LowerFilter final : public LowerListing {
 public:
  LowerFilter(EntryTable& table, Listing& listing, DirectorySink& sink, std::uint64_t skip)
      : table_(table), listing_(listing), sink_(sink), skip_(skip) {}

  bool put(std::string_view name, NodeKind kind, std::uint64_t inode, std::uint64_t next) override {
    const Entry* const entry = table_.find(name);
    const bool is_shown = entry == nullptr || EntryTable::origin_of(*entry) == Origin::lower;
    if (skip_ > 0) {
      --skip_;
    } else if (is_shown && !sink_.put(name, kind, inode, listing_.known_position + 1)) {
      return false;
    }
    ++listing_.known_position;
    listing_.known_lower = next;
    return true;
  }

 private:
  EntryTable& table_;
  Listing& listing_;
  DirectorySink& sink_;
  std::uint64_t skip_;
};

}  // namespace

// First the entries that are here only, then the lower layer's.
Result<void> RamDirectory::list(Entry& /*directory*/, Listing& listing, DirectorySink& sink) {
  const MutexGuard guard(lock_);
  touch(false);
  std::uint64_t position = listing.position;
  if (position < kLowerPositions) {
    if (!list_own(position, sink)) {
      return {};
    }
    position = kLowerPositions;
  }
  if (lower_ == nullptr || removed_) {
    return {};
  }
  if (listing.known_position != position) {
    listing.known_position = kLowerPositions;
    listing.known_lower = 0;
  }
  LowerFilter filter(table_, listing, sink, position - listing.known_position);
  return lower_->list(handle_, listing.known_lower, filter);
}

}  // namespace vellum::unix
