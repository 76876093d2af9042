// From the boot stub to the self-test.
#include <new>

#include <vellum/pc/console.hpp>
#include <vellum/pc/descriptor_tables.hpp>
#include <vellum/pc/power.hpp>
#include <vellum/pc/pvh.hpp>

#include "boot_memory.hpp"
#include "command_line.hpp"
#include "kernel.hpp"
#include "must.hpp"
#include "selftest.hpp"
#include "start.hpp"
#if defined(VELLUM_RUNS_PROGRAMS)
#include "archive_mode.hpp"
#include "call_list.hpp"
#include "kernel_context.hpp"
#include "other_cpus.hpp"
#include "processor.hpp"
#include "run_mode.hpp"
#endif
#if defined(VELLUM_CORE_TESTS)
#include "core_tests.hpp"
#endif

namespace vellum::kernel {

namespace {

constinit Machine the_machine;
alignas(Kernel) constinit std::byte room_for_kernel[sizeof(Kernel)] = {};

void print_features(const pc::CpuFeatures& features) {
  pc::print_line("protection: WP", features.no_execute ? " NX" : "", features.smep ? " SMEP" : "",
                 features.smap ? " SMAP" : "", features.umip ? " UMIP" : "");
}

pc::StartInfo read_start_info(std::uint32_t address, std::uint32_t protocol) {
  return must(pc::StartInfo::read(PhysAddr(address), pc::BootProtocol{protocol}),
              "the loader's start information is neither PVH's, version 1, nor Multiboot2's");
}

Kernel& boot(const pc::StartInfo& start_info, const pc::CpuFeatures& features) {
#if defined(VELLUM_RUNS_PROGRAMS)
  find_other_cpus(start_info);
#endif
  BootMemory found = must(find_memory(start_info), "the firmware's memory map has too many rows");
  pc::print_line("boot: ", pc::kArchName, ", ", found.usable.total().value() >> 8, " MB of memory");
  print_features(features);

  PhysicalMemory& memory = create_memory(the_machine, found);
  Kernel& kernel = *::new (room_for_kernel) Kernel(the_machine, features, memory);
#if defined(__x86_64__)
  const bool isolated = CommandLine(start_info.command_line()).has("kernel_context=isolated");
  if (isolated) {
    pc::use_isolated_gates();
  }
#else
  constexpr bool isolated = false;
#endif
  enter_kernel_space(kernel, found);
  if (!isolated) {
    pc::enable_global_pages(features);
  }
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
  kernel::Kernel& kernel = kernel::boot(kernel::read_start_info(start_info_address, protocol), features);
  // Once more: what it refers to lies in the direct map, which may have moved.
  const pc::StartInfo start_info = kernel::read_start_info(start_info_address, protocol);
  [[maybe_unused]] const kernel::CommandLine command_line(start_info.command_line());
#if defined(VELLUM_CORE_TESTS)
  if (command_line.has("coretest")) {
    pc::stop(test::run_core_tests(kernel.memory) ? pc::Outcome::success : pc::Outcome::failure);
  }
#endif
#if defined(__x86_64__)
  if (command_line.has("overflow_stack")) {
    kernel::overflow_kernel_stack();
  }
  if (command_line.has("stray_access")) {
    kernel::stray_into_red_zone();
  }
#endif
#if defined(VELLUM_RUNS_PROGRAMS)
  if (command_line.has("list_calls")) {
    kernel::list_system_calls();
    pc::stop(pc::Outcome::success);
  }
  if (!command_line.has("selftest")) {
    kernel::start_processor(kernel);
    if (command_line.has("kernel_context=isolated")) {
      kernel::must(kernel::isolate_kernel_context(kernel), "no memory for the tables of the kernel context");
      kernel::test_kernel_context(kernel);
    }
    if (command_line.has("run")) {
      kernel::run_for_host(kernel, start_info.command_line());
    }
    kernel::run_archive(kernel, start_info);
  }
#endif
  kernel::run_selftest(kernel);
  pc::print_line("time: ", pc::read_time_stamp(), " ticks since reset");
  pc::print_line("selftest: passed");
  pc::stop(pc::Outcome::success);
}
