// Limits, usage, priorities, CPUs, and what prctl sets.

#include <algorithm>
#include <span>

#include <vellum/unix/lifecycle.hpp>
#include <vellum/unix/signals.hpp>
#include <vellum/unix/system_call.hpp>
#include <vellum/unix/user_memory.hpp>

#include "capability_control.hpp"
#include "memory_locks.hpp"
#include "usage.hpp"
#include "value_names.hpp"

namespace vellum::unix {

namespace {

// --- limits

// Those that the address space keeps to by itself.
void apply_memory_limits(Process& process) VELLUM_REQUIRES(process_lock) {
  if (process.program != nullptr) {
    process.program->space.set_limits(ByteCount(process.limits[Resource::stack].soft),
                                      ByteCount(process.limits[Resource::address_space].soft),
                                      ByteCount(process.limits[Resource::data].soft));
  }
  apply_lock_limit(process);
}

Result<Limit> exchange_limit(std::int32_t id, std::uint64_t which, const Limit* wanted) {
  if (which >= Limits::kCount) {
    return Errno::invalid;
  }
  if (wanted != nullptr && wanted->soft > wanted->hard) {
    return Errno::invalid;
  }
  const LockGuard guard(process_lock);
  Process* const process = id == 0 ? &this_process() : process_system().find_process(ProcessId(id));
  if (process == nullptr) {
    return Errno::no_process;
  }
  const Credentials& who = this_process().credentials;
  if (process != &this_process() && !who.has(Capability::exceed_limits) &&
      who.user.real != process->credentials.user.real) {
    return Errno::not_permitted;
  }
  Limit& limit = process->limits.values[which];
  const Limit before = limit;
  if (wanted != nullptr) {
    if (wanted->hard > limit.hard && !who.has(Capability::exceed_limits)) {
      return Errno::not_permitted;
    }
    limit = *wanted;
    apply_memory_limits(*process);
  }
  return before;
}

Result<std::uint64_t> sys_getrlimit(const Arguments& arguments) {
  const Limit limit = VELLUM_TRY(exchange_limit(0, arguments.value[0], nullptr));
  VELLUM_TRY(write_user(arguments.address(1), limit));
  return 0;
}

Result<std::uint64_t> sys_setrlimit(const Arguments& arguments) {
  const auto wanted = VELLUM_TRY(read_user<Limit>(arguments.address(1)));
  VELLUM_TRY(exchange_limit(0, arguments.value[0], &wanted));
  return 0;
}

Result<std::uint64_t> sys_prlimit64(const Arguments& arguments) {
  Limit wanted;
  if (arguments.value[2] != 0) {
    wanted = VELLUM_TRY(read_user<Limit>(arguments.address(2)));
  }
  const Limit before =
      VELLUM_TRY(exchange_limit(arguments.integer(0), arguments.value[1], arguments.value[2] != 0 ? &wanted : nullptr));
  if (arguments.value[3] != 0) {
    VELLUM_TRY(write_user(arguments.address(3), before));
  }
  return 0;
}

Result<std::uint64_t> sys_getrusage(const Arguments& arguments) {
  Usage usage;
  note_residence(this_process());
  {
    const LockGuard guard(process_lock);
    switch (arguments.integer(0)) {
      case 0:  // RUSAGE_SELF
      case 1:  // RUSAGE_THREAD
        usage = usage_of(this_process());
        break;
      case -1:  // RUSAGE_CHILDREN
        usage = this_process().children_usage;
        break;
      default:
        return Errno::invalid;
    }
  }
  VELLUM_TRY(write_user(arguments.address(1), linux_usage(usage)));
  return 0;
}

// --- scheduling: everybody has the same class and priority

Result<void> check_thread(std::int32_t id) {
  if (id < 0) {
    return Errno::invalid;
  }
  const LockGuard guard(process_lock);
  return id == 0 || process_system().find_thread(ProcessId(id)) != nullptr ? Result<void>() : Errno::no_process;
}

Result<std::uint64_t> sys_sched_yield(const Arguments& /*arguments*/) {
  process_system().scheduler.yield();
  return 0;
}

Result<std::uint64_t> sys_sched_getparam(const Arguments& arguments) {
  VELLUM_TRY(check_thread(arguments.integer(0)));
  if (arguments.value[1] == 0) {
    return Errno::invalid;
  }
  VELLUM_TRY(write_user<std::int32_t>(arguments.address(1), 0));
  return 0;
}

constexpr std::uint64_t kPolicyOther = 0;
constexpr std::uint64_t kPolicyFifo = 1;
constexpr std::uint64_t kPolicyRoundRobin = 2;
constexpr std::uint64_t kPolicyBatch = 3;
constexpr std::uint64_t kPolicyIdle = 5;

Result<void> check_parameter(VirtAddr parameter) {
  return VELLUM_TRY(read_user<std::int32_t>(parameter)) == 0 ? Result<void>() : Errno::invalid;
}

Result<std::uint64_t> sys_sched_setparam(const Arguments& arguments) {
  VELLUM_TRY(check_thread(arguments.integer(0)));
  VELLUM_TRY(check_parameter(arguments.address(1)));
  return 0;
}

Result<std::uint64_t> sys_sched_setscheduler(const Arguments& arguments) {
  VELLUM_TRY(check_thread(arguments.integer(0)));
  switch (arguments.value[1]) {
    case kPolicyOther:
    case kPolicyBatch:
    case kPolicyIdle:
      VELLUM_TRY(check_parameter(arguments.address(2)));
      return 0;
    case kPolicyFifo:
    case kPolicyRoundRobin:
      return Errno::not_permitted;
    default:
      return Errno::invalid;
  }
}

Result<std::uint64_t> sys_sched_getscheduler(const Arguments& arguments) {
  VELLUM_TRY(check_thread(arguments.integer(0)));
  return kPolicyOther;
}

Result<std::uint64_t> priority_bound(std::uint64_t policy, std::uint64_t of_realtime) {
  switch (policy) {
    case kPolicyOther:
    case kPolicyBatch:
    case kPolicyIdle:
      return 0;
    case kPolicyFifo:
    case kPolicyRoundRobin:
      return of_realtime;
    default:
      return Errno::invalid;
  }
}

Result<std::uint64_t> sys_sched_get_priority_max(const Arguments& arguments) {
  return priority_bound(arguments.value[0], 99);
}
Result<std::uint64_t> sys_sched_get_priority_min(const Arguments& arguments) {
  return priority_bound(arguments.value[0], 1);
}

Result<std::uint64_t> sys_sched_rr_get_interval(const Arguments& arguments) {
  VELLUM_TRY(check_thread(arguments.integer(0)));
  const Nanoseconds slice = kTickLength * Scheduler::kSliceTicks;
  VELLUM_TRY(write_user(arguments.address(1), to_timespec(slice)));
  return 0;
}

// A set of CPUs as Linux passes it, cut off after 64 of them.
using LinuxCpuSet = std::uint64_t;

Thread* thread_by_id(std::int32_t id) VELLUM_REQUIRES(process_lock) {
  return id == 0 ? &this_thread() : process_system().find_thread(ProcessId(id));
}

Result<std::uint64_t> sys_sched_setaffinity(const Arguments& arguments) {
  LinuxCpuSet wanted = 0;
  const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(arguments.value[1], sizeof(wanted)));
  VELLUM_TRY(copy_in(std::as_writable_bytes(std::span(&wanted, 1)).first(size), arguments.address(2)));
  const LockGuard guard(process_lock);
  Thread* const thread = thread_by_id(arguments.integer(0));
  if (thread == nullptr) {
    return Errno::no_process;
  }
  const Credentials& who = this_process().credentials;
  const Credentials& whose = thread->process->credentials;
  if (!who.has(Capability::set_priority) && who.user.effective != whose.user.effective &&
      who.user.effective != whose.user.real) {
    return Errno::not_permitted;
  }
  Scheduler& scheduler = process_system().scheduler;
  const CpuMask cpus = static_cast<CpuMask>(wanted) & scheduler.online();
  if (cpus == 0) {
    return Errno::invalid;
  }
  scheduler.set_affinity(*thread, cpus);
  return 0;
}

Result<std::uint64_t> sys_sched_getaffinity(const Arguments& arguments) {
  if (arguments.value[1] < sizeof(LinuxCpuSet) || (arguments.value[1] & (sizeof(LinuxCpuSet) - 1)) != 0) {
    return Errno::invalid;
  }
  LinuxCpuSet cpus = 0;
  {
    const LockGuard guard(process_lock);
    const Thread* const thread = thread_by_id(arguments.integer(0));
    if (thread == nullptr) {
      return Errno::no_process;
    }
    cpus = thread->affinity & process_system().scheduler.online();
  }
  VELLUM_TRY(write_user(arguments.address(2), cpus));
  return sizeof(cpus);
}

Result<std::uint64_t> sys_getcpu(const Arguments& arguments) {
  if (arguments.value[0] != 0) {
    VELLUM_TRY(write_user<std::uint32_t>(arguments.address(0), this_thread().cpu));
  }
  if (arguments.value[1] != 0) {
    VELLUM_TRY(write_user<std::uint32_t>(arguments.address(1), 0));  // there is one node
  }
  return 0;
}

Result<std::uint64_t> sys_getpriority(const Arguments& arguments) {
  constexpr std::uint64_t kShownNormal = 20;  // 20 less the nice value
  constexpr std::int32_t kWhichMost = 2;
  if (arguments.integer(0) < 0 || arguments.integer(0) > kWhichMost) {
    return Errno::invalid;
  }
  if (arguments.integer(0) == 0) {
    const LockGuard guard(process_lock);
    if (arguments.integer(1) != 0 && process_system().find_process(ProcessId(arguments.integer(1))) == nullptr) {
      return Errno::no_process;
    }
  }
  return kShownNormal;
}

// Priorities do not matter yet: only that of everybody can be asked for.
Result<std::uint64_t> sys_setpriority(const Arguments& arguments) {
  (void)VELLUM_TRY(sys_getpriority(arguments));
  if (arguments.integer(2) < 0) {
    const LockGuard guard(process_lock);
    const bool permitted = this_process().credentials.has(Capability::set_priority);
    return permitted ? Result<std::uint64_t>(0) : Errno::access_denied;
  }
  return 0;
}

// --- prctl

Result<std::uint64_t> prctl_name(Process& process, VirtAddr name, bool sets) {
  char text[sizeof(process.name)] = {};
  if (!sets) {
    VELLUM_TRY(copy_out(name, std::as_bytes(std::span(process.name))));
    return 0;
  }
  const Result<std::size_t> length = copy_in_string(std::span(text), name);
  if (!length.ok() && length.error() != Errno::name_too_long) {
    return length.error();
  }
  text[sizeof(text) - 1] = '\0';
  std::copy(std::begin(text), std::end(text), process.name);
  return 0;
}

Result<std::uint64_t> sys_prctl(const Arguments& arguments) {
  Process& process = this_process();
  const std::uint64_t value = arguments.value[1];
  switch (arguments.integer(0)) {
    case 1:  // PR_SET_PDEATHSIG
      if (value > signal::kLast) {
        return Errno::invalid;
      }
      process.parent_death_signal = Signal(static_cast<std::uint8_t>(value));
      return 0;
    case 2:  // PR_GET_PDEATHSIG
      VELLUM_TRY(write_user<std::int32_t>(arguments.address(1), process.parent_death_signal.value()));
      return 0;
    case 3:  // PR_GET_DUMPABLE
      return process.dumpable ? 1 : 0;
    case 4:  // PR_SET_DUMPABLE
      if (value > 1) {
        return Errno::invalid;
      }
      process.dumpable = value == 1;
      return 0;
    case 15:  // PR_SET_NAME
      return prctl_name(process, arguments.address(1), true);
    case 16:  // PR_GET_NAME
      return prctl_name(process, arguments.address(1), false);
    case 7:   // PR_GET_KEEPCAPS
    case 8:   // PR_SET_KEEPCAPS
    case 23:  // PR_CAPBSET_READ
    case 24:  // PR_CAPBSET_DROP
      return prctl_capabilities(arguments.integer(0), value);
    case 29:  // PR_SET_TIMERSLACK
      return 0;
    case 30:  // PR_GET_TIMERSLACK
      return 50'000;
    case 38:  // PR_SET_NO_NEW_PRIVS
      if (value != 1 || arguments.value[2] != 0 || arguments.value[3] != 0 || arguments.value[4] != 0) {
        return Errno::invalid;
      }
      process.no_new_privileges = true;
      return 0;
    case 39:  // PR_GET_NO_NEW_PRIVS
      return process.no_new_privileges ? 1 : 0;
    case 41:  // PR_SET_THP_DISABLE
      if (arguments.value[2] != 0 || arguments.value[3] != 0 || arguments.value[4] != 0) {
        return Errno::invalid;
      }
      process.program->space.set_large_pages_permitted(value == 0);
      return 0;
    case 42:  // PR_GET_THP_DISABLE
      if (value != 0 || arguments.value[2] != 0 || arguments.value[3] != 0 || arguments.value[4] != 0) {
        return Errno::invalid;
      }
      return process.program->space.permits_large_pages() ? 0 : 1;
    default:
      return Errno::invalid;
  }
}

Result<std::uint64_t> sys_personality(const Arguments& arguments) {
  constexpr std::uint64_t kAsk = 0xffffffff;
  return arguments.value[0] == kAsk || arguments.value[0] == 0 ? Result<std::uint64_t>(0) : Errno::invalid;
}

constexpr auto kDecimal = Shown::decimal;
constexpr auto kHex = Shown::hexadecimal;

constexpr SystemCall kCalls[] = {
    {24, "sched_yield", sys_sched_yield, 0, {}},
    {97, "getrlimit", sys_getrlimit, 2, {value_names::kResources, kHex}},
    {98, "getrusage", sys_getrusage, 2, {Shown::descriptor, kHex}},
    {135, "personality", sys_personality, 1, {Shown::flags}},
    {140, "getpriority", sys_getpriority, 2, {kDecimal, kDecimal}},
    {141, "setpriority", sys_setpriority, 3, {kDecimal, kDecimal, Shown::descriptor}},
    {142, "sched_setparam", sys_sched_setparam, 2, {kDecimal, kHex}},
    {143, "sched_getparam", sys_sched_getparam, 2, {kDecimal, kHex}},
    {144, "sched_setscheduler", sys_sched_setscheduler, 3, {kDecimal, kDecimal, kHex}},
    {145, "sched_getscheduler", sys_sched_getscheduler, 1, {kDecimal}},
    {146, "sched_get_priority_max", sys_sched_get_priority_max, 1, {kDecimal}},
    {147, "sched_get_priority_min", sys_sched_get_priority_min, 1, {kDecimal}},
    {148, "sched_rr_get_interval", sys_sched_rr_get_interval, 2, {kDecimal, kHex}},
    {157, "prctl", sys_prctl, 5, {kDecimal, kHex, kHex, kHex, kHex}},
    {160, "setrlimit", sys_setrlimit, 2, {value_names::kResources, kHex}},
    {203, "sched_setaffinity", sys_sched_setaffinity, 3, {kDecimal, kDecimal, kHex}},
    {204, "sched_getaffinity", sys_sched_getaffinity, 3, {kDecimal, kDecimal, kHex}},
    {302, "prlimit64", sys_prlimit64, 4, {kDecimal, value_names::kResources, kHex, kHex}},
    {309, "getcpu", sys_getcpu, 3, {kHex, kHex, kHex}},
};

}  // namespace

std::span<const SystemCall> schedule_calls() { return kCalls; }

}  // namespace vellum::unix
