#include "console_reporter.hpp"

#include <vellum/pc/console.hpp>
#include <vellum/unix/process.hpp>

namespace vellum::kernel {

void ConsoleReporter::fatal_fault(const unix::FatalFault& fault) {
  pc::print_line(std::string_view(fault.process.name), "[", static_cast<std::uint64_t>(fault.process.id.value()),
                 "]: signal ", static_cast<unsigned>(fault.signal.value()), " at instruction ",
                 pc::Hex{fault.registers.rip}, ", address ", fault.address, ", stack ", pc::Hex{fault.registers.rsp});
}

void ConsoleReporter::verdict(const unix::Verdict& verdict) {
  if (verdict.reason == unix::Verdict::Reason::over_budget) {
    pc::print_line("over budget: refused ", verdict.resident, " pages to ", verdict.name, "[",
                   static_cast<std::uint64_t>(verdict.process.value()), "]; no more than ", verdict.total,
                   " may be promised");
    return;
  }
  const bool is_memory = verdict.reason == unix::Verdict::Reason::out_of_memory;
  pc::print_line(is_memory ? "out of memory: killed " : "too many processes: killed ", verdict.name, "[",
                 static_cast<std::uint64_t>(verdict.process.value()), "], which held ", verdict.resident, " of ",
                 verdict.total, " pages; ", verdict.processes, " processes ended");
}

void ConsoleReporter::trace(std::string_view line) { pc::print_line(line); }
void ConsoleReporter::log(std::string_view line) { pc::print_line("vellum: ", line); }

void ConsoleReporter::first_process_ended(const unix::Process& /*process*/, unix::WaitStatus status) {
  if (status.is_exit()) {
    pc::print_line("the first process ended with status ", static_cast<std::uint64_t>(status.code()));
  } else {
    pc::print_line("the first process was ended by signal ", static_cast<unsigned>(status.signal().value()));
  }
  unix::power_off();
}

}  // namespace vellum::kernel
