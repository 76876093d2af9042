// What signals and switches must leave as it was: registers, flags, floating-point state; and stacks for signals.
#include <cpuid.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>

#include "../support/fault.hpp"
#include "../support/memory.hpp"
#include "../support/process.hpp"

extern "C" {
int registers_survive(const void* unreadable);
int call_keeps_registers(long number, long first);
void fill_vectors(const unsigned char* seed);
void store_vectors(unsigned char* out);
long bare_call(long number, long a, long b);
}

namespace guest {
namespace {

constexpr std::size_t kVectorBytes = 256;

char* page = nullptr;
volatile int caught = 0;

void handle(int signal, void (*handler)(int, siginfo_t*, void*), int flags = 0) {
  struct sigaction action = {};
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO | flags;
  MUST(sigaction(signal, &action, nullptr));
}

void fill(unsigned char value) {
  unsigned char seed[16];
  std::memset(seed, value, sizeof seed);
  fill_vectors(seed);
}

// How many of the vector registers hold what fill() put there.
int filled_with(const unsigned char* stored, unsigned char value) {
  int right = 0;
  for (unsigned i = 0; i < kVectorBytes; i += 16) {
    bool same = true;
    for (unsigned j = 0; j < 16; j++) {
      same = same && stored[i + j] == static_cast<unsigned char>(value * (i / 16 + 1));
    }
    right += same ? 1 : 0;
  }
  return right;
}

CASE("registers", "survive a fault and its handler, and so does the red zone") {
  page = map(kPage, PROT_NONE);
  handle(SIGSEGV, [](int, siginfo_t*, void*) {
    fill(0x77);
    mprotect(page, kPage, kReadWrite);
  });
  EXPECT_EQ(registers_survive(page), 0);
}

CASE("registers", "survive system calls, but rax, rcx and r11") {
  EXPECT_EQ(call_keeps_registers(SYS_getpid, 1), 0);
  EXPECT_EQ(call_keeps_registers(SYS_sched_yield, 2), 0);
  EXPECT_EQ(call_keeps_registers(SYS_close, 12345), 0);
  EXPECT_EQ(call_keeps_registers(9999, 3), 0);
}

CASE("registers", "survive page faults that the kernel mends") { EXPECT_EQ(registers_survive(map(kPage)), 0); }

CASE("floating point", "a new program starts with the default state") {
  unsigned mxcsr = 0;
  unsigned short control = 0;
  asm volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(mxcsr), "=m"(control));
  EXPECT_EQ(mxcsr & 0xFFC0, 0x1F80U);
  EXPECT_EQ(control, 0x37F);
}

CASE("floating point", "survives a signal whose handler uses it") {
  handle(SIGUSR1, [](int, siginfo_t*, void*) {
    fill(0x55);
    caught = caught + 1;
  });
  unsigned char stored[kVectorBytes];
  const pid_t self = getpid();
  fill(0x11);
  bare_call(SYS_kill, self, SIGUSR1);
  store_vectors(stored);
  EXPECT_EQ(caught, 1);
  EXPECT_EQ(filled_with(stored, 0x11), 16);
}

CASE("floating point", "survives a fault whose handler uses it") {
  page = map(kPage, PROT_NONE);
  handle(SIGSEGV, [](int, siginfo_t*, void*) {
    fill(0x55);
    mprotect(page, kPage, kReadWrite);
  });
  unsigned char stored[kVectorBytes];
  fill(0x21);
  asm volatile("movb (%0), %%al" ::"r"(page) : "al", "memory");
  store_vectors(stored);
  EXPECT_EQ(filled_with(stored, 0x21), 16);
}

CASE("floating point", "the control words survive a handler that changes them") {
  handle(SIGUSR1, [](int, siginfo_t*, void*) {
    const unsigned mxcsr = 0x1F80;
    asm volatile("ldmxcsr %0\n\tfninit" ::"m"(mxcsr));
  });
  const unsigned mxcsr = 0x7F80;         // round to zero
  const unsigned short control = 0xF7F;  // likewise
  asm volatile("ldmxcsr %0\n\tfldcw %1" ::"m"(mxcsr), "m"(control));
  bare_call(SYS_kill, getpid(), SIGUSR1);
  unsigned mxcsr_after = 0;
  unsigned short control_after = 0;
  asm volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(mxcsr_after), "=m"(control_after));
  EXPECT_EQ(mxcsr_after & 0xFFC0, mxcsr);
  EXPECT_EQ(control_after, control);
}

