// The host's directories that the loader's machine shows: 9P servers by their mount tags.
#pragma once

#include <string_view>

#include <vellum/unix/lower.hpp>

#include "kernel.hpp"

namespace vellum::kernel {

// Reaches the server with this tag; the result lives for good. Errors: no_device: none has the tag; no_memory,
// io_error.
[[nodiscard]] Result<unix::Lower*> open_host_mount(Kernel& kernel, std::string_view tag);

}  // namespace vellum::kernel
