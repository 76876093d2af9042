#include <vellum/arena/object_cache.hpp>

#include "report.hpp"

namespace vellum {
namespace {

// What follows each object in debug builds, at least.
constexpr std::uint64_t kRedZone = VELLUM_DEBUG ? 16 : 0;

// A magazine holds fewer of the big ones: what lies idle is bounded in bytes.
constexpr unsigned rounds_for(std::uint64_t object_size) {
  return object_size <= 256 ? 31 : object_size <= 1024 ? 15 : object_size <= 2048 ? 7 : 3;
}

}  // namespace

ObjectCache::ObjectCache(const ObjectCacheConfig& config, PageSource& source, Machine& machine)
    : magazines_(rounds_for(config.object_size.value()), source, machine),
      source_(source),
      machine_(machine),
      name_(config.name),
      object_size_(static_cast<std::uint32_t>(config.object_size.value())),
      geometry_(SlabGeometry::of(config.object_size + ByteCount(kRedZone), config.alignment)),
      slabs_(geometry_) {
  VELLUM_CHECK(config.object_size.value() >= kMinObject && config.object_size.value() <= kMaxObject);
}

ObjectCache::~ObjectCache() {
  if (objects_in_use() != 0) {
    panic_about("object cache", name_, "it is destroyed while objects are in use");
  }
  reap();
}

Result<void*> ObjectCache::allocate_slow() {
  if (const std::optional<Round> round = magazines_.pop_slow()) {
    return hand_out(*round);
  }
  Round batch[Magazines::kMaxRounds + 1];
  const std::span<Round> wanted(batch, magazines_.capacity() + 1);
  unsigned count = take_from_slabs(wanted);
  if (count == 0) {
    std::byte* const block = VELLUM_TRY(source_.allocate(geometry_.order));
#if VELLUM_DEBUG
    geometry_.for_each_object(block, [this](std::byte* object) { mark_new(object); });
#endif
    const CpuSection section(machine_);
    const LockGuard guard(lock_);
    slabs_.add_slab(block);
    while (count < wanted.size()) {
      std::byte* const object = slabs_.take();
      if (object == nullptr) {
        break;
      }
      wanted[count++] = reinterpret_cast<std::uintptr_t>(object);
    }
  }
  const std::span<const Round> spare = wanted.first(count).subspan(1);
  const unsigned stocked = spare.empty() ? 0 : magazines_.stock(spare);
  return_to_slabs(spare.first(spare.size() - stocked));
  return hand_out(batch[0]);
}

void ObjectCache::free_slow(Round round) {
  Round overflow[Magazines::kMaxRounds];
  const unsigned count = magazines_.push_slow(round, overflow);
  return_to_slabs(std::span<const Round>(overflow, count));
}

unsigned ObjectCache::take_from_slabs(std::span<Round> out) {
  const CpuSection section(machine_);
  const LockGuard guard(lock_);
  unsigned count = 0;
  while (count < out.size()) {
    std::byte* const object = slabs_.take();
    if (object == nullptr) {
      break;
    }
    out[count++] = reinterpret_cast<std::uintptr_t>(object);
  }
  return count;
}

void ObjectCache::return_to_slabs(std::span<const Round> rounds) {
  if (rounds.empty()) {
    return;
  }
  {
    const CpuSection section(machine_);
    const LockGuard guard(lock_);
    for (const Round round : rounds) {
      slabs_.put(reinterpret_cast<std::byte*>(static_cast<std::uintptr_t>(round)));
    }
  }
  for (;;) {
    std::byte* block = nullptr;
    {
      const CpuSection section(machine_);
      const LockGuard guard(lock_);
      block = slabs_.remove_empty_slab();
    }
    if (block == nullptr) {
      return;
    }
    source_.free(block, geometry_.order);
  }
}

void ObjectCache::trim() {
  Round batch[Magazines::kMaxRounds];
  while (const unsigned count = magazines_.unload_some(batch)) {
    return_to_slabs(std::span<const Round>(batch, count));
  }
}

void ObjectCache::reap() {
  Round batch[Magazines::kMaxRounds];
  while (const unsigned count = magazines_.unload_all(batch)) {
    return_to_slabs(std::span<const Round>(batch, count));
  }
}

std::uint64_t ObjectCache::objects_in_use() const {
  const std::uint64_t in_magazines = magazines_.count();
  const CpuSection section(machine_);
  const LockGuard guard(lock_);
  return slabs_.taken() - in_magazines;
}

PageCount ObjectCache::pages_held() const {
  const PageCount in_magazines = magazines_.pages();
  const CpuSection section(machine_);
  const LockGuard guard(lock_);
  return slabs_.pages() + in_magazines;
}

}  // namespace vellum
