#include "modules.hpp"

#include <vellum/heap/module_linker.hpp>
#include <vellum/pc/machine.hpp>

#include "must.hpp"
#include "regions.hpp"

extern "C" {
// The objects as the build embedded them, and what the kernel offers them (module_image.py).
extern const std::byte module_kmap_start[], module_kmap_end[];
struct ExportedSymbol {
  const char* name;
  std::uint64_t address;
};
extern const ExportedSymbol module_exports_start[], module_exports_end[];
}

namespace vellum::kernel {

namespace {

constexpr const char* kDoesNotFit = "a module does not fit into the kernel";

using KmapWriter = void (*)(void (*)(void*, const char*), void*);
constinit KmapWriter kmap_writer = nullptr;

std::uint64_t exported(std::string_view name) {
  for (const ExportedSymbol* symbol = module_exports_start; symbol != module_exports_end; ++symbol) {
    if (name == symbol->name) {
      return symbol->address;
    }
  }
  return 0;
}

BackedArena<HardwareFormat>& arena_of(ModulePart part) {
  return part == ModulePart::text ? regions().heap_text : regions().core_heap;
}

EntryRights rights_of(ModulePart part) {
  return {.write = part == ModulePart::data, .execute = part == ModulePart::text, .user = false};
}

// What is not written here is not written through the direct map either.
Result<void> protect(VirtRange range, EntryRights rights) {
  KernelSpace<HardwareFormat>& space = regions().space;
  const ByteCount size(kPageSize);
  for (VirtAddr page = range.start(); !rights.write && page != range.end(); page += size) {
    const PhysAddr target = space.find(page)->address;
    VELLUM_TRY(space.protect(VirtRange::must(pc::direct_map() + (target - PhysAddr(0)), size), {}));
  }
  return space.protect(range, rights);
}

// The address of `entry` in the linked module.
Result<VirtAddr> load(std::span<const std::byte> bytes, std::string_view entry) {
  const ModuleObject object = VELLUM_TRY(ModuleObject::read(bytes));
  ModulePlaces places;
  for (const ModulePart part : {ModulePart::text, ModulePart::constants, ModulePart::data}) {
    if (!object.size(part).is_zero()) {
      places.parts[static_cast<unsigned>(part)] = VELLUM_TRY(arena_of(part).allocate(object.size(part)));
    }
  }
  VELLUM_TRY(object.link(places, exported));
  for (const ModulePart part : {ModulePart::text, ModulePart::constants, ModulePart::data}) {
    if (!places.of(part).empty()) {
      VELLUM_TRY(protect(places.of(part), rights_of(part)));
    }
  }
  const std::optional<VirtAddr> found = object.find(entry, places);
  return found ? Result<VirtAddr>(*found) : Errno::no_entry;
}

}  // namespace

void load_modules() {
  const VirtAddr entry =
      must(load(std::span(module_kmap_start, module_kmap_end), "vellum_module_write_kmap"), kDoesNotFit);
  kmap_writer = reinterpret_cast<KmapWriter>(entry.value());
}

VirtAddr kmap_module_text() { return VirtAddr(reinterpret_cast<std::uint64_t>(kmap_writer)); }

void write_kmap(void (*put)(void* context, const char* line), void* context) { kmap_writer(put, context); }

}  // namespace vellum::kernel
