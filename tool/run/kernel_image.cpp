#include "run/kernel_image.hpp"

#include <cstdlib>
#include <filesystem>

namespace vellum::tool {

std::string kernel_image(const std::string& wanted) {
  namespace fs = std::filesystem;
  if (!wanted.empty()) {
    return wanted;
  }
  if (const char* const path = std::getenv("VELLUM_KERNEL"); path != nullptr) {
    return path;
  }
  // Installed, as PREFIX/bin/vellum; else in the folders of the build.
  std::error_code error;
  const fs::path folder = fs::read_symlink("/proc/self/exe", error).parent_path();
  const fs::path installed = (folder / "../lib/vellum/vellum-amd64.elf").lexically_normal();
  return fs::exists(installed, error) ? installed
                                      : (folder / "../../kernel/kernel/vellum-amd64.elf").lexically_normal();
}

}  // namespace vellum::tool
