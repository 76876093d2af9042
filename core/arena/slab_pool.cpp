#include <bit>
#include <new>

#include <vellum/arena/slab_pool.hpp>

namespace vellum {

SlabGeometry SlabGeometry::of(ByteCount size, ByteCount alignment) {
  VELLUM_CHECK(is_power_of_two(alignment.value()) && alignment.value() <= kPageSize);
  // A slab's head must be aligned itself, and the first object comes after it.
  const std::uint64_t step = alignment.value() < alignof(std::uint64_t) ? alignof(std::uint64_t) : alignment.value();
  const std::uint64_t stride = round_up(size.value(), step);
  const std::uint64_t first = round_up(sizeof(SlabPool::Slab), step);
  SlabGeometry best{};
  std::uint64_t least_waste = ~std::uint64_t{0};  // in 1/2^kMaxOrder of the bytes, so that orders compare
  for (unsigned order = 0; order <= SlabPool::kMaxOrder; ++order) {
    const std::uint64_t bytes = kPageSize << order;
    if (bytes < first + stride) {
      continue;
    }
    std::uint64_t objects = (bytes - first) / stride;
    objects = objects < SlabPool::kMaxObjects ? objects : SlabPool::kMaxObjects;
    const std::uint64_t waste = (bytes - objects * stride) << (SlabPool::kMaxOrder - order);
    if (waste < least_waste) {
      least_waste = waste;
      best = {.stride = static_cast<std::uint32_t>(stride),
              .first = static_cast<std::uint32_t>(first),
              .objects = static_cast<std::uint32_t>(objects),
              .order = order};
    }
    if (least_waste <= (kPageSize << SlabPool::kMaxOrder) / 8) {
      break;
    }
  }
  VELLUM_CHECK(best.objects != 0);
  return best;
}

SlabPool::Slab* SlabPool::slab_of(const SlabGeometry& geometry, const std::byte* object) {
  const auto mask = ~((static_cast<std::uintptr_t>(kPageSize) << geometry.order) - 1);
  return reinterpret_cast<Slab*>(reinterpret_cast<std::uintptr_t>(object) & mask);
}

bool SlabPool::is_object(const SlabPool* pool, const SlabGeometry& geometry, const std::byte* object) {
  const Slab* const slab = slab_of(geometry, object);
  const auto offset = static_cast<std::uint32_t>(object - reinterpret_cast<const std::byte*>(slab));
  return slab->owner == pool && offset >= geometry.first && (offset - geometry.first) % geometry.stride == 0 &&
         (offset - geometry.first) / geometry.stride < geometry.objects;
}

std::byte* SlabPool::take() {
  Slab* slab = partial_.front();
  if (slab == nullptr) {
    slab = empty_.pop_front();
    if (slab == nullptr) {
      return nullptr;
    }
    partial_.push_front(*slab);
  }
  unsigned word = 0;
  while (slab->free_map[word] == 0) {
    ++word;
  }
  const unsigned index = word * 64 + static_cast<unsigned>(std::countr_zero(slab->free_map[word]));
  slab->free_map[word] &= slab->free_map[word] - 1;
  if (--slab->free_count == 0) {
    partial_.remove(*slab);
  }
  ++taken_;
  return reinterpret_cast<std::byte*>(slab) + geometry_.first + std::size_t{index} * geometry_.stride;
}

void SlabPool::put(std::byte* object) {
  VELLUM_ASSERT(is_object(this, geometry_, object));
  Slab* const slab = slab_of(geometry_, object);
  const auto offset = static_cast<std::uint32_t>(object - reinterpret_cast<std::byte*>(slab));
  const std::uint32_t index = (offset - geometry_.first) / geometry_.stride;
  const std::uint64_t bit = std::uint64_t{1} << (index % 64);
  VELLUM_CHECK((slab->free_map[index / 64] & bit) == 0);
  slab->free_map[index / 64] |= bit;
  --taken_;
  if (slab->free_count++ == 0) {
    partial_.push_front(*slab);
  }
  if (slab->free_count == geometry_.objects) {
    partial_.remove(*slab);
    empty_.push_front(*slab);
  }
}

void SlabPool::add_slab(std::byte* block) {
  Slab* const slab = ::new (block) Slab{.owner = this, .link = {}, .free_count = geometry_.objects, .free_map = {}};
  VELLUM_CHECK(slab == slab_of(geometry_, block));
  for (std::uint32_t index = 0; index < geometry_.objects; ++index) {
    slab->free_map[index / 64] |= std::uint64_t{1} << (index % 64);
  }
  ++slabs_;
  empty_.push_front(*slab);
}

std::byte* SlabPool::remove_empty_slab() {
  Slab* const slab = empty_.pop_front();
  if (slab == nullptr) {
    return nullptr;
  }
  --slabs_;
  slab->owner = nullptr;
  return reinterpret_cast<std::byte*>(slab);
}

}  // namespace vellum
