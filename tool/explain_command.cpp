// `vellum explain`: what lies at an address, and what an access to it would mean.
#include <fmt/core.h>

#include <vellum/layout/explain.hpp>

#include "inspect/live_view.hpp"
#include "inspect/select.hpp"
#include "machine_options.hpp"
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
    "  vellum explain --live 0x400000                 in the program that runs now\n"
    "  vellum explain --run test --process 7 0x400000\n"
    "\n"
    "An address is hexadecimal: 0x2a, FFFFFFFF.FBC00000 or FFFFFFFF_FBC00000.\n"
    "Exit status: 0, or 1 when the processor has no such address or there is no sound layout.";

struct ExplainOptions {
  MachineOptions machine;
  RunSelection selection;
  std::vector<VirtAddr> addresses;
  bool is_live = false;
};

struct AccessName {
  Access access;
  const char* name;
};

constexpr AccessName kAccesses[] = {{Access::read, "read"}, {Access::write, "write"}, {Access::execute, "execute"}};

std::string clue_text(const AddressMap& map, const Explanation& explanation) {
  return written([&](TextBuffer& out) { describe(out, map, explanation); });
}

void print_field(const char* name, const std::string& value) { fmt::print("{:<10}{}\n", name, value); }

// What an access leads to: by the layout alone or, with a view of a running kernel, by what is there now.
std::string outcome_text(const LayoutRegion& region, const LiveView* view, Privilege privilege, Access access) {
  return view != nullptr ? live_outcome(*view, region, privilege, access)
                         : describe(outcome_of(region, privilege, access));
}

// Accesses with the same outcome share a line.
void print_outcomes(const char* who, const LayoutRegion& region, const LiveView* view, Privilege privilege) {
  std::string texts[std::size(kAccesses)];
  for (std::size_t i = 0; i < std::size(kAccesses); ++i) {
    texts[i] = outcome_text(region, view, privilege, kAccesses[i].access);
  }
  for (std::size_t i = 0; i < std::size(kAccesses);) {
    std::string names = kAccesses[i].name;
    const std::size_t first = i;
    for (++i; i < std::size(kAccesses) && texts[i] == texts[first]; ++i) {
      names += fmt::format(", {}", kAccesses[i].name);
    }
    print_field(first == 0 ? who : "", fmt::format("{}: {}", names, texts[first]));
  }
}

std::string distance_text(ByteCount distance, const char* direction) {
  if (distance.is_zero()) {
    return fmt::format("directly {}", direction);
  }
  const std::string exact = distance < ByteCount(1024) ? "" : fmt::format(" ({:#x})", distance.value());
  return fmt::format("{}{} {}", size_text(distance), exact, direction);
}

