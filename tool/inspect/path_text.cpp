// A path through the tables in words and as JSON.
#include <fmt/core.h>
#include <fmt/ranges.h>

#include "inspect/table_path.hpp"
#include "print.hpp"

namespace vellum::tool {

namespace {

using Codec = EntryCodec<Amd64>;

struct NamedBit {
  std::uint64_t bit;
  const char* name;
};
constexpr std::uint64_t kWriteThrough = 1U << 3;
constexpr std::uint64_t kCacheDisable = 1U << 4;
constexpr std::uint64_t kGlobal = 1U << 8;

// Those that say neither who may do what nor what the entry is.
std::vector<std::string> marks_of(const PathEntry& entry) {
  std::vector<std::string> marks;
  const bool is_page = entry.state() == EntryState::page;
  for (const NamedBit& bit : {NamedBit{X86EntryBits::kAccessed, "accessed"},
                              {is_page ? X86EntryBits::kDirty : 0, "dirty"},
                              {is_page ? kGlobal : 0, "global"},
                              {kWriteThrough, "write-through"},
                              {kCacheDisable, "not cached"}}) {
    if (entry.is_present() && (entry.entry.bits & bit.bit) != 0) {
      marks.emplace_back(bit.name);
    }
  }
  return marks;
}

std::string target_text(const PathEntry& entry) {
  return fmt::format("{:#x}", address_of(Amd64::frame(entry.entry, entry.level)).value());
}

std::string what_is(const PathEntry& entry) {
  const bool is_large = entry.level > 1;
  switch (entry.state()) {
    case EntryState::empty:
      return "nothing";
    case EntryState::swapped:
      return fmt::format("not present: in swap, slot {}", Codec::swap_slot(entry.entry).value());
    case EntryState::table:
      return fmt::format("{}table at {}",
                         entry.is_present() ? "" : "not present, all access denied: ", target_text(entry));
    case EntryState::page:
      break;
  }
  return fmt::format("{}{} at {}", entry.is_present() ? "" : "not present, all access denied: ",
                     is_large ? fmt::format("large page of {}", size_text(bytes_of(entry_span<Amd64>(entry.level))))
                              : std::string("page"),
                     target_text(entry));
}

std::string row_text(const PathEntry& entry) {
  std::string what = what_is(entry);
  for (const std::string& mark : marks_of(entry)) {
    what += ", " + mark;
  }
  const std::string rights =
      !entry.is_present() ? "-"
                          : fmt::format("{} {}", entry.rights().user ? "user" : "kernel", rights_text(entry.rights()));
  return fmt::format("{:<5}  {:#012x}  {:>5}  {:#018x}  {:<10}  {}\n", entry.level, entry.table.value(), entry.index,
                     entry.entry.bits, rights, what);
}

std::string levels_text(const std::vector<unsigned>& levels) {
  return fmt::format("level{} {}", levels.size() == 1 ? "" : "s", fmt::join(levels, ", "));
}

bool means(const StepMeaning* meaning, char right) {
  return meaning != nullptr && meaning->rights.find(right) != std::string::npos;
}

// Who forbids what, a line for each right.
std::vector<std::string> denials_of(const TablePath& path) {
  std::vector<std::string> lines;
  const struct {
    const char* name;
    bool EntryRights::* right;
    char letter;
  } rows[] = {
      {"write", &EntryRights::write, 'w'}, {"execute", &EntryRights::execute, 'x'}, {"user", &EntryRights::user, 0}};
  for (const auto& row : rows) {
    const std::vector<unsigned> levels = path.levels_denying(row.right);
    if (levels.empty()) {
      continue;
    }
    std::string line = fmt::format("{} is denied by {}", row.name, levels_text(levels));
    if (row.letter != 0 && means(path.meaning(), row.letter)) {
      line += row.letter == 'w' ? fmt::format("; it is permitted: {}", reason_of_denied_write(path))
                                : "; it is permitted: the next fault adds the right";
    }
    lines.push_back(line);
  }
  return lines;
}

std::string meaning_text(const PathEntry& entry) {
  const StepMeaning& meaning = *entry.meaning;
  std::string text = fmt::format(
      "level {}: {:#x}-{:#x} {}{} (at most {}), {}", entry.level, meaning.start.value(),
      (meaning.start + meaning.size).value(), meaning.rights, meaning.is_shared ? "s" : "p", meaning.maximum,
      meaning.backing == "object" ? fmt::format("a file or shared memory from {:#x} on", meaning.offset.value_or(0))
                                  : "anonymous memory");
  return text;
}

std::string frame_text(const TablePath& path) {
  if (path.frame_kind.empty()) {
    return "";
  }
  const char* const kind = path.frame_kind == "anonymous"   ? "private memory"
                           : path.frame_kind == "object"    ? "a page of a file or of shared memory"
                           : path.frame_kind == "zero_page" ? "the page of zeros"
                                                            : path.frame_kind.c_str();
  return path.frame_kind == "zero_page"
             ? fmt::format("; {}", kind)
             : fmt::format("; {}, named by {} entr{}", kind, path.frame_entries, path.frame_entries == 1 ? "y" : "ies");
}

void add_field(std::string& text, const char* name, const std::string& value) {
  text += fmt::format("{:<10}{}\n", name, value);
}

Json entry_json(const PathEntry& entry) {
  Json json = {{"level", entry.level},
               {"table", hex_text(entry.table.value())},
               {"index", entry.index},
               {"entry", hex_text(entry.entry.bits)},
               {"present", entry.is_present()}};
  const char* const states[] = {"empty", "page", "table", "swapped"};
  json["state"] = states[static_cast<unsigned>(entry.state())];
  if (entry.state() == EntryState::page || entry.state() == EntryState::table) {
    json["target"] = target_text(entry);
    json["write"] = entry.rights().write;
    json["execute"] = entry.rights().execute;
    json["user"] = entry.rights().user;
  }
  json["marks"] = marks_of(entry);
  json["table_paths"] = entry.paths;
  json["table_of_object"] = entry.of_object;
  if (entry.meaning.has_value()) {
    const StepMeaning& meaning = *entry.meaning;
    json["meaning"] = {{"start", hex_text(meaning.start.value())},
                       {"size", meaning.size.value()},
                       {"rights", meaning.rights},
                       {"maximum", meaning.maximum},
                       {"shared", meaning.is_shared},
                       {"backing", meaning.backing}};
    if (meaning.offset.has_value()) {
      json["meaning"]["offset"] = *meaning.offset;
    }
  }
  return json;
}

}  // namespace

std::string reason_of_denied_write(const TablePath& path) {
  for (const PathEntry& entry : path.entries) {
    if (entry.paths > 1 && !entry.of_object) {
      return fmt::format("the table of level {} is shared by {} entries: who writes first gets a copy", entry.level,
                         entry.paths);
    }
  }
  if (path.frame_kind == "zero_page") {
    return "the page of zeros stands there until somebody writes";
  }
  if (path.frame_kind == "object") {
    return path.meaning()->is_shared ? "the object learns of the first write by its fault"
                                     : "it is the object's own page: who writes gets a copy";
  }
  return path.frame_entries > 1
             ? fmt::format("the page is shared by {} entries: who writes first gets a copy", path.frame_entries)
             : "the next fault adds the right";
}

std::string path_summary(const TablePath& path) {
  if (path.entries.empty()) {
    return "the processor has no such address: its bits 47 to 63 are not all the same";
  }
  if (const auto rights = path.rights()) {
    return fmt::format("page of {} at {:#x}, {} {}", size_text(path.page_size()), path.page().value(),
                       rights->user ? "user" : "kernel", rights_text(*rights));
  }
  for (const PathEntry& entry : path.entries) {
    if (!entry.is_present()) {
      return fmt::format("no page: the entry of level {} is not present", entry.level);
    }
  }
  return "no page";
}

std::string path_text(const TablePath& path) {
  std::string text;
  add_field(text, "address",
            fmt::format("{} of {}{}{}", address_text(path.address, Arch::amd64), path.process_name,
                        path.process == 0 ? "" : fmt::format(" (pid {})", path.process),
                        path.symbol.empty() ? "" : ", " + path.symbol));
  if (path.entries.empty()) {
    add_field(text, "page", path_summary(path));
    return text;
  }
  text += "\nlevel  table         index  entry               rights      what\n";
  for (const PathEntry& entry : path.entries) {
    text += row_text(entry);
  }
  text += "\n";
  add_field(text, "page", path_summary(path) + frame_text(path));
  if (path.is_mapped()) {
    add_field(text, "physical", fmt::format("{:#x}", path.physical().value()));
  }
  const char* label = "denied";
  for (const std::string& line : denials_of(path)) {
    add_field(text, std::exchange(label, ""), line);
  }
  label = "shared";
  for (const PathEntry& entry : path.entries) {
    if (entry.of_object) {
      add_field(text, std::exchange(label, ""),
                fmt::format("the table of level {} is the object's own: {} entries name it, its own and those of all "
                            "who map it",
                            entry.level, entry.paths));
    } else if (entry.paths > 1) {
      add_field(text, std::exchange(label, ""),
                fmt::format("the table of level {} is named by {} entries", entry.level, entry.paths));
    }
  }
  label = "meaning";
  for (const PathEntry& entry : path.entries) {
    if (entry.meaning.has_value()) {
      add_field(text, std::exchange(label, ""), meaning_text(entry));
    }
  }
  return text;
}

Json path_json(const TablePath& path) {
  Json json = {{"schema", "vellum.walk/1"},          {"process", path.process},
               {"name", path.process_name},          {"address", hex_text(path.address.value())},
               {"canonical", !path.entries.empty()}, {"root", hex_text(path.root.value())},
               {"mapped", path.is_mapped()},         {"summary", path_summary(path)}};
  if (const auto rights = path.rights()) {
    json["physical"] = hex_text(path.physical().value());
    json["page_size"] = path.page_size().value();
    json["write"] = rights->write;
    json["execute"] = rights->execute;
    json["user"] = rights->user;
  }
  json["denied"] = denials_of(path);
  if (!path.frame_kind.empty()) {
    json["frame"] = {{"kind", path.frame_kind}, {"entries", path.frame_entries}};
  }
  if (!path.symbol.empty()) {
    json["symbol"] = path.symbol;
  }
  json["tables"] = Json::array();
  for (const PathEntry& entry : path.entries) {
    json["tables"].push_back(entry_json(entry));
  }
  return json;
}

}  // namespace vellum::tool
