#pragma once

#include <vellum/unix/node.hpp>

namespace vellum::unix {

// What is made in a directory with the set-group-id bit belongs to its group.
[[nodiscard]] NewNode made_in(const Attributes& directory, NewNode what);

}  // namespace vellum::unix
