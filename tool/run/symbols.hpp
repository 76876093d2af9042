// Where in its source a program is: from the symbols and debug information of the files that it mapped.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "run/maps.hpp"
#include "run/options.hpp"

namespace vellum::tool {

struct CodePlace {
  std::string symbol;  // "main+0x16", or empty
  std::string line;    // "demo.c:5", or empty
};

// What is known of the code at an address: nothing where it lies in no file, or the file has no symbols.
[[nodiscard]] CodePlace find_code(const std::vector<Mapping>& maps, std::uint64_t address,
                                  const std::vector<Bind>& binds);

}  // namespace vellum::tool