CASE("floating point", "a handler sees the interrupted state and can change it") {
  handle(SIGUSR1, [](int, siginfo_t*, void* context) {
    auto* state = static_cast<ucontext_t*>(context)->uc_mcontext.fpregs;
    const auto* first = reinterpret_cast<unsigned char*>(&state->_xmm[0]);
    caught = first[0] == 0x31 && first[16] == 0x62 ? 1 : 2;
    std::memset(&state->_xmm[3], 0x99, 16);
  });
  unsigned char stored[kVectorBytes];
  const pid_t self = getpid();
  fill(0x31);
  bare_call(SYS_kill, self, SIGUSR1);
  store_vectors(stored);
  EXPECT_EQ(caught, 1);
  EXPECT_EQ(stored[3 * 16], 0x99);
  EXPECT_EQ(filled_with(stored, 0x31), 15);
}

CASE("floating point", "a child starts with its parent's") {
  unsigned char stored[kVectorBytes];
  fill(0x41);
  const long child = bare_call(SYS_fork, 0, 0);
  store_vectors(stored);
  if (child == 0) {
    _exit(filled_with(stored, 0x41));
  }
  EXPECT_EQ(filled_with(stored, 0x41), 16);
  EXPECT_EQ(WEXITSTATUS(status_of(static_cast<pid_t>(child))), 16);
}

CASE("floating point", "processes that switch keep their own") {
  pid_t children[4];
  for (int i = 0; i < 4; i++) {
    children[i] = start_child([i] {
      unsigned char stored[kVectorBytes];
      const auto value = static_cast<unsigned char>(i + 1);
      for (int round = 0; round < 300; round++) {
        fill(value);
        bare_call(SYS_sched_yield, 0, 0);
        store_vectors(stored);
        EXPECT_EQ(filled_with(stored, value), 16);
      }
    });
  }
  for (const pid_t child : children) {
    EXPECT_EQ(status_of(child), 0);
  }
}

CASE("floating point", "survives interrupts and time slices") {
  const pid_t other = start_child([] {
    for (;;) {
      fill(0x66);
    }
  });
  handle(SIGALRM, [](int, siginfo_t*, void*) {
    fill(0x55);
    caught = caught + 1;
  });
  const itimerval often = {{0, 3000}, {0, 3000}};
  MUST(setitimer(ITIMER_REAL, &often, nullptr));
  while (caught < 20) {
    unsigned char stored[kVectorBytes];
    fill(0x07);
    asm volatile("movl $20000, %%ecx\n1:\n\tloop 1b" ::: "rcx", "cc");
    store_vectors(stored);
    EXPECT_EQ(filled_with(stored, 0x07), 16);
  }
  const itimerval never = {};
  MUST(setitimer(ITIMER_REAL, &never, nullptr));
  kill(other, SIGKILL);
  status_of(other);
}

CASE("floating point", "x87 arithmetic across a switch") {
  const pid_t other = start_child([] {
    volatile long double value = 1;
    for (int i = 0; i < 2000; i++) {
      value = value * 1.0001L;
      sched_yield();
    }
  });
  long double sum = 0;
  for (int i = 1; i <= 2000; i++) {
    sum += 1.0L / i;
    sched_yield();
  }
  EXPECT(sum > 8.178L && sum < 8.179L);
  EXPECT_EQ(status_of(other), 0);
}

bool has_avx() {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & bit_OSXSAVE) == 0 || (c & bit_AVX) == 0) {
    return false;
  }
  unsigned low = 0;
  unsigned high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low & 6) == 6;
}

[[gnu::target("avx")]] void set_upper(std::uint64_t value) {
  const std::uint64_t four[4] = {1, 2, value, value};
  asm volatile("vmovdqu %0, %%ymm5" ::"m"(four) : "xmm5");
}

[[gnu::target("avx")]] std::uint64_t upper() {
  std::uint64_t four[4];
  asm volatile("vmovdqu %%ymm5, %0" : "=m"(four));
  return four[3];
}

