#include "run/fault.hpp"

#include <fmt/core.h>

#include <vellum/layout/explain.hpp>

#include "print.hpp"
#include "run/fault_record.hpp"
#include "run/instruction.hpp"
#include "run/linux_log.hpp"
#include "run/reason.hpp"
#include "run/symbols.hpp"

namespace vellum::tool {

namespace {

constexpr std::size_t kWidth = 106;  // of a value; with its name 120 characters

void add_line(std::string& text, const char* name, const std::string& value) {
  if (!value.empty()) {
    text += fmt::format("  {:<12}{}\n", name, value);
  }
}

// Sentences, broken between words.
void add_sentences(std::string& text, const char* name, std::string value) {
  while (value.size() > kWidth) {
    const std::size_t space = value.rfind(' ', kWidth);
    if (space == std::string::npos) {
      break;
    }
    add_line(text, name, value.substr(0, space));
    value.erase(0, space + 1);
    name = "";
  }
  add_line(text, name, value);
}

std::string headline(const FaultRecord& fault) {
  const std::string code = code_name(fault.signal, fault.code);
  return fmt::format("vellum: {} (pid {}) stopped: {}{}\n", fault.command, fault.process, signal_name(fault.signal),
                     code.empty() ? "" : fmt::format(" ({})", code));
}

std::string access_line(const FaultRecord& fault, const std::optional<InstructionText>& instruction) {
  const std::string target =
      fault.address.has_value() ? fmt::format("{:#x}", *fault.address) : "an address that is none";
  const unsigned size = instruction.has_value() ? instruction->access_size : 0;
  const std::string amount = size == 0 ? "" : fmt::format(" of {} byte{}", size, size == 1 ? "" : "s");
  switch (fault.access) {
    case FaultAccess::read:
      return fmt::format("read{} at {}", amount, target);
    case FaultAccess::write:
      return fmt::format("write{} to {}", amount, target);
    case FaultAccess::execute:
      return fmt::format("execution of {}", target);
    case FaultAccess::none:
      break;
  }
  return "";
}

// `lookup` is the address to look for, where that is not the one to show: a return address may be the next function's.
std::string code_line(const FaultRecord& fault, std::uint64_t address, std::uint64_t lookup,
                      const std::vector<Bind>& binds) {
  const CodePlace place = find_code(fault.maps, lookup, binds);
  std::string line = fmt::format("{:#x}", address);
  if (!place.symbol.empty()) {
    line += "  " + place.symbol;
  }
  if (!place.line.empty()) {
    line += fmt::format("  ({})", place.line);
  }
  const Mapping* const mapping = neighbours_of(fault.maps, lookup).at;
  return mapping == nullptr || mapping->name.empty() ? line : fmt::format("{}  in {}", line, mapping->name);
}

// Where a jump to what is no code came from, if it was a call.
std::string caller_line(const FaultRecord& fault, const std::vector<Bind>& binds) {
  if (fault.access != FaultAccess::execute || !fault.stack_top.has_value()) {
    return "";
  }
  const std::uint64_t address = *fault.stack_top;
  const Mapping* const mapping = neighbours_of(fault.maps, address).at;
  return mapping == nullptr || mapping->rights[2] != 'x' ? "" : code_line(fault, address, address - 1, binds);
}

std::string instruction_line(const FaultRecord& fault, const InstructionText& instruction) {
  std::string line = instruction.text;
  const char* separator = "      ";
  for (const std::string& name : instruction.registers) {
    if (const auto value = fault.registers.find(name); value != fault.registers.end()) {
      line += fmt::format("{}{}={:#x}", separator, name, value->second);
      separator = " ";
    }
  }
  return line;
}

std::string region_line(const Explanation& explanation) {
  const LayoutRegion& region = *explanation.region;
  const std::string end =
      region.range.last().value() == ~std::uint64_t{0} ? "the top" : hex_text(region.range.last().value());
  return fmt::format("{}, {} to {}: {}", region.row->name, hex_text(region.range.start().value()), end,
                     region.row->purpose);
}

// How far it is to a mapping above or below.
std::string distance_text(std::uint64_t distance, const char* direction) {
  constexpr std::uint64_t kHalf = std::uint64_t{1} << 47;  // of what programs may use
  if (distance == 0) {
    return fmt::format("directly {}", direction);
  }
  return distance > kHalf ? std::string("across the VA hole")
                          : fmt::format("{} {}", size_text(ByteCount(distance)), direction);
}

void add_neighbours(std::string& text, const std::vector<Mapping>& maps, std::uint64_t address) {
  const Neighbours near = neighbours_of(maps, address);
  if (near.above != nullptr) {
    add_line(text, "above",
             fmt::format("{}, {}", mapping_text(*near.above), distance_text(near.above->start - address, "above")));
  }
  if (near.at != nullptr) {
    add_line(text, "mapped",
             fmt::format("{}, {} into it", mapping_text(*near.at), size_text(ByteCount(address - near.at->start))));
  }
  if (near.below != nullptr) {
    add_line(text, "below",
             fmt::format("{}, {}", mapping_text(*near.below), distance_text(address - near.below->end, "below")));
  }
}

std::string bytes_text(std::uint64_t bytes) { return bytes == 0 ? "0" : size_text(ByteCount(bytes)); }

// Who held what.
void add_account(std::string& text, const FaultRecord& fault) {
  const char* label = "processes";
  for (const HolderRecord& holder : fault.holders) {
    add_line(text, label,
             fmt::format("{} (pid {}): {} resident, {} of tables, {} reserved, {} locked", holder.name, holder.process,
                         bytes_text(holder.resident), bytes_text(holder.tables), bytes_text(holder.reserved),
                         bytes_text(holder.locked)));
    label = "";
  }
  if (fault.living > fault.holders.size()) {
    add_line(text, label, fmt::format("and {} smaller ones", fault.living - fault.holders.size()));
  }
  label = "mapped";
  for (const HolderRecord& object : fault.objects) {
    add_line(text, label, fmt::format("{}: {} resident", object.name, bytes_text(object.resident)));
    label = "";
  }
  if (const auto& machine = fault.machine; machine.has_value()) {
    add_line(text, "altogether",
             fmt::format("{} private, {} shared or in files in memory, {} of files that can be read again, {} of "
                         "tables, {} of the kernel, {} free; {} reserved",
                         bytes_text(machine->anonymous), bytes_text(machine->shared), bytes_text(machine->cache),
                         bytes_text(machine->tables), bytes_text(machine->kernel), bytes_text(machine->free),
                         bytes_text(machine->promised)));
  }
}

// The process goes on, if it can.
std::string refusal_text(const FaultRecord& fault) {
  std::string text = fmt::format("vellum: {} (pid {}) was refused {}: over the budget of --vmem\n", fault.command,
                                 fault.process, bytes_text(fault.refused));
  add_account(text, fault);
  add_sentences(text, "why",
                fmt::format("all processes together may reserve {}; what is refused later is not told again",
                            bytes_text(fault.limit)));
  return text;
}

// The process did nothing wrong at any instruction: there was no more to be had.
std::string shortage_text(const FaultRecord& fault) {
  std::string text = fmt::format("vellum: {} (pid {}) killed: ", fault.command, fault.process);
  if (fault.verdict == kTooManyProcesses) {
    text += "too many processes\n";
    add_line(text, "processes", fmt::format("{} were ended together, it and those that it started", fault.processes));
    add_sentences(text, "why", "they took more than half of all the processes that there can be");
    return text;
  }
  text += "out of memory\n";
  add_line(text, "held",
           fmt::format("{} of the {} that the machine has for programs and their page tables",
                       size_text(ByteCount(fault.resident)), size_text(ByteCount(fault.limit))));
  add_account(text, fault);
  add_sentences(text, "why",
                "all memory was in use, and this process held the most; --memory SIZE gives the machine more");
  add_line(text, "Linux logs", linux_log_line(fault));
  return text;
}

}  // namespace

std::string explain_fault(const nlohmann::ordered_json& json, const RunOptions& options) {
  const FaultRecord fault = read_fault(json);
  if (fault.verdict == kOverBudget) {
    return refusal_text(fault);
  }
  if (fault.verdict == kOutOfMemory || fault.verdict == kTooManyProcesses) {
    return shortage_text(fault);
  }
  UserInputs user;
  user.model = options.user;
  const auto map = AddressMap::create(KernelInputs::for_memory(Arch::amd64, options.memory), user);
  const auto instruction =
      fault.access == FaultAccess::execute ? std::nullopt : disassemble(fault.bytes, fault.instruction);

  std::string text = headline(fault);
  add_line(text, "access", access_line(fault, instruction));
  add_line(text, "code", code_line(fault, fault.instruction, fault.instruction, options.binds));
  if (instruction.has_value()) {
    add_line(text, "", instruction_line(fault, *instruction));
  }
  add_line(text, "called from", caller_line(fault, options.binds));
  if (map.has_value()) {
    add_sentences(text, "why", reason_of(fault, instruction, *map));
  }
  if (fault.address.has_value() && fault.access != FaultAccess::none) {
    const auto explanation = map.has_value() ? explain(*map, VirtAddr(*fault.address)) : std::nullopt;
    if (explanation.has_value()) {
      add_sentences(text, "layout", region_line(*explanation));
    }
    add_neighbours(text, fault.maps, *fault.address);
    add_line(text, "Linux logs", linux_log_line(fault));
    add_line(text, "more",
             fmt::format("vellum explain {:#x} --user {} --memory {}M", *fault.address, name_of(options.user),
                         options.memory.value() >> 20));
  } else {
    add_line(text, "Linux logs", linux_log_line(fault));
  }
  return text;
}

}  // namespace vellum::tool
