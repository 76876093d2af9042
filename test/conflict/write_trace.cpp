// Compiled without instrumentation. The names are those of the calls that clang's -fsanitize=thread makes
// [compiler-rt, sanitizer/tsan_interface.h and tsan_interface_atomic.h].
#include "write_trace.hpp"

#include <atomic>
#include <cstddef>
#include <cstring>

namespace {

constexpr std::uintptr_t kLine = 64;

thread_local vellum::test::LineTrace* recording = nullptr;

void note(vellum::test::LineSet& lines, const volatile void* at, std::size_t size) {
  const auto first = reinterpret_cast<std::uintptr_t>(at);
  for (std::uintptr_t line = first / kLine; line <= (first + size - 1) / kLine; ++line) {
    lines.insert(line * kLine);
  }
}

void note_write(const volatile void* at, std::size_t size) {
  vellum::test::LineTrace* const trace = recording;
  if (trace != nullptr && size != 0) {
    recording = nullptr;  // the set's own work is not part of it
    note(trace->written, at, size);
    recording = trace;
  }
}

void note_read(const volatile void* at, std::size_t size) {
  vellum::test::LineTrace* const trace = recording;
  if (trace != nullptr && size != 0) {
    recording = nullptr;
    note(trace->read, at, size);
    recording = trace;
  }
}

}  // namespace

vellum::test::LineTrace vellum::test::trace_lines(void (*work)(void*), void* argument) {
  LineTrace trace;
  recording = &trace;
  work(argument);
  recording = nullptr;
  return trace;
}

extern "C" {

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void** at, void*) { note_write(at, sizeof(void*)); }
void __tsan_vptr_read(void** at) { note_read(at, sizeof(void*)); }

void __tsan_read_range(void* at, unsigned long size) { note_read(at, size); }
void __tsan_write_range(void* at, unsigned long size) { note_write(at, size); }

void* __tsan_memcpy(void* to, const void* from, std::size_t size) {
  note_write(to, size);
  note_read(from, size);
  return std::memcpy(to, from, size);
}
void* __tsan_memmove(void* to, const void* from, std::size_t size) {
  note_write(to, size);
  note_read(from, size);
  return std::memmove(to, from, size);
}
void* __tsan_memset(void* to, int value, std::size_t size) {
  note_write(to, size);
  return std::memset(to, value, size);
}

#define VELLUM_PLAIN(bytes)                                               \
  void __tsan_read##bytes(void* at) { note_read(at, bytes); }             \
  void __tsan_write##bytes(void* at) { note_write(at, bytes); }           \
  void __tsan_unaligned_read##bytes(void* at) { note_read(at, bytes); }   \
  void __tsan_unaligned_write##bytes(void* at) { note_write(at, bytes); } \
  void __tsan_read_write##bytes(void* at) { note_write(at, bytes); }      \
  void __tsan_unaligned_read_write##bytes(void* at) { note_write(at, bytes); }
VELLUM_PLAIN(1)
VELLUM_PLAIN(2)
VELLUM_PLAIN(4)
VELLUM_PLAIN(8)
VELLUM_PLAIN(16)
#undef VELLUM_PLAIN

void __tsan_atomic_thread_fence(int) { std::atomic_thread_fence(std::memory_order_seq_cst); }
void __tsan_atomic_signal_fence(int) {}

// Everything sequentially consistent: stronger than what was asked for, and one thread runs at a time.
#define VELLUM_ATOMIC(bits, type)                                                                              \
  type __tsan_atomic##bits##_load(const volatile type* at, int) {                                              \
    note_read(at, sizeof(type));                                                                               \
    return __atomic_load_n(at, __ATOMIC_SEQ_CST);                                                              \
  }                                                                                                            \
  void __tsan_atomic##bits##_store(volatile type* at, type value, int) {                                       \
    note_write(at, sizeof(type));                                                                              \
    __atomic_store_n(at, value, __ATOMIC_SEQ_CST);                                                             \
  }                                                                                                            \
  type __tsan_atomic##bits##_exchange(volatile type* at, type value, int) {                                    \
    note_write(at, sizeof(type));                                                                              \
    return __atomic_exchange_n(at, value, __ATOMIC_SEQ_CST);                                                   \
  }                                                                                                            \
  type __tsan_atomic##bits##_fetch_add(volatile type* at, type value, int) {                                   \
    note_write(at, sizeof(type));                                                                              \
    return __atomic_fetch_add(at, value, __ATOMIC_SEQ_CST);                                                    \
  }                                                                                                            \
  type __tsan_atomic##bits##_fetch_sub(volatile type* at, type value, int) {                                   \
    note_write(at, sizeof(type));                                                                              \
    return __atomic_fetch_sub(at, value, __ATOMIC_SEQ_CST);                                                    \
  }                                                                                                            \
  type __tsan_atomic##bits##_fetch_and(volatile type* at, type value, int) {                                   \
    note_write(at, sizeof(type));                                                                              \
    return __atomic_fetch_and(at, value, __ATOMIC_SEQ_CST);                                                    \
  }                                                                                                            \
  type __tsan_atomic##bits##_fetch_or(volatile type* at, type value, int) {                                    \
    note_write(at, sizeof(type));                                                                              \
    return __atomic_fetch_or(at, value, __ATOMIC_SEQ_CST);                                                     \
  }                                                                                                            \
  int __tsan_atomic##bits##_compare_exchange_strong(volatile type* at, type* expected, type value, int, int) { \
    note_write(at, sizeof(type));                                                                              \
    return __atomic_compare_exchange_n(at, expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);        \
  }                                                                                                            \
  int __tsan_atomic##bits##_compare_exchange_weak(volatile type* at, type* expected, type value, int, int) {   \
    return __tsan_atomic##bits##_compare_exchange_strong(at, expected, value, 0, 0);                           \
  }                                                                                                            \
  type __tsan_atomic##bits##_compare_exchange_val(volatile type* at, type expected, type value, int, int) {    \
    note_write(at, sizeof(type));                                                                              \
    (void)__atomic_compare_exchange_n(at, &expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);        \
    return expected;                                                                                           \
  }
VELLUM_ATOMIC(8, unsigned char)
VELLUM_ATOMIC(16, unsigned short)
VELLUM_ATOMIC(32, unsigned int)
VELLUM_ATOMIC(64, unsigned long)
#undef VELLUM_ATOMIC

}  // extern "C"
