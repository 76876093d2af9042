// The process that makes random system calls: plausible ones on memory, files, pipes, processes and signals of its own,
// and wild ones. It may ruin itself in any way, and ends then.
#pragma once

#include <cstdint>

namespace guest {

// Makes so many calls, counting them in `made`, and exits.
[[noreturn]] void fuzz_calls(std::uint64_t seed, std::uint64_t calls, volatile std::uint64_t* made);

}  // namespace guest
