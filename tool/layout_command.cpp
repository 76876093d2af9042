// `vellum layout`: the map of a machine, as a picture, a table or JSON.
#include <cstdio>

#include <fmt/core.h>

#include "inspect/select.hpp"
#include "machine_options.hpp"
#include "print.hpp"

namespace vellum::tool {
namespace {

constexpr const char* kSchema = "vellum.layout/1";
constexpr const char* kLiveSchema = "vellum.layout_live/1";
constexpr const char* kExamples =
    "Examples:\n"
    "  vellum layout                       the 64-bit kernel with 4 GiB of memory\n"
    "  vellum layout --memory 512G         above 256 GiB the bases move down\n"
    "  vellum layout --arch i386           the 32-bit kernel\n"
    "  vellum layout --user linux          a program with all its addresses below 2^47\n"
    "  vellum layout --user i386           a 32-bit program on the 64-bit kernel\n"
    "  vellum layout --json | jq -r '.regions[] | .start + \" \" + .name'\n"
    "  vellum layout --live                the kernel of the program that runs now\n"
    "\n"
    "In the picture the address at a line is where the region above the line begins; v and ^ say\n"
    "which way a region fills. Rights are the most that any page there has.\n"
    "Exit status: 0, or 1 when there is no sound layout for that much memory.";
constexpr std::size_t kBoxWidth = 30;

struct LayoutOptions {
  MachineOptions machine;
  RunSelection selection;
  bool is_live = false;
};

class Picture {
 public:
  explicit Picture(const AddressMap& map) : map_(map), address_width_(address_text(VirtAddr(0), map.arch()).size()) {}

  void print() const {
    fmt::print("{} kernel, {} of memory, user half: {}\n\n", name_of(map_.arch()), size_text(map_.physical_top()),
               name_of(map_.model()));
    border(std::string(address_width_, ' '), '+', "");
    for (const LayoutRegion& region : map_.regions()) {
      print_region(region);
    }
  }

 private:
  void print_region(const LayoutRegion& region) const {
    const RegionRow& row = *region.row;
    const bool is_used = row.accessor != Accessor::nobody;
    const std::string who = is_used ? "  " + access_text(row) : "";
    line(row.name, row.growth, fmt::format("{:>9}{}", size_text(region.range.size()), who), is_used ? '|' : ':');
    for (const RegionRow& part : region.parts) {
      line(fmt::format("  {}", part.name), part.growth, "", '|');
    }
    const bool is_lowest = region.range.start() == VirtAddr(0);
    border(address_text(region.range.start(), map_.arch()), is_lowest ? '+' : '|', label(row));
  }

  static std::string label(const RegionRow& row) {
    const std::string symbol = row.symbol;
    switch (row.placement) {
      case RegionPlacement::floating:
        return symbol.empty() ? "(floats)" : symbol + " (floats)";
      case RegionPlacement::fixed_or_lower:
        return symbol.empty() ? "" : symbol + " (lower above 256 GB)";
      default:
        return symbol;
    }
  }

  void line(std::string_view name, Growth growth, const std::string& right, char side) const {
    const char arrow = growth == Growth::up ? '^' : growth == Growth::down ? 'v' : ' ';
    fmt::print("{:{}}  {} {:<{}}{} {}{}{}\n", "", address_width_, side, name, kBoxWidth - 4, arrow, side,
               right.empty() ? "" : "  ", right);
  }

  static void border(const std::string& address, char corner, const std::string& right) {
    fmt::print("{}  {}{:-<{}}{}{}{}\n", address, corner, "", kBoxWidth - 1, corner, right.empty() ? "" : " ", right);
  }

