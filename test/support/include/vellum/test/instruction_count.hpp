// Counts the instructions that a piece of code executes, exactly: the processor's trap flag raises a signal after each.
// A microsecond an instruction, so for pieces of up to some millions. x86-64 hosts only.
#pragma once

#include <csignal>
#include <cstdint>

#include <vellum/base/panic.hpp>

namespace vellum::test {

class InstructionCounter {
 public:
  // How many instructions `work` executes, between the first and the last of its own.
  template <class Work>
  [[nodiscard]] static std::uint64_t count(Work&& work) {
    const std::uint64_t overhead = measure([] {});
    const std::uint64_t total = measure(work);
    return total > overhead ? total - overhead : 0;
  }

 private:
  inline static volatile std::uint64_t steps_ = 0;

  static void on_trap(int /*signal*/) { steps_ = steps_ + 1; }

  template <class Work>
  [[gnu::noinline]] static std::uint64_t measure(Work&& work) {
    struct sigaction step = {};
    step.sa_handler = on_trap;
    struct sigaction old = {};
    VELLUM_CHECK(sigaction(SIGTRAP, &step, &old) == 0);
    steps_ = 0;
    constexpr std::uint64_t kTrapFlag = 0x100;
    // Below the red zone, where the flags are pushed.
    asm volatile("subq $128, %%rsp; pushfq; orq %0, (%%rsp); popfq; addq $128, %%rsp" ::"r"(kTrapFlag)
                 : "memory", "cc");
    work();
    asm volatile("subq $128, %%rsp; pushfq; andq %0, (%%rsp); popfq; addq $128, %%rsp" ::"r"(~kTrapFlag)
                 : "memory", "cc");
    const std::uint64_t counted = steps_;
    VELLUM_CHECK(sigaction(SIGTRAP, &old, nullptr) == 0);
    return counted;
  }
};

}  // namespace vellum::test
