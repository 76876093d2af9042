#include "run/symbols.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>

#include <cxxabi.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <gelf.h>

#include "run/descriptor.hpp"
#include "run/program.hpp"

namespace vellum::tool {

namespace {

struct DwflEnd {
  void operator()(Dwfl* dwfl) const { dwfl_end(dwfl); }
};

struct ElfEnd {
  void operator()(Elf* elf) const { elf_end(elf); }
};

// How far the file was loaded from the addresses in it, seen from one of its mappings; nothing if it is no ELF file or
// the mapping is none of its segments.
std::optional<std::uint64_t> load_bias(const std::string& path, const Mapping& mapping) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  elf_version(EV_CURRENT);
  const std::unique_ptr<Elf, ElfEnd> elf(elf_begin(file.number(), ELF_C_READ_MMAP, nullptr));
  std::size_t count = 0;
  if (elf == nullptr || elf_getphdrnum(elf.get(), &count) != 0) {
    return std::nullopt;
  }
  for (int i = 0; i < static_cast<int>(count); ++i) {
    GElf_Phdr segment;
    const bool is_loaded = gelf_getphdr(elf.get(), i, &segment) != nullptr && segment.p_type == PT_LOAD;
    constexpr std::uint64_t kInPage = 4095;
    if (is_loaded && (segment.p_offset & ~kInPage) <= mapping.offset &&
        mapping.offset < segment.p_offset + segment.p_filesz) {
      return mapping.start - mapping.offset - (segment.p_vaddr - segment.p_offset);
    }
  }
  return std::nullopt;
}

std::string demangled(const char* name) {
  int status = 0;
  char* const text = abi::__cxa_demangle(name, nullptr, nullptr, &status);
  std::string result = text != nullptr ? text : name;
  std::free(text);
  return result;
}

std::string symbol_of(Dwfl_Module* module, std::uint64_t address) {
  GElf_Off offset = 0;
  GElf_Sym symbol;
  const char* const name = dwfl_module_addrinfo(module, address, &offset, &symbol, nullptr, nullptr, nullptr);
  if (name == nullptr) {
    return "";
  }
  return offset == 0 ? demangled(name) : fmt::format("{}+{:#x}", demangled(name), offset);
}

// Each compilation unit is asked, for clang writes no index of their addresses (.debug_aranges).
std::string line_of(Dwfl_Module* module, std::uint64_t address) {
  Dwarf_Addr bias = 0;
  for (Dwarf_Die* unit = dwfl_module_nextcu(module, nullptr, &bias); unit != nullptr;
       unit = dwfl_module_nextcu(module, unit, &bias)) {
    if (dwarf_haspc(unit, address - bias) != 1) {
      continue;
    }
    Dwarf_Line* const line = dwarf_getsrc_die(unit, address - bias);
    const char* const file = line == nullptr ? nullptr : dwarf_linesrc(line, nullptr, nullptr);
    int number = 0;
    if (file == nullptr || dwarf_lineno(line, &number) != 0) {
      return "";
    }
    return fmt::format("{}:{}", std::filesystem::path(file).filename().string(), number);
  }
  return "";
}

}  // namespace

CodePlace find_code(const std::vector<Mapping>& maps, std::uint64_t address, const std::vector<Bind>& binds) {
  const Mapping* const mapping = neighbours_of(maps, address).at;
  if (mapping == nullptr || !mapping->is_file()) {
    return {};
  }
  const std::string path = host_path(binds, mapping->name);
  const auto bias = load_bias(path, *mapping);
  if (!bias.has_value()) {
    return {};
  }
  unsetenv("DEBUGINFOD_URLS");  // no network for it
  static char* debug_path = nullptr;
  static const Dwfl_Callbacks callbacks = {.find_elf = dwfl_build_id_find_elf,
                                           .find_debuginfo = dwfl_standard_find_debuginfo,
                                           .section_address = dwfl_offline_section_address,
                                           .debuginfo_path = &debug_path};
  const std::unique_ptr<Dwfl, DwflEnd> dwfl(dwfl_begin(&callbacks));
  dwfl_report_begin(dwfl.get());
  Dwfl_Module* const module = dwfl_report_elf(dwfl.get(), path.c_str(), path.c_str(), -1, *bias, true);
  dwfl_report_end(dwfl.get(), nullptr, nullptr);
  if (module == nullptr) {
    return {};
  }
  return {symbol_of(module, address), line_of(module, address)};
}

}  // namespace vellum::tool
