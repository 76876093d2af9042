#include <vellum/heap/file_windows.hpp>

#include <algorithm>
#include <new>

#include <vellum/pagetable/instantiate.hpp>

namespace vellum {

namespace {

constexpr EntryRights kData{.write = true, .execute = false, .user = false};

}  // namespace

template <PageTableFormat F>
FileWindows<F>::~FileWindows() {
  trim();
  for (Shard& shard : shards_) {
    const LockGuard guard(shard.lock);
    while (shard.idle.pop_front() != nullptr) {
    }
  }
}

// The finaliser of splitmix64 [Steele, Lea, Flood 2014].
template <PageTableFormat F>
std::uint64_t FileWindows<F>::hash(WindowPlace place) {
  std::uint64_t mixed = place.object + place.index * 0x9E37'79B9'7F4A'7C15;
  mixed = (mixed ^ (mixed >> 30)) * 0xBF58'476D'1CE4'E5B9;
  return mixed ^ (mixed >> 31);
}

template <PageTableFormat F>
Result<void> FileWindows<F>::start(VirtRange range, std::span<std::byte> storage) {
  const std::uint64_t most =
      std::min(range.size().value() / kWindowSize.value(), std::uint64_t{storage.size() / sizeof(Window)});
  windows_ = reinterpret_cast<Window*>(storage.data());
  Node* table = nullptr;
  for (std::uint64_t i = 0; i < most; ++i) {
    auto* const window = ::new (static_cast<void*>(windows_ + i)) Window;
    window->start_ = range.start() + kWindowSize * i;
    if (i == 0 || entry_index<F>(window->start_, 1) == 0) {
      table = VELLUM_TRY(space_.leaf_table(window->start_));
    }
    window->table = table;
    // Until it is used, it shows a place that nobody asks for.
    Shard& shard = shards_[i % kShards];
    const LockGuard guard(shard.lock);
    shard.idle.push_back(*window);
    count_ = static_cast<unsigned>(i + 1);
  }
  return {};
}

template <PageTableFormat F>
typename FileWindows<F>::Window* FileWindows<F>::find(Shard& shard, WindowPlace place) {
  Window* window = chain_of(shard, place);
  while (window != nullptr && window->place != place) {
    window = window->chained;
  }
  return window;
}

template <PageTableFormat F>
typename FileWindows<F>::Window* FileWindows<F>::acquire(WindowPlace place) {
  Shard& shard = shard_of(place);
  const LockGuard guard(shard.lock);
  if (Window* const window = find(shard, place)) {
    if (window->uses++ == 0) {
      shard.idle.remove(*window);
    }
    return window;
  }
  Window* const window = shard.idle.pop_front();
  if (window == nullptr) {
    return nullptr;
  }
  for (Window** link = &chain_of(shard, window->place); *link != nullptr; link = &(*link)->chained) {
    if (*link == window) {
      *link = window->chained;
      break;
    }
  }
  empty(*window);
  window->place = place;
  window->uses = 1;
  Window*& chain = chain_of(shard, place);
  window->chained = chain;
  chain = window;
  return window;
}

template <PageTableFormat F>
void FileWindows<F>::show(Window& window, unsigned page, Pfn frame) {
  PhysicalMemory& memory = space_.memory();
  Pfn unwanted = frame;
  {
    const LockGuard guard(shard_of(window.place).lock);
    Pfn& shown = window.frames[page];
    if (shown != frame) {
      unwanted = shown;
      shown = frame;
      const VirtRange range = VirtRange::must(window.start_ + ByteCount(page * kPageSize), ByteCount(kPageSize));
      space_.set_page(*window.table, range.start(), frame, kData);
      if (unwanted != Frame::kNoFrame) {
        space_.flush(range);
      }
    }
  }
  if (unwanted != Frame::kNoFrame && memory.frame(unwanted).release()) {
    memory.free(unwanted);
  }
}

template <PageTableFormat F>
void FileWindows<F>::release(Window& window) {
  Shard& shard = shard_of(window.place);
  const LockGuard guard(shard.lock);
  VELLUM_CHECK(window.uses > 0);
  if (--window.uses == 0) {
    shard.idle.push_back(window);
  }
}

template <PageTableFormat F>
void FileWindows<F>::empty(Window& window) {
  PhysicalMemory& memory = space_.memory();
  bool any = false;
  for (unsigned page = 0; page < kPagesInWindow; ++page) {
    if (window.frames[page] != Frame::kNoFrame) {
      space_.clear_page(*window.table, window.start_ + ByteCount(page * kPageSize));
      any = true;
    }
  }
  if (!any) {
    return;
  }
  space_.flush(VirtRange::must(window.start_, kWindowSize));
  for (Pfn& frame : window.frames) {
    if (frame != Frame::kNoFrame && memory.frame(frame).release()) {
      memory.free(frame);
    }
    frame = Frame::kNoFrame;
  }
}

template <PageTableFormat F>
template <class Predicate>
void FileWindows<F>::empty_idle(Predicate concerns) {
  for (Shard& shard : shards_) {
    const LockGuard guard(shard.lock);
    shard.idle.for_each([&](Window& window) {
      if (concerns(window)) {
        empty(window);
      }
    });
  }
}

template <PageTableFormat F>
void FileWindows<F>::trim() {
  empty_idle([](const Window& /*window*/) { return true; });
}

template <PageTableFormat F>
void FileWindows<F>::forget(WindowPlace first, std::uint64_t count) {
  if (count > count_) {
    empty_idle([first, count](const Window& window) {
      return window.place.object == first.object && window.place.index - first.index < count;
    });
    return;
  }
  for (std::uint64_t i = 0; i < count; ++i) {
    const WindowPlace place{.object = first.object, .index = first.index + i};
    Shard& shard = shard_of(place);
    const LockGuard guard(shard.lock);
    Window* const window = find(shard, place);
    if (window != nullptr && window->uses == 0) {
      empty(*window);
    }
  }
}

template <PageTableFormat F>
unsigned FileWindows<F>::showing() const {
  return static_cast<unsigned>(std::count_if(windows_, windows_ + count_, [](const Window& window) {
    return std::ranges::any_of(window.frames, [](Pfn frame) { return frame != Frame::kNoFrame; });
  }));
}

#define VELLUM_COMPILE(F) template class FileWindows<F>;
VELLUM_FOR_EACH_FORMAT(VELLUM_COMPILE)
#undef VELLUM_COMPILE

}  // namespace vellum
