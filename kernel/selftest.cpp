#include "selftest.hpp"

#include <vellum/pc/console.hpp>

#include "image.hpp"
#include "probe.hpp"

namespace vellum::kernel {

namespace {

void expect(ProbeOutcome wanted, Access access, VirtAddr address, const char* what) {
  if (probe(access, address) != wanted) {
    panic(what);
  }
}

void expect_allowed(Access access, VirtAddr address, const char* what) {
  expect(ProbeOutcome::done, access, address, what);
}

void expect_denied(Access access, VirtAddr address, const char* what) {
  expect(ProbeOutcome::faulted, access, address, what);
}

// `ret`, in memory of each kind.
constexpr unsigned char kReturn = 0xC3;
const unsigned char return_in_constants = kReturn;
constinit unsigned char return_in_data = kReturn;

VirtAddr address_of_symbol(const void* symbol) { return VirtAddr(reinterpret_cast<pc::Word>(symbol)); }

VirtAddr in_direct_map(VirtAddr in_image) { return pc::direct_map() + ((in_image - kImageOffset) - VirtAddr(0)); }

}  // namespace

void test_kernel_tables() {
  const VirtAddr text = image_text().start();
  const VirtAddr constant = address_of_symbol(&return_in_constants);
  const VirtAddr data = address_of_symbol(&return_in_data);

  expect_allowed(Access::read, text, "kernel text cannot be read");
  expect_denied(Access::write, text, "kernel text can be written");
  expect_denied(Access::write, in_direct_map(text), "kernel text can be written through the direct map");
  expect_allowed(Access::read, constant, "kernel constants cannot be read");
  expect_denied(Access::write, constant, "kernel constants can be written");
  expect_denied(Access::execute, constant, "kernel constants can be executed");
  expect_allowed(Access::write, data, "kernel data cannot be written");
  expect_denied(Access::execute, data, "kernel data can be executed");
  expect_allowed(Access::write, in_direct_map(data), "the direct map cannot be written");
  expect_denied(Access::execute, in_direct_map(data), "the direct map can be executed");
  expect_denied(Access::read, image_guard().start(), "the page beneath the boot stack is there");
  expect_denied(Access::read, VirtAddr(0), "address 0 is there");
  pc::print_line("kernel: text is not written, data and direct map are not executed, the stack has a guard");
}

void run_selftest(Kernel& kernel) {
  test_kernel_tables();
#if defined(__x86_64__)
  test_layout(kernel);
#endif
  test_spaces(kernel);
}

}  // namespace vellum::kernel
