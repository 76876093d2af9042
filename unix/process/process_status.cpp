// /proc/PID/status and /proc/PID/stat, as Linux 6.1 writes them.

#include <algorithm>
#include <bit>

#include <vellum/unix/lifecycle.hpp>
#include <vellum/unix/signals.hpp>

#include "view.hpp"

namespace vellum::unix {

namespace {

// What both show of a process, gathered under the lock.
struct View {
  char name[sizeof(Process::name)] = {};
  char state = 'R';
  ProcessId thread;
  ProcessId process;
  ProcessId parent;
  ProcessId group;
  ProcessId session;
  Credentials who;
  std::uint16_t umask = 0;
  bool has_files = false;
  unsigned threads = 0;
  SignalSet thread_pending;
  SignalSet process_pending;
  SignalSet blocked;
  SignalSet ignored;
  SignalSet caught;
  Signal exit_signal;
  WaitStatus status;
  bool no_new_privileges = false;
  Usage usage;
  Usage children;
  Nanoseconds started;
  std::uint64_t resident_limit = 0;
  std::uint64_t pending_limit = 0;
  std::uint64_t voluntary = 0;
  std::uint64_t involuntary = 0;
  CpuMask allowed = 1;
};

char state_of(const Process& process, const Thread* thread) VELLUM_REQUIRES(process_lock) {
  if (process.state == ProcessState::zombie || thread == nullptr) {
    return 'Z';
  }
  if (process.stopped && thread->state == ThreadState::blocked) {
    return 'T';
  }
  return thread->state == ThreadState::blocked ? 'S' : 'R';
}

void look_at_signals(Process& process, const Thread* thread, View& view) VELLUM_REQUIRES(process_lock) {
  view.process_pending = process.pending.set();
  if (thread != nullptr) {
    view.thread_pending = thread->pending.set();
    view.blocked = thread->blocked;
  }
  for (std::uint8_t number = 1; number <= signal::kLast; ++number) {
    const SignalAction& action = process.action(Signal(number));
    if (action.handler == SignalAction::kIgnore) {
      view.ignored.add(Signal(number));
    } else if (action.handler != SignalAction::kDefault) {
      view.caught.add(Signal(number));
    }
  }
}

Result<View> look_at(ProcessId id) {
  const LockGuard guard(process_lock);
  Process* const process = process_by_any_id(id);
  if (process == nullptr) {
    return Errno::no_process;
  }
  Thread* thread = process_system().find_thread(id);
  if (thread == nullptr) {
    thread = process->threads.front();
  }
  View view;
  std::copy(std::begin(process->name), std::end(process->name), view.name);
  view.state = state_of(*process, thread);
  view.thread = thread != nullptr ? thread->id : process->id;
  view.process = process->id;
  view.parent = process->parent != nullptr ? process->parent->id : ProcessId(0);
  view.group = process->group;
  view.session = process->session;
  view.who = process->credentials;
  view.has_files = process->files.paths.get() != nullptr;
  view.umask = view.has_files ? process->files.paths->umask() : std::uint16_t{0};
  view.threads = process->thread_count;
  look_at_signals(*process, thread, view);
  view.exit_signal = process->exit_signal;
  view.status = process->status;
  view.no_new_privileges = process->no_new_privileges;
  view.usage = usage_of(*process);
  view.children = process->children_usage;
  view.started = process->started;
  view.resident_limit = process->limits[Resource::resident].soft;
  view.pending_limit = process->limits[Resource::pending_signals].soft;
  if (thread != nullptr) {
    view.voluntary = thread->voluntary_switches;
    view.involuntary = thread->involuntary_switches;
    view.allowed = thread->affinity & process_system().scheduler.online();
  }
  return view;
}

std::string_view state_name(char state) {
  switch (state) {
    case 'R':
      return "R (running)";
    case 'T':
      return "T (stopped)";
    case 'Z':
      return "Z (zombie)";
    default:
      return "S (sleeping)";
  }
}

template <class Identity>
void write_ids(std::string_view label, const Identities<Identity>& ids, TextSink& sink) {
  sink.text(label).decimal(ids.real.value()).text("\t").decimal(ids.effective.value()).text("\t");
  sink.decimal(ids.saved.value()).text("\t").decimal(ids.file_system.value()).text("\n");
}

void write_id(std::string_view label, ProcessId id, TextSink& sink) {
  sink.text(label).signed_decimal(id.value()).text("\n");
}

void write_set(std::string_view label, std::uint64_t bits, TextSink& sink) {
  sink.text(label).hexadecimal(bits, 16).text("\n");
}

void write_identity(const View& view, TextSink& sink) {
  constexpr unsigned kTableSize = 64;
  sink.text("Name:\t").text(view.name).text("\n");
  if (view.has_files) {
    sink.text("Umask:\t").octal(view.umask, 4).text("\n");
  }
  sink.text("State:\t").text(state_name(view.state)).text("\n");
  write_id("Tgid:\t", view.process, sink);
  sink.text("Ngid:\t0\n");
  write_id("Pid:\t", view.thread, sink);
  write_id("PPid:\t", view.parent, sink);
  sink.text("TracerPid:\t0\n");
  write_ids("Uid:\t", view.who.user, sink);
  write_ids("Gid:\t", view.who.group, sink);
  sink.text("FDSize:\t").decimal(view.has_files ? kTableSize : 0).text("\nGroups:\t");
  for (unsigned i = 0; i < view.who.group_count; ++i) {
    sink.decimal(view.who.groups[i].value()).text(" ");
  }
  sink.text("\n");
  write_id("NStgid:\t", view.process, sink);
  write_id("NSpid:\t", view.thread, sink);
  write_id("NSpgid:\t", view.group, sink);
  write_id("NSsid:\t", view.session, sink);
}

void write_memory(const MemoryFigures& figures, TextSink& sink) {
  const auto line = [&](std::string_view label, std::uint64_t pages) {
    sink.text(label).decimal(pages * (kPageSize / 1024), 8).text(" kB\n");
  };
  line("VmPeak:\t", figures.mapped);
  line("VmSize:\t", figures.mapped);
  line("VmLck:\t", figures.locked);
  line("VmPin:\t", 0);
  line("VmHWM:\t", figures.peak_resident);
  line("VmRSS:\t", figures.resident);
  line("RssAnon:\t", figures.resident - figures.files - figures.shared);
  line("RssFile:\t", figures.files);
  line("RssShmem:\t", figures.shared);
  line("VmData:\t", figures.data);
  line("VmStk:\t", figures.stack);
  line("VmExe:\t", figures.code);
  line("VmLib:\t", figures.libraries);
  line("VmPTE:\t", figures.tables);
  line("VmSwap:\t", 0);
  line("HugetlbPages:\t", 0);
  sink.text("CoreDumping:\t0\nTHP_enabled:\t0\n");
}

void write_signals(const View& view, TextSink& sink) {
  sink.text("SigQ:\t0/").decimal(view.pending_limit).text("\n");
  write_set("SigPnd:\t", view.thread_pending.bits(), sink);
  write_set("ShdPnd:\t", view.process_pending.bits(), sink);
  write_set("SigBlk:\t", view.blocked.bits(), sink);
  write_set("SigIgn:\t", view.ignored.bits(), sink);
  write_set("SigCgt:\t", view.caught.bits(), sink);
}

void write_privileges(const View& view, TextSink& sink) {
  const CapabilitySets& held = view.who.capabilities;
  write_set("CapInh:\t", held.inheritable.bits(), sink);
  write_set("CapPrm:\t", held.permitted.bits(), sink);
  write_set("CapEff:\t", held.effective.bits(), sink);
  write_set("CapBnd:\t", held.bounding.bits(), sink);
  write_set("CapAmb:\t", 0, sink);
  sink.text("NoNewPrivs:\t").decimal(view.no_new_privileges ? 1 : 0);
  sink.text("\nSeccomp:\t0\nSeccomp_filters:\t0\nSpeculation_Store_Bypass:\tvulnerable\n");
  sink.text("SpeculationIndirectBranch:\talways enabled\n");
}

// The CPUs that it may run on, as digits and as ranges.
void write_allowed(CpuMask allowed, TextSink& sink) {
  const auto cpus = static_cast<unsigned>(std::popcount(process_system().scheduler.online()));
  sink.text("Cpus_allowed:\t").hexadecimal(allowed, (cpus + 3) / 4).text("\nCpus_allowed_list:\t");
  for (CpuMask rest = allowed; rest != 0;) {
    const auto first = static_cast<unsigned>(std::countr_zero(rest));
    const auto count = static_cast<unsigned>(std::countr_one(rest >> first));
    sink.text(rest == allowed ? "" : ",").decimal(first);
    if (count > 1) {
      sink.text("-").decimal(first + count - 1);
    }
    rest = count + first == 8 * sizeof(CpuMask) ? 0 : rest >> (first + count) << (first + count);
  }
  sink.text("\n");
}

// Its number, and the group in its foreground.
void write_terminal(ProcessId session, TextSink& sink) {
  constexpr std::uint64_t kConsole = 5 << 8 | 1;
  Terminal* const terminal = process_system().terminal;
  if (terminal == nullptr || terminal->session() != session) {
    sink.text(" 0 -1");
    return;
  }
  sink.character(' ').decimal(kConsole).character(' ').signed_decimal(terminal->foreground().value());
}

}  // namespace

Result<void> write_status(ProcessId id, Program* program, TextSink& sink) {
  constexpr unsigned kNodeWords = 32;
  const View view = VELLUM_TRY(look_at(id));
  write_identity(view, sink);
  if (program != nullptr) {
    write_memory(figures_of(*program), sink);
  }
  sink.text("Threads:\t").decimal(view.threads == 0 ? 1 : view.threads).text("\n");
  write_signals(view, sink);
  write_privileges(view, sink);
  write_allowed(view.allowed, sink);
  sink.text("Mems_allowed:\t");
  for (unsigned i = 1; i < kNodeWords; ++i) {
    sink.text("00000000,");
  }
  sink.text("00000001\nMems_allowed_list:\t0\nvoluntary_ctxt_switches:\t").decimal(view.voluntary);
  sink.text("\nnonvoluntary_ctxt_switches:\t").decimal(view.involuntary).text("\n");
  return {};
}

Result<void> write_stat(ProcessId id, Program* program, TextSink& sink) {
  constexpr std::uint64_t kClockTick = 10'000'000;
  const View view = VELLUM_TRY(look_at(id));
  const MemoryFigures figures = program != nullptr ? figures_of(*program) : MemoryFigures{};
  const auto number = [&](std::uint64_t value) { sink.character(' ').decimal(value); };
  const auto zeros = [&](unsigned count) {
    while (count-- > 0) {
      sink.text(" 0");
    }
  };
  sink.signed_decimal(view.thread.value()).text(" (").text(view.name).text(") ").character(view.state);
  for (const ProcessId relation : {view.parent, view.group, view.session}) {
    sink.character(' ').signed_decimal(relation.value());
  }
  write_terminal(view.session, sink);
  sink.text(" 4194304");  // PF_RANDOMIZE
  number(view.usage.minor_faults);
  number(view.children.minor_faults);
  number(view.usage.major_faults);
  number(view.children.major_faults);
  number(view.usage.user_nanoseconds / kClockTick);
  number(view.usage.system_nanoseconds / kClockTick);
  number(view.children.user_nanoseconds / kClockTick);
  number(view.children.system_nanoseconds / kClockTick);
  sink.text(" 20 0");
  number(view.threads == 0 ? 1 : view.threads);
  zeros(1);
  number(view.started.value() / kClockTick);
  number(figures.mapped * kPageSize);
  number(figures.resident);
  number(view.resident_limit);
  number(program != nullptr ? program->code.start().value() : 0);
  number(program != nullptr ? program->code.end().value() : 0);
  number(program != nullptr ? program->stack_start.value() : 0);
  zeros(2);  // stack and instruction pointer: of dying processes only
  number(view.thread_pending.bits() & 0x7fffffff);
  number(view.blocked.bits() & 0x7fffffff);
  number(view.ignored.bits() & 0x7fffffff);
  number(view.caught.bits() & 0x7fffffff);
  zeros(3);
  number(view.exit_signal.value());
  zeros(6);
  number(program != nullptr ? program->data.start().value() : 0);
  number(program != nullptr ? program->data.end().value() : 0);
  number(program != nullptr ? program->break_start.value() : 0);
  number(program != nullptr ? program->arguments.start().value() : 0);
  number(program != nullptr ? program->arguments.end().value() : 0);
  number(program != nullptr ? program->environment.start().value() : 0);
  number(program != nullptr ? program->environment.end().value() : 0);
  number(view.state == 'Z' ? static_cast<std::uint64_t>(view.status.value()) : 0);
  sink.text("\n");
  return {};
}

}  // namespace vellum::unix
