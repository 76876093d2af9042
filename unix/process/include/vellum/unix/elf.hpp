// What a 64-bit ELF program says of itself, read with suspicion: plain functions over bytes [elf, tis-elf 1.2].
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <vellum/base/prot.hpp>
#include <vellum/base/range.hpp>
#include <vellum/base/result.hpp>

namespace vellum::unix::elf {

struct Header {
  std::uint8_t identification[16];
  std::uint16_t type;
  std::uint16_t machine;
  std::uint32_t version;
  std::uint64_t entry;
  std::uint64_t program_headers;  // offset in the file
  std::uint64_t section_headers;
  std::uint32_t flags;
  std::uint16_t header_size;
  std::uint16_t program_header_size;
  std::uint16_t program_header_count;
  std::uint16_t section_header_size;
  std::uint16_t section_header_count;
  std::uint16_t section_names;
};
static_assert(sizeof(Header) == 64);

struct ProgramHeader {
  std::uint32_t type;
  std::uint32_t flags;
  std::uint64_t offset;
  std::uint64_t address;
  std::uint64_t physical_address;
  std::uint64_t file_size;
  std::uint64_t memory_size;
  std::uint64_t alignment;
};
static_assert(sizeof(ProgramHeader) == 56);

inline constexpr std::uint16_t kTypeExecutable = 2;  // ET_EXEC
inline constexpr std::uint16_t kTypeDynamic = 3;     // ET_DYN: may lie anywhere
inline constexpr std::uint32_t kLoad = 1;            // PT_LOAD
inline constexpr std::uint32_t kInterpreter = 3;     // PT_INTERP
inline constexpr std::uint32_t kStack = 0x6474e551;  // PT_GNU_STACK
inline constexpr unsigned kMostHeaders = 64;
inline constexpr std::size_t kLongestInterpreter = 4096;

// Error: not_executable, where it is no program for this kernel or contradicts itself.
[[nodiscard]] Result<void> check_header(const Header& header);

// A PT_LOAD, in whole pages where that is what counts. Addresses are relative to where the program is loaded.
struct Segment {
  VirtRange pages;        // of the whole, file and zeros
  ByteCount file_offset;  // of the first page
  ByteCount mapped;       // bytes from pages.start() on that come from the file, rounded up to pages
  VirtAddr file_end;      // the first byte of zeros
  VirtAddr memory_end;
  Prot prot;
};

struct Layout {
  std::span<const ProgramHeader> headers;
  VirtRange pages;  // from the first segment to the last
  std::uint64_t alignment = 0;
  bool executable_stack = false;
};

// Error: not_executable, invalid.
[[nodiscard]] Result<Segment> segment_of(const ProgramHeader& header);
// Looks at all headers: no segment may wrap around, lie before its predecessor's end or be of impossible size.
// Error: not_executable, also where nothing is to be loaded.
[[nodiscard]] Result<Layout> layout_of(std::span<const ProgramHeader> headers);
// Where the program headers are to be found in the loaded image (AT_PHDR); 0 where no segment holds them.
[[nodiscard]] std::uint64_t headers_address(const Header& header, std::span<const ProgramHeader> headers);

}  // namespace vellum::unix::elf
