#include <vellum/unix/elf.hpp>

#include <algorithm>

namespace vellum::unix::elf {

namespace {

constexpr std::uint64_t kAddressLimit = std::uint64_t{1} << 47;  // programs are linked to lie below the VA hole
constexpr std::uint16_t kMachineX86 = 62;
constexpr std::uint8_t kClass64 = 2;
constexpr std::uint8_t kLittleEndian = 1;
constexpr std::uint32_t kExecute = 1;
constexpr std::uint32_t kWrite = 2;
constexpr std::uint32_t kRead = 4;

Prot prot_of(std::uint32_t flags) {
  Prot prot;
  prot = (flags & kRead) != 0 ? prot | Prot::read() : prot;
  prot = (flags & kWrite) != 0 ? prot | Prot::write() : prot;
  return (flags & kExecute) != 0 ? prot | Prot::execute() : prot;
}

}  // namespace

Result<void> check_header(const Header& header) {
  constexpr std::uint8_t kMagic[] = {0x7f, 'E', 'L', 'F', kClass64, kLittleEndian, 1};
  const bool sound = std::equal(std::begin(kMagic), std::end(kMagic), header.identification) &&
                     header.machine == kMachineX86 && (header.type == kTypeExecutable || header.type == kTypeDynamic) &&
                     header.program_header_size == sizeof(ProgramHeader) && header.program_header_count != 0 &&
                     header.program_header_count <= kMostHeaders && header.program_headers <= kAddressLimit;
  return sound ? Result<void>() : Result<void>(Errno::not_executable);
}

Result<Segment> segment_of(const ProgramHeader& header) {
  const std::uint64_t in_page = header.address & (kPageSize - 1);
  if (header.file_size > header.memory_size || header.memory_size > kAddressLimit || header.address >= kAddressLimit ||
      header.address + header.memory_size > kAddressLimit || header.offset > kAddressLimit ||
      header.offset + header.file_size > kAddressLimit) {
    return Errno::not_executable;
  }
  if (header.file_size != 0 && (header.offset & (kPageSize - 1)) != in_page) {
    return Errno::not_executable;  // cannot be mapped
  }
  const VirtAddr start = VirtAddr(header.address).page();
  const std::uint64_t whole = in_page + header.memory_size;
  Segment segment;
  segment.pages = VirtRange::must(start, bytes_of(pages_for(ByteCount(whole))));
  segment.file_offset = ByteCount(header.file_size == 0 ? 0 : header.offset - in_page);
  segment.mapped = header.file_size == 0 ? ByteCount(0) : bytes_of(pages_for(ByteCount(in_page + header.file_size)));
  segment.file_end = VirtAddr(header.address) + ByteCount(header.file_size);
  segment.memory_end = VirtAddr(header.address) + ByteCount(header.memory_size);
  segment.prot = prot_of(header.flags);
  return segment;
}

Result<Layout> layout_of(std::span<const ProgramHeader> headers) {
  Layout layout;
  layout.headers = headers;
  layout.alignment = kPageSize;
  std::uint64_t start = ~std::uint64_t{0};
  std::uint64_t end = 0;
  for (const ProgramHeader& header : headers) {
    if (header.type == kStack) {
      layout.executable_stack = (header.flags & kExecute) != 0;
    }
    if (header.type != kLoad || header.memory_size == 0) {
      continue;
    }
    const Segment segment = VELLUM_TRY(segment_of(header));
    if (end != 0 && segment.pages.start().value() < round_down(end - 1, kPageSize)) {
      return Errno::not_executable;  // not in ascending order
    }
    start = std::min(start, segment.pages.start().value());
    end = segment.memory_end.value();
    if (is_power_of_two(header.alignment)) {
      layout.alignment = std::max(layout.alignment, header.alignment);
    }
  }
  if (end == 0) {
    return Errno::not_executable;
  }
  layout.pages = VirtRange::between(VirtAddr(start), VirtAddr(round_up(end, kPageSize)));
  return layout;
}

std::uint64_t headers_address(const Header& header, std::span<const ProgramHeader> headers) {
  for (const ProgramHeader& segment : headers) {
    if (segment.type == kLoad && header.program_headers >= segment.offset &&
        header.program_headers - segment.offset < segment.file_size) {
      return segment.address + (header.program_headers - segment.offset);
    }
  }
  return 0;
}

}  // namespace vellum::unix::elf
