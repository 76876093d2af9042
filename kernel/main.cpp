// The first C++ of the kernel, and the way of its traps.
#include <vellum/base/machine.hpp>
#include <vellum/pc/console.hpp>
#include <vellum/pc/cpu_features.hpp>
#include <vellum/pc/descriptor_tables.hpp>
#include <vellum/pc/power.hpp>
#include <vellum/pc/pvh.hpp>
#include <vellum/pc/trap.hpp>

#include "boot_memory.hpp"

namespace vellum::pc {

void on_trap(TrapFrame& frame) { panic_on_trap(frame); }

}  // namespace vellum::pc

namespace vellum::kernel {

namespace {

void print_features(const pc::CpuFeatures& features) {
  pc::print_line("protection: WP", features.no_execute ? " NX" : "", features.smep ? " SMEP" : "",
                 features.smap ? " SMAP" : "", features.umip ? " UMIP" : "");
}

void boot(PhysAddr start_info_address) {
  pc::console().initialise();
  pc::load_descriptor_tables();
  const pc::CpuFeatures features = pc::enable_protections();
  Result<pc::StartInfo> start_info = pc::StartInfo::read(start_info_address);
  if (!start_info.ok()) {
    panic("the loader's start information is not that of PVH, version 1");
  }
  Result<MemoryMap> memory = usable_memory(*start_info);
  if (!memory.ok()) {
    panic("the firmware's memory map has too many rows");
  }
  pc::print_line("boot: ", pc::kArchName, ", ", memory->total().value() >> 8, " MB of memory");
  print_features(features);
}

}  // namespace

}  // namespace vellum::kernel

extern "C" [[noreturn]] void kernel_main(std::uint32_t start_info);
extern "C" void kernel_main(std::uint32_t start_info) {
  vellum::kernel::boot(vellum::PhysAddr(start_info));
  vellum::pc::stop(vellum::pc::Outcome::success);
}
