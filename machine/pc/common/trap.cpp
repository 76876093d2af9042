#include <vellum/base/panic.hpp>
#include <vellum/pc/console.hpp>
#include <vellum/pc/instructions.hpp>
#include <vellum/pc/trap.hpp>

namespace vellum::pc {

namespace {

constexpr std::uint64_t kErrorWrite = 1U << 1;
constexpr std::uint64_t kErrorUser = 1U << 2;
constexpr std::uint64_t kErrorFetch = 1U << 4;

// [intel/vol3 table 6-1]
constexpr const char* kNames[] = {
    "divide error",
    "debug exception",
    "non-maskable interrupt",
    "breakpoint",
    "overflow",
    "bound range exceeded",
    "invalid opcode",
    "no coprocessor",
    "double fault",
    "coprocessor overrun",
    "invalid task state",
    "segment not present",
    "stack-segment fault",
    "general protection",
    "page fault",
    "reserved",
    "floating-point error",
    "alignment check",
    "machine check",
    "SIMD floating-point error",
};

}  // namespace

PageFault page_fault(const TrapFrame& frame) {
  const Access access = (frame.error_code & kErrorFetch) != 0   ? Access::execute
                        : (frame.error_code & kErrorWrite) != 0 ? Access::write
                                                                : Access::read;
  return {.address = VirtAddr(read_cr2()),
          .access = access,
          .privilege = (frame.error_code & kErrorUser) != 0 ? Privilege::user : Privilege::kernel};
}

void panic_on_trap(const TrapFrame& frame) {
  const bool named = frame.vector < sizeof(kNames) / sizeof(kNames[0]);
  const char* name = named ? kNames[frame.vector] : "unexpected interrupt";
  print_line("trap: ", name, " (vector ", frame.vector, ", error code ", Hex{frame.error_code}, ") at ",
             Hex{frame.instruction()}, frame.from_user() ? " in user mode" : " in the kernel", ", cr2 ",
             Hex{read_cr2()}, ", cr3 ", Hex{read_cr3()});
  print_registers(frame);
  panic_on_trap(frame, name);
}

}  // namespace vellum::pc

extern "C" void vellum_on_trap(vellum::pc::TrapFrame& frame) { vellum::pc::on_trap(frame); }
