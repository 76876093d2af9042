// What exec made: an address space and what is known about what lies where in it. Shared by the threads of a process,
// and by a vfork's child until it execs.
#pragma once

#include <atomic>
#include <cstdint>

#include <vellum/space/space.hpp>
#include <vellum/unix/format.hpp>
#include <vellum/unix/open_file.hpp>
#include <vellum/unix/thread.hpp>

namespace vellum::unix {

using Space = AddressSpace<Format>;

struct Program {
  // AT_* of elf(5), as /proc/PID/auxv shows them.
  static constexpr unsigned kMostAuxiliary = 24;
  struct Auxiliary {
    std::uint64_t type;
    std::uint64_t value;
  };

  explicit Program(Space& its_space) : space(its_space) {}

  Space& space;
  std::atomic<std::uint32_t> references{1};
  Ref<OpenFile> executable;

  // Set by exec (and by prctl), read by /proc.
  VirtRange code;
  VirtRange data;
  VirtAddr break_start;
  VirtAddr stack_start;
  VirtRange arguments;
  VirtRange environment;
  Auxiliary auxiliary[kMostAuxiliary] = {};
  unsigned auxiliary_count = 0;

  std::atomic<std::uint64_t> peak_resident{0};  // pages; as far as somebody looked
};

}  // namespace vellum::unix