  const AddressMap& map_;
  std::size_t address_width_;
};

void print_markdown_row(const RegionRow& row, const std::string& from, const std::string& size) {
  const std::string symbol = row.symbol[0] == '\0' ? "" : fmt::format(" (`{}`)", row.symbol);
  const std::string grows = row.growth == Growth::none ? "" : fmt::format(", grows {}", name_of(row.growth));
  fmt::print("| {} | {}{}{} | {} | {} | {} | {} | {} | {} |\n", from, row.name, symbol, grows, size,
             name_of(row.placement), access_text(row), page_sizes_text(row.page_sizes), describe(row.stray),
             row.purpose);
}

void print_markdown(const AddressMap& map) {
  fmt::print("| from | region | size | place | access | pages | a stray access | what it is for |\n");
  fmt::print("|---|---|---|---|---|---|---|---|\n");
  for (const LayoutRegion& region : map.regions()) {
    print_markdown_row(*region.row, fmt::format("`{}`", address_text(region.range.start(), map.arch())),
                       size_text(region.range.size()));
    for (const RegionRow& part : region.parts) {
      const bool has_anchor = part.placement != RegionPlacement::by_program;
      print_markdown_row(
          part,
          has_anchor ? fmt::format("in it, `{}`", address_text(part.start.in(map.landmarks()), map.arch())) : "in it",
          "");
    }
  }
}

void print_json(const AddressMap& map) {
  nlohmann::ordered_json document = {{"schema", kSchema},
                                     {"arch", name_of(map.arch())},
                                     {"user", name_of(map.model())},
                                     {"memory", map.physical_top().value()},
                                     {"regions", nlohmann::ordered_json::array()}};
  for (const LayoutRegion& region : map.regions()) {
    document["regions"].push_back(region_json(region, map));
  }
  fmt::print("{}\n", document.dump(2));
}

ExitStatus print_layout(const MachineOptions& options) {
  const auto map = make_map(options, kSchema);
  if (!map.has_value()) {
    return ExitStatus::no_answer;
  }
  switch (options.format) {
    case OutputFormat::text:
      Picture(*map).print();
      break;
    case OutputFormat::json:
      print_json(*map);
      break;
    case OutputFormat::markdown:
      print_markdown(*map);
      break;
  }
  return ExitStatus::ok;
}

// --- Of a running kernel: how much of each row is mapped

std::string pages_text(const Json& row) {
  std::string text;
  for (const auto& [size, count] : row.value("pages", Json::object()).items()) {
    if (count != 0) {
      text += fmt::format("{}{} x {}", text.empty() ? "" : ", ", count.dump(), size);
    }
  }
  return text;
}

void print_live_row(const LayoutRegion& region, const Json& row) {
  const std::string symbol = region.row->symbol[0] == '\0' ? "" : fmt::format(" ({})", region.row->symbol);
  const std::uint64_t mapped = row.value("mapped", std::uint64_t{0});
  const std::string rights =
      mapped == 0 ? "" : fmt::format("{} {}", row.value("user", false) ? "user" : "kernel", row.value("rights", ""));
  fmt::print("{}  {:>10}  {:>10}  {:<10}  {:<22}  {}{}\n", address_text(region.range.start(), Arch::amd64),
             size_text(region.range.size()), mapped == 0 ? "-" : size_text(ByteCount(mapped)), rights, pages_text(row),
             region.row->name, symbol);
}

ExitStatus print_live_layout(const LayoutOptions& options) {
  const auto answer = ask_run(options.selection, options.selection.question("layout"));
  if (!answer.has_value()) {
    return ExitStatus::no_answer;
  }
  const auto map = map_of(*answer);
  const Json rows = answer->value("rows", Json::array());
  if (!map.has_value() || rows.size() != map->regions().size()) {
    return map.has_value() ? complain("the kernel's layout has other rows than this command's") : ExitStatus::no_answer;
  }
  const bool is_json = options.machine.format == OutputFormat::json;
  Json document = {{"schema", kLiveSchema},
                   {"process", answer->value("process", 0)},
                   {"name", answer->value("name", std::string())},
                   {"memory", map->physical_top().value()},
                   {"regions", Json::array()}};
  if (!is_json) {
    fmt::print("{} of memory, seen with the tables of {}\n\n", size_text(map->physical_top()),
               answer->value("process", 0) == 0
                   ? "the kernel alone"
                   : fmt::format("{} (pid {})", answer->value("name", std::string()), answer->value("process", 0)));
    fmt::print("{:<19}  {:>10}  {:>10}  {:<10}  {:<22}  {}\n", "from", "size", "mapped", "rights", "pages", "row");
  }
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const LayoutRegion& region = map->regions()[i];
    if (rows[i].value("name", std::string()) != region.row->name ||
        rows[i].value("start", std::string()) != hex_text(region.range.start().value())) {
      return complain(fmt::format("the kernel has '{}' where this command's layout has '{}'",
                                  rows[i].value("name", std::string()), region.row->name));
    }
    if (is_json) {
      Json row = region_json(region, *map);
      row["mapped"] = rows[i].value("mapped", std::uint64_t{0});
      row["mapped_pages"] = rows[i].value("pages", Json::object());
      row["mapped_rights"] = rows[i].value("rights", std::string());
      document["regions"].push_back(std::move(row));
    } else {
      print_live_row(region, rows[i]);
    }
  }
  if (is_json) {
    fmt::print("{}\n", document.dump(2));
  }
  return ExitStatus::ok;
}

}  // namespace

void add_layout_command(CLI::App& app, ExitStatus& status) {
  CLI::App* const command =
      app.add_subcommand("layout", "Draw the map of an address space, from high to low addresses");
  const auto options = std::make_shared<LayoutOptions>();
  add_machine_options(*command, options->machine);
  command
      ->add_flag_callback(
          "--markdown", [options] { options->machine.format = OutputFormat::markdown; },
          "Print the table with all its columns")
      ->excludes("--json");
  CLI::Option* const live =
      command->add_flag("--live", options->is_live, "The rows of a running kernel, and how much is mapped in each");
  add_run_option(*command, options->selection);
  add_process_option(*command, options->selection);
  for (const char* const fixed : {"--arch", "--memory", "--user", "--markdown"}) {
    live->excludes(fixed);
  }
  for (const char* const option : {"--run", "--process"}) {
    command->get_option(option)->needs(live);
  }
  command->footer(kExamples);
  command->callback(
      [options, &status] { status = options->is_live ? print_live_layout(*options) : print_layout(options->machine); });
}

}  // namespace vellum::tool
