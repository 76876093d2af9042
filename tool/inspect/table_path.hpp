// The way of the processor to an address, as a running kernel tells it (the answer to `walk`), decoded.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <vector>

#include <vellum/pagetable/entry.hpp>
#include <vellum/pagetable/formats.hpp>

#include "inspect/run_client.hpp"

namespace vellum::tool {

// What the software means by an entry, where it says so at this level.
struct StepMeaning {
  VirtAddr start;
  ByteCount size;
  std::string rights;   // "rw-", as asked for
  std::string maximum;  // that may be asked for
  bool is_shared = false;
  std::string backing;  // "anonymous" or "object"
  std::optional<std::uint64_t> offset;
};

struct PathEntry {
  unsigned level = 0;  // from the leaf, 1
  PhysAddr table;
  unsigned index = 0;
  Entry entry;
  std::uint64_t paths = 1;  // entries that name the table
  bool of_object = false;
  std::optional<StepMeaning> meaning;

  [[nodiscard]] bool is_present() const { return Amd64::is_present(entry); }
  [[nodiscard]] EntryState state() const { return EntryCodec<Amd64>::state(entry, level); }
  [[nodiscard]] EntryRights rights() const { return Amd64::rights(entry, level); }
};

struct TablePath {
  std::int32_t process = 0;
  std::string process_name;
  VirtAddr address;
  PhysAddr root;
  std::vector<PathEntry> entries;   // none where the processor has no such address
  std::string frame_kind;           // empty where it is not told
  std::uint64_t frame_entries = 0;  // that name the frame
  std::string symbol;               // of the kernel's text: name+0x1f

  // The page, where the processor finds one: the last entry.
  [[nodiscard]] bool is_mapped() const;
  // What all entries together grant; nothing where there is no page.
  [[nodiscard]] std::optional<EntryRights> rights() const;
  [[nodiscard]] ByteCount page_size() const;
  [[nodiscard]] PhysAddr page() const;      // where it begins in physical memory
  [[nodiscard]] PhysAddr physical() const;  // of the address
  // The levels whose entries deny something.
  [[nodiscard]] std::vector<unsigned> levels_denying(bool EntryRights::* right) const;
  // The lowest meaning on the way.
  [[nodiscard]] const StepMeaning* meaning() const;
};

// The error says what is wrong with the answer.
[[nodiscard]] std::expected<TablePath, std::string> parse_path(const Json& answer);

[[nodiscard]] std::string rights_text(EntryRights rights);  // "rw-", of what is present
// The path as `vellum walk` prints it, and as its JSON document.
[[nodiscard]] std::string path_text(const TablePath& path);
[[nodiscard]] Json path_json(const TablePath& path);
// Why an entry denies a write that the meaning permits, a clause.
[[nodiscard]] std::string reason_of_denied_write(const TablePath& path);
// One line: "page of 4 KiB at 0x1f3000, user rw-" or "nothing is present below level 3".
[[nodiscard]] std::string path_summary(const TablePath& path);

}  // namespace vellum::tool
