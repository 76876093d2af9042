// userfaultfd.

#include <vellum/unix/process_system.hpp>
#include <vellum/unix/system_call.hpp>

#include "paths.hpp"

namespace vellum::unix {

namespace {

Result<std::uint64_t> sys_userfaultfd(const Arguments& arguments) {
  constexpr std::uint32_t kUserModeOnly = 1;
  constexpr std::uint32_t kKnown = kUserModeOnly | open_flag::kCloseOnExec | open_flag::kNonBlocking;
  const auto flags = static_cast<std::uint32_t>(arguments.value[0]);
  const bool user_only = (flags & kUserModeOnly) != 0;
  Process& process = this_process();
  {
    const LockGuard guard(process_lock);
    if (!user_only && !process.credentials.has(Capability::trace)) {
      return Errno::not_permitted;
    }
  }
  if ((flags & ~kKnown) != 0) {
    return Errno::invalid;
  }
  Ref<OpenFile> file = VELLUM_TRY(
      process_system().user_faults.create(all_files(), *process.program, flags & open_flag::kNonBlocking, user_only));
  return give_descriptor(std::move(file), (flags & open_flag::kCloseOnExec) != 0);
}

constexpr SystemCall kCalls[] = {{323, "userfaultfd", sys_userfaultfd, 1, {Shown::flags}}};

}  // namespace

std::span<const SystemCall> user_fault_calls() { return kCalls; }

}  // namespace vellum::unix
