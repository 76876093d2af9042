#include <vellum/pc/console.hpp>
#include <vellum/pc/trap.hpp>

namespace vellum::pc {

void print_registers(const TrapFrame& frame) {
  print_line("  eax ", Hex{frame.eax}, " ebx ", Hex{frame.ebx}, " ecx ", Hex{frame.ecx}, " edx ", Hex{frame.edx});
  print_line("  esi ", Hex{frame.esi}, " edi ", Hex{frame.edi}, " ebp ", Hex{frame.ebp}, " eflags ", Hex{frame.eflags});
  if (frame.from_user()) {
    print_line("  cs ", Hex{frame.cs}, " esp ", Hex{frame.esp}, " ss ", Hex{frame.ss});
  }
}

}  // namespace vellum::pc
