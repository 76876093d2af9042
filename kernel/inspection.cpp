#include "inspection.hpp"

#include <vellum/layout/text.hpp>
#include <vellum/pagetable/tree.hpp>
#include <vellum/space/path.hpp>

#include "layout.hpp"
#include "symbols.hpp"
#include "table_walk.hpp"

namespace vellum::kernel {

namespace {

using Format = HardwareFormat;

std::string_view kind_name(FrameKind kind) {
  switch (kind) {
    case FrameKind::free:
      return "free";
    case FrameKind::kernel:
      return "kernel";
    case FrameKind::page_table:
      return "page_table";
    case FrameKind::anonymous:
      return "anonymous";
    case FrameKind::object:
      return "object";
    case FrameKind::zero_page:
      return "zero_page";
    case FrameKind::slab:
      return "slab";
  }
  return "";
}

void write_rights(JsonText& json, Prot prot) {
  const char text[] = {prot.can_read() ? 'r' : '-', prot.can_write() ? 'w' : '-', prot.can_execute() ? 'x' : '-'};
  json.text({text, sizeof(text)});
}

void write_entry(JsonText& json, unsigned level, Pfn table, unsigned slot, std::uint64_t entry) {
  json.key("level").number(level).key("table").hexadecimal(address_of(table).value());
  json.key("index").number(slot).key("entry").hexadecimal(entry);
}

// Of the kernel's half: the tables alone, which have no meanings.
void write_raw_steps(JsonText& json, PhysAddr root, VirtAddr address) {
  const TablePath path = walk_to(root, address);
  Pfn table = frame_of(root);
  for (unsigned i = 0; i < path.count; ++i) {
    const unsigned level = Format::kLevels - i;
    json.open_object();
    write_entry(json, level, table, entry_index<Format>(address, level), path.entries[i]);
    json.close_object();
    table = Format::frame(Entry{path.entries[i]}, level);
  }
}

void write_meaning(JsonText& json, const PathMeaning<Format>& meaning) {
  json.key("meaning").open_object();
  json.key("start").hexadecimal(address_of<Format>(meaning.pages.start()).value());
  json.key("size").number(bytes_of(meaning.pages.size()).value());
  write_rights(json.key("rights"), meaning.prot);
  write_rights(json.key("maximum"), meaning.maximum);
  json.key("shared").boolean(meaning.traits.is_shared());
  json.key("grows_down").boolean(meaning.traits.is_growing_down());
  json.key("backing").text(meaning.of_object ? "object" : "anonymous");
  if (meaning.of_object) {
    json.key("offset").number(meaning.first.value() << kPageShift);
  }
  json.close_object();
}

SpacePath<Format> write_steps(JsonText& json, unix::Space& space, VirtAddr address) {
  const SpacePath<Format> path = path_to(space, address);
  for (unsigned i = 0; i < path.count; ++i) {
    const PathStep<Format>& step = path.steps[i];
    json.open_object();
    write_entry(json, step.level, step.table, step.slot, step.entry.bits);
    json.key("paths").number(step.paths).key("of_object").boolean(step.of_object);
    if (step.meaning) {
      write_meaning(json, *step.meaning);
    }
    json.close_object();
  }
  return path;
}

struct Mapped {
  std::uint64_t pages[Format::kLevels + 1] = {};  // by level
  EntryRights rights;
  ByteCount size;

  void add(const MappedPage& page) {
    ++pages[page.level];
    size += page.size();
    rights = {.write = rights.write || page.rights.write,
              .execute = rights.execute || page.rights.execute,
              .user = rights.user || page.rights.user};
  }
};

Mapped mapped_in(const LayoutRegion& region, const InspectedTables& tables) {
  Mapped mapped;
  if (region.row->stray == StrayAccess::non_canonical) {
    return mapped;
  }
  const auto count = [&] {
    for_each_mapped_page(tables.root(), region.range, [&](const MappedPage& page) { mapped.add(page); });
  };
  if (tables.program != nullptr) {
    const TreeSection section(tables.program->space.tree);  // no table is freed meanwhile
    count();
  } else {
    count();
  }
  return mapped;
}

void write_row(JsonText& json, const LayoutRegion& region, const Mapped& mapped) {
  constexpr std::string_view kSizes[] = {"", "4K", "2M", "1G"};
  json.open_object().key("name").text(region.row->name);
  json.key("start").hexadecimal(region.range.start().value()).key("size").number(region.range.size().value());
  json.key("mapped").number(mapped.size.value());
  json.key("pages").open_object();
  for (unsigned level = 1; level < std::size(kSizes); ++level) {
    json.key(kSizes[level]).number(mapped.pages[level]);
  }
  json.close_object();
  if (!mapped.size.is_zero()) {
    write_rights(json.key("rights"), Prot::read() | (mapped.rights.write ? Prot::write() : Prot::none()) |
                                         (mapped.rights.execute ? Prot::execute() : Prot::none()));
    json.key("user").boolean(mapped.rights.user);
  }
  json.close_object();
}

}  // namespace

void write_walk(JsonText& json, const InspectedTables& tables, VirtAddr address) {
  json.key("root").hexadecimal(tables.root().value());
  json.key("tables").open_array();
  if (!is_canonical<Format>(address)) {
    json.close_array();
    return;
  }
  const bool is_user = tables.program != nullptr && address < address_map().landmarks().user_limit;
  if (!is_user) {
    write_raw_steps(json, tables.root(), address);
    json.close_array();
    if (const auto symbol = find_symbol(address)) {
      json.key("symbol").text(symbol->name).key("symbol_offset").number(symbol->offset);
    }
    return;
  }
  const SpacePath<Format> path = write_steps(json, tables.program->space, address);
  json.close_array();
  if (path.frame_kind) {
    json.key("frame").open_object().key("kind").text(kind_name(*path.frame_kind));
    json.key("entries").number(path.frame_share).close_object();
  }
}

void write_layout(JsonText& json, const InspectedTables& tables) {
  json.key("rows").open_array();
  for (const LayoutRegion& region : address_map().regions()) {
    write_row(json, region, mapped_in(region, tables));
  }
  json.close_array();
}

void write_processes(JsonText& json) {
  const LockGuard guard(unix::process_lock);
  json.key("processes").open_array();
  unix::process_system().for_each_process([&](unix::Process& process) {
    unix::process_lock.assert_held();
    json.open_object().key("id").signed_number(process.id.value()).key("name").text(process.name);
    json.key("parent").signed_number(process.parent != nullptr ? process.parent->id.value() : 0);
    if (process.program != nullptr) {
      json.key("root").hexadecimal(process.program->space.root_address().value());
    }
    json.close_object();
  });
  json.close_array();
}

}  // namespace vellum::kernel
