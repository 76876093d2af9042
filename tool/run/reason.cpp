#include "run/reason.hpp"

#include <fmt/core.h>

#include <vellum/layout/explain.hpp>

#include "print.hpp"

namespace vellum::tool {

namespace {

// An address this close to a mapping most likely belongs to an access that ran past its end or start.
constexpr std::uint64_t kNear = 64 * 1024;

std::string clue_of(const AddressMap& map, std::uint64_t address) {
  const auto explanation = explain(map, VirtAddr(address));
  if (!explanation.has_value() || explanation->clue == Clue::none || explanation->clue == Clue::on_stack) {
    return "";
  }
  std::string text = written([&](TextBuffer& out) { describe(out, map, *explanation); });
  if (text.ends_with('.')) {
    text.pop_back();
  }
  return text;
}

std::string name_of(const Mapping& mapping) {
  return mapping.name.empty() ? "a mapping of anonymous memory" : mapping.name;
}

std::string why_not_mapped(const FaultRecord& fault, std::uint64_t address, const AddressMap& map) {
  const std::string clue = clue_of(map, address);
  const LayoutRegion* const region = map.find(VirtAddr(address));
  if (region != nullptr && region->row->accessor == Accessor::kernel) {
    return "the address is the kernel's; for a program nothing is mapped there" + (clue.empty() ? "" : ". " + clue);
  }
  if (!clue.empty()) {
    const bool is_call = fault.access == FaultAccess::execute && address == 0;
    return is_call ? "a call through a null function pointer: nothing is mapped at 0"
                   : "nothing is mapped there. " + clue;
  }
  const Neighbours near = neighbours_of(fault.maps, address);
  if (near.below != nullptr && address - near.below->end < kNear) {
    const std::uint64_t distance = address - near.below->end;
    return fmt::format(
        "nothing is mapped there; it is {} the end of {}: most likely an index or a pointer that ran over its end",
        distance == 0 ? "directly past" : size_text(ByteCount(distance)) + " past", name_of(*near.below));
  }
  if (near.above != nullptr && near.above->start - address <= kNear) {
    const bool is_stack = near.above->name == "[stack]";
    return fmt::format(
        "nothing is mapped there; it is {} below {}{}", size_text(ByteCount(near.above->start - address)),
        name_of(*near.above),
        is_stack ? ", which may not grow further" : ": most likely an index or a pointer that ran below its start");
  }
  return "nothing is mapped there, nor near it: most likely a pointer that was never set or was overwritten, or whose "
         "memory "
         "was unmapped";
}

std::string why_denied(const FaultRecord& fault, std::uint64_t address, const AddressMap& map) {
  const Mapping* const mapping = neighbours_of(fault.maps, address).at;
  if (mapping == nullptr) {
    return why_not_mapped(fault, address, map);
  }
  const std::string_view rights = mapping->rights;
  if (rights.starts_with("---")) {
    return "it is mapped without any right: a guard, or memory that is reserved and not in use yet";
  }
  switch (fault.access) {
    case FaultAccess::write:
      return rights[2] == 'x'     ? "it is mapped to be executed, and never written: the program's text"
             : mapping->is_file() ? "it is mapped read-only: constants of the program, such as string literals, or a "
                                    "file opened for reading"
                                  : "it is mapped read-only";
    case FaultAccess::execute:
      return "it is data, and data is not executed: most likely a wild function pointer or an overwritten return "
             "address";
    case FaultAccess::read:
    case FaultAccess::none:
      break;
  }
  return fmt::format("it is mapped with the rights {}", rights.substr(0, 3));
}

bool is_canonical(std::uint64_t address) {
  const auto upper = static_cast<std::int64_t>(address) >> 47;
  return upper == 0 || upper == -1;
}

std::string why_not_canonical(const FaultRecord& fault, const std::optional<InstructionText>& instruction,
                              const AddressMap& map) {
  if (instruction.has_value()) {
    for (std::size_t i = 0; i < instruction->address_registers; ++i) {
      const auto value = fault.registers.find(instruction->registers[i]);
      if (value != fault.registers.end() && !is_canonical(value->second)) {
        return fmt::format("{}={:#x} is no address that the processor has, so it tells none. {}", value->first,
                           value->second, clue_of(map, value->second));
      }
    }
  }
  return "a general-protection fault: an address that the processor does not have, misaligned SSE data, or an "
         "instruction that "
         "only a kernel may use";
}

}  // namespace

std::string reason_of(const FaultRecord& fault, const std::optional<InstructionText>& instruction,
                      const AddressMap& map) {
  const std::string& verdict = fault.verdict;
  if (verdict == "no_mapping" && fault.address.has_value()) {
    return why_not_mapped(fault, *fault.address, map);
  }
  if (verdict == "access_denied" && fault.address.has_value()) {
    return why_denied(fault, *fault.address, map);
  }
  if (verdict == "bus_error") {
    return "the page lies past the end of the file that is mapped there: the file is shorter than its mapping, or was "
           "cut";
  }
  if (verdict == "non_canonical") {
    return why_not_canonical(fault, instruction, map);
  }
  if (verdict == "stack_segment") {
    return "the stack pointer, or an address made from it, is no address that the processor has";
  }
  if (verdict == "floating_point") {
    return "a floating-point operation met what the program had asked to be told of (feenableexcept)";
  }
  if (verdict == "alignment") {
    return "the address is not a multiple of the operand's size, and the program had alignment checked (the AC flag)";
  }
  if (verdict == "breakpoint") {
    return "the instruction before is a breakpoint (int3), and no debugger waits for it";
  }
  if (verdict == "divide") {
    return "an integer was divided by zero, or the quotient does not fit its register";
  }
  if (verdict == "illegal") {
    return instruction.has_value()
               ? "the processor does not have this instruction, or it may not be used here (ud2 is where a "
                 "compiler puts what must not be reached)"
               : "the bytes there are no instruction: most likely a jump to what is not code";
  }
  return "";
}

}  // namespace vellum::tool
