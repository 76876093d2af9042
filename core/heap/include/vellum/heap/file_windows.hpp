// segmap: windows of 8 KB onto pages of files, through which the kernel reads and writes them.
//
// A window shows one place of one object, named by numbers whose meaning is the user's. Whoever asks for a place gets
// the window that shows it already, if there is one; else the one that has been idle longest, emptied. A window that is
// not in use goes on showing what it did, and keeps those pages in memory, until it is taken for another place: so
// there are as many windows as may hold pages that nobody else wants any more.
//
// Windows are divided among shards by the place that they show, each with a lock (rank cache) of its own. The tables of
// all windows are made at the start, and only this class writes their entries: showing a page is one store.
#pragma once

#include <cstddef>
#include <span>

#include <vellum/base/intrusive_list.hpp>
#include <vellum/base/lock.hpp>
#include <vellum/heap/kernel_space.hpp>

namespace vellum {

// Which 8 KB of what.
struct WindowPlace {
  std::uint64_t object = 0;
  std::uint64_t index = 0;
  bool operator==(const WindowPlace&) const = default;
};

template <PageTableFormat F>
class FileWindows {
 public:
  static constexpr ByteCount kWindowSize{2 * kPageSize};  // MAXBSIZE
  static constexpr unsigned kPagesInWindow = 2;

  struct Window {
    [[nodiscard]] VirtAddr start() const { return start_; }

   private:
    friend class FileWindows;
    VirtAddr start_;
    Node* table = nullptr;  // whose entries map it
    WindowPlace place;
    unsigned uses = 0;
    Pfn frames[kPagesInWindow] = {Frame::kNoFrame, Frame::kNoFrame};
    Window* chained = nullptr;
    ListLink idle;
  };

  // What start() needs for so many windows.
  [[nodiscard]] static ByteCount storage_size(unsigned count) { return ByteCount(sizeof(Window) * count); }

  explicit FileWindows(KernelSpace<F>& space) : space_(space) {}
  // No window may be in use. Empties all.
  ~FileWindows();
  FileWindows(const FileWindows&) = delete;
  FileWindows& operator=(const FileWindows&) = delete;

  // Makes as many windows as both the storage and the range have room for; aligned storage that outlives this. Once,
  // before anything else. Error: no_memory.
  [[nodiscard]] Result<void> start(VirtRange range, std::span<std::byte> storage);

  // The window for a place, in use by one more. Nothing where all are in use that could be taken.
  [[nodiscard]] Window* acquire(WindowPlace place);
  // Makes a page of a window in use show a frame; takes over the caller's reference to it.
  void show(Window& window, unsigned page, Pfn frame);
  void release(Window& window);

  // Empties the windows that are not in use: all of them, or `count` places of an object from `first` on.
  void trim();
  void forget(WindowPlace first, std::uint64_t count);

  // Windows that show something. Exact when quiescent.
  [[nodiscard]] unsigned showing() const;

 private:
  static constexpr unsigned kShards = 8;
  static constexpr unsigned kChains = 64;  // of each shard

  struct Shard {
    Spinlock lock{LockRank::cache};
    IntrusiveList<Window, &Window::idle> idle VELLUM_GUARDED_BY(lock);  // the longest idle first
    Window* chains[kChains] VELLUM_GUARDED_BY(lock) = {};
  };

  [[nodiscard]] static std::uint64_t hash(WindowPlace place);
  [[nodiscard]] Shard& shard_of(WindowPlace place) { return shards_[hash(place) % kShards]; }
  [[nodiscard]] static Window*& chain_of(Shard& shard, WindowPlace place) VELLUM_REQUIRES(shard.lock) {
    return shard.chains[hash(place) / kShards % kChains];
  }
  [[nodiscard]] static Window* find(Shard& shard, WindowPlace place) VELLUM_REQUIRES(shard.lock);
  void empty(Window& window);
  template <class Predicate>
  void empty_idle(Predicate concerns);

  KernelSpace<F>& space_;
  Window* windows_ = nullptr;
  unsigned count_ = 0;
  Shard shards_[kShards];
};

}  // namespace vellum
