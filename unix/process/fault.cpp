// What a program's own instructions cause: signals, or the search for somebody to end because memory is used up.

#include <vellum/unix/lifecycle.hpp>
#include <vellum/unix/memory_pressure.hpp>
#include <vellum/unix/signals.hpp>
#include <vellum/unix/user_memory.hpp>

namespace vellum::unix {

namespace {

struct Meant {
  Signal signal;
  SignalCode code;
  VirtAddr address;
};

// FPE_*, by the flags of the exceptions that are not masked [intel/vol1 8.5, 11.5]: the x87's for vector 16, SSE's
// for 19.
SignalCode floating_point_code(Thread& thread, const UserRegisters& registers) {
  constexpr std::uint64_t kX87 = 16;
  constexpr std::size_t kMxcsr = 24;
  save_vector_state(thread.context);
  const auto load = [&](std::size_t offset) {
    std::uint16_t value = 0;
    __builtin_memcpy(&value, thread.context.vector_state + offset, sizeof(value));
    return value;
  };
  const unsigned raised =
      registers.vector == kX87 ? load(2) & ~unsigned{load(0)} : load(kMxcsr) & ~(unsigned{load(kMxcsr)} >> 7);
  if ((raised & 0x01) != 0) {
    return SignalCode::float_invalid;
  }
  if ((raised & 0x04) != 0) {
    return SignalCode::float_division;
  }
  if ((raised & 0x08) != 0) {
    return SignalCode::float_overflow;
  }
  if ((raised & 0x12) != 0) {
    return SignalCode::float_underflow;
  }
  return SignalCode::float_inexact;
}

Meant meaning_of(Thread& thread, const UserRegisters& registers, const ProgramFault& fault) {
  const VirtAddr instruction(registers.rip);
  switch (fault.kind) {
    case ProgramFault::Kind::page:
      switch (fault.verdict) {
        case FaultVerdict::bus_error:
        case FaultVerdict::missing:
          return {signal::kBus, SignalCode::no_such_address, fault.address};
        case FaultVerdict::access_denied:
          return {signal::kSegmentation, SignalCode::access_denied, fault.address};
        default:
          return {signal::kSegmentation, SignalCode::not_mapped, fault.address};
      }
    case ProgramFault::Kind::non_canonical:
      return {signal::kSegmentation, SignalCode::from_kernel, VirtAddr(0)};
    case ProgramFault::Kind::divide:
      return {signal::kFloatingPoint, SignalCode::integer_division, instruction};
    case ProgramFault::Kind::floating_point:
      return {signal::kFloatingPoint, floating_point_code(thread, registers), instruction};
    case ProgramFault::Kind::illegal:
      return {signal::kIllegal, SignalCode::illegal_operand, instruction};
    case ProgramFault::Kind::breakpoint:
      return {signal::kTrap, SignalCode::from_kernel, VirtAddr(0)};
    case ProgramFault::Kind::single_step:
      return {signal::kTrap, SignalCode::trace, instruction};
    case ProgramFault::Kind::stack_segment:
      return {signal::kBus, SignalCode::from_kernel, VirtAddr(0)};
    case ProgramFault::Kind::alignment:
      return {signal::kBus, SignalCode::alignment, VirtAddr(0)};
  }
  return {signal::kSegmentation, SignalCode::from_kernel, VirtAddr(0)};
}

bool is_fatal(Thread& thread, Signal signal) {
  const LockGuard guard(process_lock);
  return thread.process->action(signal).handler <= SignalAction::kIgnore || thread.blocked.has(signal);
}

void report(Thread& thread, const UserRegisters& registers, const ProgramFault& fault, const Meant& meant) {
  constexpr std::size_t kLongestInstruction = 15;
  std::byte bytes[kLongestInstruction];
  std::size_t size = 0;
  while (size < kLongestInstruction &&
         copy_in(std::span(bytes + size, 1), VirtAddr(registers.rip) + ByteCount(size)).ok()) {
    ++size;
  }
  thread.system.reporter.fatal_fault({.process = *thread.process,
                                      .signal = meant.signal,
                                      .code = meant.code,
                                      .address = fault.kind == ProgramFault::Kind::page ? fault.address : VirtAddr(0),
                                      .access = fault.access,
                                      .kind = fault.kind,
                                      .registers = registers,
                                      .instruction = std::span(bytes, size)});
}

}  // namespace

void on_program_fault(UserRegisters& registers, const ProgramFault& fault) {
  Thread& thread = this_thread();
  if (fault.kind == ProgramFault::Kind::page && fault.verdict == FaultVerdict::out_of_memory) {
    relieve_memory();
    return;
  }
  if (fault.kind == ProgramFault::Kind::page && fault.verdict == FaultVerdict::missing &&
      wait_for_page(fault.address, fault.access, Privilege::user)) {
    return;
  }
  thread.fault_vector = registers.vector;
  thread.fault_error_code = registers.error_code;
  if (fault.kind == ProgramFault::Kind::page) {
    thread.fault_address = fault.address.value();
  }
  report_refusal();
  const Meant meant = meaning_of(thread, registers, fault);
  if (is_fatal(thread, meant.signal)) {
    report(thread, registers, fault, meant);
  }
  force_signal(thread, SignalInfo::fault(meant.signal, meant.code, meant.address));
}

void count_fault() {
  Thread& thread = this_thread();
  thread.system.minor_faults.fetch_add(1, std::memory_order_relaxed);
  if (Process* const process = thread.process; process != nullptr) {
    process->minor_faults.fetch_add(1, std::memory_order_relaxed);
  }
}

bool wait_for_page(VirtAddr address, Access access, Privilege who) {
  const auto by = who == Privilege::kernel ? UserFaults::Access::kernel : UserFaults::Access::program;
  UserFaults& faults = process_system().user_faults;
  return faults.wait(*this_process().program, address, access == Access::write, by) == UserFaults::Outcome::retry;
}

bool find_memory() {
  relieve_memory();
  return !this_thread().dying.load(std::memory_order_acquire);
}

}  // namespace vellum::unix
