// Caches of equal objects: slabs behind per-CPU magazines [Bonwick 1994; Bonwick & Adams 2001].
//
//   allocate()/free() --- this CPU's magazines --- depot --- slabs --- PageSource
//        no lock, no shared line           |     depot lock | slab lock | none
//
// The common case of both is a pop or a push of this CPU's magazine, in this header. When magazines run out a batch is
// cut from the slabs under one lock; when the depot holds its share a magazine's worth goes back to them. A slab whose
// objects all came back returns to the source at once. The source is called with no lock of the cache held.
//
// In debug builds every free object is filled with a pattern that allocation verifies, and followed by a red zone that
// tells free from used: a write after free, an overrun (or an underrun of the next object), a double free and a free of
// a strange address panic with the cache's name.
//
// Locks: the depot's and the slabs', both of rank `cache`, never together. It never sleeps, and never asks the source
// for memory while freeing, so that free cannot fail.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <utility>

#include <vellum/arena/magazines.hpp>
#include <vellum/arena/page_source.hpp>
#include <vellum/arena/slab_pool.hpp>
#include <vellum/base/lock.hpp>
#include <vellum/base/machine.hpp>
#include <vellum/base/result.hpp>

namespace vellum {

struct ObjectCacheConfig {
  const char* name;                    // outlives the cache
  ByteCount object_size;               // 16 bytes .. 8 KB
  ByteCount alignment{sizeof(void*)};  // a power of two, at most a page
};

class ObjectCache {
 public:
  static constexpr std::uint64_t kMinObject = 16;
  static constexpr std::uint64_t kMaxObject = 8192;

  // Takes no memory before the first allocation. Panics on sizes out of range.
  ObjectCache(const ObjectCacheConfig& config, PageSource& source, Machine& machine);
  // Every object must have been freed. Reaps.
  ~ObjectCache();
  ObjectCache(const ObjectCache&) = delete;
  ObjectCache& operator=(const ObjectCache&) = delete;

  // An object whose content is not defined. Errors: no_memory, with nothing changed. Callable with locks of rank up to
  // `arena` held, if the source is.
  [[nodiscard]] Result<void*> allocate() {
    if (const std::optional<Round> round = magazines_.pop()) [[likely]] {
      return hand_out(*round);
    }
    return allocate_slow();
  }
  // Takes back what allocate() returned, on any CPU.
  void free(void* object) {
    const Round round = take_in(object);
    if (!magazines_.push(round)) [[unlikely]] {
      free_slow(round);
    }
  }

  // Gives what this CPU and the depot hold back to the slabs, and empty slabs to the source; may run at any time.
  void trim();
  // Gives back everything that is not in use, magazines included: with no object in use the cache then holds no page.
  // No CPU may use the cache meanwhile.
  void reap();

  // Exact while no CPU allocates or frees.
  [[nodiscard]] std::uint64_t objects_in_use() const;
  // Pages taken from the source: slabs and magazines.
  [[nodiscard]] PageCount pages_held() const;
  [[nodiscard]] const char* name() const { return name_; }
  [[nodiscard]] ByteCount object_size() const { return ByteCount(object_size_); }

 private:
  [[nodiscard]] void* hand_out(Round round) {
    auto* const object = reinterpret_cast<void*>(static_cast<std::uintptr_t>(round));
#if VELLUM_DEBUG
    mark_allocated(static_cast<std::byte*>(object));
#endif
    return object;
  }
  [[nodiscard]] Round take_in(void* object) {
#if VELLUM_DEBUG
    mark_freed(static_cast<std::byte*>(object));
#endif
    return reinterpret_cast<std::uintptr_t>(object);
  }
  [[nodiscard]] Result<void*> allocate_slow();
  void free_slow(Round round);
  [[nodiscard]] unsigned take_from_slabs(std::span<Round> out) VELLUM_EXCLUDES(lock_);
  void return_to_slabs(std::span<const Round> rounds) VELLUM_EXCLUDES(lock_);

  // Debug builds.
  void mark_new(std::byte* object) const;
  void mark_allocated(std::byte* object) const;
  void mark_freed(std::byte* object) const;
  [[noreturn]] void report(const char* what) const;

  Magazines magazines_;
  PageSource& source_;
  Machine& machine_;
  const char* name_;
  std::uint32_t object_size_;
  SlabGeometry geometry_;
  mutable Spinlock lock_{LockRank::cache};
  SlabPool slabs_ VELLUM_GUARDED_BY(lock_);
};

// A cache of one type: thin, so that all types share the code above.
template <class T>
class TypedCache {
 public:
  TypedCache(const char* name, PageSource& source, Machine& machine)
      : cache_({.name = name, .object_size = ByteCount(sizeof(T)), .alignment = ByteCount(alignof(T))}, source,
               machine) {}

  // A constructed object. Errors: no_memory, with nothing changed.
  template <class... Arguments>
  [[nodiscard]] Result<T*> create(Arguments&&... arguments) {
    void* const memory = VELLUM_TRY(cache_.allocate());
    return ::new (memory) T(std::forward<Arguments>(arguments)...);
  }
  void destroy(T* object) {
    object->~T();
    cache_.free(object);
  }

  void trim() { cache_.trim(); }
  void reap() { cache_.reap(); }
  [[nodiscard]] std::uint64_t objects_in_use() const { return cache_.objects_in_use(); }
  [[nodiscard]] PageCount pages_held() const { return cache_.pages_held(); }

 private:
  static_assert(sizeof(T) >= ObjectCache::kMinObject && sizeof(T) <= ObjectCache::kMaxObject);
  ObjectCache cache_;
};

}  // namespace vellum
