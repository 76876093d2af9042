// capget, capset, and prctl's part of capabilities.

#include <vellum/unix/process_system.hpp>
#include <vellum/unix/system_call.hpp>
#include <vellum/unix/user_memory.hpp>

#include "capability_control.hpp"
#include "memory_locks.hpp"

namespace vellum::unix {

namespace {

struct CapabilityHeader {
  std::uint32_t version;
  std::int32_t process;
};

// A word of each set; sets have two words.
struct CapabilityWords {
  std::uint32_t effective;
  std::uint32_t permitted;
  std::uint32_t inheritable;
};

constexpr std::uint32_t kVersion3 = 0x20080522;

enum class Known : bool { no, yes };

// A version that is not known is answered with the one that is.
Result<Known> check_version(VirtAddr at, const CapabilityHeader& header) {
  if (header.version == kVersion3) {
    return Known::yes;
  }
  VELLUM_TRY(write_user(at, CapabilityHeader{kVersion3, header.process}));
  return Known::no;
}

CapabilityWords words_of(const CapabilitySets& sets, unsigned shift) {
  return {.effective = static_cast<std::uint32_t>(sets.effective.bits() >> shift),
          .permitted = static_cast<std::uint32_t>(sets.permitted.bits() >> shift),
          .inheritable = static_cast<std::uint32_t>(sets.inheritable.bits() >> shift)};
}

Capabilities set_of(std::uint32_t low, std::uint32_t high) {
  return Capabilities::from_bits(low | std::uint64_t{high} << 32);
}

Result<std::uint64_t> sys_capget(const Arguments& arguments) {
  const auto header = VELLUM_TRY(read_user<CapabilityHeader>(arguments.address(0)));
  if (VELLUM_TRY(check_version(arguments.address(0), header)) == Known::no) {
    return arguments.value[1] == 0 ? Result<std::uint64_t>(0) : Errno::invalid;
  }
  if (header.process < 0) {
    return Errno::invalid;
  }
  CapabilitySets sets;
  {
    const LockGuard guard(process_lock);
    const Process* const process =
        header.process == 0 ? &this_process() : process_system().find_process(ProcessId(header.process));
    if (process == nullptr) {
      return Errno::no_process;
    }
    sets = process->credentials.capabilities;
  }
  if (arguments.value[1] != 0) {
    const CapabilityWords words[] = {words_of(sets, 0), words_of(sets, 32)};
    VELLUM_TRY(copy_out(arguments.address(1), std::as_bytes(std::span(words))));
  }
  return 0;
}

Result<std::uint64_t> sys_capset(const Arguments& arguments) {
  const auto header = VELLUM_TRY(read_user<CapabilityHeader>(arguments.address(0)));
  if (VELLUM_TRY(check_version(arguments.address(0), header)) == Known::no) {
    return Errno::invalid;
  }
  if (header.process != 0 && header.process != this_thread().id.value()) {
    return Errno::not_permitted;
  }
  CapabilityWords words[2] = {};
  VELLUM_TRY(copy_in(std::as_writable_bytes(std::span(words)), arguments.address(1)));
  const Capabilities effective = set_of(words[0].effective, words[1].effective);
  const Capabilities permitted = set_of(words[0].permitted, words[1].permitted);
  const Capabilities inheritable = set_of(words[0].inheritable, words[1].inheritable);

  const LockGuard guard(process_lock);
  Credentials& who = this_process().credentials;
  CapabilitySets& sets = who.capabilities;
  const Capabilities may_inherit =
      who.has(Capability::set_capabilities) ? Capabilities::all() : sets.inheritable | sets.permitted;
  if (!inheritable.within(may_inherit) || !inheritable.within(sets.inheritable | sets.bounding) ||
      !permitted.within(sets.permitted) || !effective.within(permitted)) {
    return Errno::not_permitted;
  }
  sets.effective = effective;
  sets.permitted = permitted;
  sets.inheritable = inheritable;
  apply_lock_limit(this_process());
  return 0;
}

constexpr SystemCall kCalls[] = {
    {125, "capget", sys_capget, 2, {Shown::hexadecimal, Shown::hexadecimal}},
    {126, "capset", sys_capset, 2, {Shown::hexadecimal, Shown::hexadecimal}},
};

}  // namespace

Result<std::uint64_t> prctl_capabilities(int option, std::uint64_t value) {
  constexpr int kGetKeep = 7;
  constexpr int kSetKeep = 8;
  constexpr int kReadBounding = 23;
  const LockGuard guard(process_lock);
  Credentials& who = this_process().credentials;
  if (option == kGetKeep) {
    return who.keeps_capabilities ? 1 : 0;
  }
  if (option == kSetKeep) {
    if (value > 1) {
      return Errno::invalid;
    }
    who.keeps_capabilities = value == 1;
    return 0;
  }
  if (option == kReadBounding) {
    return value > Capabilities::kHighest ? Errno::invalid
                                          : Result<std::uint64_t>(who.capabilities.bounding.bits() >> value & 1);
  }
  if (!who.has(Capability::set_capabilities)) {
    return Errno::not_permitted;
  }
  if (value > Capabilities::kHighest) {
    return Errno::invalid;
  }
  Capabilities& bounding = who.capabilities.bounding;
  bounding = bounding.without(Capabilities::only(static_cast<Capability>(value)));
  return 0;
}

std::span<const SystemCall> capability_calls() { return kCalls; }

}  // namespace vellum::unix
