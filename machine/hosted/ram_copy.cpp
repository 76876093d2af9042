#include <atomic>
#include <cstdint>
#include <cstring>

#include <vellum/hosted/ram_copy.hpp>

namespace vellum::hosted {

namespace {

// Calls visit(offset, width) for pieces that are naturally aligned in RAM.
template <class Visitor>
void in_aligned_pieces(const std::byte* ram, std::size_t count, Visitor visit) {
  const auto start = reinterpret_cast<std::uintptr_t>(ram);
  for (std::size_t offset = 0; offset < count;) {
    const bool whole_word = (start + offset) % sizeof(std::uint64_t) == 0 && count - offset >= sizeof(std::uint64_t);
    const std::size_t width = whole_word ? sizeof(std::uint64_t) : 1;
    visit(offset, whole_word);
    offset += width;
  }
}

}  // namespace

void copy_from_ram(std::byte* to, std::byte* ram, std::size_t count) {
  in_aligned_pieces(ram, count, [&](std::size_t offset, bool whole_word) {
    if (whole_word) {
      const std::uint64_t word =
          std::atomic_ref(*reinterpret_cast<std::uint64_t*>(ram + offset)).load(std::memory_order_relaxed);
      std::memcpy(to + offset, &word, sizeof(word));
    } else {
      to[offset] = std::atomic_ref(ram[offset]).load(std::memory_order_relaxed);
    }
  });
}

void copy_to_ram(std::byte* ram, const std::byte* from, std::size_t count) {
  in_aligned_pieces(ram, count, [&](std::size_t offset, bool whole_word) {
    if (whole_word) {
      std::uint64_t word = 0;
      std::memcpy(&word, from + offset, sizeof(word));
      std::atomic_ref(*reinterpret_cast<std::uint64_t*>(ram + offset)).store(word, std::memory_order_relaxed);
    } else {
      std::atomic_ref(ram[offset]).store(from[offset], std::memory_order_relaxed);
    }
  });
}

}  // namespace vellum::hosted
