// execve: the new program is built beside the old one, and replaces it only when nothing can fail any more.

#include "exec.hpp"

#include <cpuid.h>

#include <algorithm>

#include <vellum/unix/auxiliary.hpp>
#include <vellum/unix/signal_frame.hpp>
#include <vellum/unix/signals.hpp>
#include <vellum/unix/user_memory.hpp>

namespace vellum::unix {

namespace {

constexpr unsigned kMostScripts = 4;

// Which file is executed in the end, and the arguments that scripts put before the others.
struct Choice {
  ProgramFile file;
  Attributes attributes;
  bool set_ids_permitted = true;
  // The last script's interpreter first.
  unsigned prefix_count = 0;
  Text prefix[1 + 2 * kMostScripts];
};

// Memory that is too large for a kernel stack.
struct Work {
  explicit Work(PageSource& source) : arguments(source) {}
  Choice choice;
  Image program;
  Image interpreter;
  char interpreter_path[elf::kLongestInterpreter];
  Arguments arguments;
};

FileCredentials credentials_of(const Credentials& who) {
  return {.user = who.user.file_system,
          .group = who.group.file_system,
          .groups = std::span(who.groups).first(who.group_count),
          .superuser = who.has(Capability::override_access)};
}

Resolution resolution_of(Process& process, const Path& directory, const Credentials& who) {
  return {.root = process.files.paths->root(), .current = directory, .who = credentials_of(who)};
}

Credentials credentials_now(const Process& process) {
  const LockGuard guard(process_lock);
  return process.credentials;
}

Result<ProgramFile> as_program(Ref<OpenFile> opened) {
  ProgramFile file;
  file.file = std::move(opened);
  FileMapping mapping = VELLUM_TRY(file.file->mapping());
  if (!mapping.object) {
    return Errno::access_denied;
  }
  file.object = std::move(mapping.object);
  return file;
}

// A file that was opened otherwise (execveat).
Result<ProgramFile> permitted_program(const Ref<OpenFile>& file, const FileCredentials& who) {
  VELLUM_TRY(check_place(file->path(), who, {.execute = true}));
  return file->node().kind() == NodeKind::file ? as_program(file) : Errno::access_denied;
}

Result<ProgramFile> open_file(Process& process, const Resolution& from, std::string_view path) {
  return as_program(VELLUM_TRY(open_program(process.system.files, from, path)));
}

// Puts a script's interpreter, its argument and the script's name before the other arguments.
Result<void> prefix_script(Choice& choice, FileMemory& memory, const ScriptLine& line, std::string_view script) {
  const unsigned more = line.argument.empty() ? 2 : 3;
  // The interpreter of the script before was this script's own name as an argument.
  const unsigned replaced = choice.prefix_count == 0 ? 0 : 1;
  const unsigned kept = choice.prefix_count - replaced;
  for (unsigned i = kept; i > 0; --i) {
    choice.prefix[more + i - 1] = std::move(choice.prefix[replaced + i - 1]);
  }
  choice.prefix_count = more + kept;
  choice.prefix[0] = VELLUM_TRY(Text::create(memory, line.interpreter));
  if (!line.argument.empty()) {
    choice.prefix[1] = VELLUM_TRY(Text::create(memory, line.argument));
  }
  choice.prefix[more - 1] = VELLUM_TRY(Text::create(memory, script));
  return {};
}

// Opens the program, and the interpreters of scripts.
Result<void> choose(Process& process, const Resolution& from, const ExecRequest& request, Choice& choice) {
  FileMemory& memory = process.system.files.memory();
  Text name = VELLUM_TRY(Text::create(memory, request.path));
  for (unsigned scripts = 0;; ++scripts) {
    choice.file = VELLUM_TRY(scripts == 0 && request.file ? permitted_program(request.file, from.who)
                                                          : open_file(process, from, name.view()));
    char head[kHeadSize];
    const std::size_t size = VELLUM_TRY(choice.file.read(ByteCount(0), std::as_writable_bytes(std::span(head))));
    if (!std::string_view(head, size).starts_with("#!")) {
      break;
    }
    const std::optional<ScriptLine> line = parse_script(std::string_view(head, size));
    if (!line) {
      return Errno::not_executable;
    }
    if (scripts == kMostScripts) {
      return Errno::link_loop;
    }
    VELLUM_TRY(prefix_script(choice, memory, *line, name.view()));
    name = VELLUM_TRY(Text::create(memory, line->interpreter));
  }
  choice.attributes = choice.file.file->node().attributes();
  const Path& place = choice.file.file->path();
  choice.set_ids_permitted = place.mount && (place.mount->flags() & mount_flag::kNoSetUserId) == 0;
  return {};
}

Result<void> gather(const Choice& choice, const ExecRequest& request, Arguments& arguments) {
  for (unsigned i = 0; i < choice.prefix_count; ++i) {
    VELLUM_TRY(arguments.stage.add(choice.prefix[i].view()));
  }
  arguments.argument_count = choice.prefix_count;
  const unsigned skip = choice.prefix_count != 0 ? 1 : 0;
  arguments.argument_count += VELLUM_TRY(request.arguments.add_to(arguments.stage, skip));
  if (arguments.argument_count == 0) {
    VELLUM_TRY(arguments.stage.add({}));
    arguments.argument_count = 1;
  }
  arguments.environment_start = arguments.stage.size().value();
  arguments.environment_count = VELLUM_TRY(request.environment.add_to(arguments.stage, 0));
  arguments.file_name_start = arguments.stage.size().value();
  return arguments.stage.add(request.path);
}

// Whether exec runs a program as another user or group than the real one.
bool is_lent(const Credentials& who) {
  return who.user.effective != who.user.real || who.group.effective != who.group.real;
}

// What the file's set-id bits and the superuser's ids make of the credentials. After PR_SET_NO_NEW_PRIVS no capability
// that was not there before, and no user but the real one.
Credentials new_credentials(const Process& process, Credentials who, const Choice& choice) {
  const bool permitted = choice.set_ids_permitted && !process.no_new_privileges;
  const Capabilities before = who.capabilities.permitted;
  if (permitted && (choice.attributes.permissions & kSetUserId) != 0) {
    who.user.effective = choice.attributes.owner;
  }
  constexpr std::uint16_t kGroupExecute = 010;
  if (permitted && (choice.attributes.permissions & kSetGroupId) != 0 &&
      (choice.attributes.permissions & kGroupExecute) != 0) {
    who.group.effective = choice.attributes.group;
  }
  who.exec_capabilities();
  if (process.no_new_privileges && (is_lent(who) || !who.capabilities.permitted.within(before))) {
    who.user.effective = who.user.real;
    who.group.effective = who.group.real;
    who.capabilities.permitted = who.capabilities.permitted & before;
    who.capabilities.effective = who.capabilities.effective & before;
  }
  who.user.saved = who.user.file_system = who.user.effective;
  who.group.saved = who.group.file_system = who.group.effective;
  return who;
}

// The layout with the limits of the process.
ProgramLayout layout_for(const Process& process) {
  constexpr std::uint64_t kLeastGap = 8U << 20;
  const LockGuard guard(process_lock);
  ProgramLayout layout = process.system.layout;
  const std::uint64_t room = (layout.space.placement_top - layout.space.placement_bottom).value();
  const std::uint64_t limit = process.limits[Resource::stack].soft;
  const std::uint64_t stack = std::clamp<std::uint64_t>(limit, kLeastGap, room / 6 * 5);
  layout.space.stack_limit = ByteCount(std::min(limit, stack));
  layout.space.size_limit = ByteCount(process.limits[Resource::address_space].soft);
  layout.space.data_limit = ByteCount(process.limits[Resource::data].soft);
  const VirtAddr below = layout.stack_top - ByteCount(stack) - layout.space.stack_guard_gap;
  layout.space.placement_top =
      std::min(layout.space.placement_top, below.align_down(ByteCount(std::uint64_t{2} << 20)));
  return layout;
}

void describe(Program& program, const Work& work, const Loaded& loaded, const Loaded* interpreter,
              const Credentials& before, const Credentials& after) {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  __get_cpuid(1, &eax, &ebx, &ecx, &edx);
  constexpr std::uint64_t kTicksPerSecond = 100;
  const bool secure = is_lent(after);
  const std::uint64_t headers = elf::headers_address(work.program.header, work.program.layout.headers);
  set_auxiliary(program, auxiliary::kSignalStackSize, least_signal_stack());
  set_auxiliary(program, auxiliary::kProcessorFeatures, edx);
  set_auxiliary(program, auxiliary::kPageSize, vellum::kPageSize);
  set_auxiliary(program, auxiliary::kClockTicks, kTicksPerSecond);
  set_auxiliary(program, auxiliary::kProgramHeaders, headers == 0 ? 0 : headers + loaded.base);
  set_auxiliary(program, auxiliary::kProgramHeaderSize, sizeof(elf::ProgramHeader));
  set_auxiliary(program, auxiliary::kProgramHeaderCount, work.program.layout.headers.size());
  set_auxiliary(program, auxiliary::kInterpreterBase, interpreter == nullptr ? 0 : interpreter->base);
  set_auxiliary(program, auxiliary::kFlags, 0);
  set_auxiliary(program, auxiliary::kEntry, loaded.entry.value());
  set_auxiliary(program, auxiliary::kUser, before.user.real.value());
  set_auxiliary(program, auxiliary::kEffectiveUser, after.user.effective.value());
  set_auxiliary(program, auxiliary::kGroup, before.group.real.value());
  set_auxiliary(program, auxiliary::kEffectiveGroup, after.group.effective.value());
  set_auxiliary(program, auxiliary::kSecure, secure ? 1 : 0);
  set_auxiliary(program, auxiliary::kRandom, 0);
  set_auxiliary(program, auxiliary::kProcessorFeatures2, 0);
  set_auxiliary(program, auxiliary::kFileName, 0);
  set_auxiliary(program, auxiliary::kPlatform, 0);
  set_auxiliary(program, auxiliary::kEnd, 0);
}

struct Start {
  VirtAddr instruction;
  VirtAddr stack;
};

// Fills a new space; the calling thread runs it while its memory is written, and afterwards if that went well.
Result<Start> build(Thread& thread, Program& program, Work& work, const Credentials& before, const Credentials& after) {
  ProgramLayout layout = layout_for(*thread.process);
  Space& space = program.space;
  const bool has_interpreter = work.interpreter.file.object.get() != nullptr;
  VELLUM_TRY(map_stack(space, layout, work.arguments, work.program.layout.executable_stack));
  const Loaded loaded = VELLUM_TRY(load_image(space, work.program, {.address = layout.program_base}));
  const Loaded interpreter =
      has_interpreter ? VELLUM_TRY(load_image(space, work.interpreter, {.address = VirtAddr(0)})) : Loaded{};
  program.code = loaded.code;
  program.data = loaded.data;
  program.break_start = loaded.end.align_up(ByteCount(vellum::kPageSize));
  space.set_break_start(program.break_start, ByteCount(thread.process->data_limit()));
  describe(program, work, loaded, has_interpreter ? &interpreter : nullptr, before, after);
  use_space(thread.context, &space);
  VELLUM_TRY(clear_tails(work.program, loaded));
  if (has_interpreter) {
    VELLUM_TRY(clear_tails(work.interpreter, interpreter));
  }
  const VirtAddr stack = VELLUM_TRY(fill_stack(program, layout.stack_top, work.arguments));
  return Start{.instruction = has_interpreter ? interpreter.entry : loaded.entry, .stack = stack};
}

// The other threads end; this one is the process then. Error: interrupted (it is to end itself).
Result<void> become_only_thread(Thread& self) {
  Process& process = *self.process;
  Sleep sleep(Interruptible::by_death);
  const Sleep::In in(sleep, process.thread_events);
  for (;;) {
    {
      const LockGuard guard(process_lock);
      if (self.dying.load(std::memory_order_relaxed)) {
        return Errno::interrupted;
      }
      process.execing = process.thread_count == 1 ? nullptr : &self;
      if (process.thread_count == 1) {
        if (self.id != process.id) {
          process.system.rename_thread(self, process.id);
        }
        return {};
      }
      process.threads.for_each([&](Thread& thread) {
        process_lock.assert_held();
        if (&thread != &self) {
          thread.dying.store(true, std::memory_order_release);
          thread.interrupted.store(true, std::memory_order_release);
          unblock(thread);
          process.system.scheduler.notice(thread);
        }
      });
    }
    (void)sleep.until();
  }
}

void reset_signals(Process& process) VELLUM_REQUIRES(process_lock) {
  for (SignalAction& action : process.actions) {
    const std::uint64_t handler = action.handler == SignalAction::kIgnore ? SignalAction::kIgnore : 0;
    action = {};
    action.handler = handler;
  }
}

// Nothing fails from here on.
void commit(Thread& thread, Program& program, const Work& work, const Credentials& credentials, std::string_view path) {
  Process& process = *thread.process;
  Program* old = nullptr;
  {
    const LockGuard guard(process_lock);
    old = std::exchange(process.program, &program);
    process.dumpable = !is_lent(process.credentials);
    if (is_lent(credentials)) {
      process.parent_death_signal = {};
    }
    process.commit(credentials);
    process.executed = true;
    process.exit_signal = signal::kChild;
    if (old != nullptr) {
      process.most_resident = std::max(process.most_resident, old->peak_resident.load(std::memory_order_relaxed));
    }
    reset_signals(process);
    end_posix_timers(process);
  }
  end_vfork(process);
  if (old != nullptr) {
    process.system.release(*old);
  }
  process.files.table->close_for_exec();
  process.set_name(path);
  program.executable = work.choice.file.file;
  thread.alternate_stack = {};
  thread.clear_child_tid = thread.robust_list = VirtAddr(0);
  thread.restart_deadline.reset();
}

void set_registers(Thread& thread, const Start& start) {
  UserRegisters& registers = user_registers(thread.context);
  registers = {};
  registers.vector = UserRegisters::kSystemCall;
  registers.rip = start.instruction.value();
  registers.rsp = start.stack.value();
  registers.rflags = UserRegisters::kInitialFlags;
  registers.cs = UserRegisters::kCodeSelector;
  registers.ss = UserRegisters::kDataSelector;
  set_fs_base(thread.context, 0);
  set_gs_base(thread.context, 0);
  reset_vector_state(thread.context);
  load_vector_state(thread.context);
}

// The program with an empty space.
Result<Program*> create_program(Process& process) {
  Space* const space =
      VELLUM_TRY(Space::create(process.system.memory, layout_for(process).space, process.system.kernel_root));
  space->set_large_pages_permitted(process.program == nullptr || process.program->space.permits_large_pages());
  const Result<Program*> made = process.system.create_program(*space);
  if (!made.ok()) {
    space->destroy();
  }
  return made;
}

Result<void> replace(Thread& thread, Work& work, const ExecRequest& request) {
  Process& process = *thread.process;
  const Credentials before = credentials_now(process);
  const Credentials after = new_credentials(process, before, work.choice);
  if (process.files.table->reference_count() != 1) {
    process.files.table = VELLUM_TRY(process.files.table->clone());
  }
  Program& program = *VELLUM_TRY(create_program(process));
  Result<Start> start = build(thread, program, work, before, after);
  if (start.ok()) {
    if (const Result<void> alone = become_only_thread(thread); !alone.ok()) {
      start = alone.error();
    }
  }
  if (!start.ok()) {
    use_space(thread.context, process.program == nullptr ? nullptr : &process.program->space);
    process.system.release(program);
    return start.error();
  }
  commit(thread, program, work, after, request.path);
  set_registers(thread, start.value());
  return {};
}

Result<void> prepare(Process& process, Work& work, const ExecRequest& request) {
  const Credentials who = credentials_now(process);
  const Resolution from = resolution_of(process, request.directory, who);
  VELLUM_TRY(choose(process, from, request, work.choice));
  VELLUM_TRY(work.program.read(work.choice.file));
  const std::string_view interpreter = VELLUM_TRY(work.program.interpreter(work.interpreter_path));
  if (!interpreter.empty()) {
    ProgramFile file = VELLUM_TRY(open_file(process, from, interpreter));
    VELLUM_TRY(work.interpreter.read(std::move(file)));
  }
  return gather(work.choice, request, work.arguments);
}

}  // namespace

void set_auxiliary(Program& program, std::uint64_t type, std::uint64_t value) {
  for (unsigned i = 0; i < program.auxiliary_count; ++i) {
    if (program.auxiliary[i].type == type) {
      program.auxiliary[i].value = value;
      return;
    }
  }
  VELLUM_CHECK(program.auxiliary_count < Program::kMostAuxiliary);
  program.auxiliary[program.auxiliary_count++] = {.type = type, .value = value};
}

Result<void> exec_program(const ExecRequest& request) {
  Thread& thread = this_thread();
  FileMemory& memory = thread.system.files.memory();
  Work* const work = VELLUM_TRY(memory.create<Work>(thread.system.argument_source));
  Result<void> result = prepare(*thread.process, *work, request);
  if (result.ok()) {
    result = replace(thread, *work, request);
  }
  memory.destroy(work);
  return result;
}

namespace {

void run_first_program(Thread& thread) {
  auto& first = *static_cast<FirstProgram*>(thread.body_argument);
  const ExecRequest request = {.directory = thread.process->files.paths->current(),
                               .path = first.path,
                               .arguments = {.kernel = first.arguments},
                               .environment = {.kernel = first.environment}};
  if (const Result<void> result = exec_program(request); !result.ok()) {
    first.failed(result.error());
  }
  enter_user_mode(thread.context);
}

}  // namespace

Result<void> start_first_process(ProcessSystem& system, FirstProgram& program) {
  Process* const process = VELLUM_TRY(system.create_process());
  const Result<Thread*> thread = system.create_thread(process);
  if (!thread.ok()) {
    system.destroy_process(*process);
    return thread.error();
  }
  thread.value()->body = run_first_program;
  thread.value()->body_argument = &program;
  process->files = program.files;
  {
    const LockGuard guard(process_lock);
    process->credentials = program.credentials;
    process->credentials.give_capabilities();
    process->limits = Limits::initial(system.most_threads / 2);
    process->unkillable = program.unkillable;
    process->timers.real.process = process;
    system.enter(*process, nullptr);
    system.enter(*thread.value());
    process->group = process->session = process->id;
  }
  system.scheduler.start(*thread.value());
  return {};
}

}  // namespace vellum::unix
