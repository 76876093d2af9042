// What /proc asks of processes (process_view.hpp of unix/file).

#include <vellum/unix/process_view.hpp>

#include <algorithm>

#include <vellum/unix/memory_pressure.hpp>
#include <vellum/unix/user_memory.hpp>

#include "view.hpp"

namespace vellum::unix {

Process* process_by_any_id(ProcessId id) {
  ProcessSystem& system = process_system();
  if (Process* const process = system.find_process(id); process != nullptr) {
    return process;
  }
  const Thread* const thread = system.find_thread(id);
  return thread != nullptr ? thread->process : nullptr;
}

std::optional<ProcessId> next_process(ProcessId after) {
  const LockGuard guard(process_lock);
  std::optional<ProcessId> next;
  process_system().for_each_process([&](Process& process) {
    if (process.id > after && (!next || process.id < *next)) {
      next = process.id;
    }
  });
  return next;
}

std::optional<ProcessId> next_thread(ProcessId process_id, ProcessId after) {
  const LockGuard guard(process_lock);
  Process* const process = process_system().find_process(process_id);
  std::optional<ProcessId> next;
  if (process == nullptr) {
    return next;
  }
  process->threads.for_each([&](Thread& thread) {
    if (thread.id > after && (!next || thread.id < *next)) {
      next = thread.id;
    }
  });
  return next;
}

Result<ProcessOwner> process_owner(ProcessId id) {
  const LockGuard guard(process_lock);
  const Process* const process = process_by_any_id(id);
  if (process == nullptr) {
    return Errno::no_process;
  }
  const Credentials& who = process->credentials;
  return process->dumpable ? ProcessOwner{.user = who.user.effective, .group = who.group.effective}
                           : ProcessOwner{.user = UserId(0), .group = GroupId(0)};
}

Result<FileContext> process_files(ProcessId id) {
  const LockGuard guard(process_lock);
  const Process* const process = process_by_any_id(id);
  if (process == nullptr) {
    return Errno::no_process;
  }
  return process->files;
}

Result<Path> process_program(ProcessId id) {
  const LockGuard guard(process_lock);
  const Process* const process = process_by_any_id(id);
  if (process == nullptr) {
    return Errno::no_process;
  }
  if (process->program == nullptr || !process->program->executable) {
    return Errno::no_entry;
  }
  return process->program->executable->path();
}

namespace {

void write_memory(Program& program, VirtRange range, TextSink& sink) {
  inside(program, [&] {
    char bytes[128];
    for (ByteCount done{0}; done < range.size();) {
      const std::size_t piece = std::min<std::uint64_t>(sizeof(bytes), (range.size() - done).value());
      if (!copy_in(std::as_writable_bytes(std::span(bytes, piece)), range.start() + done).ok()) {
        return;
      }
      sink.text({bytes, piece});
      done += ByteCount(piece);
    }
  });
}

void write_auxiliary(const Program& program, TextSink& sink) {
  const std::span<const Program::Auxiliary> entries(program.auxiliary, program.auxiliary_count);
  const auto bytes = std::as_bytes(entries);
  sink.text({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

void write_sizes(Program* program, TextSink& sink) {
  const MemoryFigures figures = program != nullptr ? figures_of(*program) : MemoryFigures{};
  sink.decimal(figures.mapped).character(' ').decimal(figures.resident).character(' ');
  sink.decimal(figures.files + figures.shared).character(' ').decimal(figures.code).text(" 0 ");
  sink.decimal(figures.data + figures.stack).text(" 0\n");
}

struct LimitRow {
  std::string_view name;
  Resource resource;
  std::string_view unit;
};

constexpr LimitRow kLimitRows[] = {
    {"Max cpu time", Resource::cpu_seconds, "seconds"},
    {"Max file size", Resource::file_size, "bytes"},
    {"Max data size", Resource::data, "bytes"},
    {"Max stack size", Resource::stack, "bytes"},
    {"Max core file size", Resource::core, "bytes"},
    {"Max resident set", Resource::resident, "bytes"},
    {"Max processes", Resource::processes, "processes"},
    {"Max open files", Resource::files, "files"},
    {"Max locked memory", Resource::locked_memory, "bytes"},
    {"Max address space", Resource::address_space, "bytes"},
    {"Max file locks", Resource::locks, "locks"},
    {"Max pending signals", Resource::pending_signals, "signals"},
    {"Max msgqueue size", Resource::message_queues, "bytes"},
    {"Max nice priority", Resource::nice, ""},
    {"Max realtime priority", Resource::realtime_priority, ""},
    {"Max realtime timeout", Resource::realtime_microseconds, "us"},
};

void write_limit(std::uint64_t value, TextSink& sink) {
  constexpr unsigned kWidth = 20;
  if (value == Limit::kInfinite) {
    sink.left("unlimited", kWidth);
  } else {
    sink.decimal_left(value, kWidth);
  }
}

void write_limits(const Limits& limits, TextSink& sink) {
  sink.text("Limit                     Soft Limit           Hard Limit           Units     \n");
  for (const LimitRow& row : kLimitRows) {
    sink.left(row.name, 25).character(' ');
    write_limit(limits[row.resource].soft, sink);
    sink.character(' ');
    write_limit(limits[row.resource].hard, sink);
    if (row.unit.empty()) {
      sink.text("\n");
    } else {
      sink.character(' ').left(row.unit, 10).text("\n");
    }
  }
}

struct Subject {
  Program* program = nullptr;
  Limits limits;
  char name[sizeof(Process::name)] = {};
  std::int16_t oom_adjustment = 0;
};

// Linux 6.1's scale: 0 to 2000, where two thirds of a thousand is a process that holds nothing.
void write_oom_score(Program* program, std::int16_t adjustment, TextSink& sink) {
  std::int64_t score = 0;
  if (program != nullptr && adjustment != kNeverForMemory) {
    const Space::Residence residence = program->space.residence();
    const PageCount total = process_system().memory.memory.total_count();
    const std::int64_t badness = oom_badness(residence.pages + residence.tables, adjustment, total);
    score = (1000 + badness * 1000 / static_cast<std::int64_t>(total.value())) * 2 / 3;
  }
  sink.signed_decimal(score).text("\n");
}

Result<Subject> subject_of(ProcessId id) VELLUM_REQUIRES(process_lock) {
  const Process* const process = process_by_any_id(id);
  if (process == nullptr) {
    return Errno::no_process;
  }
  Subject subject = {.program = process->program, .limits = process->limits, .oom_adjustment = process->oom_adjustment};
  std::copy(std::begin(process->name), std::end(process->name), subject.name);
  return subject;
}

}  // namespace

Result<void> set_oom_adjustment(ProcessId id, std::int32_t adjustment) {
  constexpr std::int32_t kMost = 1000;
  if (adjustment < kNeverForMemory || adjustment > kMost) {
    return Errno::invalid;
  }
  const LockGuard guard(process_lock);
  Process* const process = process_by_any_id(id);
  if (process == nullptr) {
    return Errno::no_process;
  }
  const bool may_lower = this_process().credentials.has(Capability::exceed_limits);
  const auto value = static_cast<std::int16_t>(adjustment);
  if (value < process->least_oom_adjustment && !may_lower) {
    return Errno::access_denied;
  }
  process->oom_adjustment = value;
  process->least_oom_adjustment = may_lower ? value : process->least_oom_adjustment;
  return {};
}

Result<void> write_process_text(ProcessId id, ProcessText which, TextSink& sink) {
  process_lock.lock();
  const Result<Subject> found = subject_of(id);
  const HeldProgram held(found.ok() ? found.value().program : nullptr);
  process_lock.unlock();
  if (!found.ok()) {
    return found.error();
  }
  Program* const program = held.get();
  switch (which) {
    case ProcessText::name:
      sink.text(found.value().name);
      return {};
    case ProcessText::limits:
      write_limits(found.value().limits, sink);
      return {};
    case ProcessText::status:
      return write_status(id, program, sink);
    case ProcessText::stat:
      return write_stat(id, program, sink);
    case ProcessText::statm:
      write_sizes(program, sink);
      return {};
    case ProcessText::oom_score:
      write_oom_score(program, found.value().oom_adjustment, sink);
      return {};
    case ProcessText::oom_adjustment:
      sink.signed_decimal(found.value().oom_adjustment).text("\n");
      return {};
    default:
      break;
  }
  if (program == nullptr) {
    return {};
  }
  switch (which) {
    case ProcessText::command_line:
      write_memory(*program, program->arguments, sink);
      break;
    case ProcessText::environment:
      write_memory(*program, program->environment, sink);
      break;
    case ProcessText::maps:
      write_maps(*program, sink);
      break;
    case ProcessText::smaps:
      write_smaps(*program, sink);
      break;
    case ProcessText::smaps_rollup:
      write_smaps_rollup(*program, sink);
      break;
    case ProcessText::auxiliary:
      write_auxiliary(*program, sink);
      break;
    default:
      break;
  }
  return {};
}

Result<void> read_process_pagemap(ProcessId process, std::uint64_t first, ShowFrames frames, Transfer& to) {
  process_lock.lock();
  const Result<Subject> found = subject_of(process);
  const HeldProgram held(found.ok() ? found.value().program : nullptr);
  process_lock.unlock();
  if (!found.ok()) {
    return found.error();
  }
  return held.get() == nullptr ? Result<void>() : read_pagemap(*held.get(), first, frames, to);
}

SystemFigures system_figures() {
  ProcessSystem& system = process_system();
  SystemFigures figures;
  const std::uint64_t ticks = system.ticks.load(std::memory_order_relaxed);
  figures.cpu_count = 0;
  for (CpuMask rest = system.scheduler.online(); rest != 0; rest &= rest - 1) {
    const auto cpu = static_cast<unsigned>(std::countr_zero(rest));
    const std::uint64_t busy = std::min(system.scheduler.busy_ticks(cpu), ticks);
    const FlushCounts flushes = flush_counts(cpu);
    figures.flushes_sent[figures.cpu_count] = flushes.sent;
    figures.flushes_received[figures.cpu_count] = flushes.received;
    figures.cpus[figures.cpu_count++] = {.user = kTickLength * busy, .idle = kTickLength * (ticks - busy)};
  }
  figures.context_switches = system.scheduler.switches();
  figures.processes_made = system.processes_made.load(std::memory_order_relaxed);
  figures.threads = system.thread_count.load(std::memory_order_relaxed);
  figures.stack_pages = figures.threads * whole_pages(this_thread().context.kernel_stack.size()).value();
  figures.running = system.scheduler.runnable() + system.scheduler.running();
  figures.last_made = ProcessId(system.last_id.load(std::memory_order_relaxed));
  for (unsigned i = 0; i < 3; ++i) {
    figures.load_hundredths[i] = system.load[i] * 100 / 2048;
  }
  figures.faults = system.minor_faults.load(std::memory_order_relaxed);
  figures.major_faults = system.major_faults.load(std::memory_order_relaxed);
  return figures;
}

}  // namespace vellum::unix
