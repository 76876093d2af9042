// Looking at another process.
#pragma once

#include <vellum/unix/held_program.hpp>
#include <vellum/unix/process_system.hpp>
#include <vellum/unix/process_view.hpp>
#include <vellum/unix/text_sink.hpp>

namespace vellum::unix {

// Calls `work` while the calling thread runs another program's space.
template <class Work>
void inside(Program& program, Work work) {
  ThreadContext& context = current_thread()->context;
  AddressSpace<Format>* const own = context.space;
  use_space(context, &program.space);
  work();
  use_space(context, own);
}

// By the id of one of its threads, or its own. Null where there is none.
[[nodiscard]] Process* process_by_any_id(ProcessId id) VELLUM_REQUIRES(process_lock);

// Sizes of a program's memory, in pages.
struct MemoryFigures {
  std::uint64_t mapped = 0;
  std::uint64_t resident = 0;
  std::uint64_t tables = 0;
  std::uint64_t locked = 0;
  std::uint64_t peak_resident = 0;
  std::uint64_t data = 0;  // private and writable, stacks not included
  std::uint64_t stack = 0;
  std::uint64_t code = 0;       // of the program
  std::uint64_t libraries = 0;  // other executable memory
  std::uint64_t files = 0;      // resident, of files that can be read again
  std::uint64_t shared = 0;     // resident, of other objects
};
[[nodiscard]] MemoryFigures figures_of(Program& program);
// Pages of objects that the tables name in a region: without private copies.
[[nodiscard]] std::uint64_t object_pages_in(Space& space, VirtRange range);

void write_maps(Program& program, TextSink& sink);
// What a region's line in /proc/PID/maps says; `break_end` is the end of the heap.
void write_region(const Region<Format>& region, const Program& program, VirtAddr break_end, TextSink& sink);
void write_smaps(Program& program, TextSink& sink);
void write_smaps_rollup(Program& program, TextSink& sink);
[[nodiscard]] Result<void> read_pagemap(Program& program, std::uint64_t first, ShowFrames frames, Transfer& to);

// The regions of a space, from its start on; one after the other, so that what changes meanwhile may be seen or not.
template <class Visitor>
void for_each_region(Space& space, Visitor visit) {
  VirtAddr at(0);
  while (const std::optional<Region<Format>> region = space.region_at_or_after(at)) {
    visit(*region);
    at = region->range.end();
    if (at >= space.layout().end()) {
      return;
    }
  }
}
// The text of /proc/PID/status and stat; `program` is null for a process that has ended.
[[nodiscard]] Result<void> write_status(ProcessId id, Program* program, TextSink& sink);
[[nodiscard]] Result<void> write_stat(ProcessId id, Program* program, TextSink& sink);

}  // namespace vellum::unix
