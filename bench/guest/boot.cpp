// An /init whose first instructions read the time-stamp counter: the instructions from reset to here, when QEMU counts
// them. It has no C library, which would run first.

#include <sys/reboot.h>

#include "system_calls.hpp"

namespace vellum::bench {
namespace {

[[noreturn]] void report(std::uint64_t ticks) {
  char text[32] = {'b', 'o', 'o', 't', ' '};
  std::size_t length = 5;
  std::uint64_t divisor = 1;
  while (ticks / divisor >= 10) {
    divisor *= 10;
  }
  for (; divisor != 0; divisor /= 10) {
    text[length++] = static_cast<char>('0' + ticks / divisor % 10);
  }
  text[length++] = '\n';
  call(SYS_write, 1, reinterpret_cast<Word>(text), static_cast<Word>(length));
  constexpr std::uint32_t kMagic[] = {0xfee1dead, 0x28121969};
  call(SYS_reboot, kMagic[0], kMagic[1], RB_POWER_OFF);
  call(SYS_reboot, kMagic[0], kMagic[1], RB_AUTOBOOT);
  for (;;) {
    call(SYS_exit_group, 0);
  }
}

}  // namespace
}  // namespace vellum::bench

extern "C" [[noreturn, gnu::force_align_arg_pointer]] void _start() {
  std::uint32_t low;
  std::uint32_t high;
  asm volatile("rdtsc" : "=a"(low), "=d"(high));
  vellum::bench::report(std::uint64_t{high} << 32 | low);
}
