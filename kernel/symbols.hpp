// The names of the kernel's functions, for reports. The build puts them into the linked image (symbols.py); where it
// did not, nothing has a name.
#pragma once

#include <cstdint>
#include <optional>

#include <vellum/base/types.hpp>

namespace vellum::kernel {

struct SymbolPlace {
  const char* name;
  std::uint64_t offset;  // from where it begins
};

// The function that an address in the kernel's text lies in. Needs no memory, and touches only the image's constants.
[[nodiscard]] std::optional<SymbolPlace> find_symbol(VirtAddr address);

}  // namespace vellum::kernel
