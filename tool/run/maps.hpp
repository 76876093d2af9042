// The text of /proc/PID/maps, read back.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace vellum::tool {

struct Mapping {
  std::uint64_t start;
  std::uint64_t end;     // one past the last byte
  std::string rights;    // "rw-p"
  std::uint64_t offset;  // in the file
  std::string name;      // path, [heap], [stack]..., or empty for memory without a name

  [[nodiscard]] bool contains(std::uint64_t address) const { return start <= address && address < end; }
  [[nodiscard]] bool is_file() const { return name.starts_with('/'); }
};

// Lines that are none are left out. In ascending order, as they stand.
[[nodiscard]] std::vector<Mapping> parse_maps(std::string_view text);

// A place among mappings: each is nullptr where there is none.
struct Neighbours {
  const Mapping* at;
  const Mapping* below;
  const Mapping* above;
};

[[nodiscard]] Neighbours neighbours_of(const std::vector<Mapping>& maps, std::uint64_t address);

// "0x400000-0x401000 r--p /bin/true" or, of nameless memory, "... anonymous memory".
[[nodiscard]] std::string mapping_text(const Mapping& mapping);

}  // namespace vellum::tool
