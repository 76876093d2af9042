// Copies to and from simulated RAM with relaxed atomics, as other CPUs may touch the same bytes at the same time.
#pragma once

#include <cstddef>

namespace vellum::hosted {

void copy_from_ram(std::byte* to, std::byte* ram, std::size_t count);
void copy_to_ram(std::byte* ram, const std::byte* from, std::size_t count);

}  // namespace vellum::hosted
