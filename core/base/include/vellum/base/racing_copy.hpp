// Copies of pages that programs may be writing meanwhile. What is read of a byte that changes is its old or its new
// value, and that is all that anybody may expect; but to the language it is a race, which a build that looks for races
// would report. So there, and only there, the bytes are copied as atomics.
#pragma once

#include <cstddef>

namespace vellum {

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define VELLUM_RACES_ARE_REPORTED 1
#endif
#endif

inline void racing_copy(std::byte* to, const std::byte* from, std::size_t size) {
#ifdef VELLUM_RACES_ARE_REPORTED
  auto* const target = reinterpret_cast<unsigned char*>(to);
  const auto* const source = reinterpret_cast<const unsigned char*>(from);
  for (std::size_t i = 0; i < size; ++i) {
    __atomic_store_n(target + i, __atomic_load_n(source + i, __ATOMIC_RELAXED), __ATOMIC_RELAXED);
  }
#else
  __builtin_memcpy(to, from, size);
#endif
}

inline void racing_clear(std::byte* at, std::size_t size) {
#ifdef VELLUM_RACES_ARE_REPORTED
  auto* const target = reinterpret_cast<unsigned char*>(at);
  for (std::size_t i = 0; i < size; ++i) {
    __atomic_store_n(target + i, static_cast<unsigned char>(0), __ATOMIC_RELAXED);
  }
#else
  __builtin_memset(at, 0, size);
#endif
}

}  // namespace vellum
