// Shorthand for pages and mappings.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>

#include "test.hpp"

namespace guest {

inline constexpr std::size_t kPage = 4096;
inline constexpr int kPrivate = MAP_PRIVATE | MAP_ANONYMOUS;
inline constexpr int kShared = MAP_SHARED | MAP_ANONYMOUS;
inline constexpr int kReadWrite = PROT_READ | PROT_WRITE;

// Maps, and ends the case where that fails.
inline char* map(std::size_t bytes, int prot = kReadWrite, int flags = kPrivate, int file = -1, off_t offset = 0,
                 void* at = nullptr) {
  void* result = mmap(at, bytes, prot, flags, file, offset);
  if (result == MAP_FAILED) {
    fail(__FILE__, __LINE__,
         "mmap of " + std::to_string(bytes) + " bytes, flags " + std::to_string(flags) + ": " + std::strerror(errno));
  }
  return static_cast<char*>(result);
}

inline std::uintptr_t value_of(const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer); }
inline char* pointer_to(std::uintptr_t value) { return reinterpret_cast<char*>(value); }

// A place of so many pages that was free a moment ago.
inline char* free_place(std::size_t bytes) {
  char* place = map(bytes, PROT_NONE);
  MUST(munmap(place, bytes));
  return place;
}

inline bool all_bytes(const char* from, std::size_t bytes, char value) {
  for (std::size_t i = 0; i < bytes; i++) {
    if (from[i] != value) {
      return false;
    }
  }
  return true;
}

// Reads and writes that the compiler neither drops nor merges.
inline char peek(const char* address) { return *static_cast<const volatile char*>(address); }
inline void poke(char* address, char value) { *static_cast<volatile char*>(address) = value; }

}  // namespace guest
