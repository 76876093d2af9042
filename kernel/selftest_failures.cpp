// Failures on purpose: what the kernel says of them is what is tested (test/boot).
#include <vellum/pc/console.hpp>

#include "layout.hpp"
#include "must.hpp"
#include "regions.hpp"
#include "selftest.hpp"

namespace vellum::kernel {

namespace {

// Each call takes a piece of the stack, and none is the last.
[[gnu::noinline]] std::uint64_t recurse(std::uint64_t depth) {
  volatile std::uint64_t frame[16] = {};
  frame[depth % 16] = depth;
  return depth == ~std::uint64_t{0} ? depth : recurse(depth + 1) + frame[depth % 16];
}

[[noreturn]] void overflow() {
  (void)recurse(0);
  panic("a stack without an end");
}

[[noreturn]] void call_on(VirtRange stack, void (*function)()) {
  asm volatile(
      "movq %0, %%rsp\n\t"
      "xorl %%ebp, %%ebp\n\t"
      "callq *%1"
      :
      : "r"(stack.end().value()), "r"(function)
      : "memory");
  __builtin_unreachable();
}

}  // namespace

void overflow_kernel_stack() {
  const VirtRange stack = must(regions().kernel_stacks.allocate(), "no memory for a stack");
  pc::print_line("overflow: of the stack from ", stack.start(), " to ", stack.end());
  call_on(stack, overflow);
}

void stray_into_red_zone() {
  const auto* const stray = reinterpret_cast<volatile const char*>(region(RegionId::red_zone).start().value() + 8);
  pc::print_line("stray: reads in the red zone");
  (void)*stray;
  panic("the red zone can be read");
}

}  // namespace vellum::kernel
