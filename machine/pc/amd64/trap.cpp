#include <vellum/pc/console.hpp>
#include <vellum/pc/trap.hpp>

namespace vellum::pc {

constinit VirtAddr direct_map_base = kBootDirectMap;

void print_registers(const TrapFrame& frame) {
  print_line("  rax ", Hex{frame.rax}, " rbx ", Hex{frame.rbx}, " rcx ", Hex{frame.rcx}, " rdx ", Hex{frame.rdx});
  print_line("  rsi ", Hex{frame.rsi}, " rdi ", Hex{frame.rdi}, " rbp ", Hex{frame.rbp}, " rsp ", Hex{frame.rsp});
  print_line("  r8 ", Hex{frame.r8}, " r9 ", Hex{frame.r9}, " r10 ", Hex{frame.r10}, " r11 ", Hex{frame.r11});
  print_line("  r12 ", Hex{frame.r12}, " r13 ", Hex{frame.r13}, " r14 ", Hex{frame.r14}, " r15 ", Hex{frame.r15});
  print_line("  cs ", Hex{frame.cs}, " ss ", Hex{frame.ss}, " rflags ", Hex{frame.rflags});
}

}  // namespace vellum::pc
