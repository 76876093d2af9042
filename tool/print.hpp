// Regions and their parts as strings and as JSON.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include <vellum/layout/text.hpp>

namespace vellum::tool {

// What `write(TextBuffer&)` writes.
template <class Writer>
[[nodiscard]] std::string written(Writer write) {
  char buffer[512];
  TextBuffer out(buffer);
  write(out);
  return out.c_str();
}

[[nodiscard]] std::string size_text(ByteCount size);
[[nodiscard]] std::string address_text(VirtAddr address, Arch arch);
// For JSON: "0xfffffffffbc00000", without separators.
[[nodiscard]] std::string hex_text(std::uint64_t value);
[[nodiscard]] std::string rights_text(Prot rights);  // "rw-"
// Who may use it and how: "kernel rw-", "user, as mapped", "nobody".
[[nodiscard]] std::string access_text(const RegionRow& row);
[[nodiscard]] std::string page_sizes_text(PageSizes sizes);  // "4 KiB, 2 MiB", or "" for none

// Everything that the table says of a region.
[[nodiscard]] nlohmann::ordered_json region_json(const LayoutRegion& region, const AddressMap& map);

}  // namespace vellum::tool
