#include <vellum/unix/process_system.hpp>

#include <algorithm>

#include <vellum/unix/checkpoint.hpp>
#include <vellum/unix/memory_pressure.hpp>
#include <vellum/unix/system_lock.hpp>

namespace vellum::unix {

namespace {

constinit ProcessSystem* the_system = nullptr;

// What a thread costs at least: its stack, its objects, its tables. An eighth of memory may be spent on that.
constexpr std::uint64_t kThreadCost = 40U << 10;
constexpr std::uint32_t kFewestThreads = 64;

std::uint32_t most_threads_of(PageCount memory) {
  const std::uint64_t count = bytes_of(memory).value() / 8 / kThreadCost;
  return static_cast<std::uint32_t>(std::clamp<std::uint64_t>(count, kFewestThreads, 1U << 20));
}

}  // namespace

void install_scheduler(Scheduler& scheduler);

ProcessSystem& process_system() { return *the_system; }

ProcessSystem::ProcessSystem(const SystemConfig& config)
    : memory(config.memory),
      source(config.source),
      argument_source(config.argument_source),
      files(config.files),
      reporter(config.reporter),
      kernel_root(config.kernel_root),
      layout(config.layout),
      scheduler(config.memory.memory.machine(), timers, [](Thread& thread) { thread.system.destroy_thread(thread); }),
      segments(config.files),
      queued_signals("queued signal", config.source, config.memory.memory.machine()),
      posix_timers("timer", config.source, config.memory.memory.machine()),
      programs("program", config.source, config.memory.memory.machine()),
      most_threads(most_threads_of(config.memory.memory.total_count())),
      threads_("thread", config.source, config.memory.memory.machine()),
      processes_("process", config.source, config.memory.memory.machine()) {}

namespace {

// Asked with locks of tables held, below which process_lock may not be taken: what another thread of the process
// changes just then is seen or not.
bool caller_administers() VELLUM_NO_THREAD_SAFETY_ANALYSIS {
  const Process* const process = this_thread().process;
  return process == nullptr || process->credentials.capabilities.effective.has(Capability::administer);
}

}  // namespace

Result<void> ProcessSystem::run(void (*first)(Thread&), void* argument) {
  Thread* const idle = VELLUM_TRY(threads_.create(*this, nullptr, ProcessId(0)));
  the_system = this;
  memory.objects.commitment().is_administrator = caller_administers;
  memory.objects.commitment().on_refusal = note_refusal;
  install_scheduler(scheduler);
  memory.may_go_on = checkpoint;
  (void)enter_system();
  VELLUM_TRY(start_other_cpus([] {
    ProcessSystem& system = *the_system;
    (void)enter_system();
    const Result<Thread*> its_idle = system.threads_.create(system, nullptr, ProcessId(0));
    if (!its_idle.ok()) {
      panic("no memory for a thread of each CPU");
    }
    system.scheduler.run(*its_idle.value(), system.memory.memory);
  }));
  const Result<Thread*> started = start_kernel_thread(first, argument);
  if (!started.ok()) {
    threads_.destroy(idle);
    return started.error();
  }
  scheduler.run(*idle, memory.memory);
}

Result<Thread*> ProcessSystem::start_kernel_thread(void (*body)(Thread&), void* argument) {
  Thread* const thread = VELLUM_TRY(create_thread(nullptr));
  thread->body = body;
  thread->body_argument = argument;
  scheduler.start(*thread);
  return thread;
}

Process* ProcessSystem::find_process(ProcessId id) {
  auto& list = process_ids_[bucket(id)];
  for (Process* process = list.front(); process != nullptr; process = list.next(*process)) {
    if (process->id == id) {
      return process;
    }
  }
  return nullptr;
}

Thread* ProcessSystem::find_thread(ProcessId id) {
  auto& list = thread_ids_[bucket(id)];
  for (Thread* thread = list.front(); thread != nullptr; thread = list.next(*thread)) {
    if (thread->id == id) {
      return thread;
    }
  }
  return nullptr;
}

bool ProcessSystem::is_used(ProcessId id) {
  if (find_process(id) != nullptr || find_thread(id) != nullptr) {
    return true;
  }
  for (Process* process = all_.front(); process != nullptr; process = all_.next(*process)) {
    if (process->group == id || process->session == id) {
      return true;
    }
  }
  return false;
}

// Numbers come round only after kMostIds; until then none can be in use.
ProcessId ProcessSystem::next_id() {
  constexpr std::int32_t kFirstAfterWrap = 300;
  std::int32_t id = last_id.load(std::memory_order_relaxed);
  do {
    ++id;
    if (id >= kMostIds) {
      id = kFirstAfterWrap;
      ids_wrapped_ = true;
    }
  } while (ids_wrapped_ && is_used(ProcessId(id)));
  last_id.store(id, std::memory_order_relaxed);
  return ProcessId(id);
}

Result<Process*> ProcessSystem::create_process() {
  Process* const process = VELLUM_TRY(processes_.create(*this));
  process->started = monotonic_now();
  return process;
}

Result<Thread*> ProcessSystem::create_thread(Process* process) {
  if (thread_count.fetch_add(1, std::memory_order_relaxed) >= most_threads) {
    thread_count.fetch_sub(1, std::memory_order_relaxed);
    return Errno::try_again;
  }
  const Result<Thread*> thread = threads_.create(*this, process, ProcessId(0));
  if (thread.ok()) {
    const Result<VirtRange> stack = allocate_kernel_stack();
    if (stack.ok()) {
      thread.value()->context.kernel_stack = stack.value();
      prepare_thread(thread.value()->context, Scheduler::entry, thread.value());
      return thread;
    }
    threads_.destroy(thread.value());
  }
  thread_count.fetch_sub(1, std::memory_order_relaxed);
  return Errno::no_memory;
}

void ProcessSystem::destroy_process(Process& process) { processes_.destroy(&process); }

void ProcessSystem::destroy_thread(Thread& thread) {
  free_kernel_stack(thread.context.kernel_stack);
  threads_.destroy(&thread);
  thread_count.fetch_sub(1, std::memory_order_relaxed);
}

void ProcessSystem::enter(Process& process, Process* parent) {
  process.id = next_id();
  process.parent = parent;
  if (parent != nullptr) {
    parent->children.push_back(process);
  } else {
    first_ = &process;
  }
  all_.push_back(process);
  process_ids_[bucket(process.id)].push_back(process);
  processes_made.fetch_add(1, std::memory_order_relaxed);
}

void ProcessSystem::enter(Thread& thread) {
  Process& process = *thread.process;
  thread.id = process.threads.empty() ? process.id : next_id();
  process.threads.push_back(thread);
  ++process.thread_count;
  ++process.live_threads;
  thread_ids_[bucket(thread.id)].push_back(thread);
}

void ProcessSystem::leave(Process& process) {
  if (process.parent != nullptr) {
    process.parent->children.remove(process);
    process.parent = nullptr;
  }
  all_.remove(process);
  process_ids_[bucket(process.id)].remove(process);
}

void ProcessSystem::leave(Thread& thread) {
  thread.process->threads.remove(thread);
  --thread.process->thread_count;
  thread_ids_[bucket(thread.id)].remove(thread);
}

void ProcessSystem::rename_thread(Thread& thread, ProcessId id) {
  thread_ids_[bucket(thread.id)].remove(thread);
  thread.id = id;
  thread_ids_[bucket(id)].push_back(thread);
}

void ProcessSystem::release(Program& program) {
  if (program.references.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    user_faults.forget(program);
    program.space.destroy();
    programs.destroy(&program);
  }
}

Thread& this_thread() { return *current_thread(); }
Process& this_process() { return *current_thread()->process; }

void Process::set_name(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  const std::string_view base = slash == std::string_view::npos ? path : path.substr(slash + 1);
  const std::size_t size = std::min(base.size(), sizeof(name) - 1);
  std::copy_n(base.data(), size, name);
  std::fill(name + size, std::end(name), '\0');
}

void Process::commit(const Credentials& changed) {
  const bool is_another = changed.user.effective != credentials.user.effective ||
                          changed.group.effective != credentials.group.effective ||
                          changed.user.file_system != credentials.user.file_system ||
                          changed.group.file_system != credentials.group.file_system ||
                          !changed.capabilities.permitted.within(credentials.capabilities.permitted);
  credentials = changed;
  if (is_another) {
    dumpable = false;
    parent_death_signal = {};
  }
}

void Usage::add(const Usage& other) {
  user_nanoseconds += other.user_nanoseconds;
  system_nanoseconds += other.system_nanoseconds;
  minor_faults += other.minor_faults;
  major_faults += other.major_faults;
  most_resident = std::max(most_resident, other.most_resident);
}

}  // namespace vellum::unix
