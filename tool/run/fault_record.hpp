// A fatal fault as the kernel tells it (docs/run-records.md), taken out of its JSON.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "run/maps.hpp"

namespace vellum::tool {

enum class FaultAccess : std::uint8_t { none, read, write, execute };

// Verdicts that no instruction is to blame for.
inline constexpr const char* kOutOfMemory = "out_of_memory";
inline constexpr const char* kTooManyProcesses = "too_many_processes";

inline constexpr const char* kOverBudget = "over_budget";  // the process goes on

// What a process, or an object that is mapped, held when memory ran out or was refused, in bytes.
struct HolderRecord {
  std::uint64_t process = 0;
  std::string name;
  std::uint64_t resident = 0;
  std::uint64_t tables = 0;
  std::uint64_t reserved = 0;
  std::uint64_t locked = 0;
};

// The whole machine's memory by what it is for, in bytes.
struct MachineRecord {
  std::uint64_t anonymous = 0;
  std::uint64_t shared = 0;
  std::uint64_t cache = 0;
  std::uint64_t tables = 0;
  std::uint64_t kernel = 0;
  std::uint64_t free = 0;
  std::uint64_t promised = 0;
};

struct FaultRecord {
  std::uint64_t process = 0;
  std::string command;
  int signal = 0;
  int code = 0;
  FaultAccess access = FaultAccess::none;
  std::optional<std::uint64_t> address;  // none where the processor tells none
  std::string verdict;
  std::uint64_t instruction = 0;
  std::string bytes;
  std::optional<std::uint64_t> stack_top;  // the word at the stack pointer
  std::map<std::string, std::uint64_t> registers;
  std::optional<std::uint64_t> error_code;  // that of the processor's page fault
  std::vector<Mapping> maps;
  // Where memory ran out, in bytes: what there is for programs, and what the process held with its page tables.
  std::uint64_t limit = 0;
  std::uint64_t resident = 0;
  std::uint64_t refused = 0;
  std::uint64_t processes = 0;  // that were ended together
  std::vector<HolderRecord> holders;
  std::uint64_t living = 0;  // processes, of which `holders` are the largest
  std::vector<HolderRecord> objects;
  std::optional<MachineRecord> machine;
};

// What is missing or of another type is left empty.
[[nodiscard]] FaultRecord read_fault(const nlohmann::ordered_json& json);

// "SIGSEGV", and "SEGV_MAPERR" or "" for a code that none has.
[[nodiscard]] std::string signal_name(int signal);
[[nodiscard]] std::string code_name(int signal, int code);

}  // namespace vellum::tool
