// System calls without a C library between, so that what is counted is the kernel's work and no wrapper's.
#pragma once

#include <sys/mman.h>
#include <sys/syscall.h>

#include <cstddef>
#include <cstdint>

namespace vellum::bench {

using Word = std::int64_t;  // a result: negative values down to -4095 are error numbers

inline Word call(long number, Word a = 0, Word b = 0, Word c = 0, Word d = 0, Word e = 0, Word f = 0) {
  Word result;
  register Word r10 asm("r10") = d;
  register Word r8 asm("r8") = e;
  register Word r9 asm("r9") = f;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
}

inline bool failed(Word result) { return result < 0 && result >= -4095; }

using Page = volatile char*;

constexpr std::size_t kPage = 4096;
constexpr std::size_t kMegabyte = std::size_t{1} << 20;
constexpr int kReadWrite = PROT_READ | PROT_WRITE;
constexpr int kAnonymous = MAP_PRIVATE | MAP_ANONYMOUS;

inline Word map(std::size_t bytes, int protection = kReadWrite, int flags = kAnonymous, int file = -1) {
  return call(SYS_mmap, 0, static_cast<Word>(bytes), protection, flags, file, 0);
}
inline Word unmap(Word address, std::size_t bytes) { return call(SYS_munmap, address, static_cast<Word>(bytes)); }
inline Word protect(Word address, std::size_t bytes, int protection) {
  return call(SYS_mprotect, address, static_cast<Word>(bytes), protection);
}

}  // namespace vellum::bench
