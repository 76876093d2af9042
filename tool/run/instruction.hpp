// The instruction at which a program stopped.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vellum::tool {

struct InstructionText {
  std::string text;                         // "mov %rax, (%rdi)"
  unsigned length = 0;                      // bytes
  unsigned access_size = 0;                 // bytes of its operand in memory; 0 if it has none
  std::vector<std::string> registers = {};  // that it reads, as "rdi": first those of its address
  // Those from which the address of its memory operand is made.
  std::size_t address_registers = 0;
};

// From its bytes as hexadecimal text ("48 89 07"), of which there may be more than one instruction. Nothing if they are
// no instruction.
[[nodiscard]] std::optional<InstructionText> disassemble(std::string_view bytes, std::uint64_t address);

}  // namespace vellum::tool
