// exec: from an ELF file to mappings.

#include "exec.hpp"

#include <algorithm>

#include <vellum/unix/user_memory.hpp>

namespace vellum::unix {

Result<std::size_t> ProgramFile::read(ByteCount offset, std::span<std::byte> into) const {
  return static_cast<std::size_t>(VELLUM_TRY(object->read(offset, into)).value());
}

Result<void> Image::read(ProgramFile from) {
  file = std::move(from);
  const std::size_t head = VELLUM_TRY(file.read(ByteCount(0), std::as_writable_bytes(std::span(&header, 1))));
  if (head != sizeof(header)) {
    return Errno::not_executable;
  }
  VELLUM_TRY(elf::check_header(header));
  const std::span<elf::ProgramHeader> all(headers, header.program_header_count);
  const std::size_t size = VELLUM_TRY(file.read(ByteCount(header.program_headers), std::as_writable_bytes(all)));
  if (size != all.size_bytes()) {
    return Errno::not_executable;
  }
  layout = VELLUM_TRY(elf::layout_of(all));
  return {};
}

Result<std::string_view> Image::interpreter(std::span<char> into) const {
  for (const elf::ProgramHeader& segment : layout.headers) {
    if (segment.type != elf::kInterpreter) {
      continue;
    }
    if (segment.file_size < 2 || segment.file_size > into.size()) {
      return Errno::not_executable;
    }
    const std::span<char> path = into.first(segment.file_size);
    const std::size_t size = VELLUM_TRY(file.read(ByteCount(segment.offset), std::as_writable_bytes(path)));
    if (size != path.size() || path.back() != '\0') {
      return Errno::not_executable;
    }
    return std::string_view(path.data());
  }
  return std::string_view();
}

namespace {

// Address space for a whole image that may lie anywhere; its parts are then mapped over it.
Result<std::uint64_t> find_base(Space& space, const Image& image, LoadPlace place) {
  constexpr std::uint64_t kMostAlignment = std::uint64_t{1} << 30;
  const std::uint64_t alignment = std::min(image.layout.alignment, kMostAlignment);
  if (place.address.value() != 0) {
    return place.address.align_up(ByteCount(alignment)).value() - image.layout.pages.start().value();
  }
  const VirtAddr at = VELLUM_TRY(
      space.map({.address = {}, .length = image.layout.pages.size() + ByteCount(alignment), .prot = Prot::none()}));
  VELLUM_TRY(space.unmap(at, image.layout.pages.size() + ByteCount(alignment)));
  return at.align_up(ByteCount(alignment)).value() - image.layout.pages.start().value();
}

Result<void> map_segment(Space& space, const Image& image, const elf::Segment& segment, std::uint64_t base) {
  const VirtAddr start = segment.pages.start() + ByteCount(base);
  if (!segment.mapped.is_zero()) {
    VELLUM_TRY(space.map({.address = start,
                          .length = segment.mapped,
                          .prot = segment.prot,
                          .placement = Placement::fixed,
                          .object = image.file.object.get(),
                          .offset = segment.file_offset}));
  }
  if (segment.pages.size() > segment.mapped) {
    VELLUM_TRY(space.map({.address = start + segment.mapped,
                          .length = segment.pages.size() - segment.mapped,
                          .prot = segment.prot,
                          .placement = Placement::fixed}));
  }
  return {};
}

template <class Visitor>
Result<void> for_each_segment(const Image& image, Visitor visit) {
  for (const elf::ProgramHeader& header : image.layout.headers) {
    if (header.type == elf::kLoad && header.memory_size != 0) {
      const elf::Segment segment = VELLUM_TRY(elf::segment_of(header));
      VELLUM_TRY(visit(segment));
    }
  }
  return {};
}

}  // namespace

Result<Loaded> load_image(Space& space, const Image& image, LoadPlace place) {
  Loaded loaded;
  if (image.header.type == elf::kTypeDynamic) {
    loaded.base = VELLUM_TRY(find_base(space, image, place));
  }
  const ByteCount base(loaded.base);
  VELLUM_TRY(for_each_segment(image, [&](const elf::Segment& segment) -> Result<void> {
    VELLUM_TRY(map_segment(space, image, segment, loaded.base));
    const VirtAddr start = segment.pages.start() + base;
    if (segment.prot.can_execute() && loaded.code.empty()) {
      loaded.code = VirtRange::between(start, segment.file_end + base);
    }
    loaded.data = VirtRange::between(start, std::max(start, segment.file_end + base));
    loaded.end = segment.memory_end + base;
    return {};
  }));
  loaded.entry = VirtAddr(image.header.entry) + base;
  return loaded;
}

Result<void> clear_tails(const Image& image, const Loaded& loaded) {
  return for_each_segment(image, [&](const elf::Segment& segment) -> Result<void> {
    const VirtAddr mapped_end = segment.pages.start() + segment.mapped;
    if (!segment.prot.can_write() || segment.memory_end <= segment.file_end || mapped_end <= segment.file_end) {
      return {};
    }
    const VirtAddr end = std::min(mapped_end, segment.memory_end.align_up(ByteCount(kPageSize)));
    return clear_out(segment.file_end + ByteCount(loaded.base), end - segment.file_end);
  });
}

}  // namespace vellum::unix
