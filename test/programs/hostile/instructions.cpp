// Instructions that only a kernel may execute, interrupts by number, and processor state that a kernel must not trust.
#include <fcntl.h>
#include <sys/syscall.h>

#include <tuple>

#include "../support/memory.hpp"
#include "attempt.hpp"

namespace guest {
namespace {

struct Instruction {
  const char* name;
  void (*execute)();
};

// They change caller-saved registers alone.
#define INSTRUCTION(text) {text, [] { asm volatile(text); }}

// Refused by the processor to all but the kernel: SIGSEGV, or SIGILL where this processor does not have it.
constexpr Instruction kPrivileged[] = {
    INSTRUCTION("hlt"),
    INSTRUCTION("cli"),
    INSTRUCTION("sti"),
    INSTRUCTION("clts"),
    INSTRUCTION("invd"),
    INSTRUCTION("wbinvd"),
    INSTRUCTION("movq %cr0, %rax"),
    INSTRUCTION("movq %cr2, %rax"),
    INSTRUCTION("movq %cr3, %rax"),
    INSTRUCTION("movq %cr4, %rax"),
    INSTRUCTION("movq %cr8, %rax"),
    INSTRUCTION("movq %rax, %cr0"),
    INSTRUCTION("movq %rax, %cr3"),
    INSTRUCTION("movq %rax, %cr4"),
    INSTRUCTION("movq %rax, %cr8"),
    INSTRUCTION("movq %dr0, %rax"),
    INSTRUCTION("movq %rax, %dr7"),
    INSTRUCTION("movl $0xC0000082, %ecx; rdmsr"),
    INSTRUCTION("movl $0xC0000082, %ecx; wrmsr"),
    INSTRUCTION("movl $0xC0000102, %ecx; wrmsr"),
    INSTRUCTION("lgdt -64(%rsp)"),
    INSTRUCTION("lidt -64(%rsp)"),
    INSTRUCTION("xorl %eax, %eax; lldt %ax"),
    INSTRUCTION("movl $0x28, %eax; ltr %ax"),
    INSTRUCTION("movl $1, %eax; lmsw %ax"),
    INSTRUCTION("invlpg (%rsp)"),
    INSTRUCTION("swapgs"),
    INSTRUCTION("sysretq"),
    INSTRUCTION("xorl %ecx, %ecx; xorl %edx, %edx; movl $7, %eax; xsetbv"),
    INSTRUCTION("inb $0x60, %al"),
    INSTRUCTION("inb $0x71, %al"),
    INSTRUCTION("movw $0xCF8, %dx; inl %dx, %eax"),
    INSTRUCTION("outb %al, $0x80"),
    INSTRUCTION("movw $0xF4, %dx; outl %eax, %dx"),
    INSTRUCTION("movw $0x3F8, %dx; outb %al, %dx"),
    INSTRUCTION("movw $0x64, %dx; movb $0xFE, %al; outb %al, %dx"),
    INSTRUCTION("movw $0x3F8, %dx; leaq -64(%rsp), %rdi; insb"),
    INSTRUCTION("movw $0x3F8, %dx; leaq -64(%rsp), %rsi; outsb"),
    INSTRUCTION("xorl %ecx, %ecx; xorl %edx, %edx; movq %rsp, %rax; monitor"),
    INSTRUCTION("mwait"),
    INSTRUCTION("rsm"),
    INSTRUCTION("vmrun %rax"),
    INSTRUCTION("clac"),
    INSTRUCTION("stac"),
    INSTRUCTION("invpcid (%rsp), %rax"),
};

const Registration kInstructions([] {
  for (const Instruction& one : kPrivileged) {
    add_case("instructions", one.name, [&one] {
      const std::string end = name_of_end(end_of([&one] { one.execute(); }));
      EXPECT(end == "SIGSEGV" || end == "SIGILL");
      note(end);
    });
  }
});

// Some processors let programs read these; they tell where the kernel's tables are, and nothing can be done with it.
constexpr Instruction kTelling[] = {
    INSTRUCTION("sgdt -64(%rsp)"), INSTRUCTION("sidt -64(%rsp)"), INSTRUCTION("sldt %eax"),
    INSTRUCTION("str %eax"),       INSTRUCTION("smsw %eax"),      INSTRUCTION("xorl %ecx, %ecx; rdpmc"),
};

const Registration kTelltales([] {
  for (const Instruction& one : kTelling) {
    add_case("instructions", one.name, [&one] {
      const std::string end = name_of_end(end_of([&one] { one.execute(); }));
      EXPECT(end == "SIGSEGV" || end == "SIGILL" || end == "exit 0");
      note(end);
    });
  }
});

CASE("instructions", "each port, in and out") {
  std::ignore = fault_of([] {});
  for (unsigned port = 0; port < 0x10000; port += 13) {
    EXPECT_EQ(fault_of([port] { asm volatile("inb %%dx, %%al" ::"d"(port) : "al"); }).signal, SIGSEGV);
    EXPECT_EQ(fault_of([port] { asm volatile("outb %%al, %%dx" ::"d"(port), "a"(0)); }).signal, SIGSEGV);
  }
}

CASE("instructions", "int with each number") {
  char* code = map(kPage);
  std::string others;
  for (int number = 0; number < 256; number++) {
    const unsigned char bytes[] = {0xCD, static_cast<unsigned char>(number), 0xC3};
    MUST(mprotect(code, kPage, kReadWrite));
    std::memcpy(code, bytes, sizeof bytes);
    MUST(mprotect(code, kPage, PROT_READ | PROT_EXEC));
    const std::string end = name_of_end(end_of([code] {
      const long call = SYS_getpid;  // what int 0x80 would do is some harmless call
      asm volatile("call *%1" ::"a"(call), "r"(code) : "rcx", "r11", "memory", "cc");
    }));
    if (end != "SIGSEGV") {
      EXPECT(number == 3 || number == 4 || number == 0x80);
      others += " int " + std::to_string(number) + " " + end;
    }
  }
  note("SIGSEGV, but" + others);
}

CASE("instructions", "iretq and lretq to selectors of the kernel and all others") {
  for (unsigned selector = 0; selector < 0x108; selector++) {
    if ((selector & ~3U) == 0x20 || (selector & ~3U) == 0x30 || (selector & ~3U) == 0x28 || (selector & ~3U) == 0x18) {
      continue;  // where the segments of programs may be
    }
    const auto far_return = [selector] {
      const unsigned long target = selector;
      asm volatile(
          "pushq %0\n\t"
          "leaq 1f(%%rip), %%rax\n\t"
          "pushq %%rax\n\t"
          "lretq\n"
          "1:\n\t"
          "movq %%cr3, %%rax" ::"r"(target)
          : "rax", "memory");
    };
    const std::string far_end = name_of_end(end_of(far_return));
    if (far_end != "SIGSEGV") {
      fail(__FILE__, __LINE__, "lretq to selector " + std::to_string(selector) + ": " + far_end);
    }
    const auto interrupt_return = [selector] {
      const unsigned long target = selector;
      asm volatile(
          "movq %%rsp, %%rcx\n\t"
          "pushq $0\n\t"
          "pushq %%rcx\n\t"
          "pushq $0x3202\n\t"  // with the right to do I/O
          "pushq %0\n\t"
          "leaq 1f(%%rip), %%rax\n\t"
          "pushq %%rax\n\t"
          "iretq\n"
          "1:\n\t"
          "cli" ::"r"(target)
          : "rax", "rcx", "memory");
    };
    const std::string end = name_of_end(end_of(interrupt_return));
    EXPECT(end == "SIGSEGV" || end == "SIGBUS");
  }
}

CASE("instructions", "segment registers with each selector") {
  for (unsigned selector = 0; selector < 0x108; selector++) {
    std::ignore = fault_of([selector] { asm volatile("movw %w0, %%ds" ::"r"(selector)); });
    std::ignore = fault_of([selector] { asm volatile("movw %w0, %%es" ::"r"(selector)); });
    std::ignore = fault_of([selector] { asm volatile("movw %w0, %%gs" ::"r"(selector)); });
    std::ignore = fault_of([selector] { asm volatile("movw %w0, %%ss" ::"r"(selector)); });
    raw_call(SYS_getpid);
  }
  const int status = end_of([] {
    for (unsigned selector = 0; selector < 0x108; selector++) {
      asm volatile("movw %w0, %%fs" ::"r"(selector));
    }
  });
  note("fs: " + name_of_end(status));
}

CASE("instructions", "popfq does not give the right to do I/O, nor take interrupts away") {
  const std::string end = name_of_end(end_of([] { asm volatile("pushq $0x3002; popfq; cli" ::: "memory", "cc"); }));
  EXPECT_EQ(end, std::string("SIGSEGV"));
  unsigned long flags = 0;
  asm volatile("pushq $0x3002; popfq; pushfq; popq %0" : "=r"(flags)::"memory", "cc");
  EXPECT_EQ(flags & 0x3200, 0x200U);
}

// Flags with which a system call is made: each must come back, and none may change what the kernel does.
CASE("instructions", "system calls with the direction, alignment, nested-task and resume flags") {
  const Folder folder;
  const auto file = static_cast<std::uintptr_t>(folder.file("file", "0123456789"));
  char buffer[16] = {};
  for (const unsigned long flags : {0x400UL, 0x40000UL, 0x4000UL, 0x10000UL, 0x254400UL, 0x200000UL}) {
    std::memset(buffer, 0, sizeof buffer);
    long result = SYS_pread64;
    register std::uintptr_t offset asm("r10") = 0;
    asm volatile(
        "pushfq\n\t"
        "orq %1, (%%rsp)\n\t"
        "popfq\n\t"
        "syscall\n\t"
        "pushq $0x202\n\t"
        "popfq"
        : "+a"(result)
        : "b"(flags), "D"(file), "S"(buffer), "d"(10L), "r"(offset)
        : "rcx", "r11", "memory", "cc");
    EXPECT_EQ(result, 10);
    EXPECT_EQ(std::string(buffer), std::string("0123456789"));
    // With alignment checks on, the kernel would be let into programs' memory unasked: a bad pointer must still fail.
    result = SYS_uname;
    asm volatile("pushfq\n\torq %1, (%%rsp)\n\tpopfq\n\tsyscall\n\tpushq $0x202\n\tpopfq"
                 : "+a"(result)
                 : "b"(flags), "D"(0xFFFF'FFFF'FB80'0000)
                 : "rcx", "r11", "memory", "cc");
    EXPECT_EQ(result, -EFAULT);
  }
}

CASE("instructions", "a single step into a system call stops after it, not in the kernel") {
  for (int i = 0; i < 20; i++) {
    const Fault fault = fault_of([] {
      asm volatile("pushfq; orq $0x100, (%%rsp); popfq; syscall; nop" ::"a"(SYS_getpid) : "rcx", "r11", "memory", "cc");
    });
    EXPECT_EQ(fault.signal, SIGTRAP);
    EXPECT(fault.instruction < 0x0000'8000'0000'0000 || fault.instruction >= 0xFFFF'8000'0000'0000);
    EXPECT_EQ(read_fault(fault.instruction).signal, 0);
  }
}

CASE("instructions", "segment bases in the kernel: no kernel memory by way of fs or gs") {
  for (const WildPointer& pointer : wild_pointers()) {
    const std::string end = name_of_end(end_of([&pointer] {
      if (raw_call(SYS_arch_prctl, 0x1001, pointer.address) != 0) {
        raise(SIGSEGV);
      }
      asm volatile("movb %%gs:0, %%al" ::: "rax", "memory");
    }));
    EXPECT_EQ(end, std::string("SIGSEGV"));
    // By the instruction, where the kernel has let programs use it.
    end_of([&pointer] {
      asm volatile(".byte 0xF3, 0x48, 0x0F, 0xAE, 0xD8" ::"a"(pointer.address));  // wrgsbase %rax
      raw_call(SYS_getpid);
      peek(nullptr);
    });
    end_of([&pointer] {
      asm volatile(".byte 0xF3, 0x48, 0x0F, 0xAE, 0xD0" ::"a"(pointer.address));  // wrfsbase %rax
      raw_call(SYS_getpid);
      raw_call(SYS_exit, 0);
    });
  }
}

CASE("instructions", "a stack pointer that is wild, at calls, faults and signals") {
  for (const WildPointer& pointer : wild_pointers()) {
    if (pointer.address == kUserLimit) {
      continue;  // below it lies the program's own stack
    }
    const std::string at_call = name_of_end(end_of([&pointer] {
      asm volatile(
          "movq %%rsp, %%rbx\n\t"
          "movq %1, %%rsp\n\t"
          "syscall\n\t"
          "movq %%rbx, %%rsp"
          :
          : "a"(SYS_getpid), "r"(pointer.address)
          : "rbx", "rcx", "r11", "memory");
    }));
    EXPECT_EQ(at_call, std::string("exit 0"));
    const std::string at_fault = name_of_end(end_of([&pointer] {
      std::signal(SIGSEGV, [](int) { _exit(3); });
      asm volatile("movq %0, %%rsp\n\tmovb 8, %%al" ::"r"(pointer.address) : "rax", "memory");
    }));
    EXPECT_EQ(at_fault, std::string("SIGSEGV"));
    const std::string at_signal = name_of_end(end_of([&pointer] {
      std::signal(SIGUSR1, [](int) { _exit(3); });
      const long self = getpid();
      asm volatile("movq %2, %%rsp\n\tsyscall\n\tud2" ::"a"(SYS_kill), "D"(self), "r"(pointer.address), "S"(SIGUSR1)
                   : "rcx", "r11", "memory");
    }));
    EXPECT_EQ(at_signal, std::string("SIGSEGV"));
  }
}

CASE("instructions", "jumps to each wild pointer") {
  for (const WildPointer& pointer : wild_pointers()) {
    const std::uintptr_t target = pointer.address;
    EXPECT_EQ(execute_fault(target).signal, SIGSEGV);
    EXPECT_EQ(name_of_end(end_of([target] { asm volatile("jmp *%0" ::"r"(target)); })), std::string("SIGSEGV"));
    EXPECT_EQ(name_of_end(end_of([target] { asm volatile("pushq %0\n\tret" ::"r"(target)); })), std::string("SIGSEGV"));
  }
}

CASE("instructions", "sysenter and syscall's 32-bit relatives do not enter the kernel by a back door") {
  const std::string end = name_of_end(end_of([] { asm volatile("movl $20, %%eax\n\tsysenter" ::: "rax", "memory"); }));
  EXPECT(end.compare(0, 3, "SIG") == 0);
  note("sysenter: " + end);
}

}  // namespace
}  // namespace guest
