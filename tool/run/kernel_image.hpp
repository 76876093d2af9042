// Where the kernel's image is.
#pragma once

#include <string>

namespace vellum::tool {

// `wanted` where that is not empty, else what VELLUM_KERNEL names, else the image that was installed with this program.
// Whether it is there is for the caller to see.
[[nodiscard]] std::string kernel_image(const std::string& wanted);

}  // namespace vellum::tool
