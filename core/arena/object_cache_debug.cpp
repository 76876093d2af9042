// What debug builds do to objects: patterns in free ones, red zones behind all.

#include <vellum/arena/object_cache.hpp>

#include "report.hpp"

namespace vellum {
namespace {

constexpr unsigned char kFreeByte = 0xde;      // a free object
constexpr unsigned char kNewByte = 0xba;       // an object just allocated
constexpr unsigned char kRedZoneFree = 0xf5;   // behind a free object
constexpr unsigned char kRedZoneInUse = 0xbb;  // behind an object in use

bool consists_of(const std::byte* bytes, std::size_t count, unsigned char pattern) {
  for (std::size_t i = 0; i < count; ++i) {
    if (bytes[i] != static_cast<std::byte>(pattern)) {
      return false;
    }
  }
  return true;
}

}  // namespace

void ObjectCache::mark_new(std::byte* object) const {
  __builtin_memset(object, kFreeByte, object_size_);
  __builtin_memset(object + object_size_, kRedZoneFree, geometry_.stride - object_size_);
}

void ObjectCache::mark_allocated(std::byte* object) const {
  if (!consists_of(object, object_size_, kFreeByte)) {
    report("an object was written after it was freed");
  }
  if (!consists_of(object + object_size_, geometry_.stride - object_size_, kRedZoneFree)) {
    report("the bytes behind a free object were written");
  }
  __builtin_memset(object, kNewByte, object_size_);
  __builtin_memset(object + object_size_, kRedZoneInUse, geometry_.stride - object_size_);
}

void ObjectCache::mark_freed(std::byte* object) const {
  if (!SlabPool::is_object(&slabs_, geometry_, object)) {
    report("what was freed is no object of this cache");
  }
  const std::byte* const red_zone = object + object_size_;
  const std::size_t red_zone_size = geometry_.stride - object_size_;
  if (consists_of(red_zone, red_zone_size, kRedZoneFree)) {
    report("an object was freed twice");
  }
  if (!consists_of(red_zone, red_zone_size, kRedZoneInUse)) {
    report("the bytes behind an object were written");
  }
  mark_new(object);
}

void ObjectCache::report(const char* what) const { panic_about("object cache", name_, what); }

}  // namespace vellum
