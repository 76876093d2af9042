// Why an access could not be: what the address, its neighbours and the registers give away.
#pragma once

#include <optional>
#include <string>

#include <vellum/layout/address_map.hpp>

#include "run/fault_record.hpp"
#include "run/instruction.hpp"

namespace vellum::tool {

// One or two sentences without a full stop at the end; empty where nothing is to be said.
[[nodiscard]] std::string reason_of(const FaultRecord& fault, const std::optional<InstructionText>& instruction,
                                    const AddressMap& map);

}  // namespace vellum::tool
