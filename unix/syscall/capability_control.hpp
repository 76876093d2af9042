// prctl(2)'s part of capabilities.
#pragma once

#include <cstdint>

#include <vellum/base/result.hpp>

namespace vellum::unix {

// PR_GET_KEEPCAPS, PR_SET_KEEPCAPS, PR_CAPBSET_READ, PR_CAPBSET_DROP. Errors: invalid, not_permitted.
[[nodiscard]] Result<std::uint64_t> prctl_capabilities(int option, std::uint64_t value);

}  // namespace vellum::unix
