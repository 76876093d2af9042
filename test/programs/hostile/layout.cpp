// Each row of the layout that is not the program's own: reading, writing, executing, and the same by system calls.
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>

#include <vellum/layout/address_map.hpp>
#include <vellum/layout/text.hpp>

#include "../support/memory.hpp"
#include "attempt.hpp"

namespace guest {
namespace {

// Where in a row to try: its ends, its middle, and some places within, where something is more likely to be mapped.
std::vector<std::uintptr_t> places_in(std::uintptr_t start, std::uintptr_t last) {
  std::vector<std::uintptr_t> places = {start, last, start + (last - start) / 2, last & ~std::uintptr_t{0xFFF}};
  for (const std::uintptr_t step : {kPage, 16 * kPage, std::size_t{2} << 20, std::size_t{64} << 20}) {
    if (start + step > start && start + step < last) {
      places.push_back(start + step);
    }
  }
  return places;
}

// Every access fails with SIGSEGV, by a page fault or, in the hole, by a protection fault.
std::string attempt_all(const std::vector<std::uintptr_t>& places, bool canonical) {
  const int null = open("/dev/null", O_RDWR);
  const int zero = open("/dev/zero", O_RDWR);
  for (const std::uintptr_t place : places) {
    const int code = canonical ? int{SEGV_MAPERR} : int{SI_KERNEL};
    const std::uintptr_t address = canonical ? place : 0;
    EXPECT_FAULT(read_fault(place), SIGSEGV, code, address);
    EXPECT_FAULT(write_fault(place), SIGSEGV, code, address);
    EXPECT_FAULT(execute_fault(place), SIGSEGV, code, address);
    EXPECT_EQ(raw_call(SYS_read, static_cast<std::uintptr_t>(zero), place, 1), -EFAULT);
    int ends[2];
    MUST(pipe(ends));
    EXPECT_EQ(raw_call(SYS_write, static_cast<std::uintptr_t>(ends[1]), place, 1), -EFAULT);
    close(ends[0]);
    close(ends[1]);
    EXPECT_EQ(raw_call(SYS_mprotect, place & ~(kPage - 1), kPage, PROT_READ | PROT_WRITE), -ENOMEM);
    EXPECT(raw_call(SYS_mmap, place & ~(kPage - 1), kPage, PROT_READ, kPrivate | MAP_FIXED, ~std::uintptr_t{0}, 0) < 0);
    EXPECT(raw_call(SYS_munmap, place & ~(kPage - 1), kPage) < 0 || place < 0x10000);
  }
  close(null);
  close(zero);
  return "read SIGSEGV, write SIGSEGV, execute SIGSEGV, read(2) EFAULT, write(2) EFAULT, mprotect ENOMEM, mmap and "
         "munmap "
         "refused; at " +
         std::to_string(places.size()) + " places";
}

void add_rows() {
  struct sysinfo info = {};
  sysinfo(&info);
  const vellum::ByteCount memory{(info.totalram * info.mem_unit + (std::uint64_t{32} << 20) - 1) >> 24 << 24};
  auto map = vellum::AddressMap::create(vellum::KernelInputs::for_memory(vellum::Arch::amd64, memory), {});
  if (!map) {
    add_case("layout", "is computed", [] { EXPECT(false); });
    return;
  }
  for (const vellum::LayoutRegion& region : map->regions()) {
    const bool hole = region.row->stray == vellum::StrayAccess::non_canonical;
    if (region.row->accessor == vellum::Accessor::user || region.row->id == vellum::RegionId::stack_guard ||
        region.row->id == vellum::RegionId::invalid) {
      continue;  // the program's own, or next to it
    }
    const std::uintptr_t start = region.range.start().value();
    const std::uintptr_t last = region.range.end().value() - 1;
    char name[96];
    std::snprintf(name, sizeof name, "0x%08lX.%08lX %s", start >> 32, start & 0xFFFF'FFFF, region.row->name);
    add_case("layout", name, [start, last, hole] { note(attempt_all(places_in(start, last), !hole)); });
  }
}

const Registration kRows(add_rows);

}  // namespace
}  // namespace guest
