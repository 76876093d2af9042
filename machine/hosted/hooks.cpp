// What the core expects to find at link time (panic.hpp, lock.hpp).
#include <execinfo.h>
#include <sched.h>

#include <cstdio>
#include <cstdlib>
#include <iterator>

#include <vellum/base/lock.hpp>
#include <vellum/hosted/machine.hpp>

namespace vellum {

void panic(const char* what, std::source_location where) {
  std::fprintf(stderr, "vellum: panic: %s\n  at %s:%u, in %s\n", what, where.file_name(),
               static_cast<unsigned>(where.line()), where.function_name());
  if (const hosted::CpuScope* scope = hosted::CpuScope::innermost(); scope != nullptr) {
    std::fprintf(stderr, "  on CPU %u\n", scope->cpu().value());
  }
  void* frames[32];
  const int depth = backtrace(frames, static_cast<int>(std::size(frames)));
  std::fflush(stderr);
  backtrace_symbols_fd(frames, depth, fileno(stderr));
  std::abort();
}

// A lock is taken and released by one thread, whichever CPUs it drives meanwhile.
HeldLocks& held_locks() {
  static constinit thread_local HeldLocks held;
  return held;
}

void relax(unsigned rounds) {
  constexpr unsigned kRoundsBeforeYield = 64;
  if (rounds < kRoundsBeforeYield) {
    __builtin_ia32_pause();
  } else {
    sched_yield();
  }
}

}  // namespace vellum
