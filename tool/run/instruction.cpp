#include "run/instruction.hpp"

#include <algorithm>
#include <charconv>

#include <Zydis/Zydis.h>

namespace vellum::tool {

namespace {

std::vector<std::uint8_t> bytes_in(std::string_view text) {
  std::vector<std::uint8_t> bytes;
  for (std::size_t i = 0; i + 1 < text.size();) {
    if (text[i] == ' ') {
      ++i;
      continue;
    }
    std::uint8_t byte = 0;
    if (std::from_chars(text.data() + i, text.data() + i + 2, byte, 16).ptr != text.data() + i + 2) {
      break;
    }
    bytes.push_back(byte);
    i += 2;
  }
  return bytes;
}

// The whole register of which this is a part, once.
void add_register(std::vector<std::string>& names, ZydisRegister part) {
  const ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, part);
  if (ZydisRegisterGetClass(whole) != ZYDIS_REGCLASS_GPR64) {
    return;
  }
  const std::string name = ZydisRegisterGetString(whole);
  if (std::ranges::find(names, name) == names.end()) {
    names.push_back(name);
  }
}

}  // namespace

std::optional<InstructionText> disassemble(std::string_view text, std::uint64_t address) {
  const std::vector<std::uint8_t> bytes = bytes_in(text);
  ZydisDecoder decoder;
  ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  ZydisDecodedInstruction instruction;
  ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
  if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes.data(), bytes.size(), &instruction, operands))) {
    return std::nullopt;
  }
  ZydisFormatter formatter;
  ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_ATT);
  char buffer[256];
  if (!ZYAN_SUCCESS(ZydisFormatterFormatInstruction(&formatter, &instruction, operands,
                                                    instruction.operand_count_visible, buffer, sizeof(buffer), address,
                                                    nullptr))) {
    return std::nullopt;
  }
  InstructionText result{.text = buffer, .length = instruction.length};
  for (std::size_t i = 0; i < instruction.operand_count; ++i) {
    const ZydisDecodedOperand& operand = operands[i];
    if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY && operand.mem.type != ZYDIS_MEMOP_TYPE_AGEN) {
      result.access_size = std::max(result.access_size, operand.size / 8U);
      add_register(result.registers, operand.mem.base);
      add_register(result.registers, operand.mem.index);
    }
  }
  result.address_registers = result.registers.size();
  for (std::size_t i = 0; i < instruction.operand_count_visible; ++i) {
    if (operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
        (operands[i].actions & ZYDIS_OPERAND_ACTION_MASK_READ) != 0) {
      add_register(result.registers, operands[i].reg.value);
    }
  }
  return result;
}

}  // namespace vellum::tool
