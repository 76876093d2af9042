// /proc/PID/maps, and sizes.

#include <algorithm>

#include <vellum/unix/file_pager.hpp>

#include "view.hpp"

namespace vellum::unix {

namespace {

using ProgramRegion = Region<Format>;

// Linux's tests: what touches the heap, what the stack pointer was in at the start.
std::string_view name_without_file(const ProgramRegion& region, const Program& program, VirtAddr break_end) {
  const VirtAddr start = region.range.start();
  const VirtAddr end = region.range.end();
  if (start <= break_end && end >= program.break_start && break_end > program.break_start) {
    return "[heap]";
  }
  return start <= program.stack_start && end >= program.stack_start ? "[stack]" : "";
}

}  // namespace

void write_region(const ProgramRegion& region, const Program& program, VirtAddr break_end, TextSink& sink) {
  constexpr std::size_t kNameColumn = 73;
  char path[512];
  ObjectName name;
  if (region.object != nullptr) {
    const Ref<FileObject> object = Ref<FileObject>::share(*region.object);
    name = describe_object(*object, path);
  } else {
    name.path = name_without_file(region, program, break_end);
  }
  sink.hexadecimal(region.range.start().value(), 8).character('-').hexadecimal(region.range.end().value(), 8);
  sink.character(' ').character(region.prot.can_read() ? 'r' : '-').character(region.prot.can_write() ? 'w' : '-');
  sink.character(region.prot.can_execute() ? 'x' : '-').character(region.traits.is_shared() ? 's' : 'p');
  const std::uint64_t offset = region.object != nullptr ? region.first.value() << kPageShift : 0;
  sink.character(' ').hexadecimal(offset, 8).character(' ').hexadecimal(name.device.major, 2).character(':');
  sink.hexadecimal(name.device.minor, 2).character(' ').decimal(name.inode).character(' ');
  if (!name.path.empty()) {
    sink.pad_to(kNameColumn);
    for (const char character : name.path) {
      if (character == '\n') {
        sink.text("\\012");
      } else {
        sink.character(character);
      }
    }
  }
  sink.text("\n");
}

void write_maps(Program& program, TextSink& sink) {
  const VirtAddr break_end = program.space.set_break(VirtAddr(0));
  for_each_region(program.space, [&](const ProgramRegion& region) { write_region(region, program, break_end, sink); });
}

MemoryFigures figures_of(Program& program) {
  MemoryFigures figures;
  const Space::Residence residence = program.space.residence();
  figures.mapped = program.space.mapped().value();
  figures.resident = residence.pages.value();
  figures.tables = residence.tables.value();
  if (figures.resident > program.peak_resident.load(std::memory_order_relaxed)) {
    program.peak_resident.store(figures.resident, std::memory_order_relaxed);
  }
  figures.peak_resident = program.peak_resident.load(std::memory_order_relaxed);
  for_each_region(program.space, [&](const ProgramRegion& region) {
    const std::uint64_t pages = whole_pages(region.range.size()).value();
    if (region.traits.is_growing_down()) {
      figures.stack += pages;
    } else if (region.prot.can_write() && !region.traits.is_shared()) {
      figures.data += pages;
    } else if (region.prot.can_execute()) {
      (region.range.overlaps(program.code) ? figures.code : figures.libraries) += pages;
    }
    figures.locked += region.traits.is_locked() ? pages : 0;
    if (region.object != nullptr) {
      const bool is_memory = region.object->is_memory();
      (is_memory ? figures.shared : figures.files) += object_pages_in(program.space, region.range);
    }
  });
  // Looked at one after the other, while they may change.
  figures.files = std::min(figures.files, figures.resident);
  figures.shared = std::min(figures.shared, figures.resident - figures.files);
  return figures;
}

}  // namespace vellum::unix
