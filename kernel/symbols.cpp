#include "symbols.hpp"

#include <cstddef>

#include "image.hpp"

namespace vellum::kernel {

namespace {

// As symbols.py writes it. Offsets of names count from the table's start, those of functions from the text's; functions
// ascend, and are followed by the names.
struct Function {
  std::uint32_t start;
  std::uint32_t name;
};
struct Head {
  std::uint64_t magic;
  std::uint32_t count;
  std::uint32_t size;
};
constexpr std::uint64_t kMagic = 0x736C6F626D7953;  // "Symbols"
constexpr std::size_t kRoom = 192 * 1024;

[[gnu::section(".symbols"), gnu::used]] alignas(16) constinit const std::byte room[kRoom] = {};

}  // namespace

std::optional<SymbolPlace> find_symbol(VirtAddr address) {
  // What the compiler sees there is not what the image holds in the end.
  const std::byte* table = room;
  asm("" : "+r"(table));
  const auto& head = *reinterpret_cast<const Head*>(table);
  if (head.magic != kMagic || !image_text().contains(address)) {
    return std::nullopt;
  }
  const auto* const functions = reinterpret_cast<const Function*>(table + sizeof(Head));
  const std::uint64_t offset = (address - image_text().start()).value();
  std::uint32_t low = 0;
  std::uint32_t high = head.count;
  while (low < high) {
    const std::uint32_t middle = low + (high - low) / 2;
    if (functions[middle].start <= offset) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low == 0) {
    return std::nullopt;
  }
  const Function& found = functions[low - 1];
  return SymbolPlace{.name = reinterpret_cast<const char*>(table + found.name), .offset = offset - found.start};
}

}  // namespace vellum::kernel
