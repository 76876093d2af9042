// Forged signal frames: what a handler changes in its context, or a frame made up from nothing, must not give the
// program anything that it could not have by itself.
#include <sys/syscall.h>
#include <ucontext.h>

#include "../support/memory.hpp"
#include "attempt.hpp"

namespace guest {
namespace {

void (*forge)(ucontext_t*) = nullptr;

// How a process ends whose handler changes the context so before it returns.
std::string end_with(void (*change)(ucontext_t*)) {
  return name_of_end(end_of([change] {
    forge = change;
    struct sigaction action = {};
    action.sa_sigaction = [](int, siginfo_t*, void* context) { forge(static_cast<ucontext_t*>(context)); };
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGUSR1, &action, nullptr);
    raise(SIGUSR1);
  }));
}

CASE("frames", "returning to wild addresses") {
  static std::uintptr_t target = 0;
  for (const WildPointer& pointer : wild_pointers()) {
    target = pointer.address;
    EXPECT_EQ(end_with([](ucontext_t* context) { context->uc_mcontext.gregs[REG_RIP] = static_cast<greg_t>(target); }),
              std::string("SIGSEGV"));
  }
}

CASE("frames", "returning with a wild stack pointer") {
  static std::uintptr_t target = 0;
  for (const WildPointer& pointer : wild_pointers()) {
    target = pointer.address;
    const std::string end =
        end_with([](ucontext_t* context) { context->uc_mcontext.gregs[REG_RSP] = static_cast<greg_t>(target); });
    EXPECT(end == "SIGSEGV" || end == "SIGBUS");
  }
}

CASE("frames", "flags: interrupts stay on, and no right to do I/O") {
  EXPECT_EQ(end_with([](ucontext_t* context) { context->uc_mcontext.gregs[REG_EFL] |= 0x3000; }),
            std::string("exit 0"));
  EXPECT_EQ(end_with([](ucontext_t* context) {
              context->uc_mcontext.gregs[REG_EFL] = (context->uc_mcontext.gregs[REG_EFL] | 0x3000) & ~0x200;
              context->uc_mcontext.gregs[REG_RIP] =
                  static_cast<greg_t>(reinterpret_cast<std::uintptr_t>(+[] { asm volatile("cli"); }));
            }),
            std::string("SIGSEGV"));
  for (int bit = 0; bit < 64; bit++) {
    static int number = 0;
    number = bit;
    const std::string end = end_with([](ucontext_t* context) {
      context->uc_mcontext.gregs[REG_EFL] ^= static_cast<greg_t>(std::uint64_t{1} << number);
    });
    EXPECT(end == "exit 0" || end == "SIGTRAP" || end == "SIGBUS" || end == "SIGSEGV");
  }
}

CASE("frames", "each code segment") {
  static unsigned selector = 0;
  for (selector = 0; selector < 0x108; selector++) {
    const std::string end = end_with([](ucontext_t* context) {
      std::uint64_t segments = 0;
      std::memcpy(&segments, &context->uc_mcontext.gregs[REG_CSGSFS], sizeof segments);
      segments = (segments & ~std::uint64_t{0xFFFF}) | selector;
      std::memcpy(&context->uc_mcontext.gregs[REG_CSGSFS], &segments, sizeof segments);
      context->uc_mcontext.gregs[REG_RIP] = static_cast<greg_t>(reinterpret_cast<std::uintptr_t>(+[] {
        asm volatile("movq %%cr3, %%rax" ::: "rax");
      }));
    });
    EXPECT(end == "SIGSEGV" || end == "SIGILL" || end == "SIGBUS" || end == "SIGTRAP");
  }
}

CASE("frames", "each stack segment") {
  static std::uint64_t selector = 0;
  for (selector = 0; selector < 0x108; selector++) {
    const std::string end = end_with([](ucontext_t* context) {
      std::uint64_t segments = 0;
      std::memcpy(&segments, &context->uc_mcontext.gregs[REG_CSGSFS], sizeof segments);
      segments = (segments & ~(std::uint64_t{0xFFFF} << 48)) | selector << 48;
      std::memcpy(&context->uc_mcontext.gregs[REG_CSGSFS], &segments, sizeof segments);
    });
    EXPECT(end == "exit 0" || end == "SIGSEGV" || end == "SIGBUS");
  }
}

CASE("frames", "floating-point state at wild addresses") {
  static std::uintptr_t target = 0;
  for (const WildPointer& pointer : wild_pointers()) {
    target = pointer.address;
    const std::string end =
        end_with([](ucontext_t* context) { context->uc_mcontext.fpregs = reinterpret_cast<fpregset_t>(target); });
    EXPECT(end == "SIGSEGV" || (target == 0 && end == "exit 0"));
  }
}

CASE("frames", "floating-point state with reserved bits") {
  EXPECT(end_with([](ucontext_t* context) { context->uc_mcontext.fpregs->mxcsr = 0xFFFF'FFFF; }) != "SIGKILL");
  EXPECT(end_with([](ucontext_t* context) { std::memset(context->uc_mcontext.fpregs, 0xFF, 512); }) != "SIGKILL");
  static unsigned at = 0;
  for (at = 0; at < 832; at += 8) {
    for (const std::uint64_t value : {~std::uint64_t{0}, std::uint64_t{0x8000'0000'0000'0000}}) {
      static std::uint64_t word = 0;
      word = value;
      const std::string end = end_with([](ucontext_t* context) {
        std::memcpy(reinterpret_cast<char*>(context->uc_mcontext.fpregs) + at, &word, sizeof word);
      });
      EXPECT(end == "exit 0" || end == "SIGSEGV" || end == "SIGFPE" || end == "SIGABRT");
    }
  }
}

CASE("frames", "rt_sigreturn without a frame, with a wild stack pointer") {
  for (const WildPointer& pointer : wild_pointers()) {
    const std::string end = name_of_end(end_of([&pointer] {
      asm volatile("movq %1, %%rsp\n\tsyscall\n\tud2" ::"a"(SYS_rt_sigreturn), "r"(pointer.address)
                   : "rcx", "r11", "memory");
    }));
    EXPECT_EQ(end, std::string("SIGSEGV"));
  }
}

CASE("frames", "frames of random words") {
  std::uint64_t seed = 1;
  int counted[65] = {};
  for (int round = 0; round < 300; round++) {
    auto* frame = reinterpret_cast<std::uint64_t*>(map(4 * kPage));
    for (std::size_t i = 0; i < 256; i++) {
      seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
      // Small and plausible words among wild ones.
      const std::uint64_t kinds[] = {seed, seed >> 52, value_of(frame) + (seed >> 52), 0};
      frame[i] = kinds[seed >> 33 & 3];
    }
    const int status = end_of([frame] {
      asm volatile("movq %1, %%rsp\n\tsyscall\n\tud2" ::"a"(SYS_rt_sigreturn), "r"(frame + 1) : "rcx", "r11", "memory");
    });
    counted[WIFSIGNALED(status) ? WTERMSIG(status) : 0]++;
    MUST(munmap(frame, 4 * kPage));
  }
  note("SIGSEGV " + std::to_string(counted[SIGSEGV]) + " times of 300");
}

CASE("frames", "signal stacks at wild addresses") {
  for (const WildPointer& pointer : wild_pointers()) {
    const std::string end = name_of_end(end_of([&pointer] {
      stack_t stack = {};
      stack.ss_sp = pointer_to(pointer.address);
      stack.ss_size = 65536;
      raw_call(SYS_sigaltstack, value_of(&stack), 0);
      struct sigaction action = {};
      action.sa_handler = [](int) { _exit(3); };
      action.sa_flags = SA_ONSTACK;
      sigaction(SIGUSR1, &action, nullptr);
      raise(SIGUSR1);
    }));
    EXPECT_EQ(end, std::string("SIGSEGV"));
  }
}

CASE("frames", "handlers and restorers at wild addresses") {
  struct KernelAction {
    std::uintptr_t handler;
    unsigned long flags;
    std::uintptr_t restorer;
    std::uint64_t mask;
  };
  for (const WildPointer& pointer : wild_pointers()) {
    if (pointer.address <= 1) {
      continue;  // default and ignore
    }
    for (const bool as_handler : {true, false}) {
      const std::string end = name_of_end(end_of([&pointer, as_handler] {
        constexpr unsigned long kRestorer = 0x0400'0000;
        const std::uintptr_t harmless = reinterpret_cast<std::uintptr_t>(+[](int) {});
        const KernelAction action = {as_handler ? pointer.address : harmless, kRestorer, pointer.address, 0};
        raw_call(SYS_rt_sigaction, SIGUSR1, value_of(&action), 0, 8);
        raise(SIGUSR1);
      }));
      EXPECT_EQ(end, std::string("SIGSEGV"));
    }
  }
}

}  // namespace
}  // namespace guest
