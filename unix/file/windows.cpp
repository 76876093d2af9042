#include <algorithm>

#include <vellum/unix/file_windows.hpp>

namespace vellum::unix {

std::optional<Pfn> LinearWindows::lookup(MemoryObject<Format>& object, PageIndex index, Access access) {
  const EpochSection section(virtual_memory_.epochs, virtual_memory_.memory.machine());
  return object.lookup(index, access);
}

void LinearWindows::release_frame(Pfn frame) {
  PhysicalMemory& memory = virtual_memory_.memory;
  if (memory.frame(frame).release()) {
    memory.free(frame);
  }
}

Result<FileWindow> LinearWindows::acquire(MemoryObject<Format>& object, ByteCount offset, ByteCount size) {
  const PageIndex index(offset.value() >> kPageShift);
  for (;;) {
    const std::uint64_t end = object.size().value();
    if (offset.value() >= end) {
      return Errno::out_of_range;
    }
    const std::optional<Pfn> frame = lookup(object, index, Access::read);
    if (!frame) {
      VELLUM_TRY(object.populate(index));
      continue;
    }
    const std::uint64_t in_page = offset.value() & (kPageSize - 1);
    const std::uint64_t length = std::min({size.value(), kPageSize - in_page, end - offset.value()});
    std::byte* const page = virtual_memory_.memory.machine().window(*frame).data();
    return FileWindow{.bytes = {page + in_page, static_cast<std::size_t>(length)},
                      .object = &object,
                      .first = index,
                      .token = {frame->value(), 0}};
  }
}

// Dirty after its bytes were changed: before, a write-back could keep the old ones and call the page clean.
void LinearWindows::release(const FileWindow& window, Changed changed) {
  if (changed == Changed::yes) {
    if (const std::optional<Pfn> frame = lookup(*window.object, window.first, Access::write)) {
      release_frame(*frame);
    }
  }
  release_frame(Pfn(window.token[0]));
}

}  // namespace vellum::unix
