// What a RAM file system knows of its lower layer and could forget: entries whose nodes nobody uses or has changed, and
// clean pages of files. Whoever asks again brings them again.
#pragma once

#include <vellum/unix/entry_table.hpp>

namespace vellum::unix {

// The entries that came from the lower layer, in the order in which they are looked at: a second chance for those that
// were used since. An entry stands here only while its directory keeps it.
class Aging {
 public:
  void add(Entry& entry) VELLUM_EXCLUDES(lock_);
  // Before the directory gives the entry up. It need not stand here.
  void remove(Entry& entry) VELLUM_EXCLUDES(lock_);
  static void note_use(Entry& entry) { entry.used_.store(true, std::memory_order_relaxed); }
  // The next to be looked at, which goes to the end of the list; null where there is none. `used` tells whether it was
  // used since the last time.
  [[nodiscard]] Ref<Entry> next(bool& used) VELLUM_EXCLUDES(lock_);
  [[nodiscard]] std::uint64_t size() const { return size_.load(std::memory_order_relaxed); }

 private:
  Spinlock lock_{LockRank::leaf};
  IntrusiveList<Entry, &Entry::aging_link_> entries_ VELLUM_GUARDED_BY(lock_);
  std::atomic<std::uint64_t> size_{0};
};

}  // namespace vellum::unix
