#include "inspect/table_path.hpp"

#include <cstdlib>

#include <fmt/core.h>

#include "print.hpp"

namespace vellum::tool {

namespace {

std::uint64_t hex_in(const Json& json, const char* name) {
  const std::string text = json.value(name, std::string("0x0"));
  return std::strtoull(text.c_str(), nullptr, 16);
}

StepMeaning parse_meaning(const Json& json) {
  StepMeaning meaning{.start = VirtAddr(hex_in(json, "start")),
                      .size = ByteCount(json.value("size", std::uint64_t{0})),
                      .rights = json.value("rights", std::string("---")),
                      .maximum = json.value("maximum", std::string("---")),
                      .is_shared = json.value("shared", false),
                      .backing = json.value("backing", std::string()),
                      .offset = {}};
  if (json.contains("offset")) {
    meaning.offset = json.value("offset", std::uint64_t{0});
  }
  return meaning;
}

PathEntry parse_entry(const Json& json) {
  PathEntry entry{.level = json.value("level", 0U),
                  .table = PhysAddr(hex_in(json, "table")),
                  .index = json.value("index", 0U),
                  .entry = {hex_in(json, "entry")},
                  .paths = json.value("paths", std::uint64_t{1}),
                  .of_object = json.value("of_object", false),
                  .meaning = {}};
  if (json.contains("meaning")) {
    entry.meaning = parse_meaning(json.at("meaning"));
  }
  return entry;
}

}  // namespace

bool TablePath::is_mapped() const {
  if (entries.empty() || entries.back().state() != EntryState::page) {
    return false;
  }
  for (const PathEntry& entry : entries) {
    if (!entry.is_present()) {
      return false;
    }
  }
  return true;
}

std::optional<EntryRights> TablePath::rights() const {
  if (!is_mapped()) {
    return std::nullopt;
  }
  EntryRights rights = EntryRights::everything();
  for (const PathEntry& entry : entries) {
    rights = rights & entry.rights();
  }
  return rights;
}

ByteCount TablePath::page_size() const { return bytes_of(entry_span<Amd64>(entries.back().level)); }

PhysAddr TablePath::page() const { return address_of(Amd64::frame(entries.back().entry, entries.back().level)); }

PhysAddr TablePath::physical() const { return page() + ByteCount(address.value() & (page_size().value() - 1)); }

std::vector<unsigned> TablePath::levels_denying(bool EntryRights::* right) const {
  std::vector<unsigned> levels;
  for (const PathEntry& entry : entries) {
    if (entry.is_present() && !(entry.rights().*right)) {
      levels.push_back(entry.level);
    }
  }
  return levels;
}

const StepMeaning* TablePath::meaning() const {
  const StepMeaning* found = nullptr;
  for (const PathEntry& entry : entries) {
    found = entry.meaning.has_value() ? &*entry.meaning : found;
  }
  return found;
}

std::expected<TablePath, std::string> parse_path(const Json& answer) {
  if (!answer.is_object() || !answer.contains("tables") || !answer.at("tables").is_array()) {
    return std::unexpected("the kernel's answer tells no tables");
  }
  TablePath path{.process = answer.value("process", std::int32_t{0}),
                 .process_name = answer.value("name", std::string()),
                 .address = VirtAddr(hex_in(answer, "address")),
                 .root = PhysAddr(hex_in(answer, "root")),
                 .entries = {},
                 .frame_kind = {},
                 .frame_entries = 0,
                 .symbol = {}};
  for (const Json& entry : answer.at("tables")) {
    path.entries.push_back(parse_entry(entry));
    const unsigned level = path.entries.back().level;
    if (level == 0 || level > Amd64::kLevels) {
      return std::unexpected(fmt::format("the kernel's answer has a level {}", level));
    }
  }
  if (answer.contains("frame")) {
    path.frame_kind = answer.at("frame").value("kind", std::string());
    path.frame_entries = answer.at("frame").value("entries", std::uint64_t{0});
  }
  if (answer.contains("symbol")) {
    path.symbol =
        fmt::format("{}+{:#x}", answer.value("symbol", std::string()), answer.value("symbol_offset", std::uint64_t{0}));
  }
  return path;
}

std::string rights_text(EntryRights rights) { return {'r', rights.write ? 'w' : '-', rights.execute ? 'x' : '-'}; }

}  // namespace vellum::tool
