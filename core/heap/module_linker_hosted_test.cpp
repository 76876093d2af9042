#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <vellum/heap/module_linker.hpp>
#include <vellum/test/test.hpp>

namespace vellum::test {

namespace {

// The pieces of an ELF64 object, as the specification has them; not the linker's own types.
struct ElfHeader {
  std::uint8_t identification[16] = {0x7F, 'E', 'L', 'F', 2, 1, 1};
  std::uint16_t type = 1;
  std::uint16_t machine = 62;
  std::uint32_t version = 1;
  std::uint64_t entry = 0;
  std::uint64_t program_headers = 0;
  std::uint64_t sections = 0;
  std::uint32_t flags = 0;
  std::uint16_t sizes[3] = {64, 0, 0};
  std::uint16_t section_size = 64;
  std::uint16_t section_count = 0;
  std::uint16_t section_names = 0;
};
struct ElfSection {
  std::uint32_t name = 0;
  std::uint32_t type = 0;
  std::uint64_t flags = 0;
  std::uint64_t address = 0;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  std::uint32_t link = 0;
  std::uint32_t info = 0;
  std::uint64_t alignment = 1;
  std::uint64_t entry_size = 0;
};
struct ElfSymbol {
  std::uint32_t name = 0;
  std::uint8_t info = 0x10;  // global
  std::uint8_t other = 0;
  std::uint16_t section = 0;
  std::uint64_t value = 0;
  std::uint64_t size = 0;
};
struct ElfRelocation {
  std::uint64_t offset;
  std::uint64_t info;
  std::uint64_t addend;
};
static_assert(sizeof(ElfHeader) == 64 && sizeof(ElfSection) == 64 && sizeof(ElfSymbol) == 24);

constexpr std::uint64_t relocation(std::uint64_t symbol, std::uint32_t kind) { return symbol << 32 | kind; }

// Sections: 1 text, 2 constants, 3 data, 4 zeroed data, 5 symbols, 6 names, 7 relocations of the text, 8 of the data.
struct Object {
  std::vector<std::uint8_t> text = std::vector<std::uint8_t>(32, 0x90);
  std::vector<std::uint8_t> constants = {1, 2, 3, 4};
  std::vector<std::uint8_t> data = std::vector<std::uint8_t>(16, 0x55);
  std::uint64_t zeroed = 100;
  std::string names = std::string("\0", 1);
  std::vector<ElfSymbol> symbols = {ElfSymbol{}};
  std::vector<ElfRelocation> text_relocations;
  std::vector<ElfRelocation> data_relocations;

  std::uint64_t add_symbol(const std::string& name, std::uint16_t section, std::uint64_t value) {
    symbols.push_back(
        {.name = static_cast<std::uint32_t>(names.size()), .info = 0x10, .section = section, .value = value});
    names += name + '\0';
    return symbols.size() - 1;
  }

  // 8-byte aligned, as the linker wants it.
  [[nodiscard]] std::vector<std::uint64_t> build() const {
    std::vector<std::uint8_t> bytes(sizeof(ElfHeader));
    std::vector<ElfSection> sections(9);
    const auto put = [&](unsigned index, std::uint32_t type, std::uint64_t flags, const void* content, std::size_t size,
                         std::uint64_t alignment) {
      bytes.resize((bytes.size() + 15) / 16 * 16);
      sections[index].type = type;
      sections[index].flags = flags;
      sections[index].offset = bytes.size();
      sections[index].size = size;
      sections[index].alignment = alignment;
      const auto* const from = static_cast<const std::uint8_t*>(content);
      bytes.insert(bytes.end(), from, from + size);
    };
    put(1, 1, 6, text.data(), text.size(), 16);
    put(2, 1, 2, constants.data(), constants.size(), 4);
    put(3, 1, 3, data.data(), data.size(), 8);
    sections[4] = {.type = 8, .flags = 3, .size = zeroed, .alignment = 64};
    put(5, 2, 0, symbols.data(), symbols.size() * sizeof(ElfSymbol), 8);
    sections[5].link = 6;
    put(6, 3, 0, names.data(), names.size(), 1);
    put(7, 4, 0, text_relocations.data(), text_relocations.size() * sizeof(ElfRelocation), 8);
    put(8, 4, 0, data_relocations.data(), data_relocations.size() * sizeof(ElfRelocation), 8);
    sections[7].link = sections[8].link = 5;
    sections[7].info = 1;
    sections[8].info = 3;
    bytes.resize((bytes.size() + 15) / 16 * 16);
    ElfHeader header;
    header.sections = bytes.size();
    header.section_count = static_cast<std::uint16_t>(sections.size());
    std::memcpy(bytes.data(), &header, sizeof header);
    const auto* const from = reinterpret_cast<const std::uint8_t*>(sections.data());
    bytes.insert(bytes.end(), from, from + sections.size() * sizeof(ElfSection));
    std::vector<std::uint64_t> words((bytes.size() + 7) / 8);
    std::memcpy(words.data(), bytes.data(), bytes.size());
    return words;
  }
};

std::span<const std::byte> bytes_of_words(const std::vector<std::uint64_t>& words) {
  return std::as_bytes(std::span(words));
}

// A place for each part in one block, so that they are near each other.
class Block {
 public:
  static constexpr std::size_t kPart = 8192;

