// What a kernel that was started by itself says of processes, on the console.
#pragma once

#include <vellum/unix/run_reporter.hpp>

namespace vellum::kernel {

class ConsoleReporter final : public unix::RunReporter {
 public:
  void fatal_fault(const unix::FatalFault& fault) override;
  void verdict(const unix::Verdict& verdict) override;
  void trace(std::string_view line) override;
  void log(std::string_view line) override;
  [[noreturn]] void first_process_ended(const unix::Process& process, unix::WaitStatus status) override;
};

}  // namespace vellum::kernel
