// What the kernel tells `vellum run` about processes: fatal faults and verdicts as JSON (docs/run-records.md), traces,
// its log, the report and the end.
#pragma once

#include <vellum/run/channel.hpp>
#include <vellum/unix/mutex.hpp>
#include <vellum/unix/process_system.hpp>

#include "run_host.hpp"

namespace vellum::kernel {

class HostReporter final : public unix::RunReporter {
 public:
  // `room` holds the JSON of one frame, kMostBody bytes.
  HostReporter(run::Channel& channel, RunHost& host, std::span<char> room)
      : channel_(channel), host_(host), room_(room) {}

  // From here on a process that dies of a fault waits before, and so does the first one before it ends, until the host
  // lets them go on.
  void hold() { hold_ = true; }

  // From here on, what is taken of memory is the run's.
  void begin();
  void fatal_fault(const unix::FatalFault& fault) override VELLUM_EXCLUDES(lock_);
  void verdict(const unix::Verdict& verdict) override VELLUM_EXCLUDES(lock_);
  void trace(std::string_view line) override;
  void log(std::string_view line) override;
  void first_process_ends(const unix::Process& process) override;
  [[noreturn]] void first_process_ended(const unix::Process& process, unix::WaitStatus status) override;

  // The report, the program's status, and the end of the machine.
  [[noreturn]] void end(unix::WaitStatus status) VELLUM_EXCLUDES(lock_);

 private:
  void send_fault(const unix::FatalFault& fault) VELLUM_EXCLUDES(lock_);
  void send_line(run::ToHost kind, std::string_view line);
  void wait_held(const unix::Process& process);
  void send_report() VELLUM_EXCLUDES(lock_);

  run::Channel& channel_;
  RunHost& host_;
  bool hold_ = false;
  PageCount free_at_start_;
  unix::Mutex lock_;
  const std::span<char> room_ VELLUM_GUARDED_BY(lock_);
};

}  // namespace vellum::kernel
