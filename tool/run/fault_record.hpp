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

// Who held memory when there was none left. In bytes.
struct MemoryHolder {
  std::uint64_t process;
  std::string command;
  std::uint64_t virtual_size;
  std::uint64_t resident;
  std::uint64_t tables;
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
  // Of verdict out_of_memory:
  std::uint64_t limit = 0;
  std::uint64_t resident = 0;
  std::uint64_t tables = 0;
  std::vector<MemoryHolder> holders;
};

// What is missing or of another type is left empty.
[[nodiscard]] FaultRecord read_fault(const nlohmann::ordered_json& json);

// "SIGSEGV", and "SEGV_MAPERR" or "" for a code that none has.
[[nodiscard]] std::string signal_name(int signal);
[[nodiscard]] std::string code_name(int signal, int code);

}  // namespace vellum::tool
