// Files in RAM that have no name (memfd_create), seals, and what is asked of RAM files besides.
#pragma once

#include <vellum/unix/files.hpp>

namespace vellum::unix {

// What may not be done to a file any more: F_SEAL_*.
namespace seal {
inline constexpr std::uint32_t kSeal = 1;  // no further seals
inline constexpr std::uint32_t kShrink = 2;
inline constexpr std::uint32_t kGrow = 4;
inline constexpr std::uint32_t kWrite = 8;
inline constexpr std::uint32_t kFutureWrite = 16;  // but through mappings that there are
inline constexpr std::uint32_t kAll = 31;
}  // namespace seal

// An empty file, open for reading and writing, shown as /memfd:NAME. Error: no_memory.
[[nodiscard]] Result<Ref<OpenFile>> create_memory_file(Files& files, std::string_view name, bool may_be_sealed);
// The seals of a file of a tmpfs; only those of files made for it can grow more. Error: invalid (no such file).
[[nodiscard]] Result<std::uint32_t> seals_of(const OpenFile& file);
// Errors: not_permitted (not open for writing, or sealed), invalid, busy (kWrite, while a mapping may write),
// no_memory.
[[nodiscard]] Result<void> add_seals(OpenFile& file, std::uint32_t seals);
// Makes a regular file at least so long, with zeros. Errors: file_too_big, not_supported (not a RAM file).
[[nodiscard]] Result<void> extend_file(OpenFile& file, ByteCount size);
// Makes a part of a regular file zeros that take no memory, as far as it reaches. Errors: not_permitted (seals),
// not_supported (not a RAM file), no_memory, io_error.
[[nodiscard]] Result<void> punch_file(OpenFile& file, ByteCount from, ByteCount to);
// Whether seals allow fallocate() up to `end`. Error: not_permitted.
[[nodiscard]] Result<void> permit_allocation(OpenFile& file, ByteCount end);

}  // namespace vellum::unix
