#include "print.hpp"

#include <fmt/format.h>

namespace vellum::tool {

namespace {

std::vector<std::string> page_size_names(PageSizes sizes) {
  std::vector<std::string> names;
  if (sizes.has_4k()) {
    names.emplace_back("4 KiB");
  }
  if (sizes.has_2m()) {
    names.emplace_back("2 MiB");
  }
  if (sizes.has_1g()) {
    names.emplace_back("1 GiB");
  }
  return names;
}

nlohmann::ordered_json row_json(const RegionRow& row) {
  return {{"name", row.name},
          {"symbol", row.symbol},
          {"placement", name_of(row.placement)},
          {"grows", name_of(row.growth)},
          {"access", name_of(row.accessor)},
          {"rights", rights_text(row.rights)},
          {"page_sizes", page_size_names(row.page_sizes)},
          {"stray_access", name_of(row.stray)},
          {"purpose", row.purpose}};
}

}  // namespace

std::string size_text(ByteCount size) {
  return written([size](TextBuffer& out) { out.size(size); });
}

std::string address_text(VirtAddr address, Arch arch) {
  return written([address, arch](TextBuffer& out) { out.address(address, arch); });
}

std::string hex_text(std::uint64_t value) { return fmt::format("{:#x}", value); }

std::string rights_text(Prot rights) {
  return {rights.can_read() ? 'r' : '-', rights.can_write() ? 'w' : '-', rights.can_execute() ? 'x' : '-'};
}

std::string access_text(const RegionRow& row) {
  if (row.accessor == Accessor::nobody) {
    return "nobody";
  }
  return row.stray == StrayAccess::user_mapping ? "user, as mapped"
                                                : fmt::format("{} {}", name_of(row.accessor), rights_text(row.rights));
}

std::string page_sizes_text(PageSizes sizes) { return fmt::format("{}", fmt::join(page_size_names(sizes), ", ")); }

nlohmann::ordered_json region_json(const LayoutRegion& region, const AddressMap& map) {
  const bool ends_at_the_top = region.range.end() == VirtAddr(0);
  nlohmann::ordered_json json = row_json(*region.row);
  json["start"] = hex_text(region.range.start().value());
  json["end"] = ends_at_the_top ? "0x10000000000000000" : hex_text(region.range.end().value());
  json["size"] = region.range.size().value();
  for (const RegionRow& part : region.parts) {
    nlohmann::ordered_json part_json = row_json(part);
    if (part.placement != RegionPlacement::by_program) {
      part_json["anchor"] = hex_text(part.start.in(map.landmarks()).value());
    }
    json["parts"].push_back(part_json);
  }
  return json;
}

}  // namespace vellum::tool
