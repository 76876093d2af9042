#include "run/linux_log.hpp"

#include <csignal>
#include <filesystem>

#include <fmt/core.h>

namespace vellum::tool {

namespace {

constexpr std::uint64_t kProtection = 1;  // bits of the page-fault error code
constexpr std::uint64_t kWrite = 2;
constexpr std::uint64_t kUser = 4;
constexpr std::uint64_t kFetch = 16;

std::uint64_t error_code_of(const FaultRecord& fault) {
  if (fault.error_code.has_value()) {
    return *fault.error_code;
  }
  return kUser | (fault.verdict == "access_denied" ? kProtection : 0) |
         (fault.access == FaultAccess::write ? kWrite : 0) | (fault.access == FaultAccess::execute ? kFetch : 0);
}

std::uint64_t register_of(const FaultRecord& fault, const char* name) {
  const auto found = fault.registers.find(name);
  return found == fault.registers.end() ? 0 : found->second;
}

// " in busybox[401000+1000]", of the file that the instruction lies in.
std::string file_of(const FaultRecord& fault) {
  const Mapping* const mapping = neighbours_of(fault.maps, fault.instruction).at;
  if (mapping == nullptr || !mapping->is_file()) {
    return "";
  }
  return fmt::format(" in {}[{:x}+{:x}]", std::filesystem::path(mapping->name).filename().string(), mapping->start,
                     mapping->end - mapping->start);
}

std::string trap_line(const FaultRecord& fault, const char* what) {
  return fmt::format("traps: {}[{}] {} ip:{:x} sp:{:x} error:0{}", fault.command, fault.process, what,
                     fault.instruction, register_of(fault, "rsp"), file_of(fault));
}

}  // namespace

std::string linux_log_line(const FaultRecord& fault) {
  if (fault.verdict == kOutOfMemory) {
    return fmt::format("Out of memory: Killed process {} ({})", fault.process, fault.command);
  }
  if (fault.verdict == "divide") {
    return trap_line(fault, "trap divide error");
  }
  if (fault.verdict == "stack_segment") {
    return trap_line(fault, "trap stack segment");
  }
  if (fault.verdict == "alignment") {
    return trap_line(fault, "trap alignment check");
  }
  if (fault.verdict == "breakpoint") {
    return trap_line(fault, "trap int3");
  }
  if (fault.verdict == "illegal") {
    return trap_line(fault, "trap invalid opcode");
  }
  if (fault.verdict == "non_canonical") {
    return trap_line(fault, "general protection fault");
  }
  if (fault.signal != SIGSEGV) {
    return "";
  }
  return fmt::format("{}[{}]: segfault at {:x} ip {:016x} sp {:016x} error {:x}{}", fault.command, fault.process,
                     fault.address.value_or(0), fault.instruction, register_of(fault, "rsp"), error_code_of(fault),
                     file_of(fault));
}

}  // namespace vellum::tool
