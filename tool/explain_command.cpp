// `vellum explain`: what lies at an address, and what an access to it would mean.
#include <fmt/core.h>

#include <vellum/layout/explain.hpp>

#include "machine_options.hpp"
#include "parse.hpp"
#include "print.hpp"

namespace vellum::tool {
namespace {

constexpr const char* kSchema = "vellum.explain/1";
constexpr const char* kExamples =
    "Examples:\n"
    "  vellum explain 0x2a                            a null pointer and an offset\n"
    "  vellum explain FFFFFC7F.FF5FFF00               just under the stack\n"
    "  vellum explain FFFFFFFF_FB800000 --json        the kernel's text, for a script\n"
    "  vellum explain 0xC3002000 --arch i386 --memory 1G\n"
    "\n"
    "An address is hexadecimal: 0x2a, FFFFFFFF.FBC00000 or FFFFFFFF_FBC00000.\n"
    "Exit status: 0, or 1 when the processor has no such address or there is no sound layout.";

struct AccessName {
  Access access;
  const char* name;
};

constexpr AccessName kAccesses[] = {{Access::read, "read"}, {Access::write, "write"}, {Access::execute, "execute"}};

std::string clue_text(const AddressMap& map, const Explanation& explanation) {
  return written([&](TextBuffer& out) { describe(out, map, explanation); });
}

void print_field(const char* name, const std::string& value) { fmt::print("{:<10}{}\n", name, value); }

// Accesses with the same outcome share a line.
void print_outcomes(const char* who, const LayoutRegion& region, Privilege privilege) {
  for (std::size_t i = 0; i < std::size(kAccesses);) {
    const Outcome outcome = outcome_of(region, privilege, kAccesses[i].access);
    std::string names = kAccesses[i].name;
    const bool is_first = i == 0;
    for (++i; i < std::size(kAccesses) && outcome_of(region, privilege, kAccesses[i].access) == outcome; ++i) {
      names += fmt::format(", {}", kAccesses[i].name);
    }
    print_field(is_first ? who : "", fmt::format("{}: {}", names, describe(outcome)));
  }
}

std::string distance_text(ByteCount distance, const char* direction) {
  if (distance.is_zero()) {
    return fmt::format("directly {}", direction);
  }
  const std::string exact = distance < ByteCount(1024) ? "" : fmt::format(" ({:#x})", distance.value());
  return fmt::format("{}{} {}", size_text(distance), exact, direction);
}

std::string above_text(const Explanation& explanation, Arch arch) {
  if (explanation.above == nullptr) {
    return "nothing: the top of the address space";
  }
  return fmt::format("{}, from {}, {}", explanation.above->row->name,
                     address_text(explanation.above->range.start(), arch),
                     distance_text(explanation.to_above, "above"));
}

std::string below_text(const Explanation& explanation, Arch arch) {
  if (explanation.below == nullptr) {
    return "nothing: the bottom of the address space";
  }
  return fmt::format("{}, up to {}, {}", explanation.below->row->name,
                     address_text(explanation.below->range.last(), arch), distance_text(explanation.to_below, "below"));
}

void print_text(const AddressMap& map, const Explanation& explanation) {
  const Arch arch = map.arch();
  const LayoutRegion& region = *explanation.region;
  const RegionRow& row = *region.row;
  const std::string symbol = row.symbol[0] == '\0' ? "" : fmt::format(" ({})", row.symbol);
  print_field("address", fmt::format("{}   {} into the region", address_text(explanation.address, arch),
                                     hex_text((explanation.address - region.range.start()).value())));
  print_field("region", row.name + symbol);
  print_field(
      "", fmt::format("{} - {}, {}, {}", address_text(region.range.start(), arch),
                      address_text(region.range.last(), arch), size_text(region.range.size()), name_of(row.placement)));
  print_field("", row.purpose);
  print_field("access", row.accessor == Accessor::nobody
                            ? "nobody"
                            : fmt::format("{}; pages of {}", access_text(row), page_sizes_text(row.page_sizes)));
  for (const RegionRow& part : region.parts) {
    const std::string anchor = part.placement == RegionPlacement::by_program
                                   ? ""
                                   : fmt::format(" from {}", address_text(part.start.in(map.landmarks()), arch));
    print_field("in it", fmt::format("{}{}: {}", part.name, anchor, part.purpose));
  }
  if (explanation.clue != Clue::none) {
    print_field("meaning", clue_text(map, explanation));
  }
  print_outcomes("program", region, Privilege::user);
  print_outcomes("kernel", region, Privilege::kernel);
  print_field("above", above_text(explanation, arch));
  print_field("below", below_text(explanation, arch));
}

nlohmann::ordered_json outcomes_json(const LayoutRegion& region, Privilege privilege) {
  nlohmann::ordered_json json;
  for (const auto& [access, name] : kAccesses) {
    const Outcome outcome = outcome_of(region, privilege, access);
    json[name] = {{"outcome", name_of(outcome)}, {"text", describe(outcome)}};
  }
  return json;
}

nlohmann::ordered_json neighbour_json(const LayoutRegion* neighbour, ByteCount distance, const AddressMap& map) {
  if (neighbour == nullptr) {
    return nullptr;
  }
  nlohmann::ordered_json json = region_json(*neighbour, map);
  json["distance"] = distance.value();
  return json;
}

nlohmann::ordered_json heading_json(const AddressMap& map, VirtAddr address) {
  return {{"schema", kSchema},
          {"arch", name_of(map.arch())},
          {"user", name_of(map.model())},
          {"memory", map.physical_top().value()},
          {"address", hex_text(address.value())}};
}

void print_json(const AddressMap& map, const Explanation& explanation) {
  const LayoutRegion& region = *explanation.region;
  nlohmann::ordered_json document = heading_json(map, explanation.address);
  document["region"] = region_json(region, map);
  document["offset"] = (explanation.address - region.range.start()).value();
  document["clue"] = {{"kind", name_of(explanation.clue)},
                      {"value", hex_text(explanation.clue_value)},
                      {"text", clue_text(map, explanation)}};
  document["user_access"] = outcomes_json(region, Privilege::user);
  document["kernel_access"] = outcomes_json(region, Privilege::kernel);
  document["above"] = neighbour_json(explanation.above, explanation.to_above, map);
  document["below"] = neighbour_json(explanation.below, explanation.to_below, map);
  fmt::print("{}\n", document.dump(2));
}

ExitStatus print_explanation(const MachineOptions& options, VirtAddr address) {
  const auto map = make_map(options, kSchema);
  if (!map.has_value()) {
    return ExitStatus::no_answer;
  }
  const auto explanation = explain(*map, address);
  if (!explanation.has_value()) {
    fmt::print(stderr, "vellum: {:#x} is above the 4 GiB that an i386 processor can address\n", address.value());
    if (options.format == OutputFormat::json) {
      nlohmann::ordered_json document = heading_json(*map, address);
      document["region"] = nullptr;
      fmt::print("{}\n", document.dump(2));
    }
    return ExitStatus::no_answer;
  }
  options.format == OutputFormat::json ? print_json(*map, *explanation) : print_text(*map, *explanation);
  return ExitStatus::ok;
}

}  // namespace

void add_explain_command(CLI::App& app, ExitStatus& status) {
  CLI::App* const command =
      app.add_subcommand("explain", "Say what lies at an address, and what an access to it would mean");
  const auto options = std::make_shared<MachineOptions>();
  const auto address = std::make_shared<VirtAddr>();
  command
      ->add_option_function<std::string>(
          "ADDRESS",
          [address](const std::string& text) {
            const auto parsed = parse_address(text);
            if (!parsed.has_value()) {
              throw CLI::ValidationError(
                  "ADDRESS",
                  fmt::format("'{}' is no address; write 0x2a, FFFFFFFF.FBC00000 or FFFFFFFF_FBC00000", text));
            }
            *address = *parsed;
          },
          "The address, hexadecimal")
      ->type_name("")
      ->required();
  add_machine_options(*command, *options);
  command->footer(kExamples);
  command->callback([options, address, &status] { status = print_explanation(*options, *address); });
}

}  // namespace vellum::tool