CASE("floating point", "the upper halves of AVX, where the kernel offers them") {
  if (!has_avx()) {
    return;
  }
  handle(SIGUSR1, [](int, siginfo_t*, void*) { set_upper(5); });
  const pid_t self = getpid();
  set_upper(0x1234'5678'9ABC'DEF0);
  bare_call(SYS_kill, self, SIGUSR1);
  EXPECT_EQ(upper(), 0x1234'5678'9ABC'DEF0U);
}

// --- stacks for signals

alignas(16) char other_stack[65536];
volatile std::uintptr_t handler_frame = 0;
stack_t inside = {};

void note_frame(int /*signal*/, siginfo_t* /*info*/, void* /*context*/) {
  char here;
  handler_frame = value_of(&here);
  sigaltstack(nullptr, &inside);
}

bool on_other_stack(std::uintptr_t address) {
  return address >= value_of(other_stack) && address < value_of(other_stack) + sizeof other_stack;
}

void use_other_stack() {
  stack_t stack = {};
  stack.ss_sp = other_stack;
  stack.ss_size = sizeof other_stack;
  MUST(sigaltstack(&stack, nullptr));
}

CASE("signal stacks", "used where SA_ONSTACK says so, and only there") {
  use_other_stack();
  handle(SIGUSR1, note_frame, SA_ONSTACK);
  handle(SIGUSR2, note_frame);
  MUST(kill(getpid(), SIGUSR1));
  EXPECT(on_other_stack(handler_frame));
  EXPECT(inside.ss_flags & SS_ONSTACK);
  MUST(kill(getpid(), SIGUSR2));
  EXPECT(!on_other_stack(handler_frame));
  EXPECT_EQ(inside.ss_flags, 0);
}

CASE("signal stacks", "errors, and what is told") {
  stack_t old = {};
  MUST(sigaltstack(nullptr, &old));
  EXPECT_EQ(old.ss_flags, SS_DISABLE);
  use_other_stack();
  MUST(sigaltstack(nullptr, &old));
  EXPECT_EQ(old.ss_flags, 0);
  EXPECT_EQ(old.ss_sp, static_cast<void*>(other_stack));
  EXPECT_EQ(old.ss_size, sizeof other_stack);
  stack_t small = {};
  small.ss_sp = other_stack;
  small.ss_size = 100;
  EXPECT_ERRNO(sigaltstack(&small, nullptr), ENOMEM);
  small.ss_flags = 0x40;
  EXPECT_ERRNO(sigaltstack(&small, nullptr), EINVAL);
  EXPECT_ERRNO(syscall(SYS_sigaltstack, 8, nullptr), EFAULT);
}

CASE("signal stacks", "cannot be changed while in use") {
  use_other_stack();
  static volatile int error = 0;
  handle(
      SIGUSR1,
      [](int, siginfo_t*, void*) {
        stack_t none = {};
        none.ss_flags = SS_DISABLE;
        error = sigaltstack(&none, nullptr) == -1 ? errno : 0;
      },
      SA_ONSTACK);
  MUST(kill(getpid(), SIGUSR1));
  EXPECT_EQ(error, EPERM);
}

CASE("signal stacks", "a signal within a handler continues on the same stack") {
  use_other_stack();
  static volatile std::uintptr_t first = 0;
  handle(SIGUSR2, note_frame, SA_ONSTACK);
  handle(
      SIGUSR1,
      [](int, siginfo_t*, void*) {
        char here;
        first = value_of(&here);
        kill(getpid(), SIGUSR2);
      },
      SA_ONSTACK);
  MUST(kill(getpid(), SIGUSR1));
  EXPECT(on_other_stack(first));
  EXPECT(on_other_stack(handler_frame));
  EXPECT(handler_frame < first);
}

CASE("signal stacks", "the stack is aligned as the ABI says") {
  static volatile std::uintptr_t pointer = 1;
  for (const int flags : {0, SA_ONSTACK}) {
    use_other_stack();
    handle(SIGUSR1, [](int, siginfo_t*, void*) { pointer = value_of(__builtin_frame_address(0)); }, flags);
    MUST(kill(getpid(), SIGUSR1));
    EXPECT_EQ(pointer % 16, 0);  // the frame pointer's place, 16 below the caller's end
  }
}

CASE("signal stacks", "a frame that cannot be written kills") {
  const int status = status_of(start_child([] {
    stack_t stack = {};
    stack.ss_sp = map(16 * kPage, PROT_READ);
    stack.ss_size = 16 * kPage;
    sigaltstack(&stack, nullptr);
    handle(SIGUSR1, note_frame, SA_ONSTACK);
    kill(getpid(), SIGUSR1);
    return 1;
  }));
  EXPECT(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGSEGV);
}

}  // namespace
}  // namespace guest