  Block() { std::memset(start(), 0xAA, 3 * kPart); }
  [[nodiscard]] ModulePlaces places() const {
    ModulePlaces places;
    for (unsigned part = 0; part < kModuleParts; ++part) {
      places.parts[part] = VirtRange::must(address(part * kPart), ByteCount(kPart));
    }
    return places;
  }
  [[nodiscard]] VirtAddr address(std::size_t offset) const {
    return VirtAddr(reinterpret_cast<std::uintptr_t>(start() + offset));
  }
  template <class T>
  [[nodiscard]] T at(std::size_t offset) const {
    T value;
    std::memcpy(&value, start() + offset, sizeof value);
    return value;
  }

 private:
  struct alignas(4096) Page {
    std::byte bytes[4096];
  };
  [[nodiscard]] std::byte* start() const { return pages_[0].bytes; }

  const std::unique_ptr<Page[]> pages_ = std::make_unique<Page[]>(3 * kPart / sizeof(Page));
};

std::uint64_t resolve(std::string_view name) { return name == "outside" ? 0x1234'5678 : 0; }

TEST(ModuleLinker, CopiesAndRelocates) {
  Object object;
  const std::uint64_t function = object.add_symbol("function", 1, 4);
  const std::uint64_t number = object.add_symbol("number", 2, 0);
  const std::uint64_t variable = object.add_symbol("variable", 3, 8);
  const std::uint64_t zero = object.add_symbol("zero", 4, 0);
  const std::uint64_t outside = object.add_symbol("outside", 0, 0);
  object.text_relocations = {{.offset = 0, .info = relocation(number, 2), .addend = ~std::uint64_t{3}},
                             {.offset = 8, .info = relocation(function, 4), .addend = ~std::uint64_t{3}},
                             {.offset = 16, .info = relocation(outside, 11), .addend = 1},
                             {.offset = 24, .info = relocation(zero, 1), .addend = 5}};
  object.data_relocations = {{.offset = 0, .info = relocation(variable, 1), .addend = 0},
                             {.offset = 8, .info = relocation(outside, 10), .addend = 0}};
  const auto words = object.build();
  const Result<ModuleObject> read = ModuleObject::read(bytes_of_words(words));
  ASSERT_TRUE(read.ok());
  const ModuleObject& module = read.value();
  EXPECT_EQ(module.size(ModulePart::text).value(), 32U);
  EXPECT_EQ(module.size(ModulePart::constants).value(), 4U);
  EXPECT_EQ(module.size(ModulePart::data).value(), 64U + 100U);

  const Block block;
  const ModulePlaces places = block.places();
  ASSERT_TRUE(module.link(places, resolve).ok());
  const std::size_t data = 2 * Block::kPart;
  EXPECT_EQ(block.at<std::int32_t>(0), static_cast<std::int32_t>(Block::kPart) - 4);
  EXPECT_EQ(block.at<std::int32_t>(8), 4 - 8 - 4);
  EXPECT_EQ(block.at<std::uint32_t>(16), 0x1234'5679U);
  EXPECT_EQ(block.at<std::uint64_t>(24), (block.address(data + 64)).value() + 5);
  EXPECT_EQ(block.at<std::uint32_t>(Block::kPart), 0x0403'0201U);
  EXPECT_EQ(block.at<std::uint64_t>(data), block.address(data + 8).value());
  EXPECT_EQ(block.at<std::uint32_t>(data + 8), 0x1234'5678U);
  EXPECT_EQ(block.at<std::uint8_t>(data + 12), 0x55U);
  EXPECT_EQ(block.at<std::uint64_t>(data + 64 + 92), 0U);
  EXPECT_EQ(module.find("function", places), block.address(4));
  EXPECT_EQ(module.find("variable", places), block.address(data + 8));
  EXPECT_FALSE(module.find("outside", places));
  EXPECT_FALSE(module.find("nothing", places));
}

TEST(ModuleLinker, RefusesWhatItCannotLink) {
  const Block block;
  const auto link = [&block](const Object& object) {
    const auto words = object.build();
    const Result<ModuleObject> module = ModuleObject::read(bytes_of_words(words));
    return module.ok() ? module.value().link(block.places(), resolve) : Result<void>(module.error());
  };
  Object undefined;
  undefined.text_relocations = {
      {.offset = 0, .info = relocation(undefined.add_symbol("nobody", 0, 0), 1), .addend = 0}};
  EXPECT_EQ(link(undefined).error(), Errno::no_entry);

  Object far;
  far.text_relocations = {{.offset = 0, .info = relocation(far.add_symbol("far", 0xFFF1, 1), 2), .addend = 0}};
  EXPECT_EQ(link(far).error(), Errno::out_of_range);

  Object outside_of_section;
  outside_of_section.text_relocations = {
      {.offset = 29, .info = relocation(outside_of_section.add_symbol("outside", 0, 0), 10), .addend = 0}};
  EXPECT_EQ(link(outside_of_section).error(), Errno::not_executable);

  Object common;
  common.text_relocations = {{.offset = 0, .info = relocation(common.add_symbol("common", 0xFFF2, 8), 1), .addend = 0}};
  EXPECT_EQ(link(common).error(), Errno::not_executable);

  Object unknown;
  unknown.text_relocations = {{.offset = 0, .info = relocation(unknown.add_symbol("outside", 0, 0), 42), .addend = 0}};
  EXPECT_EQ(link(unknown).error(), Errno::not_executable);
}

// Objects that are damaged anywhere are linked or refused; the sanitizers see whatever reaches outside.
TEST(ModuleLinker, DamagedObjectsDoNoHarm) {
  Object object;
  const std::uint64_t function = object.add_symbol("function", 1, 4);
  const std::uint64_t outside = object.add_symbol("outside", 0, 0);
  object.text_relocations = {{.offset = 0, .info = relocation(function, 2), .addend = 0},
                             {.offset = 8, .info = relocation(outside, 10), .addend = 0}};
  object.data_relocations = {{.offset = 0, .info = relocation(function, 1), .addend = 0}};
  const auto whole = object.build();
  const Block block;
  const ModulePlaces places = block.places();
  std::mt19937_64 random(1);
  unsigned linked = 0;
  for (unsigned round = 0; round < 20'000; ++round) {
    auto words = whole;
    const std::uint64_t changes = 1 + random() % 3;
    for (std::uint64_t i = 0; i < changes; ++i) {
      auto* const bytes = reinterpret_cast<std::uint8_t*>(words.data());
      bytes[random() % (words.size() * 8)] = static_cast<std::uint8_t>(random());
    }
    words.resize(words.size() - random() % 2);
    const Result<ModuleObject> module = ModuleObject::read(bytes_of_words(words));
    bool fits = module.ok();
    for (const ModulePart part : {ModulePart::text, ModulePart::constants, ModulePart::data}) {
      fits = fits && module.value().size(part).value() <= Block::kPart;
    }
    if (fits) {
      linked += module.value().link(places, resolve).ok() ? 1U : 0U;
      (void)module.value().find("function", places);
    }
  }
  EXPECT_GT(linked, 1000U);
}

}  // namespace

}  // namespace vellum::test
