// How much memory the caller may lock (RLIMIT_MEMLOCK).
#pragma once

#include <optional>

#include <vellum/unix/process.hpp>
#include <vellum/unix/system_lock.hpp>

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

// From the look at what is locked to the locking of more: who has a limit does it in the system, so that the threads of
// a program together keep to it.
class [[nodiscard]] LockingTurn {
 public:
  explicit LockingTurn(const LockBudget& budget) {
    if (!budget.unlimited) {
      in_system_.emplace();
    }
  }

 private:
  std::optional<InSystem> in_system_;
};

// Tells a process's space, whose locked stacks may grow, after a change of the limit or of credentials.
void apply_lock_limit(Process& process) VELLUM_REQUIRES(process_lock);

}  // namespace vellum::unix
