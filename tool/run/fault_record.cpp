#include "run/fault_record.hpp"

#include <csignal>
#include <cstdlib>
#include <cstring>

#include <fmt/core.h>

namespace vellum::tool {

namespace {

using Json = nlohmann::ordered_json;

const Json& member(const Json& json, const char* name) {
  static const Json nothing;
  return json.is_object() && json.contains(name) ? json.at(name) : nothing;
}

std::string text_in(const Json& json, const char* name) {
  const Json& value = member(json, name);
  return value.is_string() ? value.get<std::string>() : "";
}

std::optional<std::uint64_t> number_in(const Json& value) {
  if (value.is_number_integer()) {
    return value.get<std::uint64_t>();
  }
  if (value.is_string()) {
    const std::string text = value.get<std::string>();
    char* end = nullptr;
    const std::uint64_t number = std::strtoull(text.c_str(), &end, 16);
    if (text.starts_with("0x") && *end == '\0') {
      return number;
    }
  }
  return std::nullopt;
}

std::uint64_t number_in(const Json& json, const char* name) { return number_in(member(json, name)).value_or(0); }

FaultAccess access_in(const std::string& word) {
  if (word == "read") {
    return FaultAccess::read;
  }
  if (word == "write") {
    return FaultAccess::write;
  }
  return word == "execute" ? FaultAccess::execute : FaultAccess::none;
}

// The word that bytes written as "23 16 40 00 ..." begin with.
std::optional<std::uint64_t> first_word_in(const std::string& text) {
  constexpr std::size_t kBytes = 8;
  constexpr std::size_t kCharacters = 3;  // two digits and a space
  if (text.size() < kBytes * kCharacters - 1) {
    return std::nullopt;
  }
  std::uint64_t word = 0;
  for (std::size_t i = 0; i < kBytes; ++i) {
    word |= static_cast<std::uint64_t>(std::strtoul(text.substr(i * kCharacters, 2).c_str(), nullptr, 16)) << (8 * i);
  }
  return word;
}

}  // namespace

namespace {

std::vector<HolderRecord> holders_in(const Json& json) {
  std::vector<HolderRecord> holders;
  for (const auto& one : json.is_array() ? json : Json::array()) {
    holders.push_back({.process = number_in(one, "pid"),
                       .name = text_in(one, one.is_object() && one.contains("command") ? "command" : "name"),
                       .resident = number_in(one, "resident"),
                       .tables = number_in(one, "tables"),
                       .reserved = number_in(one, "reserved"),
                       .locked = number_in(one, "locked")});
  }
  return holders;
}

std::optional<MachineRecord> machine_in(const Json& json) {
  if (!json.is_object()) {
    return std::nullopt;
  }
  return MachineRecord{.anonymous = number_in(json, "anonymous"),
                       .shared = number_in(json, "shared"),
                       .cache = number_in(json, "cache"),
                       .tables = number_in(json, "tables"),
                       .kernel = number_in(json, "kernel"),
                       .free = number_in(json, "free"),
                       .promised = number_in(json, "promised")};
}

}  // namespace

FaultRecord read_fault(const Json& json) {
  FaultRecord fault;
  fault.process = number_in(json, "pid");
  fault.command = text_in(json, "command");
  fault.signal = static_cast<int>(number_in(json, "signal"));
  fault.code = static_cast<int>(number_in(json, "code"));
  fault.access = access_in(text_in(json, "access"));
  fault.address = number_in(member(json, "address"));
  fault.verdict = text_in(json, "verdict");
  fault.instruction = number_in(json, "instruction");
  fault.bytes = text_in(json, "bytes");
  fault.stack_top = first_word_in(text_in(json, "stack"));
  for (const auto& [name, value] : member(json, "registers").items()) {
    fault.registers[name] = number_in(value).value_or(0);
  }
  fault.error_code = number_in(member(json, "error_code"));
  fault.maps = parse_maps(text_in(json, "maps"));
  fault.limit = number_in(member(json, "memory"), "limit");
  fault.resident = number_in(member(json, "memory"), "resident");
  fault.refused = number_in(member(json, "memory"), "refused");
  fault.processes = number_in(json, "processes");
  fault.holders = holders_in(member(json, "holders"));
  fault.living = number_in(json, "living");
  fault.objects = holders_in(member(json, "objects"));
  fault.machine = machine_in(member(json, "machine"));
  return fault;
}

std::string signal_name(int signal) {
  const char* const name = sigabbrev_np(signal);
  return name == nullptr ? fmt::format("signal {}", signal) : fmt::format("SIG{}", name);
}

std::string code_name(int signal, int code) {
  struct Name {
    int signal;
    int code;
    const char* text;
  };
  static constexpr Name kNames[] = {
      {SIGSEGV, SEGV_MAPERR, "SEGV_MAPERR"}, {SIGSEGV, SEGV_ACCERR, "SEGV_ACCERR"}, {SIGBUS, BUS_ADRALN, "BUS_ADRALN"},
      {SIGBUS, BUS_ADRERR, "BUS_ADRERR"},    {SIGBUS, BUS_OBJERR, "BUS_OBJERR"},    {SIGFPE, FPE_INTDIV, "FPE_INTDIV"},
      {SIGFPE, FPE_INTOVF, "FPE_INTOVF"},    {SIGFPE, FPE_FLTDIV, "FPE_FLTDIV"},    {SIGFPE, FPE_FLTOVF, "FPE_FLTOVF"},
      {SIGFPE, FPE_FLTUND, "FPE_FLTUND"},    {SIGFPE, FPE_FLTRES, "FPE_FLTRES"},    {SIGFPE, FPE_FLTINV, "FPE_FLTINV"},
      {SIGILL, ILL_ILLOPC, "ILL_ILLOPC"},    {SIGILL, ILL_ILLOPN, "ILL_ILLOPN"},    {SIGILL, ILL_PRVOPC, "ILL_PRVOPC"},
      {SIGTRAP, TRAP_BRKPT, "TRAP_BRKPT"},   {SIGTRAP, TRAP_TRACE, "TRAP_TRACE"},
  };
  for (const Name& name : kNames) {
    if (name.signal == signal && name.code == code) {
      return name.text;
    }
  }
  return code == SI_KERNEL ? "SI_KERNEL" : "";
}

}  // namespace vellum::tool
