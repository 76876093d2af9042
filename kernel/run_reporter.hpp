// What the kernel tells `vellum run` about processes: fatal faults and verdicts as JSON (docs/run-records.md), traces,
// its log, the report and the end.
#pragma once

#include <vellum/run/channel.hpp>
#include <vellum/unix/mutex.hpp>
#include <vellum/unix/process_system.hpp>

namespace vellum::kernel {

class HostReporter final : public unix::RunReporter {
 public:
  // `room` holds the JSON of one frame, kMostBody bytes.
  HostReporter(run::Channel& channel, std::span<char> room) : channel_(channel), room_(room) {}

  // From here on, what is taken of memory is the run's.
  void begin();
  void fatal_fault(const unix::FatalFault& fault) override VELLUM_EXCLUDES(lock_);
  void verdict(const unix::Verdict& verdict) override VELLUM_EXCLUDES(lock_);
  void trace(std::string_view line) override;
  void log(std::string_view line) override;
  [[noreturn]] void first_process_ended(const unix::Process& process, unix::WaitStatus status) override;

  // The report, the program's status, and the end of the machine.
  [[noreturn]] void end(unix::WaitStatus status) VELLUM_EXCLUDES(lock_);

 private:
  void send_line(run::ToHost kind, std::string_view line);
  void send_report() VELLUM_EXCLUDES(lock_);

  run::Channel& channel_;
  PageCount free_at_start_;
  unix::Mutex lock_;
  const std::span<char> room_ VELLUM_GUARDED_BY(lock_);
};

}  // namespace vellum::kernel
