#include "fault.hpp"

#include <sys/mman.h>
#include <ucontext.h>

#include <cstdio>

#include "test.hpp"

namespace guest {

namespace fault_detail {

thread_local sigjmp_buf point;
thread_local volatile bool armed = false;
thread_local Fault last;

namespace {

constexpr std::size_t kStackBytes = 65536;
constexpr int kSignals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};

void on_fault(int signal, siginfo_t* info, void* context) {
  if (!armed) {
    std::signal(signal, SIG_DFL);  // the same again, without a handler
    return;
  }
  const auto* registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  last = {signal,
          info->si_code,
          reinterpret_cast<std::uintptr_t>(info->si_addr),
          static_cast<std::uintptr_t>(registers[REG_RIP]),
          static_cast<std::uintptr_t>(registers[REG_ERR]),
          static_cast<std::uintptr_t>(registers[REG_TRAPNO])};
  siglongjmp(point, 1);
}

}  // namespace

void prepare() {
  alignas(16) static thread_local char stack[kStackBytes];
  stack_t alternate = {};
  alternate.ss_sp = stack;
  alternate.ss_size = sizeof stack;
  sigaltstack(&alternate, nullptr);
  struct sigaction action = {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  for (const int signal : kSignals) {
    sigaction(signal, &action, nullptr);
  }
}

}  // namespace fault_detail

Fault read_fault(std::uintptr_t address) {
  return fault_of([address] {
    char value;
    asm volatile("movb (%1), %0" : "=q"(value) : "r"(address) : "memory");
  });
}

Fault write_fault(std::uintptr_t address) {
  return fault_of([address] { asm volatile("movb $0x5A, (%0)" ::"r"(address) : "memory"); });
}

Fault execute_fault(std::uintptr_t address) {
  return fault_of([address] { asm volatile("call *%0" ::"r"(address) : "memory", "cc"); });
}

void expect_fault(const Fault& got, int signal, int code, std::uintptr_t address, const char* text, const char* file,
                  int line) {
  if (got.signal != signal || got.code != code || got.address != address) {
    char why[256];
    std::snprintf(why, sizeof why, "%s: signal %d code %d address 0x%lx, not signal %d code %d address 0x%lx", text,
                  got.signal, got.code, got.address, signal, code, address);
    fail(file, line, why);
  }
}

}  // namespace guest
