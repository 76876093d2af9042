// rename(2) within a RAM file system.
#include "ram_node.hpp"

namespace vellum::unix {

namespace {

constexpr std::uint32_t kNoReplace = 1;
constexpr std::uint32_t kExchange = 2;

// Whether `entry` is `ancestor` or below it. The rename lock is held, so nothing moves.
bool is_within(Entry& entry, const Entry& ancestor) {
  Ref<Entry> at = Ref<Entry>::share(entry);
  while (at && at.get() != &ancestor) {
    at = at->parent();
  }
  return static_cast<bool>(at);
}

}  // namespace

// One rename, with both directories locked: the one that is above first, else by address.
class RamRename {
 public:
  RamRename(Entry& from, Entry& to) VELLUM_NO_THREAD_SAFETY_ANALYSIS  // which locks, and in which order, is data
      : from_entry_(from),
        to_entry_(to),
        from_(static_cast<RamDirectory&>(from.node())),
        to_(static_cast<RamDirectory&>(to.node())) {
    const bool to_first = is_within(from, to) || (!is_within(to, from) && &to_ < &from_);
    RamDirectory& first = to_first ? to_ : from_;
    RamDirectory& second = to_first ? from_ : to_;
    first.lock_.lock();
    if (&first != &second) {
      second.lock_.lock();
    }
  }
  ~RamRename() VELLUM_NO_THREAD_SAFETY_ANALYSIS {
    from_.lock_.unlock();
    if (&from_ != &to_) {
      to_.lock_.unlock();
    }
  }
  RamRename(const RamRename&) = delete;
  RamRename& operator=(const RamRename&) = delete;

  [[nodiscard]] Result<void> run(std::string_view old_name, std::string_view new_name, std::uint32_t flags);

 private:
  [[nodiscard]] Result<void> check_target(Entry& source, Entry& target);
  [[nodiscard]] Result<void> move(Ref<Entry> source, std::string_view old_name, Ref<Entry> target,
                                  std::string_view new_name);
  [[nodiscard]] Result<void> exchange(const Ref<Entry>& source, std::string_view old_name, const Ref<Entry>& target,
                                      std::string_view new_name);

  Entry& from_entry_;
  Entry& to_entry_;
  RamDirectory& from_;
  RamDirectory& to_;
};

Result<void> RamRename::run(std::string_view old_name, std::string_view new_name, std::uint32_t flags) {
  from_.lock_.assert_held();
  to_.lock_.assert_held();
  Entry* const source = VELLUM_TRY(from_.find(from_entry_, old_name));
  if (source == nullptr) {
    return Errno::no_entry;
  }
  if (is_within(to_entry_, *source)) {
    return Errno::invalid;  // into itself
  }
  const Ref<Entry> held = Ref<Entry>::share(*source);
  Entry* const target = VELLUM_TRY(to_.find(to_entry_, new_name));
  if (to_.removed_ || ((flags & kExchange) != 0 && target == nullptr)) {
    return Errno::no_entry;
  }
  if (target != nullptr && (flags & kNoReplace) != 0) {
    return Errno::exists;
  }
  const Ref<Entry> replaced = target == nullptr ? Ref<Entry>() : Ref<Entry>::share(*target);
  if (target != nullptr && is_within(from_entry_, *target)) {
    return (flags & kExchange) != 0 ? Errno::invalid : Errno::not_empty;
  }
  if (source->is_mounted_on() || (target != nullptr && target->is_mounted_on())) {
    return Errno::busy;
  }
  if (target != nullptr && &target->node() == &source->node()) {
    return {};  // two names of one file: nothing happens
  }
  return (flags & kExchange) != 0 ? exchange(held, old_name, replaced, new_name)
                                  : move(held, old_name, replaced, new_name);
}

Result<void> RamRename::check_target(Entry& source, Entry& target) {
  if (target.node().is_directory()) {
    return source.node().is_directory() ? static_cast<RamDirectory&>(target.node()).close_if_empty()
                                        : Result<void>(Errno::is_directory);
  }
  return source.node().is_directory() ? Result<void>(Errno::not_directory) : Result<void>();
}

// First all that may fail, then the change.
Result<void> RamRename::move(Ref<Entry> source, std::string_view old_name, Ref<Entry> target,
                             std::string_view new_name) {
  from_.lock_.assert_held();
  to_.lock_.assert_held();
  Text name = VELLUM_TRY(Text::create(from_.memory(), new_name));
  Ref<Entry> whiteout = VELLUM_TRY(from_.make_whiteout(from_entry_, *source, old_name));
  VELLUM_TRY(to_.table_.reserve());
  if (target) {
    VELLUM_TRY(check_target(*source, *target));
  }
  from_.take_out(*source, std::move(whiteout));
  Origin origin = Origin::own;
  if (target) {
    origin = EntryTable::origin_of(*target) == Origin::own ? Origin::own : Origin::hides;
    to_.take_out(*target, nullptr);
    RamDirectory::unlinked(*target);
  } else {
    origin = to_.make_place(new_name);
  }
  source->move(Ref<Entry>::share(to_entry_), std::move(name));
  to_.table_.insert(source, origin);
  if (source->node().is_directory()) {
    to_.count_link(1);
  }
  to_.touch(true);
  static_cast<RamNode&>(source->node()).count_link(0);
  return {};
}

Result<void> RamRename::exchange(const Ref<Entry>& source, std::string_view old_name, const Ref<Entry>& target,
                                 std::string_view new_name) {
  from_.lock_.assert_held();
  to_.lock_.assert_held();
  Text source_name = VELLUM_TRY(Text::create(from_.memory(), new_name));
  Text target_name = VELLUM_TRY(Text::create(from_.memory(), old_name));
  const bool from_hides = EntryTable::origin_of(*source) != Origin::own;
  const bool to_hides = EntryTable::origin_of(*target) != Origin::own;
  from_.take_out(*source, nullptr);
  to_.take_out(*target, nullptr);
  source->move(Ref<Entry>::share(to_entry_), std::move(source_name));
  target->move(Ref<Entry>::share(from_entry_), std::move(target_name));
  to_.table_.insert(source, to_hides ? Origin::hides : Origin::own);
  from_.table_.insert(target, from_hides ? Origin::hides : Origin::own);
  if (source->node().is_directory()) {
    to_.count_link(1);
  }
  if (target->node().is_directory()) {
    from_.count_link(1);
  }
  return {};
}

Result<void> RamFileSystem::rename(Entry& old_directory, std::string_view old_name, Entry& new_directory,
                                   std::string_view new_name, std::uint32_t flags) {
  if ((flags & ~(kNoReplace | kExchange)) != 0 || flags == (kNoReplace | kExchange)) {
    return Errno::invalid;
  }
  if (!old_directory.node().is_directory() || !new_directory.node().is_directory()) {
    return Errno::not_directory;
  }
  if (!is_changeable()) {
    return Errno::not_permitted;
  }
  RamRename rename(old_directory, new_directory);
  return rename.run(old_name, new_name, flags);
}

}  // namespace vellum::unix
