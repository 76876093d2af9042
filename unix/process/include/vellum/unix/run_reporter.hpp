// What processes tell whoever runs the system: fatal faults, verdicts, the end of the first process.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include <vellum/unix/processor.hpp>
#include <vellum/unix/signal.hpp>
#include <vellum/unix/types.hpp>

namespace vellum::unix {

class Process;
class WaitStatus;
struct MemoryAccount;

// A process is about to die of what its program did at an instruction.
struct FatalFault {
  Process& process;
  Signal signal;
  SignalCode code;
  VirtAddr address;  // of the access
  Access access;
  ProgramFault::Kind kind;
  const UserRegisters& registers;
  std::span<const std::byte> instruction;  // bytes at rip, as many as can be read
};

// Why the system ended processes that did nothing wrong by themselves, or refused them something.
struct Verdict {
  enum class Reason : std::uint8_t {
    out_of_memory,       // it held the most memory when there was none left
    too_many_processes,  // it and its descendants took all the processes that there can be
    over_budget          // what it asked for was more than may be promised to all together; it goes on
  };
  Reason reason;
  ProcessId process;
  std::string_view name;
  PageCount resident;                      // tables included; what was refused, over_budget
  PageCount total;                         // of the machine; of the budget
  unsigned processes;                      // ended together
  const MemoryAccount* account = nullptr;  // of the moment before; only where memory is the reason
};

class RunReporter {
 public:
  // Called in the process's own context; may sleep.
  virtual void fatal_fault(const FatalFault& fault) = 0;
  virtual void verdict(const Verdict& verdict) = 0;
  // A line of --strace, without the newline.
  virtual void trace(std::string_view line) = 0;
  virtual void log(std::string_view line) = 0;
  // The first process is about to end, its memory and files still there. Called by the last of its threads; may sleep.
  virtual void first_process_ends(const Process& /*process*/) {}
  // The first process ended: there is nothing left to run.
  [[noreturn]] virtual void first_process_ended(const Process& process, WaitStatus status) = 0;

 protected:
  ~RunReporter() = default;
};

}  // namespace vellum::unix
