// fork, exec, exit, wait, threads.

#include <vellum/unix/file_caller.hpp>
#include <vellum/unix/futex.hpp>
#include <vellum/unix/lifecycle.hpp>
#include <vellum/unix/signals.hpp>
#include <vellum/unix/system_call.hpp>
#include <vellum/unix/user_memory.hpp>

#include "linux_time.hpp"
#include "usage.hpp"
#include "value_names.hpp"

namespace vellum::unix {

namespace {

Result<std::uint64_t> id_of(const Result<ProcessId>& id) {
  return id.ok() ? Result<std::uint64_t>(static_cast<std::uint64_t>(id.value().value())) : id.error();
}

Result<std::uint64_t> sys_fork(const Arguments& /*arguments*/) {
  return id_of(clone_or_relieve({.flags = signal::kChild.value()}));
}

Result<std::uint64_t> sys_vfork(const Arguments& /*arguments*/) {
  return id_of(
      clone_or_relieve({.flags = clone_flag::kVfork | clone_flag::kMemory | std::uint64_t{signal::kChild.value()}}));
}

Result<std::uint64_t> sys_clone(const Arguments& arguments) {
  return id_of(clone_or_relieve({.flags = arguments.value[0] & 0xffffffff,
                                 .stack = arguments.address(1),
                                 .parent_tid = arguments.address(2),
                                 .child_tid = arguments.address(3),
                                 .tls = arguments.value[4]}));
}

// struct clone_args, as far as it is known here.
struct CloneArguments {
  std::uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
  std::uint64_t set_tid, set_tid_size, cgroup;
};

Result<std::uint64_t> sys_clone3(const Arguments& arguments) {
  constexpr std::uint64_t kFirstSize = 64;
  const std::uint64_t size = arguments.value[1];
  if (size > kPageSize) {
    return Errno::argument_list_too_long;
  }
  if (size < kFirstSize) {
    return Errno::invalid;
  }
  CloneArguments given = {};
  const std::size_t known = std::min<std::size_t>(size, sizeof(given));
  VELLUM_TRY(copy_in(std::as_writable_bytes(std::span(&given, 1)).first(known), arguments.address(0)));
  for (std::uint64_t i = sizeof(given); i < size; ++i) {
    if (VELLUM_TRY(read_user<std::uint8_t>(arguments.address(0) + ByteCount(i))) != 0) {
      return Errno::argument_list_too_long;
    }
  }
  const bool stack_is_odd = (given.stack == 0) != (given.stack_size == 0);
  if ((given.flags & clone_flag::kSignalMask) != 0 || given.exit_signal > clone_flag::kSignalMask || stack_is_odd ||
      given.set_tid_size != 0 || (given.flags & clone_flag::kDetached) != 0) {
    return Errno::invalid;
  }
  return id_of(clone_or_relieve({.flags = given.flags | given.exit_signal,
                                 .stack = VirtAddr(given.stack + given.stack_size),
                                 .parent_tid = VirtAddr(given.parent_tid),
                                 .child_tid = VirtAddr(given.child_tid),
                                 .tls = given.tls}));
}

constexpr std::int32_t kCurrentDirectory = -100;  // AT_FDCWD

Result<Path> directory_of(std::int32_t descriptor) {
  if (descriptor == kCurrentDirectory) {
    return calling_files().paths->current();
  }
  const Ref<OpenFile> file = VELLUM_TRY(calling_files().table->get(descriptor));
  return file->path();
}

Result<std::uint64_t> execute(std::int32_t directory, VirtAddr path, VirtAddr arguments, VirtAddr environment,
                              bool empty_path) {
  FileMemory& memory = process_system().files.memory();
  std::byte* const page = VELLUM_TRY(memory.allocate_page());
  const std::span<char> into(reinterpret_cast<char*>(page), kLongestPath);
  const auto run = [&]() -> Result<std::uint64_t> {
    const std::size_t length = VELLUM_TRY(copy_in_string(into, path));
    ExecRequest request = {.directory = {},
                           .path = std::string_view(into.data(), length),
                           .arguments = {.user = arguments},
                           .environment = {.user = environment}};
    if (length == 0) {
      if (!empty_path) {
        return Errno::no_entry;
      }
      request.file = VELLUM_TRY(calling_files().table->get(directory));
    } else if (into[0] == '/') {
      request.directory = calling_files().paths->current();
    } else {
      request.directory = VELLUM_TRY(directory_of(directory));
    }
    VELLUM_TRY(exec_program(request));
    return 0;
  };
  const Result<std::uint64_t> result = run();
  memory.free_page(page);
  return result;
}

Result<std::uint64_t> sys_execve(const Arguments& arguments) {
  return execute(kCurrentDirectory, arguments.address(0), arguments.address(1), arguments.address(2), false);
}

Result<std::uint64_t> sys_execveat(const Arguments& arguments) {
  constexpr std::uint64_t kEmptyPath = 0x1000;
  constexpr std::uint64_t kNoFollow = 0x100;
  const std::uint64_t flags = arguments.value[4];
  if ((flags & ~(kEmptyPath | kNoFollow)) != 0) {
    return Errno::invalid;
  }
  return execute(arguments.integer(0), arguments.address(1), arguments.address(2), arguments.address(3),
                 (flags & kEmptyPath) != 0);
}

Result<std::uint64_t> sys_exit(const Arguments& arguments) { exit_thread(this_thread(), arguments.integer(0)); }

Result<std::uint64_t> sys_exit_group(const Arguments& arguments) {
  exit_process(WaitStatus::exited(arguments.integer(0)));
}

// Bits of wait4's and waitid's options.
constexpr std::uint64_t kNoHang = 1;
constexpr std::uint64_t kStopped = 2;
constexpr std::uint64_t kExited = 4;
constexpr std::uint64_t kContinued = 8;
constexpr std::uint64_t kNoWait = 0x01000000;
constexpr std::uint64_t kNoThreads = 0x20000000;
constexpr std::uint64_t kAllKinds = 0x40000000;
constexpr std::uint64_t kClones = 0x80000000;

WaitRequest request_of(std::uint64_t options) {
  WaitRequest request;
  request.stopped = (options & kStopped) != 0;
  request.continued = (options & kContinued) != 0;
  request.no_hang = (options & kNoHang) != 0;
  request.keep = (options & kNoWait) != 0;
  request.all_kinds = (options & kAllKinds) != 0;
  request.clones_only = (options & kClones) != 0;
  return request;
}

ProcessId own_group() {
  const LockGuard guard(process_lock);
  return this_process().group;
}

Result<std::uint64_t> sys_wait4(const Arguments& arguments) {
  constexpr std::uint64_t kKnown = kNoHang | kStopped | kContinued | kNoThreads | kAllKinds | kClones;
  const std::uint64_t options = arguments.value[2] & 0xffffffff;
  const std::int32_t id = arguments.integer(0);
  if ((options & ~kKnown) != 0) {
    return Errno::invalid;
  }
  if (id == INT32_MIN) {
    return Errno::no_process;
  }
  WaitRequest request = request_of(options);
  if (id == -1) {
    request.which = WaitRequest::Which::any;
  } else if (id > 0) {
    request.which = WaitRequest::Which::process;
    request.id = ProcessId(id);
  } else {
    request.which = WaitRequest::Which::group;
    request.id = id == 0 ? own_group() : ProcessId(-id);
  }
  const WaitResult result = VELLUM_TRY(wait_for_child(request));
  if (result.process == ProcessId(0)) {
    return 0;
  }
  if (arguments.value[1] != 0) {
    VELLUM_TRY(write_user<std::int32_t>(arguments.address(1), result.status.value()));
  }
  if (arguments.value[3] != 0) {
    VELLUM_TRY(write_user(arguments.address(3), linux_usage(result.usage)));
  }
  return static_cast<std::uint64_t>(result.process.value());
}

SignalInfo info_of(const WaitResult& result) {
  if (result.process == ProcessId(0)) {
    return {};
  }
  SignalCode code = SignalCode::child_exited;
  std::int32_t status = result.status.code();
  switch (result.event) {
    case WaitResult::Event::exited:
      if (!result.status.is_exit()) {
        code = SignalCode::child_killed;
        status = result.status.signal().value();
      }
      break;
    case WaitResult::Event::stopped:
      code = SignalCode::child_stopped;
      break;
    case WaitResult::Event::continued:
      code = SignalCode::child_continued;
      status = signal::kContinue.value();
      break;
  }
  SignalInfo info = SignalInfo::make(signal::kChild, code);
  info.payload.child = {.process = result.process.value(),
                        .user = result.user.value(),
                        .status = status,
                        .zero = 0,
                        .user_time = 0,
                        .system_time = 0};
  return info;
}

Result<std::uint64_t> sys_waitid(const Arguments& arguments) {
  constexpr std::uint64_t kKnown =
      kNoHang | kStopped | kExited | kContinued | kNoWait | kNoThreads | kAllKinds | kClones;
  constexpr std::uint64_t kEvents = kStopped | kExited | kContinued;
  const std::uint64_t options = arguments.value[3] & 0xffffffff;
  if ((options & ~kKnown) != 0 || (options & kEvents) == 0) {
    return Errno::invalid;
  }
  WaitRequest request = request_of(options);
  request.exited = (options & kExited) != 0;
  const std::int32_t id = arguments.integer(1);
  switch (arguments.integer(0)) {
    case 0:  // P_ALL
      break;
    case 1:  // P_PID
      if (id <= 0) {
        return Errno::invalid;
      }
      request.which = WaitRequest::Which::process;
      request.id = ProcessId(id);
      break;
    case 2:  // P_PGID
      if (id < 0) {
        return Errno::invalid;
      }
      request.which = WaitRequest::Which::group;
      request.id = id == 0 ? own_group() : ProcessId(id);
      break;
    default:
      return Errno::invalid;
  }
  const WaitResult result = VELLUM_TRY(wait_for_child(request));
  if (arguments.value[4] != 0 && result.process != ProcessId(0)) {
    VELLUM_TRY(write_user(arguments.address(4), linux_usage(result.usage)));
  }
  if (arguments.value[2] != 0) {
    // As much as Linux writes: the fields that are defined.
    constexpr std::size_t kWritten = 28;
    const SignalInfo info = info_of(result);
    VELLUM_TRY(copy_out(arguments.address(2), std::as_bytes(std::span(&info, 1)).first(kWritten)));
  }
  return 0;
}

Result<std::uint64_t> sys_getpid(const Arguments& /*arguments*/) {
  return static_cast<std::uint64_t>(this_process().id.value());
}

Result<std::uint64_t> sys_gettid(const Arguments& /*arguments*/) {
  return static_cast<std::uint64_t>(this_thread().id.value());
}

Result<std::uint64_t> sys_getppid(const Arguments& /*arguments*/) {
  const LockGuard guard(process_lock);
  const Process* const parent = this_process().parent;
  return parent == nullptr ? 0 : static_cast<std::uint64_t>(parent->id.value());
}

Result<std::uint64_t> sys_set_tid_address(const Arguments& arguments) {
  this_thread().clear_child_tid = arguments.address(0);
  return sys_gettid(arguments);
}

constexpr std::uint64_t kRobustHeadSize = 24;

Result<std::uint64_t> sys_set_robust_list(const Arguments& arguments) {
  if (arguments.value[1] != kRobustHeadSize) {
    return Errno::invalid;
  }
  this_thread().robust_list = arguments.address(0);
  return 0;
}

Result<std::uint64_t> sys_get_robust_list(const Arguments& arguments) {
  const std::int32_t id = arguments.integer(0);
  std::uint64_t list = this_thread().robust_list.value();
  if (id != 0) {
    const LockGuard guard(process_lock);
    const Thread* const thread = process_system().find_thread(ProcessId(id));
    if (thread == nullptr) {
      return Errno::no_process;
    }
    if (thread->process != &this_process() && !this_process().credentials.has(Capability::trace)) {
      return Errno::not_permitted;
    }
    list = thread->robust_list.value();
  }
  VELLUM_TRY(write_user(arguments.address(2), kRobustHeadSize));
  VELLUM_TRY(write_user(arguments.address(1), list));
  return 0;
}

// futex(2)'s operations.
enum class FutexOperation : std::uint8_t {
  wait = 0,
  wake = 1,
  requeue = 3,
  compare_requeue = 4,
  wait_bits = 9,
  wake_bits = 10,
};

Result<std::uint64_t> futex_wait(const Arguments& arguments, FutexScope scope, bool absolute, bool realtime,
                                 std::uint32_t channels) {
  if (channels == 0) {
    return Errno::invalid;
  }
  std::optional<Nanoseconds> deadline;
  if (arguments.value[3] != 0) {
    const Nanoseconds given = VELLUM_TRY(read_timespec(arguments.address(3)));
    deadline = absolute ? (realtime ? monotonic_from_realtime(given) : given) : after(given);
    Thread& self = this_thread();
    if (!absolute) {  // made again after a signal, it ends when it would have
      deadline = self.restart_deadline.value_or(*deadline);
      self.restart_deadline = deadline;
    }
  }
  const Result<void> result =
      wait_for_futex(arguments.address(0), scope, static_cast<std::uint32_t>(arguments.value[2]), channels, deadline);
  if (result.ok() || result.error() != Errno::interrupted) {
    this_thread().restart_deadline.reset();
  }
  return result.ok() ? Result<std::uint64_t>(0) : result.error();
}

Result<std::uint64_t> futex_requeue(const Arguments& arguments, FutexScope scope, bool compares) {
  const std::int32_t wake = arguments.integer(2);
  const std::int32_t move = arguments.integer(3);
  if (wake < 0 || move < 0) {
    return Errno::invalid;
  }
  Program& program = *this_process().program;
  const FutexKey from = VELLUM_TRY(futex_key(program, arguments.address(0), scope));
  const FutexKey to = VELLUM_TRY(futex_key(program, arguments.address(4), scope));
  if (compares) {
    const auto value = VELLUM_TRY(read_user<std::uint32_t>(arguments.address(0)));
    if (value != static_cast<std::uint32_t>(arguments.value[5])) {
      return Errno::try_again;
    }
  }
  return process_system().futexes.requeue(from, static_cast<unsigned>(wake), to, static_cast<unsigned>(move));
}

Result<std::uint64_t> futex_wake(const Arguments& arguments, FutexScope scope, std::uint32_t channels) {
  if (channels == 0) {
    return Errno::invalid;
  }
  const FutexKey key = VELLUM_TRY(futex_key(*this_process().program, arguments.address(0), scope));
  const std::int32_t count = std::max(arguments.integer(2), 1);
  return process_system().futexes.wake(key, static_cast<unsigned>(count), channels);
}

Result<std::uint64_t> sys_futex(const Arguments& arguments) {
  constexpr std::uint64_t kPrivate = 128;
  constexpr std::uint64_t kRealtime = 256;
  constexpr std::uint32_t kAll = ~0U;
  const std::uint64_t operation = arguments.value[1];
  const FutexScope scope = (operation & kPrivate) != 0 ? FutexScope::only_program : FutexScope::perhaps_shared;
  const bool realtime = (operation & kRealtime) != 0;
  const auto channels = static_cast<std::uint32_t>(arguments.value[5]);
  switch (static_cast<FutexOperation>(operation & 0x7f)) {
    case FutexOperation::wait:
      return futex_wait(arguments, scope, false, false, kAll);
    case FutexOperation::wait_bits:
      return futex_wait(arguments, scope, true, realtime, channels);
    case FutexOperation::wake:
      return futex_wake(arguments, scope, kAll);
    case FutexOperation::wake_bits:
      return futex_wake(arguments, scope, channels);
    case FutexOperation::requeue:
      return futex_requeue(arguments, scope, false);
    case FutexOperation::compare_requeue:
      return futex_requeue(arguments, scope, true);
  }
  return Errno::no_call;
}

bool is_user_address(std::uint64_t address) {
  constexpr std::uint64_t kFirstKernelSlot = 0xFFFF'FC80'0000'0000;
  return static_cast<std::int64_t>(address << 16) >> 16 == static_cast<std::int64_t>(address) &&
         address < kFirstKernelSlot;
}

Result<std::uint64_t> sys_arch_prctl(const Arguments& arguments) {
  constexpr std::int32_t kSetGs = 0x1001;
  constexpr std::int32_t kSetFs = 0x1002;
  constexpr std::int32_t kGetFs = 0x1003;
  constexpr std::int32_t kGetGs = 0x1004;
  ThreadContext& context = this_thread().context;
  const std::int32_t code = arguments.integer(0);
  if ((code == kSetFs || code == kSetGs) && !is_user_address(arguments.value[1])) {
    return Errno::not_permitted;
  }
  switch (code) {
    case kSetFs:
      set_fs_base(context, arguments.value[1]);
      return 0;
    case kSetGs:
      set_gs_base(context, arguments.value[1]);
      return 0;
    case kGetFs:
      VELLUM_TRY(write_user(arguments.address(1), context.fs_base));
      return 0;
    case kGetGs:
      VELLUM_TRY(write_user(arguments.address(1), context.gs_base));
      return 0;
    default:
      return Errno::invalid;
  }
}

// Calls whose absence C libraries expect and ask for often.
Result<std::uint64_t> sys_absent(const Arguments& /*arguments*/) { return Errno::no_call; }

constexpr auto kDecimal = Shown::decimal;
constexpr auto kHex = Shown::hexadecimal;
constexpr auto kFlags = Shown::flags;
constexpr auto kText = Shown::text;

constexpr SystemCall kCalls[] = {
    {39, "getpid", sys_getpid, 0, {}},
    {56, "clone", sys_clone, 5, {value_names::kCloneFlags, kHex, kHex, kHex, kHex}},
    {57, "fork", sys_fork, 0, {}},
    {58, "vfork", sys_vfork, 0, {}},
    {59, "execve", sys_execve, 3, {kText, kHex, kHex}},
    {60, "exit", sys_exit, 1, {kDecimal}},
    {61, "wait4", sys_wait4, 4, {Shown::descriptor, kHex, value_names::kWaitOptions, kHex}},
    {110, "getppid", sys_getppid, 0, {}},
    {158, "arch_prctl", sys_arch_prctl, 2, {kFlags, kHex}},
    {186, "gettid", sys_gettid, 0, {}},
    {202, "futex", sys_futex, 6, {kHex, value_names::kFutexOperations, kDecimal, kHex, kHex, kHex}},
    {218, "set_tid_address", sys_set_tid_address, 1, {kHex}},
    {231, "exit_group", sys_exit_group, 1, {kDecimal}},
    {247, "waitid", sys_waitid, 5, {kDecimal, kDecimal, kHex, value_names::kWaitOptions, kHex}},
    {273, "set_robust_list", sys_set_robust_list, 2, {kHex, kDecimal}},
    {274, "get_robust_list", sys_get_robust_list, 3, {kDecimal, kHex, kHex}},
    {322, "execveat", sys_execveat, 5, {Shown::descriptor, kText, kHex, kHex, kFlags}},
    {324, "membarrier", sys_absent, 3, {kDecimal, kFlags, kDecimal}},
    {334, "rseq", sys_absent, 4, {kHex, kDecimal, kFlags, kHex}},
    {435, "clone3", sys_clone3, 2, {kHex, kDecimal}},
};

}  // namespace

std::span<const SystemCall> process_calls() { return kCalls; }

}  // namespace vellum::unix
