// Files that no folder names and that are no memory: what descriptors of kernel objects show as their link.
#pragma once

#include <vellum/unix/files.hpp>

namespace vellum::unix {

// `name` as /proc/PID/fd shows it ("anon_inode:[eventfd]"). Error: no_memory.
[[nodiscard]] Result<Path> create_unnamed_device(Files& files, std::string_view name);

}  // namespace vellum::unix
