// Pages that somebody else supplies, as userfaultfd(2) lets a program do.

#include <vellum/base/racing_copy.hpp>
#include <vellum/pagetable/instantiate.hpp>
#include <vellum/space/space.hpp>

#include "attempt.hpp"

namespace vellum {

template <PageTableFormat F>
Result<void> AddressSpace<F>::supply(VirtAddr page, std::optional<std::span<const std::byte, kPageSize>> contents) {
  if (!layout_.contains(page)) {
    return Errno::no_entry;
  }
  if (!contents) {
    return enter_supplied(vpn_of<F>(page), system_.zero_frame());
  }
  const Pfn frame = VELLUM_TRY(system_.memory.allocate(Contents::any));
  racing_copy(tables_.machine().window(frame).data(), contents->data(), kPageSize);
  system_.memory.frame(frame).assign(FrameKind::anonymous, nullptr, 0);
  const Result<void> entered = enter_supplied(vpn_of<F>(page), frame);
  if (!entered.ok()) {
    TreeOperation<F> operation(tree);
    operation.gather().release_frame(frame);
    operation.gather().finish();
  }
  return entered;
}

// As a write that finds nothing there. The frame is the caller's still after an error.
template <PageTableFormat F>
Result<void> AddressSpace<F>::enter_supplied(Vpn page, Pfn frame) {
  for (;;) {
    TreeOperation<F> operation(tree);
    TlbGather<F>& gather = operation.gather();
    Attempt trial{.page = page, .access = Access::write, .gather = gather, .supplied = frame};
    Step step = attempt(trial);
    if (step == Step::open) {
      step = open_path(page, gather).ok() ? Step::again : Step::no_memory;
    }
    gather.finish();
    switch (step) {
      case Step::done:
        return {};
      case Step::exists:
      case Step::swap_in:
        return Errno::exists;
      case Step::settle:
        return Errno::no_entry;
      case Step::no_memory:
        return Errno::no_memory;
      default:
        break;
    }
  }
}

#define VELLUM_COMPILE(F)                                                                                        \
  template Result<void> AddressSpace<F>::supply(VirtAddr, std::optional<std::span<const std::byte, kPageSize>>); \
  template Result<void> AddressSpace<F>::enter_supplied(Vpn, Pfn);
VELLUM_FOR_EACH_FORMAT(VELLUM_COMPILE)
#undef VELLUM_COMPILE

}  // namespace vellum
