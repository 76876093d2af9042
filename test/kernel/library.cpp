// What the tests' use of the standard library asks for beside its headers: memory from the kernel's allocator, and an
// end for what would throw.
#include <bits/functexcept.h>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

#include "core_tests.hpp"

#include <vellum/base/machine.hpp>
#include <vellum/base/panic.hpp>
#include <vellum/phys/physical_memory.hpp>

namespace vellum::test {

// Blocks of pages, each with its order in front: tests allocate little and run after each other.
constinit PhysicalMemory* library_memory = nullptr;

namespace {

constexpr std::size_t kHeader = 64;

void* allocate(std::size_t size, std::size_t alignment) {
  const std::size_t front = alignment > kHeader ? alignment : kHeader;
  const PageCount pages = pages_for(ByteCount(size + front));
  unsigned order = 0;
  while (PageCount(std::uint64_t{1} << order) < pages) {
    ++order;
  }
  Result<Pfn> frame = library_memory->allocate_block(Order(order), Contents::any);
  VELLUM_CHECK(frame.ok());
  std::byte* const block = library_memory->machine().window(frame.value()).data() + front;
  *reinterpret_cast<std::uint64_t*>(block - 8) = order;
  *reinterpret_cast<std::uint64_t*>(block - 16) = frame.value().value();
  return block;
}

void release(void* memory) {
  if (memory != nullptr) {
    const auto* const words = static_cast<const std::uint64_t*>(memory);
    library_memory->free_block(Pfn(words[-2]), Order(static_cast<unsigned>(words[-1])));
  }
}

}  // namespace

}  // namespace vellum::test

void* operator new(std::size_t size) { return vellum::test::allocate(size, 16); }
void* operator new[](std::size_t size) { return vellum::test::allocate(size, 16); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return vellum::test::allocate(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { vellum::test::release(memory); }
void operator delete[](void* memory) noexcept { vellum::test::release(memory); }
void operator delete(void* memory, std::size_t /*size*/) noexcept { vellum::test::release(memory); }
void operator delete[](void* memory, std::size_t /*size*/) noexcept { vellum::test::release(memory); }
void operator delete(void* memory, std::size_t /*size*/, std::align_val_t /*alignment*/) noexcept {
  vellum::test::release(memory);
}
void operator delete(void* memory, std::align_val_t /*alignment*/) noexcept { vellum::test::release(memory); }

namespace std {
void __throw_length_error(const char* what) { vellum::panic(what); }
void __throw_logic_error(const char* what) { vellum::panic(what); }
void __throw_bad_alloc() { vellum::panic("bad_alloc"); }
void __throw_bad_array_new_length() { vellum::panic("bad_array_new_length"); }
}  // namespace std
void abort() noexcept { vellum::panic("abort"); }
extern "C" int bcmp(const void* left, const void* right, std::size_t size) {
  return __builtin_memcmp(left, right, size);
}
extern "C" int strcmp(const char* a, const char* b) {
  while (*a != '\0' && *a == *b) {
    ++a;
    ++b;
  }
  return static_cast<unsigned char>(*a) - static_cast<unsigned char>(*b);
}
