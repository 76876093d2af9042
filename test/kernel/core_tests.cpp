#include "core_tests.hpp"

#include <bit>

#include <vellum/pc/console.hpp>
#include <vellum/pc/thread.hpp>
#include <vellum/test/system.hpp>
#include <vellum/test/test.hpp>

extern "C" const vellum::test::KernelTest kernel_tests_start[], kernel_tests_end[];

namespace vellum::test {

namespace {

constinit PhysicalMemory* kernel_memory = nullptr;
constinit bool test_failed = false;

template <class T>
T must(Result<T> result) {
  VELLUM_CHECK(result.ok());
  return std::move(result).value();
}

MemoryMap map_of(Pfn first, Order order) {
  const RawMemoryEntry entry{.base = address_of(first), .size = bytes_of(order.pages()), .kind = MemoryKind::usable};
  return must(MemoryMap::from_firmware({&entry, 1}));
}

}  // namespace

void expectation_failed(const char* file, unsigned line, const char* what) {
  pc::print_line("  ", file, ":", line, ": expected ", what);
  test_failed = true;
}

System::Block System::take(PhysicalMemory& host, ByteCount size) {
  const Order order(static_cast<unsigned>(std::bit_width(pages_for(size).value() - 1)));
  return {.first = must(host.allocate_block(order, Contents::any)), .order = order};
}

System::System(const SystemSize& size)
    : host_(*kernel_memory),
      ram_(take(host_, size.memory)),
      map_(map_of(ram_.first, ram_.order)),
      area_(take(host_, PhysicalMemory::area_size(map_, size.cpus))),
      memory_(must(PhysicalMemory::create(
          host_.machine(), map_,
          {host_.machine().window(area_.first).data(), static_cast<std::size_t>(bytes_of(area_.order.pages()).value())},
          {.area = Contents::any, .poison = size.poison}))),
      free_at_start_(memory_->free_count()) {
  VELLUM_CHECK(size.cpus <= host_.machine().cpu_count());
}

System::~System() {
  check_all_free();
  host_.free_block(area_.first, area_.order);
  host_.free_block(ram_.first, ram_.order);
}

void System::check_all_free() {
  memory_->drain_caches();
  VELLUM_CHECK(memory_->free_count() == free_at_start_);
}

namespace {

// The tests want more stack than the boot's.
constexpr Order kStackOrder{8};
struct Run {
  pc::Word caller = 0;
  pc::Word stack = 0;
  std::uint64_t passed = 0;
  std::uint64_t failed = 0;
};

void run_all(void* argument) {
  Run& run = *static_cast<Run*>(argument);
  for (const KernelTest* test = kernel_tests_start; test != kernel_tests_end; ++test) {
    test_failed = false;
    test->body();
    ++(test_failed ? run.failed : run.passed);
    if (test_failed) {
      pc::print_line("coretest: FAILED: ", test->suite, ".", test->name);
    }
  }
  pc::switch_stacks(&run.stack, run.caller);
}

}  // namespace

bool run_core_tests(PhysicalMemory& memory) {
  kernel_memory = &memory;
  library_memory = &memory;
  const Pfn stack = must(memory.allocate_block(kStackOrder, Contents::any));
  std::byte* const bytes = memory.machine().window(stack).data();
  Run run;
  run.stack = pc::prepare_stack(VirtAddr(reinterpret_cast<std::uintptr_t>(bytes)) + bytes_of(kStackOrder.pages()),
                                run_all, &run);
  pc::switch_stacks(&run.caller, run.stack);
  memory.free_block(stack, kStackOrder);
  pc::print_line("coretest: ", run.passed, " passed, ", run.failed, " failed");
  return run.failed == 0;
}

}  // namespace vellum::test
