#include <vellum/heap/module_linker.hpp>

#include <algorithm>

namespace vellum {

// [elf/gabi chapter 4], for 64-bit objects.
struct ModuleObject::Header {
  std::uint8_t identification[16];
  std::uint16_t type;
  std::uint16_t machine;
  std::uint32_t version;
  std::uint64_t entry;
  std::uint64_t program_headers;
  std::uint64_t sections;
  std::uint32_t flags;
  std::uint16_t header_size;
  std::uint16_t program_header_size;
  std::uint16_t program_header_count;
  std::uint16_t section_size;
  std::uint16_t section_count;
  std::uint16_t section_names;
};

struct ModuleObject::Section {
  std::uint32_t name;
  std::uint32_t type;
  std::uint64_t flags;
  std::uint64_t address;
  std::uint64_t offset;
  std::uint64_t size;
  std::uint32_t link;
  std::uint32_t info;
  std::uint64_t alignment;
  std::uint64_t entry_size;
};

struct ModuleObject::Symbol {
  std::uint32_t name;
  std::uint8_t info;
  std::uint8_t other;
  std::uint16_t section;
  std::uint64_t value;
  std::uint64_t size;
};

struct ModuleObject::Relocation {
  std::uint64_t offset;
  std::uint64_t info;
  std::uint64_t addend;
};

namespace {

constexpr std::uint8_t kIdentification[] = {0x7F, 'E', 'L', 'F', 2, 1, 1};  // 64-bit, least byte first, version 1
constexpr std::uint16_t kRelocatable = 1;
constexpr std::uint16_t kX86_64 = 62;

constexpr std::uint32_t kTypeSymbols = 2;
constexpr std::uint32_t kTypeRelocations = 4;
constexpr std::uint32_t kTypeNoBits = 8;
constexpr std::uint32_t kTypeConstructors = 14;

constexpr std::uint64_t kFlagWrite = 1;
constexpr std::uint64_t kFlagLoaded = 2;
constexpr std::uint64_t kFlagExecute = 4;

constexpr std::uint16_t kUndefined = 0;
constexpr std::uint16_t kReservedSections = 0xFF00;
constexpr std::uint16_t kAbsolute = 0xFFF1;

// Relocations [psABI x86-64, table 4.9].
constexpr std::uint32_t k64 = 1;
constexpr std::uint32_t kRelative32 = 2;
constexpr std::uint32_t kRelativeCall32 = 4;  // through a procedure linkage table, of which there is none
constexpr std::uint32_t k32 = 10;
constexpr std::uint32_t kSigned32 = 11;
constexpr std::uint32_t kRelative64 = 24;

constexpr bool is_relative(std::uint32_t kind) {
  return kind == kRelative32 || kind == kRelativeCall32 || kind == kRelative64;
}

std::byte* pointer_to(VirtAddr address) {
  return reinterpret_cast<std::byte*>(static_cast<std::uintptr_t>(address.value()));
}

}  // namespace

template <class T>
const T* ModuleObject::array_at(std::uint64_t offset, std::uint64_t count) const {
  if (offset % alignof(T) != 0 || count > bytes_.size() / sizeof(T) || !holds(offset, count * sizeof(T))) {
    return nullptr;
  }
  return reinterpret_cast<const T*>(bytes_.data() + offset);
}

const ModuleObject::Section& ModuleObject::section(std::uint64_t index) const {
  const auto& header = *reinterpret_cast<const Header*>(bytes_.data());
  return reinterpret_cast<const Section*>(bytes_.data() + header.sections)[index];
}

std::uint64_t ModuleObject::section_count() const {
  return reinterpret_cast<const Header*>(bytes_.data())->section_count;
}

Result<ModuleObject> ModuleObject::read(std::span<const std::byte> bytes) {
  ModuleObject object(bytes);
  const auto* const header = object.array_at<Header>(0, 1);
  if (header == nullptr || !std::ranges::equal(kIdentification, std::span(header->identification).first(7)) ||
      header->type != kRelocatable || header->machine != kX86_64 || header->section_size != sizeof(Section) ||
      object.array_at<Section>(header->sections, header->section_count) == nullptr) {
    return Errno::not_executable;
  }
  VELLUM_TRY(object.read_sections());
  return object;
}

std::optional<ModulePart> ModuleObject::part_of(const Section& section) {
  if ((section.flags & kFlagLoaded) == 0) {
    return std::nullopt;
  }
  if ((section.flags & kFlagExecute) != 0) {
    return ModulePart::text;
  }
  return (section.flags & kFlagWrite) != 0 ? ModulePart::data : ModulePart::constants;
}

Result<void> ModuleObject::read_sections() {
  for (std::uint64_t i = 0; i < section_count(); ++i) {
    const Section& section = this->section(i);
    if (section.type != kTypeNoBits && !holds(section.offset, section.size)) {
      return Errno::not_executable;
    }
    if (section.type == kTypeSymbols) {
      const std::uint64_t count = section.size / sizeof(Symbol);
      const auto* const symbols = array_at<Symbol>(section.offset, count);
      if (symbols == nullptr || section.link >= section_count()) {
        return Errno::not_executable;
      }
      symbols_ = {symbols, static_cast<std::size_t>(count)};
      names_ = &this->section(section.link);
    }
    const std::optional<ModulePart> part = part_of(section);
    if (!part) {
      continue;
    }
    const bool both = (section.flags & kFlagExecute) != 0 && (section.flags & kFlagWrite) != 0;
    const std::uint64_t alignment = std::max<std::uint64_t>(section.alignment, 1);
    if (section.type == kTypeConstructors || both || !is_power_of_two(alignment) || alignment > kMostAlignment ||
        section.size > UINT32_MAX) {
      return Errno::not_executable;
    }
    ByteCount& size = sizes_[static_cast<unsigned>(*part)];
    size = ByteCount(round_up(size.value(), alignment) + section.size);
  }
  return names_ != nullptr ? Result<void>() : Errno::not_executable;
}

// Sections of a part follow each other in the object's order, as read_sections() counted.
std::optional<VirtAddr> ModuleObject::address_of(std::uint64_t section, const ModulePlaces& places) const {
  const std::optional<ModulePart> part = part_of(this->section(section));
  if (!part) {
    return std::nullopt;
  }
  std::uint64_t offset = 0;
  for (std::uint64_t i = 0;; ++i) {
    const Section& before = this->section(i);
    if (part_of(before) != part) {
      continue;
    }
    offset = round_up(offset, std::max<std::uint64_t>(before.alignment, 1));
    if (i == section) {
      return places.of(*part).start() + ByteCount(offset);
    }
    offset += before.size;
  }
}

std::string_view ModuleObject::name_at(std::uint64_t offset) const {
  if (offset >= names_->size) {
    return {};
  }
  const auto* const first = reinterpret_cast<const char*>(bytes_.data() + names_->offset + offset);
  const auto* const end = reinterpret_cast<const char*>(bytes_.data() + names_->offset + names_->size);
  return {first, std::find(first, end, '\0')};
}

Result<std::uint64_t> ModuleObject::value_of(const Symbol& symbol, const ModulePlaces& places, Resolve resolve) const {
  if (symbol.section == kUndefined) {
    const std::string_view name = name_at(symbol.name);
    const std::uint64_t value = name.empty() ? 0 : resolve(name);
    return value != 0 ? Result<std::uint64_t>(value) : Errno::no_entry;
  }
  if (symbol.section == kAbsolute) {
    return symbol.value;
  }
  if (symbol.section >= kReservedSections || symbol.section >= section_count()) {
    return Errno::not_executable;
  }
  const std::optional<VirtAddr> start = address_of(symbol.section, places);
  if (!start || symbol.value > section(symbol.section).size) {
    return Errno::not_executable;
  }
  return start->value() + symbol.value;
}

Result<void> ModuleObject::apply(std::uint32_t kind, std::byte* at, std::uint64_t value) {
  const auto narrow = static_cast<std::uint32_t>(value);
  const bool fits_signed = value == static_cast<std::uint64_t>(std::int64_t{static_cast<std::int32_t>(narrow)});
  switch (kind) {
    case k64:
    case kRelative64:
      __builtin_memcpy(at, &value, sizeof(value));
      return {};
    case kRelative32:
    case kRelativeCall32:
    case kSigned32:
      if (!fits_signed) {
        return Errno::out_of_range;
      }
      break;
    case k32:
      if (value != narrow) {
        return Errno::out_of_range;
      }
      break;
    default:
      return Errno::not_executable;
  }
  __builtin_memcpy(at, &narrow, sizeof(narrow));
  return {};
}

Result<void> ModuleObject::relocate(const Section& relocations, const ModulePlaces& places, Resolve resolve) const {
  if (relocations.info >= section_count()) {
    return Errno::not_executable;
  }
  const Section& target = section(relocations.info);
  const std::optional<VirtAddr> start = address_of(relocations.info, places);
  if (!start) {
    return {};  // of what is not loaded: debugging information
  }
  const std::uint64_t count = relocations.size / sizeof(Relocation);
  const auto* const list = array_at<Relocation>(relocations.offset, count);
  if (list == nullptr) {
    return Errno::not_executable;
  }
  for (const Relocation& relocation : std::span(list, static_cast<std::size_t>(count))) {
    const auto kind = static_cast<std::uint32_t>(relocation.info);
    const std::uint64_t symbol = relocation.info >> 32;
    const std::uint64_t width = kind == k64 || kind == kRelative64 ? 8 : 4;
    if (symbol >= symbols_.size() || relocation.offset > target.size || width > target.size - relocation.offset) {
      return Errno::not_executable;
    }
    const VirtAddr at = *start + ByteCount(relocation.offset);
    std::uint64_t value = VELLUM_TRY(value_of(symbols_[static_cast<std::size_t>(symbol)], places, resolve));
    value += relocation.addend;
    VELLUM_TRY(apply(kind, pointer_to(at), is_relative(kind) ? value - at.value() : value));
  }
  return {};
}

Result<void> ModuleObject::link(const ModulePlaces& places, Resolve resolve) const {
  for (unsigned part = 0; part < kModuleParts; ++part) {
    VELLUM_CHECK(places.parts[part].size() >= sizes_[part]);
  }
  for (std::uint64_t i = 0; i < section_count(); ++i) {
    const Section& section = this->section(i);
    const std::optional<VirtAddr> at = address_of(i, places);
    if (!at) {
      continue;
    }
    const auto size = static_cast<std::size_t>(section.size);
    if (section.type == kTypeNoBits) {
      __builtin_memset(pointer_to(*at), 0, size);
    } else {
      __builtin_memcpy(pointer_to(*at), bytes_.data() + section.offset, size);
    }
  }
  for (std::uint64_t i = 0; i < section_count(); ++i) {
    if (section(i).type == kTypeRelocations) {
      VELLUM_TRY(relocate(section(i), places, resolve));
    }
  }
  return {};
}

std::optional<VirtAddr> ModuleObject::find(std::string_view name, const ModulePlaces& places) const {
  for (const Symbol& symbol : symbols_) {
    const bool global = symbol.info >> 4 != 0;
    if (global && symbol.section != kUndefined && symbol.section < kReservedSections &&
        symbol.section < section_count() && name_at(symbol.name) == name) {
      const std::optional<VirtAddr> start = address_of(symbol.section, places);
      return start ? std::optional(*start + ByteCount(symbol.value)) : std::nullopt;
    }
  }
  return std::nullopt;
}

}  // namespace vellum
