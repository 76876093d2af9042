#include <vellum/unix/remote_memory.hpp>

#include <vellum/unix/user_memory.hpp>

#include "view.hpp"

namespace vellum::unix {

namespace {

// Linux's PTRACE_MODE_ATTACH_REALCREDS.
bool may_reach(const Process& caller, const Process& target) VELLUM_REQUIRES(process_lock) {
  if (&caller == &target || caller.credentials.has(Capability::trace)) {
    return true;
  }
  const Identities<UserId>& user = target.credentials.user;
  const Identities<GroupId>& group = target.credentials.group;
  if (!target.credentials.capabilities.permitted.within(caller.credentials.capabilities.permitted)) {
    return false;
  }
  const UserId from_user = caller.credentials.user.real;
  const GroupId from_group = caller.credentials.group.real;
  return from_user == user.real && from_user == user.effective && from_user == user.saved && from_group == group.real &&
         from_group == group.effective && from_group == group.saved && target.dumpable;
}

}  // namespace

RemoteMemory::~RemoteMemory() {
  if (program_ != nullptr) {
    process_system().release(*program_);
  }
}

Result<void> RemoteMemory::open(ProcessId id) {
  const LockGuard guard(process_lock);
  Process* const process = process_by_any_id(id);
  if (process == nullptr) {
    return Errno::no_process;
  }
  if (!may_reach(this_process(), *process)) {
    return Errno::not_permitted;
  }
  if (process->program == nullptr) {
    return Errno::no_process;
  }
  ProcessSystem::retain(*process->program);
  program_ = process->program;
  return {};
}

Result<void> RemoteMemory::read(VirtAddr from, std::span<std::byte> into) {
  Result<void> result;
  inside(*program_, [&] { result = copy_in(into, from); });
  return result;
}

Result<void> RemoteMemory::write(VirtAddr to, std::span<const std::byte> from) {
  Result<void> result;
  inside(*program_, [&] { result = copy_out(to, from); });
  return result;
}

}  // namespace vellum::unix
