// The steps of an exec.
#pragma once

#include <span>

#include <vellum/unix/elf.hpp>
#include <vellum/unix/lifecycle.hpp>
#include <vellum/unix/script.hpp>

#include "argument_stage.hpp"

namespace vellum::unix {

// A file that may be executed.
struct ProgramFile {
  Ref<OpenFile> file;
  Ref<FileObject> object;

  // As many bytes as there are, from the start of the file or from `offset` on. Errors: the file's.
  [[nodiscard]] Result<std::size_t> read(ByteCount offset, std::span<std::byte> into) const;
};

// An ELF file with its headers, checked.
struct Image {
  ProgramFile file;
  elf::Header header;
  elf::ProgramHeader headers[elf::kMostHeaders];
  elf::Layout layout;

  // Error: not_executable, the file's.
  [[nodiscard]] Result<void> read(ProgramFile from);
  // The interpreter's path, if it asks for one; it lies in `into`. Error: not_executable.
  [[nodiscard]] Result<std::string_view> interpreter(std::span<char> into) const;
};

// What was loaded where.
struct Loaded {
  std::uint64_t base = 0;  // what is added to the file's addresses
  VirtAddr entry;
  VirtAddr end;  // of the highest segment
  VirtRange code;
  VirtRange data;
};

// Where an image goes that may lie anywhere.
struct LoadPlace {
  VirtAddr address;  // 0: among the shared objects
};

// Maps an image's segments (exec_load.cpp). Errors: no_memory, not_executable.
[[nodiscard]] Result<Loaded> load_image(Space& space, const Image& image, LoadPlace place);
// Clears the bytes behind the file's part of each segment, in the space that the calling thread runs now.
[[nodiscard]] Result<void> clear_tails(const Image& image, const Loaded& loaded);

// The strings of the new program.
struct Arguments {
  explicit Arguments(PageSource& source) : stage(source) {}
  ArgumentStage stage;
  unsigned argument_count = 0;
  unsigned environment_count = 0;
  std::uint64_t environment_start = 0;  // offsets in the stage
  std::uint64_t file_name_start = 0;
};

// Maps the stack (exec_stack.cpp). Errors: no_memory, argument_list_too_long.
[[nodiscard]] Result<void> map_stack(Space& space, const ProgramLayout& layout, const Arguments& arguments,
                                     bool executable);
// Fills it, in the space that the calling thread runs now, and notes in `program` what lies where. `auxiliary` gets
// its addresses, in program.auxiliary. Returns the stack pointer. Error: bad_address.
[[nodiscard]] Result<VirtAddr> fill_stack(Program& program, VirtAddr top, const Arguments& arguments);

}  // namespace vellum::unix
