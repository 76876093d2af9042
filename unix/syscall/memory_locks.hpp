// How much memory the caller may lock (RLIMIT_MEMLOCK).
#pragma once

#include <vellum/unix/process.hpp>

namespace vellum::unix {

struct LockBudget {
  bool unlimited;
  ByteCount limit;

  [[nodiscard]] PageCount pages() const { return whole_pages(limit); }
  [[nodiscard]] bool permits_any() const { return unlimited || !limit.is_zero(); }
  // Whether so many pages may be locked together with those that are.
  [[nodiscard]] bool permits(PageCount locked, PageCount more) const { return unlimited || locked + more <= pages(); }
};

[[nodiscard]] LockBudget lock_budget();
// Tells a process's space, whose locked stacks may grow, after a change of the limit or of credentials.
void apply_lock_limit(Process& process) VELLUM_REQUIRES(process_lock);

}  // namespace vellum::unix
