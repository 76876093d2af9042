// What the compiler takes for granted in a freestanding program: functions of memory and text, and a handler for a call
// of a pure virtual function. Static constructors are not run: the linker script refuses an image that has any.
#include <bits/functexcept.h>
#include <cstddef>
#include <string_view>

#include <vellum/base/panic.hpp>
#include <vellum/pc/instructions.hpp>

namespace {

using vellum::pc::Word;

// Words first, then the bytes that are left. String instructions are as fast as anything for pages, and short
// everywhere [intel/opt 3.7.6].
#if defined(__x86_64__)
#define VELLUM_WORDS "q"
#else
#define VELLUM_WORDS "l"
#endif

constexpr Word kEveryByte = ~Word{0} / 0xFF;

}  // namespace

extern "C" {

void* memcpy(void* to, const void* from, std::size_t size) {
  void* destination = to;
  std::size_t words = size / sizeof(Word);
  std::size_t bytes = size % sizeof(Word);
  asm volatile("rep movs" VELLUM_WORDS : "+D"(destination), "+S"(from), "+c"(words) : : "memory");
  asm volatile("rep movsb" : "+D"(destination), "+S"(from), "+c"(bytes) : : "memory");
  return to;
}

void* memset(void* to, int value, std::size_t size) {
  void* destination = to;
  std::size_t words = size / sizeof(Word);
  std::size_t bytes = size % sizeof(Word);
  const Word pattern = kEveryByte * static_cast<unsigned char>(value);
  asm volatile("rep stos" VELLUM_WORDS : "+D"(destination), "+c"(words) : "a"(pattern) : "memory");
  asm volatile("rep stosb" : "+D"(destination), "+c"(bytes) : "a"(pattern) : "memory");
  return to;
}

void* memmove(void* to, const void* from, std::size_t size) {
  if (reinterpret_cast<Word>(to) - reinterpret_cast<Word>(from) >= size) {
    return memcpy(to, from, size);
  }
  auto* last_to = static_cast<std::byte*>(to) + size - 1;
  const auto* last_from = static_cast<const std::byte*>(from) + size - 1;
  asm volatile("std; rep movsb; cld" : "+D"(last_to), "+S"(last_from), "+c"(size) : : "memory", "cc");
  return to;
}

int memcmp(const void* left, const void* right, std::size_t size) {
  const auto* a = static_cast<const unsigned char*>(left);
  const auto* b = static_cast<const unsigned char*>(right);
  for (std::size_t i = 0; i < size; ++i) {
    if (a[i] != b[i]) {
      return a[i] < b[i] ? -1 : 1;
    }
  }
  return 0;
}

void* memchr(const void* memory, int value, std::size_t size) {
  const auto* bytes = static_cast<const unsigned char*>(memory);
  for (std::size_t i = 0; i < size; ++i) {
    if (bytes[i] == static_cast<unsigned char>(value)) {
      return const_cast<unsigned char*>(bytes + i);
    }
  }
  return nullptr;
}

std::size_t strlen(const char* text) {
  std::size_t length = 0;
  while (text[length] != '\0') {
    ++length;
  }
  return length;
}

[[noreturn]] void __cxa_pure_virtual() { vellum::panic("pure virtual function called"); }
}

// A part of a text that begins past the text's end was asked for.
void std::__throw_out_of_range_fmt(const char* what, ...) { vellum::panic(what); }
