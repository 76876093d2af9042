#include "aging.hpp"

#include <algorithm>

#include "ram_node.hpp"

namespace vellum::unix {

void Aging::add(Entry& entry) {
  const LockGuard guard(lock_);
  entries_.push_back(entry);
  size_.fetch_add(1, std::memory_order_relaxed);
}

void Aging::remove(Entry& entry) {
  const LockGuard guard(lock_);
  if (entry.aging_link_.is_linked()) {
    entries_.remove(entry);
    size_.fetch_sub(1, std::memory_order_relaxed);
  }
}

// The entry lives: its directory holds it as long as it stands here.
Ref<Entry> Aging::next(bool& used) {
  const LockGuard guard(lock_);
  Entry* const entry = entries_.pop_front();
  if (entry == nullptr) {
    return {};
  }
  entries_.push_back(*entry);
  used = entry->used_.exchange(false, std::memory_order_relaxed);
  return Ref<Entry>::share(*entry);
}

// --- what may be forgotten

bool RamFile::is_forgettable() {
  FileObject* const object = object_.load(std::memory_order_acquire);
  return object == nullptr ||
         (!FileContent::of(*object).keeps_all() && !object->is_mapped() && object->dirty().is_zero());
}

PageCount RamFile::drop_pages(PageCount most) {
  FileObject* const object = object_.load(std::memory_order_acquire);
  if (object == nullptr || FileContent::of(*object).keeps_all() || object->is_mapped()) {
    return PageCount(0);
  }
  file_system().files().windows().forget(*object, ByteCount(0), object->size());
  return object->drop_clean(most);
}

bool RamDirectory::is_forgettable() {
  if (!lock_.try_lock()) {
    return false;
  }
  const bool is_empty = table_.is_empty();
  lock_.unlock();
  return is_empty;
}

// The caller holds one reference, the table another: with a third somebody uses the entry. Whoever looks for it waits
// for the lock, or finds it gone.
void RamDirectory::forget(Entry& entry) {
  constexpr std::uint32_t kOurs = 2;
  if (!lock_.try_lock()) {
    return;
  }
  auto& node = static_cast<RamNode&>(entry.node());
  const bool is_kept = table_.find(table_.name_of(entry)) == &entry && EntryTable::origin_of(entry) == Origin::lower;
  const bool is_used = entry.reference_count() > kOurs || node.reference_count() > 1 || entry.is_mounted_on();
  Ref<Entry> taken;
  if (is_kept && !is_used && !node.is_changed() && node.is_forgettable()) {
    static_cast<RamFileSystem&>(file_system()).aging().remove(entry);
    taken = table_.remove(entry);
  }
  lock_.unlock();
}

// Looks at each entry twice at most: the first look may have been its second chance. What forgotten nodes took is seen
// in what is free, whoever else takes or gives meanwhile.
PageCount RamFileSystem::reclaim(PageCount wanted) {
  PhysicalMemory& memory = files().virtual_memory().memory;
  const PageCount before = memory.free_count();
  PageCount dropped{0};
  const auto freed = [&] {
    const PageCount now = memory.free_count();
    return std::max(dropped, now > before ? now - before : PageCount(0));
  };
  for (std::uint64_t left = 2 * aging_.size(); left > 0 && freed() < wanted; --left) {
    dropped += age(wanted);
  }
  return freed();
}

PageCount RamFileSystem::age(PageCount most) {
  bool used = false;
  const Ref<Entry> entry = aging_.next(used);
  if (!entry || used) {
    return PageCount(0);
  }
  PageCount dropped{0};
  if (entry->node().kind() == NodeKind::file) {
    dropped = static_cast<RamFile&>(entry->node()).drop_pages(most);
  }
  if (const Ref<Entry> parent = entry->parent()) {
    static_cast<RamDirectory&>(parent->node()).forget(*entry);
  }
  return dropped;
}

// Keeps what is known of the lower layer to a part of memory: a kilobyte or so for each node.
void RamFileSystem::trim() {
  constexpr unsigned kAtOnce = 4;
  const std::uint64_t most = files().virtual_memory().memory.total_count().value() / 2;
  for (unsigned i = 0; i < kAtOnce && aging_.size() > most; ++i) {
    (void)age(PageCount(1));
  }
}

}  // namespace vellum::unix
