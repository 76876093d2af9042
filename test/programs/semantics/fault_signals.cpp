// The signal that each wrong access gives: number, code, address, and what a handler can do about it.
#include <ucontext.h>

#include "../support/fault.hpp"
#include "../support/memory.hpp"
#include "../support/process.hpp"

namespace guest {
namespace {

constexpr std::uintptr_t kHole = 0x0000'8000'0000'0000;
constexpr std::uintptr_t kPageFault = 14;
constexpr std::uintptr_t kProtectionFault = 13;
// Bits of a page fault's error code.
constexpr std::uintptr_t kPresent = 1;
constexpr std::uintptr_t kWrite = 2;
constexpr std::uintptr_t kUser = 4;
constexpr std::uintptr_t kFetch = 16;

CASE("faults", "a null pointer") {
  EXPECT_FAULT(read_fault(std::uintptr_t{0}), SIGSEGV, SEGV_MAPERR, std::uintptr_t{0});
  EXPECT_FAULT(write_fault(std::uintptr_t{0}), SIGSEGV, SEGV_MAPERR, std::uintptr_t{0});
  EXPECT_FAULT(execute_fault(std::uintptr_t{0}), SIGSEGV, SEGV_MAPERR, std::uintptr_t{0});
}

CASE("faults", "a member of a null pointer") {
  for (const std::uintptr_t offset : {std::uintptr_t{8}, std::uintptr_t{0x123}, std::uintptr_t{0xFFFF}}) {
    EXPECT_FAULT(read_fault(offset), SIGSEGV, SEGV_MAPERR, offset);
    EXPECT_FAULT(write_fault(offset), SIGSEGV, SEGV_MAPERR, offset);
  }
}

CASE("faults", "the error code tells the access") {
  char* page = map(kPage, PROT_READ);
  char* nothing = free_place(kPage);
  EXPECT_EQ(peek(page), '\0');
  const Fault read = read_fault(nothing);
  EXPECT_EQ(read.trap, kPageFault);
  EXPECT_EQ(read.error, kUser);
  EXPECT_EQ(write_fault(nothing).error, kUser | kWrite);
  EXPECT_EQ(write_fault(page).error, kUser | kWrite | kPresent);
  EXPECT_EQ(execute_fault(nothing).error & (kUser | kFetch), kUser | kFetch);
}

CASE("faults", "an access across the end of a mapping names the first byte that fails") {
  char* pages = map(2 * kPage);
  MUST(munmap(pages + kPage, kPage));
  const Fault fault = fault_of([&] { asm volatile("movq (%0), %%rax" ::"r"(pages + kPage - 4) : "rax", "memory"); });
  EXPECT_FAULT(fault, SIGSEGV, SEGV_MAPERR, pages + kPage);
}

CASE("faults", "an address in the hole: SI_KERNEL and no address") {
  for (const std::uintptr_t address : {kHole, kHole + 0x1234, std::uintptr_t{0xFFFF'7FFF'FFFF'F000}, kHole << 8}) {
    EXPECT_FAULT(read_fault(address), SIGSEGV, SI_KERNEL, std::uintptr_t{0});
    EXPECT_FAULT(write_fault(address), SIGSEGV, SI_KERNEL, std::uintptr_t{0});
    EXPECT_EQ(read_fault(address).trap, kProtectionFault);
  }
}

CASE("faults", "a jump into the hole") {
  EXPECT_FAULT(execute_fault(kHole), SIGSEGV, SI_KERNEL, std::uintptr_t{0});
  EXPECT_FAULT(execute_fault(kHole << 4), SIGSEGV, SI_KERNEL, std::uintptr_t{0});
}

CASE("faults", "a push onto a stack in the hole") {
  const Fault fault = fault_of([] {
    asm volatile(
        "movq %%rsp, %%rbx\n\t"
        "movq %0, %%rsp\n\t"
        "pushq %%rax\n\t"
        "movq %%rbx, %%rsp"
        :
        : "r"(kHole + 64)
        : "rbx", "memory");
  });
  // Processors tell a stack fault from a protection fault; QEMU's emulation does not.
  EXPECT(fault.signal == SIGBUS || fault.signal == SIGSEGV);
  EXPECT_EQ(fault.code, SI_KERNEL);
}

CASE("faults", "kernel addresses: MAPERR and the address") {
  for (const std::uintptr_t address : {std::uintptr_t{0xFFFF'FFFF'FB80'0000}, std::uintptr_t{0xFFFF'FFFF'FFC0'0000},
                                       std::uintptr_t{0xFFFF'FD00'0000'0000}, std::uintptr_t{0xFFFF'FE00'0000'0008},
                                       std::uintptr_t{0xFFFF'FFFF'FFFF'F000}}) {
    EXPECT_FAULT(read_fault(address), SIGSEGV, SEGV_MAPERR, address);
    EXPECT_FAULT(write_fault(address), SIGSEGV, SEGV_MAPERR, address);
    EXPECT_FAULT(execute_fault(address), SIGSEGV, SEGV_MAPERR, address);
  }
}

CASE("faults", "the instruction is named") {
  char* nothing = free_place(kPage);
  EXPECT_EQ(execute_fault(nothing).instruction, value_of(nothing));
  const Fault fault = read_fault(nothing);
  EXPECT_EQ(read_fault(fault.instruction).signal, 0);
  EXPECT(fault.instruction != 0);
}

CASE("faults", "division by zero") {
  const Fault fault = fault_of([] {
    asm volatile("xorl %%ecx, %%ecx\n\tmovl $1, %%eax\n\txorl %%edx, %%edx\n\tdivl %%ecx" ::
                     : "eax", "ecx", "edx", "cc");
  });
  EXPECT_FAULT(fault, SIGFPE, FPE_INTDIV, fault.instruction);
}

CASE("faults", "an undefined instruction") {
  const Fault fault = fault_of([] { asm volatile("ud2"); });
  EXPECT_FAULT(fault, SIGILL, ILL_ILLOPN, fault.instruction);
}

CASE("faults", "a breakpoint") {
  const Fault fault = fault_of([] { asm volatile("int3"); });
  EXPECT_FAULT(fault, SIGTRAP, SI_KERNEL, std::uintptr_t{0});
}

CASE("faults", "a single step") {
  const Fault fault = fault_of([] {
    asm volatile(
        "pushfq\n\t"
        "orq $0x100, (%%rsp)\n\t"
        "popfq\n\t"
        "nop\n\tnop" ::
            : "memory", "cc");
  });
  EXPECT_FAULT(fault, SIGTRAP, TRAP_TRACE, fault.instruction);
}

CASE("faults", "privileged instructions") {
  EXPECT_FAULT(fault_of([] { asm volatile("hlt"); }), SIGSEGV, SI_KERNEL, std::uintptr_t{0});
  EXPECT_FAULT(fault_of([] { asm volatile("cli"); }), SIGSEGV, SI_KERNEL, std::uintptr_t{0});
  EXPECT_FAULT(fault_of([] { asm volatile("inb $0x70, %%al" ::: "al"); }), SIGSEGV, SI_KERNEL, std::uintptr_t{0});
  EXPECT_FAULT(fault_of([] { asm volatile("movq %%cr3, %%rax" ::: "rax"); }), SIGSEGV, SI_KERNEL, std::uintptr_t{0});
}

// --- handlers that do something about it

char* repaired = nullptr;
volatile int repairs = 0;

void handle(int signal, void (*handler)(int, siginfo_t*, void*), int flags = 0) {
  struct sigaction action = {};
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO | flags;
  MUST(sigaction(signal, &action, nullptr));
}

CASE("fault handlers", "mprotect in the handler, and the write goes on") {
  repaired = map(kPage, PROT_READ);
  handle(SIGSEGV, [](int, siginfo_t* info, void*) {
    repairs = repairs + (info->si_addr == repaired + 9 && info->si_code == SEGV_ACCERR ? 1 : 100);
    mprotect(repaired, kPage, kReadWrite);
  });
  poke(repaired + 9, 'W');
  EXPECT_EQ(peek(repaired + 9), 'W');
  EXPECT_EQ(repairs, 1);
}

CASE("fault handlers", "mmap in the handler, and the read goes on") {
  repaired = free_place(kPage);
  handle(SIGSEGV, [](int, siginfo_t*, void*) {
    repairs = repairs + 1;
    map(kPage, kReadWrite, kPrivate | MAP_FIXED, -1, 0, repaired);
    *repaired = 'R';
  });
  EXPECT_EQ(peek(repaired), 'R');
  EXPECT_EQ(repairs, 1);
}

CASE("fault handlers", "a page for each fault, a hundred times: memory by signals") {
  constexpr int kPages = 100;
  char* pages = map(kPages * kPage, PROT_NONE);
  handle(SIGSEGV, [](int, siginfo_t* info, void*) {
    repairs = repairs + 1;
    mprotect(pointer_to(reinterpret_cast<std::uintptr_t>(info->si_addr) & ~(kPage - 1)), kPage, kReadWrite);
  });
  for (int i = 0; i < kPages; i++) {
    poke(pages + static_cast<std::size_t>(i) * kPage + 5, static_cast<char>(i));
  }
  EXPECT_EQ(repairs, kPages);
  for (int i = 0; i < kPages; i++) {
    EXPECT_EQ(peek(pages + static_cast<std::size_t>(i) * kPage + 5), static_cast<char>(i));
  }
}

CASE("fault handlers", "the handler changes a register and steps over") {
  handle(SIGSEGV, [](int, siginfo_t*, void* context) {
    auto* registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
    registers[REG_RIP] += 3;  // the length of movq (%rbx), %rax
    registers[REG_RAX] = 0x1234'5678'9ABC;
  });
  std::uint64_t value = 0;
  asm volatile(".byte 0x48, 0x8B, 0x03" : "=a"(value) : "b"(8) : "memory");
  EXPECT_EQ(value, 0x1234'5678'9ABCU);
}

CASE("fault handlers", "a file that grows in the handler of SIGBUS") {
  static int file;
  const Folder folder;
  file = folder.file("file");
  char* page = map(kPage, kReadWrite, MAP_SHARED, file);
  handle(SIGBUS, [](int, siginfo_t* info, void*) {
    repairs = repairs + (info->si_code == BUS_ADRERR ? 1 : 100);
    ftruncate(file, kPage);
  });
  poke(page, 'W');
  EXPECT_EQ(repairs, 1);
  EXPECT_EQ(peek(page), 'W');
}

CASE("fault handlers", "a fault within the handler of a fault") {
  repaired = map(2 * kPage, PROT_NONE);
  handle(
      SIGSEGV,
      [](int, siginfo_t* info, void*) {
        repairs = repairs + 1;
        char* page = pointer_to(reinterpret_cast<std::uintptr_t>(info->si_addr) & ~(kPage - 1));
        if (page == repaired) {
          poke(repaired + kPage, 'I');
        }
        mprotect(page, kPage, kReadWrite);
      },
      SA_NODEFER);
  poke(repaired, 'O');
  EXPECT_EQ(repairs, 2);
  EXPECT_EQ(peek(repaired + kPage), 'I');
}

CASE("fault handlers", "a fault while its signal is blocked kills") {
  const pid_t child = start_child([] {
    handle(SIGSEGV, [](int, siginfo_t*, void*) { _exit(1); });
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGSEGV);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    peek(pointer_to(8));
    return 2;
  });
  EXPECT_EQ(WTERMSIG(status_of(child)), SIGSEGV);
}

CASE("fault handlers", "a fault whose signal is ignored kills") {
  const pid_t child = start_child([] {
    std::signal(SIGSEGV, SIG_IGN);
    peek(pointer_to(8));
    return 2;
  });
  EXPECT_EQ(WTERMSIG(status_of(child)), SIGSEGV);
}

CASE("fault handlers", "each fatal fault is told by wait") {
  const auto ends_by = [](void (*body)()) {
    const int status = status_of(start_child([body] { body(); }));
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  };
  EXPECT_EQ(ends_by([] { peek(pointer_to(0)); }), SIGSEGV);
  EXPECT_EQ(ends_by([] { asm volatile("ud2"); }), SIGILL);
  EXPECT_EQ(ends_by([] { asm volatile("int3"); }), SIGTRAP);
  EXPECT_EQ(ends_by([] { asm volatile("xorl %%ecx, %%ecx\n\tdivl %%ecx" ::: "eax", "ecx", "edx", "cc"); }), SIGFPE);
  EXPECT_EQ(ends_by([] { asm volatile("hlt"); }), SIGSEGV);
  EXPECT_EQ(ends_by([] { abort(); }), SIGABRT);
}

}  // namespace
}  // namespace guest
