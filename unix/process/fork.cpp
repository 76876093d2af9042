// fork, vfork, clone.

#include <algorithm>

#include <vellum/unix/lifecycle.hpp>
#include <vellum/unix/memory_pressure.hpp>
#include <vellum/unix/signals.hpp>
#include <vellum/unix/user_memory.hpp>

namespace vellum::unix {

namespace {

bool has(std::uint64_t flags, std::uint64_t all) { return (flags & all) == all; }

Result<void> check_flags(std::uint64_t flags) {
  using namespace clone_flag;
  const bool thread = has(flags, kThread);
  if ((flags & ~kKnown) != 0 || (thread && !has(flags, kHandlers | kMemory | kFiles | kPaths)) ||
      (has(flags, kHandlers) && !has(flags, kMemory)) || has(flags, kHandlers | kClearHandlers)) {
    return Errno::invalid;
  }
  const std::uint64_t signal = flags & kSignalMask;
  return signal > signal::kLast ? Result<void>(Errno::invalid) : Result<void>();
}

// The child's program: shared, or a copy.
Result<Program*> program_for_child(Process& parent, bool shared) {
  Program& from = *parent.program;
  if (shared) {
    ProcessSystem::retain(from);
    return &from;
  }
  Space* const space = VELLUM_TRY(from.space.fork());
  const Result<Program*> made = parent.system.create_program(*space);
  if (!made.ok()) {
    space->destroy();
    return made;
  }
  Program& program = *made.value();
  program.executable = from.executable;
  program.code = from.code;
  program.data = from.data;
  program.break_start = from.break_start;
  program.stack_start = from.stack_start;
  program.arguments = from.arguments;
  program.environment = from.environment;
  std::copy(std::begin(from.auxiliary), std::end(from.auxiliary), program.auxiliary);
  program.auxiliary_count = from.auxiliary_count;
  return made;
}

Result<FileContext> files_for_child(const Process& parent, std::uint64_t flags) {
  FileContext files = parent.files;
  if (!has(flags, clone_flag::kFiles)) {
    files.table = VELLUM_TRY(parent.files.table->clone());
  }
  if (!has(flags, clone_flag::kPaths)) {
    files.paths = VELLUM_TRY(parent.files.paths->clone());
  }
  return files;
}

void begin_in_user_mode(Thread& thread) {
  if (thread.set_child_tid.value() != 0) {
    (void)write_user<std::int32_t>(thread.set_child_tid, thread.id.value());
  }
  UserRegisters& registers = user_registers(thread.context);
  if (thread.interrupted.load(std::memory_order_acquire)) {
    before_user_mode(registers);
  }
  enter_user_mode(thread.context);
}

void copy_registers(Thread& parent, Thread& child, const CloneRequest& request) {
  child.affinity = parent.affinity;
  child.context.space = parent.context.space;
  child.context.fs_base = has(request.flags, clone_flag::kSetTls) ? request.tls : parent.context.fs_base;
  child.context.gs_base = parent.context.gs_base;
  save_vector_state(parent.context);
  std::copy_n(parent.context.vector_state, vector_state_size(), child.context.vector_state);
  UserRegisters& registers = user_registers(child.context);
  registers = user_registers(parent.context);
  registers.rax = 0;
  if (request.stack.value() != 0) {
    registers.rsp = request.stack.value();
  }
  child.body = begin_in_user_mode;
  child.set_child_tid = has(request.flags, clone_flag::kChildSetTid) ? request.child_tid : VirtAddr(0);
  child.clear_child_tid = has(request.flags, clone_flag::kChildClearTid) ? request.child_tid : VirtAddr(0);
}

unsigned processes_of(ProcessSystem& system, UserId user) VELLUM_REQUIRES(process_lock) {
  unsigned count = 0;
  system.for_each_process([&](Process& process) {
    process_lock.assert_held();
    count += process.credentials.user.real == user ? 1U : 0U;
  });
  return count;
}

Result<void> check_limits(Process& parent) {
  const LockGuard guard(process_lock);
  if (parent.exiting) {
    return Errno::try_again;
  }
  const Credentials& who = parent.credentials;
  const std::uint64_t limit = parent.limits[Resource::processes].soft;
  if (!who.has(Capability::exceed_limits) && !who.has(Capability::administer) && who.user.real != UserId(0) &&
      processes_of(parent.system, who.user.real) >= limit) {
    return Errno::try_again;
  }
  return {};
}

void inherit(Process& parent, Process& child, std::uint64_t flags) VELLUM_REQUIRES(process_lock) {
  child.group = parent.group;
  child.session = parent.session;
  child.credentials = parent.credentials;
  child.limits = parent.limits;
  child.actions = parent.actions;
  if (has(flags, clone_flag::kClearHandlers)) {
    for (SignalAction& action : child.actions) {
      if (action.handler != SignalAction::kIgnore) {
        action = {};
      }
    }
  }
  std::copy(std::begin(parent.name), std::end(parent.name), child.name);
  child.dumpable = parent.dumpable;
  child.oom_adjustment = parent.oom_adjustment;
  child.least_oom_adjustment = parent.least_oom_adjustment;
  child.exit_signal = Signal(static_cast<std::uint8_t>(flags & clone_flag::kSignalMask));
  child.timers.real.process = &child;
}

// Waits until the child execed or ended, or this process is to end.
void wait_for_vfork(Thread& parent, ProcessId child) {
  Sleep sleep(Interruptible::by_death);
  const Sleep::In in(sleep, parent.vfork_waiting);
  while (!parent.vfork_over.load(std::memory_order_acquire)) {
    if (sleep.until() != Wakeup::woken) {
      const LockGuard guard(process_lock);
      if (Process* const process = parent.system.find_process(child); process != nullptr) {
        process->vfork_parent = nullptr;
      }
      return;
    }
  }
}

Result<ProcessId> make_thread(Thread& self, Thread& child, const CloneRequest& request) {
  copy_registers(self, child, request);
  ProcessId id;
  {
    const LockGuard guard(process_lock);
    if (self.process->exiting || self.process->execing != nullptr) {
      return Errno::try_again;
    }
    self.system.enter(child);
    set_blocked(child, self.blocked);
    id = child.id;
  }
  if (has(request.flags, clone_flag::kParentSetTid)) {
    (void)write_user<std::int32_t>(request.parent_tid, id.value());
  }
  self.system.scheduler.start(child);
  return id;
}

Result<ProcessId> make_process(Thread& self, Thread& thread, Process& child, const CloneRequest& request) {
  Process& parent = *self.process;
  child.files = VELLUM_TRY(files_for_child(parent, request.flags));
  child.program = VELLUM_TRY(program_for_child(parent, has(request.flags, clone_flag::kMemory)));
  copy_registers(self, thread, request);
  thread.context.space = &child.program->space;
  const bool vfork = has(request.flags, clone_flag::kVfork);
  if (!has(request.flags, clone_flag::kMemory) || vfork) {
    thread.alternate_stack = self.alternate_stack;
  }
  ProcessId id;
  {
    const LockGuard guard(process_lock);
    Process* const relative = has(request.flags, clone_flag::kSameParent) ? parent.parent : &parent;
    inherit(parent, child, request.flags);
    self.system.enter(child, relative != nullptr ? relative : &parent);
    self.system.enter(thread);
    set_blocked(thread, self.blocked);
    if (vfork) {
      self.vfork_over.store(false, std::memory_order_relaxed);
      child.vfork_parent = &self;
    }
    id = child.id;
  }
  if (has(request.flags, clone_flag::kParentSetTid)) {
    (void)write_user<std::int32_t>(request.parent_tid, id.value());
  }
  self.system.scheduler.start(thread);
  if (vfork) {
    wait_for_vfork(self, id);
  }
  return id;
}

}  // namespace

Result<ProcessId> clone_thread(const CloneRequest& request) {
  Thread& self = this_thread();
  ProcessSystem& system = self.system;
  VELLUM_TRY(check_flags(request.flags));
  VELLUM_TRY(check_limits(*self.process));
  if (has(request.flags, clone_flag::kThread)) {
    Thread* const thread = VELLUM_TRY(system.create_thread(self.process));
    const Result<ProcessId> id = make_thread(self, *thread, request);
    if (!id.ok()) {
      system.destroy_thread(*thread);
    }
    return id;
  }
  Process* const child = VELLUM_TRY(system.create_process());
  const Result<Thread*> thread = system.create_thread(child);
  Result<ProcessId> id =
      thread.ok() ? make_process(self, *thread.value(), *child, request) : Result<ProcessId>(thread.error());
  if (!id.ok()) {
    if (thread.ok()) {
      system.destroy_thread(*thread.value());
    }
    system.destroy_process(*child);
  }
  return id;
}

Result<ProcessId> clone_or_relieve(const CloneRequest& request) {
  const Result<ProcessId> id = clone_thread(request);
  ProcessSystem& system = this_thread().system;
  if (!id.ok() && id.error() == Errno::try_again &&
      system.thread_count.load(std::memory_order_relaxed) >= system.most_threads) {
    relieve_threads(system);
  }
  return id;
}

}  // namespace vellum::unix
