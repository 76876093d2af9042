// From the boot stub to the self-test.
#include <new>

#include <vellum/pc/console.hpp>
#include <vellum/pc/descriptor_tables.hpp>
#include <vellum/pc/power.hpp>
#include <vellum/pc/pvh.hpp>

#include "boot_memory.hpp"
#include "kernel.hpp"
#include "run_mode.hpp"
#include "selftest.hpp"

namespace vellum::kernel {

namespace {

constinit Machine the_machine;
alignas(Kernel) constinit std::byte room_for_kernel[sizeof(Kernel)] = {};

void print_features(const pc::CpuFeatures& features) {
  pc::print_line("protection: WP", features.no_execute ? " NX" : "", features.smep ? " SMEP" : "",
                 features.smap ? " SMAP" : "", features.umip ? " UMIP" : "");
}

// The descriptors of physical memory lie in the highest of it that the boot stub's tables reach.
Result<PhysicalMemory*> create_memory(MemoryMap usable) {
  const PageCount pages = pages_for(PhysicalMemory::area_size(usable, the_machine.cpu_count()));
  const FrameRange area = VELLUM_TRY(usable.allocate(pages, PageCount(1), PhysAddr(pc::kBootDirectMapSize.value())));
  auto* const bytes = pc::direct_mapped<std::byte>(address_of(area.start()));
  return PhysicalMemory::create(the_machine, usable, {bytes, static_cast<std::size_t>(bytes_of(pages).value())});
}

// What lacks here lacks for good, so there is nobody to give the error to.
template <class T>
T must(Result<T> result, const char* what) {
  if (!result.ok()) {
    panic(what);
  }
  return std::move(result).value();
}

Kernel& boot(const pc::StartInfo& start_info, const pc::CpuFeatures& features) {
  const BootMemory found = must(find_memory(start_info), "the firmware's memory map has too many rows");
  pc::print_line("boot: ", pc::kArchName, ", ", found.usable.total().value() >> 8, " MB of memory");
  print_features(features);

  PhysicalMemory& memory = *must(create_memory(found.usable), "not enough memory for its own descriptors");
  Kernel& kernel = *::new (room_for_kernel) Kernel(the_machine, features, memory);
  must(kernel.tables.build(found.ram, features), "not enough memory for the kernel's tables");
  the_machine.set_root(kernel.tables.root_address());
  pc::enable_global_pages(features);
  pc::print_line("paging: own tables, root ", kernel.tables.root_address(), ", ",
                 kernel.virtual_memory.nodes.node_count(), " tables");
  return kernel;
}

}  // namespace

}  // namespace vellum::kernel

extern "C" [[noreturn]] void kernel_main(std::uint32_t start_info_address, std::uint32_t protocol);
extern "C" void kernel_main(std::uint32_t start_info_address, std::uint32_t protocol) {
  using namespace vellum;
  pc::console().initialise();
  pc::load_descriptor_tables();
  const pc::CpuFeatures features = pc::enable_protections();
  if (!features.no_execute) {
    panic("the processor cannot deny execution (NX)");
  }
  const pc::StartInfo start_info =
      kernel::must(pc::StartInfo::read(PhysAddr(start_info_address), pc::BootProtocol{protocol}),
                   "the loader's start information is neither PVH's, version 1, nor Multiboot2's");
  kernel::Kernel& kernel = kernel::boot(start_info, features);
#if defined(VELLUM_RUNS_PROGRAMS)
  if (kernel::has_word(start_info.command_line(), "run")) {
    kernel::run_for_host(kernel, start_info.command_line());
  }
#endif
  kernel::run_selftest(kernel);
  pc::print_line("time: ", pc::read_time_stamp(), " ticks since reset");
  pc::print_line("selftest: passed");
  pc::stop(pc::Outcome::success);
}
