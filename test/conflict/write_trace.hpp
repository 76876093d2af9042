// Which cache lines a thread writes: the core is compiled as for a thread sanitizer, but the calls that the compiler
// puts before each access lead to this recorder instead.
#pragma once

#include <cstdint>
#include <set>

namespace vellum::test {

using LineSet = std::set<std::uintptr_t>;

struct LineTrace {
  LineSet written;
  LineSet read;
};

// Records what the calling thread writes and reads during `work`.
LineTrace trace_lines(void (*work)(void*), void* argument);

template <class Work>
LineTrace trace_lines(Work&& work) {
  return trace_lines([](void* argument) { (*static_cast<Work*>(argument))(); }, &work);
}

}  // namespace vellum::test
