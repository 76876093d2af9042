// Unpacks archives of the format cpio newc into a tree of files: what a kernel is started with.
#pragma once

#include <cstddef>
#include <span>

#include <vellum/unix/resolve.hpp>

namespace vellum::unix {

struct UnpackReport {
  std::uint64_t files = 0;        // nodes made, of all kinds
  std::uint64_t bytes = 0;        // of contents
  const char* problem = nullptr;  // why it stopped early, in words
  std::uint64_t position = 0;     // in the archive, of the problem
};

// Unpacks archives that follow each other, with zeros between them, below `root`. What was unpacked before a problem
// stays. Compressed archives are told apart and refused.
[[nodiscard]] UnpackReport unpack_cpio(Files& files, const Path& root, std::span<const std::byte> archive);

}  // namespace vellum::unix
