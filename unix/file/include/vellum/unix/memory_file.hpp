// Files in RAM that have no name (memfd_create), and what is asked of RAM files besides.
#pragma once

#include <vellum/unix/files.hpp>

namespace vellum::unix {

// An empty file, open for reading and writing, shown as /memfd:NAME. Error: no_memory.
[[nodiscard]] Result<Ref<OpenFile>> create_memory_file(Files& files, std::string_view name);
// Makes a regular file at least so long, with zeros. Errors: file_too_big, not_supported (not a RAM file).
[[nodiscard]] Result<void> extend_file(OpenFile& file, ByteCount size);

}  // namespace vellum::unix