void print_live(const LiveView& view, const LayoutRegion& region) {
  const std::uint64_t address = view.path.address.value();
  const Neighbours near = view.neighbours();
  print_field("process", view.path.process == 0
                             ? "none: the kernel's own tables"
                             : fmt::format("{} (pid {})", view.path.process_name, view.path.process));
  print_field("tables", path_summary(view.path));
  if (view.path.process == 0 || region.row->accessor == Accessor::kernel) {
    return;
  }
  print_field("mapping", near.at != nullptr ? mapping_text(*near.at) : "none");
  if (near.above != nullptr) {
    print_field("", fmt::format("{}: {}", distance_text(ByteCount(near.above->start - address), "above"),
                                mapping_text(*near.above)));
  }
  if (near.below != nullptr) {
    print_field("", fmt::format("{}: {}", distance_text(ByteCount(address - near.below->end), "below"),
                                mapping_text(*near.below)));
  }
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

void print_text(const AddressMap& map, const Explanation& explanation, const LiveView* view) {
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
  if (view != nullptr) {
    print_live(*view, region);
  }
  print_outcomes("program", region, view, Privilege::user);
  print_outcomes("kernel", region, view, Privilege::kernel);
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

nlohmann::ordered_json live_json(const LiveView& view, const LayoutRegion& region) {
  const Neighbours near = view.neighbours();
  const auto text = [](const Mapping* mapping) {
    return mapping == nullptr ? nlohmann::ordered_json() : nlohmann::ordered_json(mapping_text(*mapping));
  };
  nlohmann::ordered_json json = {{"process", view.path.process},      {"name", view.path.process_name},
                                 {"mapping", text(near.at)},          {"mapping_above", text(near.above)},
                                 {"mapping_below", text(near.below)}, {"tables", path_summary(view.path)}};
  for (const auto& [access, name] : kAccesses) {
    json["user_access"][name] = live_outcome(view, region, Privilege::user, access);
    json["kernel_access"][name] = live_outcome(view, region, Privilege::kernel, access);
  }
  return json;
}

void print_json(const AddressMap& map, const Explanation& explanation, const LiveView* view) {
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
  if (view != nullptr) {
    document["live"] = live_json(*view, region);
  }
  fmt::print("{}\n", document.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

// What a run says of addresses: by the map by which its kernel is laid out, and what is there.
ExitStatus print_live_explanations(const ExplainOptions& options) {
  auto run = RunClient::find(options.selection.run);
  if (!run.has_value()) {
    return complain(run.error());
  }
  std::vector<Mapping> maps;
  if (options.selection.process != 0) {
    const auto text = run->ask(options.selection.question("maps"));
    if (!text.has_value() || !text->is_string()) {
      return complain(text.has_value() ? "the kernel tells no mappings" : text.error());
    }
    maps = parse_maps(text->get<std::string>());
  }
  for (const auto& answer : run->ask_all(walk_questions(options.selection, options.addresses))) {
    const auto path = answer.has_value() ? parse_path(*answer) : std::unexpected(answer.error());
    if (!path.has_value()) {
      return complain(path.error());
    }
    const auto map = map_of(*answer);
    if (!map.has_value()) {
      return ExitStatus::no_answer;
    }
    const auto explanation = explain(*map, path->address);
    const LiveView view{.path = *path, .maps = maps};
    options.machine.format == OutputFormat::json ? print_json(*map, *explanation, &view)
                                                 : print_text(*map, *explanation, &view);
  }
  return ExitStatus::ok;
}

ExitStatus print_explanation(const MachineOptions& options, const AddressMap& map, VirtAddr address) {
  const auto explanation = explain(map, address);
  if (!explanation.has_value()) {
    fmt::print(stderr, "vellum: {:#x} is above the 4 GiB that an i386 processor can address\n", address.value());
    if (options.format == OutputFormat::json) {
      nlohmann::ordered_json document = heading_json(map, address);
      document["region"] = nullptr;
      fmt::print("{}\n", document.dump(2));
    }
    return ExitStatus::no_answer;
  }
  options.format == OutputFormat::json ? print_json(map, *explanation, nullptr)
                                       : print_text(map, *explanation, nullptr);
  return ExitStatus::ok;
}

ExitStatus print_explanations(const ExplainOptions& options) {
  if (options.is_live || options.selection.is_given()) {
    return print_live_explanations(options);
  }
  const auto map = make_map(options.machine, kSchema);
  ExitStatus status = map.has_value() ? ExitStatus::ok : ExitStatus::no_answer;
  for (std::size_t i = 0; map.has_value() && i < options.addresses.size(); ++i) {
    if (print_explanation(options.machine, *map, options.addresses[i]) != ExitStatus::ok) {
      status = ExitStatus::no_answer;
    }
  }
  return status;
}

}  // namespace

void add_explain_command(CLI::App& app, ExitStatus& status) {
  CLI::App* const command =
      app.add_subcommand("explain", "Say what lies at an address, and what an access to it would mean");
  const auto options = std::make_shared<ExplainOptions>();
  add_address_option(*command, options->addresses);
  add_machine_options(*command, options->machine);
  CLI::Option* const live = command->add_flag("--live", options->is_live, "Also look at what is there in a run");
  add_run_option(*command, options->selection);
  add_process_option(*command, options->selection);
  for (const char* const fixed : {"--arch", "--memory", "--user"}) {
    for (CLI::Option* const option : {live, command->get_option("--run"), command->get_option("--process")}) {
      option->excludes(fixed);
    }
  }
  command->footer(kExamples);
  command->callback([options, &status] { status = print_explanations(*options); });
}

}  // namespace vellum::tool
