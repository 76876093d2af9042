// Broken invariants. A caller's error is an Errno and a lack of a resource is an Errno too; only what can never
// happen in a correct system ends here.
#pragma once

#include <cstdint>
#include <source_location>

namespace vellum {

// Stops the system with a readable report. Implemented once in each program by its machine: hosted prints and
// aborts, a kernel prints registers and a backtrace and halts. Safe with any lock held.
[[noreturn]] void panic(const char* what, std::source_location where = std::source_location::current());

}  // namespace vellum

// Checked in every build.
#define VELLUM_CHECK(condition)                         \
  do {                                                  \
    if (!(condition)) [[unlikely]] {                    \
      ::vellum::panic("broken invariant: " #condition); \
    }                                                   \
  } while (false)

// Checked in debug and test builds (VELLUM_DEBUG=1); never evaluated otherwise, but always compiled.
#if VELLUM_DEBUG
#define VELLUM_ASSERT(condition) VELLUM_CHECK(condition)
#else
#define VELLUM_ASSERT(condition) \
  do {                           \
    if (false && (condition)) {  \
    }                            \
  } while (false)
#endif
