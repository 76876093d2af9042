// What /proc shows of processes and of the system: a port that unix/process implements, and tests. The functions may
// sleep. A process is named by the id of its first thread, a thread by its own.
#pragma once

#include <optional>

#include <vellum/unix/file_table.hpp>
#include <vellum/unix/text_sink.hpp>
#include <vellum/unix/transfer.hpp>
#include <vellum/unix/types.hpp>

namespace vellum::unix {

// The process with the lowest id above `after`; nothing where there is none.
[[nodiscard]] std::optional<ProcessId> next_process(ProcessId after);
// The thread of a process with the lowest id above `after`. Nothing for a process that there is not.
[[nodiscard]] std::optional<ProcessId> next_thread(ProcessId process, ProcessId after);

struct ProcessOwner {
  UserId user;
  GroupId group;
};
// Error of all that follow: no_process.
[[nodiscard]] Result<ProcessOwner> process_owner(ProcessId process);

// Files of /proc/PID whose text unix/process writes, in Linux 6.1's format.
enum class ProcessText : std::uint8_t {
  command_line,  // the arguments, each ended by a zero byte
  environment,   // likewise
  name,          // comm: without the newline
  status,
  stat,
  statm,
  maps,
  smaps,
  smaps_rollup,
  limits,
  auxiliary,       // auxv, in binary
  oom_score,       // how likely it is to be ended when memory is used up
  oom_adjustment,  // what was said of that, from -1000 (never) to 1000
};
// `thread` is the process itself or one of its threads.
[[nodiscard]] Result<void> write_process_text(ProcessId thread, ProcessText which, TextSink& sink);

// Writing to /proc/PID/oom_score_adj. Errors: invalid (no such adjustment), access_denied (less than the least that who
// may exceed limits has allowed it), no_process.
[[nodiscard]] Result<void> set_oom_adjustment(ProcessId process, std::int32_t adjustment);

// /proc/PID/pagemap: a word for each page, from `first` on (the number of a page's address, 52 bits), as much as goes
// into `to`; zero where nothing is mapped, nothing beyond the end of the addresses. Frames are shown to whom `frames`
// says.
enum class ShowFrames : bool { no, yes };
[[nodiscard]] Result<void> read_process_pagemap(ProcessId process, std::uint64_t first, ShowFrames frames,
                                                Transfer& to);

// Descriptors, root and current directory. Nothing in it for a process that has ended.
[[nodiscard]] Result<FileContext> process_files(ProcessId process);
// The program that it runs; error no_entry where there is none (the kernel's own).
[[nodiscard]] Result<Path> process_program(ProcessId process);

// What the scheduler has counted since boot.
struct SystemFigures {
  struct CpuTimes {
    Nanoseconds user{0};
    Nanoseconds system{0};
    Nanoseconds idle{0};
  };
  static constexpr unsigned kMostCpus = 16;
  unsigned cpu_count = 1;
  CpuTimes cpus[kMostCpus] = {};  // those that take part, first
  // Of the same CPUs: how often they made others drop translations, and did so for others.
  std::uint64_t flushes_sent[kMostCpus] = {};
  std::uint64_t flushes_received[kMostCpus] = {};
  std::uint64_t context_switches = 0;
  std::uint64_t processes_made = 0;
  std::uint64_t threads = 0;
  std::uint64_t stack_pages = 0;  // of theirs, in the kernel
  std::uint64_t running = 0;
  std::uint64_t blocked = 0;
  ProcessId last_made;
  std::uint32_t load_hundredths[3] = {};  // over 1, 5, 15 minutes
  std::uint64_t faults = 0;
  std::uint64_t major_faults = 0;
};
[[nodiscard]] SystemFigures system_figures();
// Pages of memory objects that processes have in their tables, and pages of memory that is locked, each once however
// many share it. Takes as long as there are pages.
struct MappedFigures {
  std::uint64_t objects = 0;
  std::uint64_t locked = 0;
  std::uint64_t kept = 0;  // of shared segments that are locked (SHM_LOCK)
};
[[nodiscard]] MappedFigures mapped_figures();
// /proc/sysvipc/shm.
void write_shared_segments(TextSink& sink);

}  // namespace vellum::unix
