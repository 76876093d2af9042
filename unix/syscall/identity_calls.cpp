// Users and groups; process groups and sessions.

#include <vellum/unix/lifecycle.hpp>
#include <vellum/unix/signals.hpp>
#include <vellum/unix/system_call.hpp>
#include <vellum/unix/user_memory.hpp>

#include "memory_locks.hpp"

namespace vellum::unix {

namespace {

constexpr std::uint32_t kKeep = ~std::uint32_t{0};

Credentials credentials() {
  const LockGuard guard(process_lock);
  return this_process().credentials;
}

template <class Change>
Result<std::uint64_t> change(Change apply) {
  const LockGuard guard(process_lock);
  Credentials changed = this_process().credentials;
  VELLUM_TRY(apply(changed));
  changed.adjust_capabilities(this_process().credentials.user);
  this_process().commit(changed);
  apply_lock_limit(this_process());
  return 0;
}

Result<std::uint64_t> sys_getuid(const Arguments& /*arguments*/) { return credentials().user.real.value(); }
Result<std::uint64_t> sys_geteuid(const Arguments& /*arguments*/) { return credentials().user.effective.value(); }
Result<std::uint64_t> sys_getgid(const Arguments& /*arguments*/) { return credentials().group.real.value(); }
Result<std::uint64_t> sys_getegid(const Arguments& /*arguments*/) { return credentials().group.effective.value(); }

// setuid(2), setgid(2).
template <class Identity>
Result<void> set(Identities<Identity>& ids, Identity wanted, bool privileged) {
  if (wanted == Identity(kKeep)) {
    return Errno::invalid;
  }
  if (privileged) {
    ids = {.real = wanted, .effective = wanted, .saved = wanted, .file_system = wanted};
    return {};
  }
  if (wanted != ids.real && wanted != ids.saved) {
    return Errno::not_permitted;
  }
  ids.effective = ids.file_system = wanted;
  return {};
}

template <class Identity>
Result<void> set_two(Identities<Identity>& ids, std::uint32_t real, std::uint32_t effective, bool privileged) {
  const Identities<Identity> before = ids;
  if (real != kKeep) {
    if (!privileged && Identity(real) != before.real && Identity(real) != before.effective) {
      return Errno::not_permitted;
    }
    ids.real = Identity(real);
  }
  if (effective != kKeep) {
    if (!privileged && !before.has(Identity(effective))) {
      return Errno::not_permitted;
    }
    ids.effective = Identity(effective);
  }
  if (real != kKeep || (effective != kKeep && Identity(effective) != before.real)) {
    ids.saved = ids.effective;
  }
  ids.file_system = ids.effective;
  return {};
}

template <class Identity>
Result<void> set_three(Identities<Identity>& ids, const Arguments& arguments, bool privileged) {
  const Identities<Identity> before = ids;
  Identity* const roles[] = {&ids.real, &ids.effective, &ids.saved};
  for (unsigned i = 0; i < 3; ++i) {
    const auto wanted = static_cast<std::uint32_t>(arguments.value[i]);
    if (wanted == kKeep) {
      continue;
    }
    if (!privileged && !before.has(Identity(wanted))) {
      return Errno::not_permitted;
    }
    *roles[i] = Identity(wanted);
  }
  ids.file_system = ids.effective;
  return {};
}

// setfsuid(2): tells the one before, whether or not it was changed.
template <class Identity>
std::uint64_t set_file_system(Identities<Identity>& ids, std::uint32_t wanted, bool privileged) {
  const Identity before = ids.file_system;
  if (wanted != kKeep && (privileged || ids.has(Identity(wanted)) || Identity(wanted) == before)) {
    ids.file_system = Identity(wanted);
  }
  return before.value();
}

Result<std::uint64_t> sys_setuid(const Arguments& arguments) {
  return change([&](Credentials& who) {
    return set(who.user, UserId(static_cast<std::uint32_t>(arguments.value[0])), who.has(Capability::set_user));
  });
}

Result<std::uint64_t> sys_setgid(const Arguments& arguments) {
  return change([&](Credentials& who) {
    return set(who.group, GroupId(static_cast<std::uint32_t>(arguments.value[0])), who.has(Capability::set_group));
  });
}

Result<std::uint64_t> sys_setreuid(const Arguments& arguments) {
  return change([&](Credentials& who) {
    return set_two(who.user, static_cast<std::uint32_t>(arguments.value[0]),
                   static_cast<std::uint32_t>(arguments.value[1]), who.has(Capability::set_user));
  });
}

Result<std::uint64_t> sys_setregid(const Arguments& arguments) {
  return change([&](Credentials& who) {
    return set_two(who.group, static_cast<std::uint32_t>(arguments.value[0]),
                   static_cast<std::uint32_t>(arguments.value[1]), who.has(Capability::set_group));
  });
}

Result<std::uint64_t> sys_setresuid(const Arguments& arguments) {
  return change([&](Credentials& who) { return set_three(who.user, arguments, who.has(Capability::set_user)); });
}

Result<std::uint64_t> sys_setresgid(const Arguments& arguments) {
  return change([&](Credentials& who) { return set_three(who.group, arguments, who.has(Capability::set_group)); });
}

template <class Identity>
Result<std::uint64_t> write_three(const Arguments& arguments, const Identities<Identity>& ids) {
  VELLUM_TRY(write_user(arguments.address(0), ids.real.value()));
  VELLUM_TRY(write_user(arguments.address(1), ids.effective.value()));
  VELLUM_TRY(write_user(arguments.address(2), ids.saved.value()));
  return 0;
}

Result<std::uint64_t> sys_getresuid(const Arguments& arguments) { return write_three(arguments, credentials().user); }
Result<std::uint64_t> sys_getresgid(const Arguments& arguments) { return write_three(arguments, credentials().group); }

Result<std::uint64_t> sys_setfsuid(const Arguments& arguments) {
  const LockGuard guard(process_lock);
  Credentials who = this_process().credentials;
  const UserId before = who.user.file_system;
  (void)set_file_system(who.user, static_cast<std::uint32_t>(arguments.value[0]), who.has(Capability::set_user));
  who.adjust_file_capabilities(before);
  this_process().commit(who);
  return before.value();
}

Result<std::uint64_t> sys_setfsgid(const Arguments& arguments) {
  const LockGuard guard(process_lock);
  Credentials who = this_process().credentials;
  const std::uint64_t before =
      set_file_system(who.group, static_cast<std::uint32_t>(arguments.value[0]), who.has(Capability::set_group));
  this_process().commit(who);
  return before;
}

Result<std::uint64_t> sys_getgroups(const Arguments& arguments) {
  const Credentials who = credentials();
  const std::int32_t room = arguments.integer(0);
  if (room < 0) {
    return Errno::invalid;
  }
  if (room != 0) {
    if (static_cast<unsigned>(room) < who.group_count) {
      return Errno::invalid;
    }
    VELLUM_TRY(copy_out(arguments.address(1), std::as_bytes(std::span(who.groups).first(who.group_count))));
  }
  return who.group_count;
}

Result<std::uint64_t> sys_setgroups(const Arguments& arguments) {
  if (!credentials().has(Capability::set_group)) {
    return Errno::not_permitted;
  }
  const std::uint64_t count = arguments.value[0] & 0xffffffff;
  if (count > Credentials::kMostGroups) {
    return Errno::invalid;
  }
  std::array<GroupId, Credentials::kMostGroups> groups;
  VELLUM_TRY(copy_in(std::as_writable_bytes(std::span(groups).first(count)), arguments.address(1)));
  return change([&](Credentials& who) -> Result<void> {
    who.groups = groups;
    who.group_count = static_cast<unsigned>(count);
    return {};
  });
}

// --- process groups and sessions

std::uint64_t number_of(ProcessId id) { return static_cast<std::uint64_t>(id.value()); }

// The process that is meant, 0 being the caller. Error: no_process.
Result<Process*> process_of(std::int32_t id) VELLUM_REQUIRES(process_lock) {
  Process* const process = id == 0 ? &this_process() : process_system().find_process(ProcessId(id));
  return process == nullptr ? Result<Process*>(Errno::no_process) : process;
}

bool is_group_in_session(ProcessId group, ProcessId session) VELLUM_REQUIRES(process_lock) {
  bool found = false;
  process_system().for_each_process([&](Process& process) {
    process_lock.assert_held();
    found |= process.group == group && process.session == session;
  });
  return found;
}

Result<std::uint64_t> sys_setpgid(const Arguments& arguments) {
  const std::int32_t id = arguments.integer(0);
  if (arguments.integer(1) < 0) {
    return Errno::invalid;
  }
  const LockGuard guard(process_lock);
  Process& self = this_process();
  Process& target = *VELLUM_TRY(process_of(id));
  const bool is_child = target.parent == &self;
  if (&target != &self) {
    if (!is_child) {
      return Errno::no_process;
    }
    if (target.session != self.session) {
      return Errno::not_permitted;
    }
    if (target.executed) {
      return Errno::access_denied;
    }
  }
  const ProcessId group = arguments.integer(1) == 0 ? target.id : ProcessId(arguments.integer(1));
  if (target.session == target.id || (group != target.id && !is_group_in_session(group, self.session))) {
    return Errno::not_permitted;
  }
  target.group = group;
  return 0;
}

Result<std::uint64_t> sys_getpgid(const Arguments& arguments) {
  const LockGuard guard(process_lock);
  return number_of(VELLUM_TRY(process_of(arguments.integer(0)))->group);
}

Result<std::uint64_t> sys_getpgrp(const Arguments& /*arguments*/) {
  const LockGuard guard(process_lock);
  return number_of(this_process().group);
}

Result<std::uint64_t> sys_setsid(const Arguments& /*arguments*/) {
  const LockGuard guard(process_lock);
  Process& self = this_process();
  bool is_leader = false;
  process_system().for_each_process([&](Process& process) {
    process_lock.assert_held();
    is_leader |= process.group == self.id;
  });
  if (is_leader) {
    return Errno::not_permitted;
  }
  self.group = self.session = self.id;
  return number_of(self.id);
}

Result<std::uint64_t> sys_getsid(const Arguments& arguments) {
  const LockGuard guard(process_lock);
  return number_of(VELLUM_TRY(process_of(arguments.integer(0)))->session);
}

constexpr auto kDecimal = Shown::decimal;
constexpr auto kHex = Shown::hexadecimal;

constexpr SystemCall kCalls[] = {
    {102, "getuid", sys_getuid, 0, {}},
    {104, "getgid", sys_getgid, 0, {}},
    {105, "setuid", sys_setuid, 1, {kDecimal}},
    {106, "setgid", sys_setgid, 1, {kDecimal}},
    {107, "geteuid", sys_geteuid, 0, {}},
    {108, "getegid", sys_getegid, 0, {}},
    {109, "setpgid", sys_setpgid, 2, {kDecimal, kDecimal}},
    {111, "getpgrp", sys_getpgrp, 0, {}},
    {112, "setsid", sys_setsid, 0, {}},
    {113, "setreuid", sys_setreuid, 2, {Shown::descriptor, Shown::descriptor}},
    {114, "setregid", sys_setregid, 2, {Shown::descriptor, Shown::descriptor}},
    {115, "getgroups", sys_getgroups, 2, {kDecimal, kHex}},
    {116, "setgroups", sys_setgroups, 2, {kDecimal, kHex}},
    {117, "setresuid", sys_setresuid, 3, {Shown::descriptor, Shown::descriptor, Shown::descriptor}},
    {118, "getresuid", sys_getresuid, 3, {kHex, kHex, kHex}},
    {119, "setresgid", sys_setresgid, 3, {Shown::descriptor, Shown::descriptor, Shown::descriptor}},
    {120, "getresgid", sys_getresgid, 3, {kHex, kHex, kHex}},
    {121, "getpgid", sys_getpgid, 1, {kDecimal}},
    {122, "setfsuid", sys_setfsuid, 1, {kDecimal}},
    {123, "setfsgid", sys_setfsgid, 1, {kDecimal}},
    {124, "getsid", sys_getsid, 1, {kDecimal}},
};

}  // namespace

std::span<const SystemCall> identity_calls() { return kCalls; }

}  // namespace vellum::unix
