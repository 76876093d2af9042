// Linking of loadable modules: ELF64 relocatable objects for x86-64 [elf/gabi; psABI x86-64 4.4], which the kernel
// places into the core heap.
//
// An object's sections go into three parts, each of which gets pages of its own, because each gets rights of its own:
// text is executed, constants are read, data is written. The linker says how large the parts are; its user finds places
// for them, within 2 GB of each other and of the kernel's text; the linker copies and relocates.
//
//   const ModuleObject object = VELLUM_TRY(ModuleObject::read(bytes));
//   ... allocate object.size(part) bytes for each part ...
//   VELLUM_TRY(object.link(places, resolve));
//   object.find("entry", places)
//
// The object may say anything: whatever does not fit together is refused. Nothing is allocated, no code of it runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include <vellum/base/range.hpp>
#include <vellum/base/result.hpp>

namespace vellum {

enum class ModulePart : std::uint8_t { text, constants, data };
inline constexpr unsigned kModuleParts = 3;

// Where each part lies, in order of ModulePart; written through these very addresses. Empty for an empty part.
struct ModulePlaces {
  VirtRange parts[kModuleParts];
  [[nodiscard]] VirtRange of(ModulePart part) const { return parts[static_cast<unsigned>(part)]; }
};

class ModuleObject {
 public:
  static constexpr std::uint64_t kMostAlignment = 4096;  // of a section

  // Looks at the bytes, which must outlive the object and be aligned to 8. Errors: not_executable where they are no
  // such object, or one that needs what this linker does not do (constructors, common symbols).
  [[nodiscard]] static Result<ModuleObject> read(std::span<const std::byte> bytes);

  [[nodiscard]] ByteCount size(ModulePart part) const { return sizes_[static_cast<unsigned>(part)]; }

  // The address of a symbol that the object does not define; 0 where there is none.
  using Resolve = std::uint64_t (*)(std::string_view name);
  // Copies the sections to their places and relocates them. Errors: no_entry (a symbol that nobody defines),
  // out_of_range (a place that is too far away), not_executable.
  [[nodiscard]] Result<void> link(const ModulePlaces& places, Resolve resolve) const;

  // The address of a global symbol that the object defines.
  [[nodiscard]] std::optional<VirtAddr> find(std::string_view name, const ModulePlaces& places) const;

 private:
  struct Header;
  struct Section;
  struct Symbol;
  struct Relocation;

  explicit ModuleObject(std::span<const std::byte> bytes) : bytes_(bytes) {}

  [[nodiscard]] Result<void> read_sections();
  [[nodiscard]] static std::optional<ModulePart> part_of(const Section& section);
  [[nodiscard]] bool holds(std::uint64_t offset, std::uint64_t size) const {
    return offset <= bytes_.size() && size <= bytes_.size() - offset;
  }
  template <class T>
  [[nodiscard]] const T* array_at(std::uint64_t offset, std::uint64_t count) const;
  [[nodiscard]] const Section& section(std::uint64_t index) const;
  [[nodiscard]] std::uint64_t section_count() const;
  [[nodiscard]] std::string_view name_at(std::uint64_t offset) const;
  // Where a section lies; nothing where it is not loaded.
  [[nodiscard]] std::optional<VirtAddr> address_of(std::uint64_t section, const ModulePlaces& places) const;
  [[nodiscard]] Result<std::uint64_t> value_of(const Symbol& symbol, const ModulePlaces& places, Resolve resolve) const;
  [[nodiscard]] Result<void> relocate(const Section& relocations, const ModulePlaces& places, Resolve resolve) const;
  [[nodiscard]] static Result<void> apply(std::uint32_t kind, std::byte* at, std::uint64_t value);

  std::span<const std::byte> bytes_;
  std::span<const Symbol> symbols_;
  const Section* names_ = nullptr;  // of symbols
  ByteCount sizes_[kModuleParts];
};

}  // namespace vellum
