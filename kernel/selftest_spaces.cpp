#include <vellum/pc/console.hpp>
#include <vellum/pc/instructions.hpp>

#include "image.hpp"
#include "probe.hpp"
#include "selftest.hpp"
#include "user.hpp"
#include "user_layout.hpp"

extern "C" {
extern const char user_program_start[], user_program_read[], user_program_write[], user_program_execute[];
extern const char user_program_touch[], user_program_end[];
}

namespace vellum::kernel {

namespace {

using Request = MapRequest<HardwareFormat>;

constexpr ByteCount kPage{kPageSize};
constexpr VirtAddr kAnywhere{0};
constexpr PageCount kTouched{64};
const Prot kReadWrite = Prot::read() | Prot::write();

void expect(bool condition, const char* what) {
  if (!condition) {
    panic(what);
  }
}

template <class T>
T must(Result<T> result, const char* what) {
  expect(result.ok(), what);
  return std::move(result).value();
}

const char* name_of(FaultVerdict verdict) {
  switch (verdict) {
    case FaultVerdict::resolved:
      return "resolved";
    case FaultVerdict::no_mapping:
      return "SEGV_MAPERR";
    case FaultVerdict::access_denied:
      return "SEGV_ACCERR";
    case FaultVerdict::bus_error:
      return "SIGBUS";
    case FaultVerdict::out_of_memory:
      return "out of memory";
    case FaultVerdict::missing:
      return "missing";
  }
  return "?";
}

// --- the user program, whose text is mapped at kUserText in every space here

UserEnd run(const char* entry, VirtAddr first, std::uint64_t second) {
  const ByteCount offset(static_cast<std::uint64_t>(entry - user_program_start));
  return run_to_end(pc::TrapFrame::user(kUserText + offset, VirtAddr(0), first.value(), second));
}

std::uint32_t user_reads(VirtAddr address) {
  const UserEnd end = run(user_program_read, address, 0);
  expect(!end.fault, "user code cannot read its memory");
  return static_cast<std::uint32_t>(end.result);
}

void user_writes(VirtAddr address, std::uint32_t value) {
  const UserEnd end = run(user_program_write, address, value);
  expect(!end.fault, "user code cannot write its memory");
}

void expect_refused(const char* what, const char* entry, VirtAddr address, Access access, FaultVerdict verdict) {
  const UserEnd end = run(entry, address, 0);
  expect(end.fault && end.fault->address == address && end.fault->access == access, "not the fault that was made");
  expect(end.fault->privilege == Privilege::user, "a fault of user code is said to be the kernel's");
  expect(end.verdict == verdict, "a fault was refused for another reason");
  pc::print_line("fault: ", what, " at ", address, " ", name_of(verdict));
}

// --- what is tested

void load_program(const Kernel& kernel, Space& space) {
  const VirtAddr page = kUserText.page();
  (void)must(space.map({.address = page, .length = kPage, .prot = kReadWrite, .placement = Placement::fixed}),
             "the program's text cannot be mapped");
  copy_to_user(kernel, kUserText,
               {reinterpret_cast<const std::byte*>(user_program_start),
                static_cast<std::size_t>(user_program_end - user_program_start)});
  must(space.protect(page, kPage, Prot::read() | Prot::execute()), "the program's text cannot be protected");
}

void test_zero_fill(VirtAddr data) {
  expect(user_reads(data) == 0, "untouched memory does not read as zero");
  pc::print_line("fault: read at ", data, " resolved, zeros");
  user_writes(data, 0x1234);
  expect(user_reads(data) == 0x1234, "a write is lost");
  const VirtAddr next = data + kPage;
  user_writes(next, 0x5678);
  expect(user_reads(next) == 0x5678 && user_reads(next + ByteCount(4)) == 0, "a write to untouched memory is lost");
  pc::print_line("fault: write at ", next, " resolved, zero-filled page");
}

void test_refusals(VirtAddr data, VirtAddr unmapped) {
  expect_refused("write to read-only", user_program_write, kUserText.page(), Access::write,
                 FaultVerdict::access_denied);
  expect_refused("execution of data", user_program_execute, data, Access::execute, FaultVerdict::access_denied);
  expect_refused("read of nothing", user_program_read, unmapped, Access::read, FaultVerdict::no_mapping);
  expect_refused("read through a null pointer", user_program_read, VirtAddr(0), Access::read, FaultVerdict::no_mapping);
  expect_refused("read of kernel text", user_program_read, image_text().start(), Access::read,
                 FaultVerdict::no_mapping);
  expect_refused("write to the direct map", user_program_write, pc::direct_map(), Access::write,
                 FaultVerdict::no_mapping);
}

#if defined(__x86_64__)
void expect_refused_quietly(const char* entry, VirtAddr address) {
  const UserEnd end = run(entry, address, 0);
  const bool is_address = is_canonical<HardwareFormat>(address);
  expect(is_address ? end.fault && end.fault->address == address && end.verdict == FaultVerdict::no_mapping
                    : end.non_canonical,
         "user code got through to a row that is not its own");
}

// Accesses of user code to the borders of each row that is not a program's, and to whatever is mapped there.
void test_rows() {
  unsigned rows = 0;
  for (const LayoutRegion& region : address_map().regions()) {
    if (region.row->accessor == Accessor::user) {
      continue;
    }
    ++rows;
    for (const VirtAddr address : {region.range.start(), region.range.last() - ByteCount(3)}) {
      for (const char* entry : {user_program_read, user_program_write, user_program_execute}) {
        expect_refused_quietly(entry, address);
      }
    }
  }
  pc::print_line("rows: user code gets into none of ", rows);
}
#endif

void test_kernel_keeps_out(const Kernel& kernel, VirtAddr data) {
  if (kernel.features.smap) {
    expect(probe(Access::read, data) == ProbeOutcome::faulted, "the kernel reads user memory by accident");
    expect(probe(Access::write, data) == ProbeOutcome::faulted, "the kernel writes user memory by accident");
    pc::print_line("kernel: does not touch user memory unasked");
  }
  if (kernel.features.smep) {
    expect(probe(Access::execute, kUserText) == ProbeOutcome::faulted, "the kernel executes user memory");
    pc::print_line("kernel: does not execute user memory");
  }
}

void test_stack(Space& space) {
  const VirtAddr top = kUserText.page() - kPage * 16;
  (void)must(space.map({.address = top - kPage,
                        .length = kPage,
                        .prot = kReadWrite,
                        .traits = Traits::grows_down(),
                        .placement = Placement::fixed}),
             "a stack cannot be mapped");
  const VirtAddr below = top - kPage * 9;
  user_writes(below, 1);
  expect(user_reads(below) == 1, "a stack does not keep what is written to it");
  pc::print_line("fault: write at ", below, " resolved, the stack grew");
}

void test_fork(Kernel& kernel, Space& parent, VirtAddr data) {
  const VirtAddr shared =
      must(parent.map({.address = kAnywhere, .length = kPage, .prot = kReadWrite, .traits = Traits::shared()}),
           "shared memory cannot be mapped");
  user_writes(shared, 1);
  const std::uint32_t before = user_reads(data);
  Space* const child = must(parent.fork(), "no memory for a fork");
  expect(user_reads(data) == before, "fork changed the parent's memory");

  switch_to(kernel, child);
  expect(user_reads(data) == before, "the child does not read what the parent wrote");
  const UserEnd write = run(user_program_write, data, before + 1);
  expect(!write.fault && write.resolved > 0, "the child's first write did not fault");
  expect(user_reads(data) == before + 1, "the child's write is lost");
  user_writes(shared, 2);

  switch_to(kernel, &parent);
  expect(user_reads(data) == before, "the child's write is seen by the parent");
  expect(user_reads(shared) == 2, "a write to shared memory is not seen by the parent");
  user_writes(data, before + 2);
  expect(user_reads(data) == before + 2, "the parent's write after fork is lost");

  switch_to(kernel, child);
  expect(user_reads(data) == before + 1, "the parent's write is seen by the child");
  switch_to(kernel, &parent);
  child->destroy();
  pc::print_line("fork: parent and child read ", pc::Hex{before}, " at ", data, ", each write copied");
  pc::print_line("fork: a write to shared memory at ", shared, " seen by both");
  must(parent.unmap(shared, kPage), "shared memory cannot be unmapped");
}

// Ticks are instructions where QEMU counts them (test/boot/boot_test.py --count-instructions).
template <class Action>
std::uint64_t ticks_of(Action action) {
  const std::uint64_t start = pc::read_time_stamp();
  action();
  return pc::read_time_stamp() - start;
}

void measure(Kernel& kernel, Space& parent) {
  const ByteCount size = bytes_of(kTouched);
  VirtAddr area;
  const auto touch = [&] {
    expect(!run(user_program_touch, area, kTouched.value()).fault, "memory cannot be touched");
  };
  const std::uint64_t map = ticks_of([&] {
    area = must(parent.map({.address = kAnywhere, .length = size, .prot = kReadWrite}),
                "no room for an area to measure with");
  });
  const std::uint64_t first = ticks_of(touch);
  Space* child = nullptr;
  const std::uint64_t fork = ticks_of([&] { child = must(parent.fork(), "no memory for a fork"); });
  switch_to(kernel, child);
  const std::uint64_t copy = ticks_of(touch);
  switch_to(kernel, &parent);
  child->destroy();
  const std::uint64_t unmap = ticks_of([&] { must(parent.unmap(area, size), "an area cannot be unmapped"); });
  pc::print_line("ticks: mmap ", map, ", first touch ", first / kTouched.value(), " a page, fork ", fork,
                 ", copy after fork ", copy / kTouched.value(), " a page, munmap of ", kTouched, " pages ", unmap);
}

// With all that caches keep given back.
PageCount free_pages(Kernel& kernel) {
  kernel.virtual_memory.epochs.drain();
  kernel.virtual_memory.objects.reap();
  kernel.virtual_memory.nodes.reap();
  kernel.memory.drain_caches();
  return kernel.memory.free_count();
}

}  // namespace

void test_spaces(Kernel& kernel) {
  const PageCount free_before = free_pages(kernel);
  must(kernel.virtual_memory.start(), "no memory for the page of zeros");
  Space& space =
      *must(Space::create(kernel.virtual_memory, user_layout(), &kernel.tables.root()), "no memory for a space");
  switch_to(kernel, &space);
  load_program(kernel, space);
  const VirtAddr data =
      must(space.map({.address = kAnywhere, .length = kPage * 16, .prot = kReadWrite}), "memory cannot be mapped");

  test_zero_fill(data);
  test_refusals(data, data - kPage);
#if defined(__x86_64__)
  test_rows();
#endif
  test_kernel_keeps_out(kernel, data);
  test_stack(space);
  test_fork(kernel, space, data);
  measure(kernel, space);

  must(space.unmap(data, kPage * 16), "memory cannot be unmapped");
  expect_refused("read of what was unmapped", user_program_read, data, Access::read, FaultVerdict::no_mapping);
  switch_to(kernel, nullptr);
  space.destroy();
  kernel.virtual_memory.stop();
  expect(free_pages(kernel) == free_before, "not all pages are free again");
  pc::print_line("pages: all ", free_before, " free again");
}

}  // namespace vellum::kernel
