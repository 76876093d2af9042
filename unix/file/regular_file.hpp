#pragma once

#include <vellum/unix/files.hpp>

namespace vellum::unix {

// An open directory of any file system: lists what its node lists.
[[nodiscard]] Result<Ref<OpenFile>> open_directory(const Path& path, std::uint32_t flags);

}  // namespace vellum::unix
