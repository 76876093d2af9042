#include <vellum/heap/kernel_stacks.hpp>

#include <vellum/pagetable/instantiate.hpp>

namespace vellum {

template <PageTableFormat F>
std::optional<VirtRange> KernelStacks<F>::take_idle() {
  const LockGuard guard(lock_);
  if (idle_count_ == 0) {
    return std::nullopt;
  }
  return VirtRange::must(idle_[--idle_count_], kStackSize);
}

template <PageTableFormat F>
Result<VirtRange> KernelStacks<F>::allocate() {
  if (const std::optional<VirtRange> stack = take_idle()) {
    return *stack;
  }
  return arena_.allocate_above_red_zone(kStackSize);
}

template <PageTableFormat F>
void KernelStacks<F>::free(VirtRange stack) {
  VELLUM_CHECK(stack.size() == kStackSize);
  {
    const LockGuard guard(lock_);
    if (idle_count_ < kMostIdle) {
      idle_[idle_count_++] = stack.start();
      return;
    }
  }
  arena_.free_above_red_zone(stack);
}

template <PageTableFormat F>
void KernelStacks<F>::trim() {
  while (const std::optional<VirtRange> stack = take_idle()) {
    arena_.free_above_red_zone(*stack);
  }
  arena_.trim();
}

template <PageTableFormat F>
void KernelStacks<F>::reap() {
  trim();
  arena_.reap();
}

#define VELLUM_COMPILE(F) template class KernelStacks<F>;
VELLUM_FOR_EACH_FORMAT(VELLUM_COMPILE)
#undef VELLUM_COMPILE

}  // namespace vellum
