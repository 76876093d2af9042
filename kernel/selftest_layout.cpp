// The layout, tried: every page that the processor's tables map lies in a row that permits it, every row of the kernel
// half is alive, and stray accesses of the kernel end in each as the row says.
#include <vellum/pc/console.hpp>

#include "guest_memory.hpp"
#include "image.hpp"
#include "io_buffers.hpp"
#include "layout.hpp"
#include "modules.hpp"
#include "must.hpp"
#include "probe.hpp"
#include "regions.hpp"
#include "selftest.hpp"
#include "table_walk.hpp"

namespace vellum::kernel {

namespace {

using namespace literals;

constexpr ByteCount kPage{kPageSize};

PhysAddr current_root() { return PhysAddr(pc::read_cr3()).page(); }

[[noreturn]] void wrong(const char* what, const LayoutRegion& region, VirtAddr address) {
  pc::print_line("layout: ", region.row->name, ", ", address, ": ", what);
  panic("the tables are not what the layout says");
}

bool permits_size(PageSizes sizes, unsigned level) {
  return level == 1 ? sizes.has_4k() : level == 2 ? sizes.has_2m() : sizes.has_1g();
}

// Where a page of the region has to lead, where that is fixed.
bool leads_right(const LayoutRegion& region, const MappedPage& page) {
  switch (region.row->id) {
    case RegionId::segkpm:
      return page.target - PhysAddr(0) == page.start - region.range.start();
    case RegionId::kernel_text:
    case RegionId::kernel_data:
      return page.target.value() == (page.start - kImageOffset).value();
    default:
      return true;
  }
}

bool is_writable(VirtAddr address) {
  const TablePath path = walk_to(current_root(), address);
  return path.page && path.page->rights.write;
}

void check_page(const LayoutRegion& region, const MappedPage& page) {
  const Prot permitted = region.row->rights;
  if (region.row->accessor != Accessor::kernel) {
    wrong("mapped, and the kernel has no business there", region, page.start);
  }
  if (!region.range.contains(VirtRange::must(page.start, page.size()))) {
    wrong("a page crosses the region's bounds", region, page.start);
  }
  if (!permits_size(region.row->page_sizes, page.level)) {
    wrong("a page of a size that the row does not have", region, page.start);
  }
  if (page.rights.user) {
    wrong("user code can reach it", region, page.start);
  }
  if ((page.rights.write && !permitted.can_write()) || (page.rights.execute && !permitted.can_execute())) {
    wrong("more rights than the row permits", region, page.start);
  }
  if (page.rights.write && page.rights.execute) {
    wrong("written and executed", region, page.start);
  }
  if (page.rights.execute && is_writable(pc::direct_map() + (page.target - PhysAddr(0)))) {
    wrong("executed, and written through the direct map", region, page.start);
  }
  if (!leads_right(region, page)) {
    wrong("leads to another place", region, page.start);
  }
}

// Something in each region whose contents come and go, for the time of the test.
class Residents {
 public:
  explicit Residents(Kernel& kernel)
      : heap_(resident(regions().kernel_heap.allocate(kPage * 3))),
        stack_(resident(regions().kernel_stacks.allocate())),
        buffer_(must(allocate_io_buffer(Order(5)), kNoMemory)),
        guest_(must(GuestMemory::create(kernel.virtual_memory.objects, 1_MiB), kNoMemory)),
        arguments_(resident(regions().arguments.allocate(kPage))),
        registers_(resident(regions().devices.map(kLocalInterruptController))),
        window_(regions().file_windows.acquire(kNoFile)) {
    VELLUM_CHECK(window_ != nullptr);
    const Pfn page = must(regions().space.memory().allocate(Contents::zeroed), kNoMemory);
    regions().file_windows.show(*window_, 0, page);
  }
  ~Residents() {
    regions().kernel_heap.free(heap_);
    regions().kernel_stacks.free(stack_);
    regions().kernel_stacks.trim();
    free_io_buffer(buffer_);
    regions().arguments.free(arguments_);
    regions().devices.unmap(registers_);
    regions().file_windows.release(*window_);
    regions().file_windows.forget(kNoFile, 1);
  }
  Residents(const Residents&) = delete;
  Residents& operator=(const Residents&) = delete;

  [[nodiscard]] VirtRange stack() const { return stack_; }

 private:
  static constexpr PhysRange kLocalInterruptController = PhysRange::must(PhysAddr(0xFEE00000), ByteCount(kPageSize));
  static constexpr WindowPlace kNoFile{.object = ~std::uint64_t{0}, .index = 0};
  static constexpr const char* kNoMemory = "no memory for a resident of a region";

  static VirtRange resident(Result<VirtRange> range) { return must(range, kNoMemory); }

  VirtRange heap_;
  VirtRange stack_;
  IoBuffer buffer_;
  GuestMemory guest_;
  VirtRange arguments_;
  VirtRange registers_;
  FileWindows<HardwareFormat>::Window* window_;
};

void expect_probe(const LayoutRegion& region, Access access, VirtAddr address, bool permitted, const char* what) {
  if ((probe(access, address) == ProbeOutcome::done) != permitted) {
    wrong(what, region, address);
  }
}

void expect_nothing(const LayoutRegion& region, VirtAddr address) {
  expect_probe(region, Access::read, address, false, "can be read, and is not mapped");
  expect_probe(region, Access::write, address, false, "can be written, and is not mapped");
  expect_probe(region, Access::execute, address, false, "can be executed, and is not mapped");
}

// Accesses to the first and the last page that is mapped. What can be executed is not tried: it would run.
void probe_page(const LayoutRegion& region, const MappedPage& page) {
  if (region.row->stray == StrayAccess::toxic) {
    return;  // a mere read may change a device
  }
  expect_probe(region, Access::read, page.start, true, "cannot be read");
  expect_probe(region, Access::write, page.start, page.rights.write, "writes are not as the entry says");
  if (!page.rights.execute) {
    expect_probe(region, Access::execute, page.start, false, "can be executed");
  }
}

struct Found {
  std::uint64_t pages = 0;
  MappedPage first;
  MappedPage last;
};

Found check_region(const LayoutRegion& region) {
  Found found;
  for_each_mapped_page(current_root(), region.range, [&](const MappedPage& page) {
    check_page(region, page);
    if (found.pages++ == 0) {
      found.first = page;
    }
    found.last = page;
  });
  return found;
}

// Two addresses that are not mapped: before and behind what is, if the region has room there.
void probe_around(const LayoutRegion& region, const Found& found) {
  if (found.pages == 0) {
    expect_nothing(region, region.range.start());
    expect_nothing(region, region.range.last().page());
    return;
  }
  if (found.first.start > region.range.start()) {
    expect_nothing(region, found.first.start - kPage);
  }
  const VirtAddr behind = found.last.start + found.last.size();
  if (region.range.contains(behind)) {
    expect_nothing(region, behind);
  }
}

}  // namespace

void test_layout(Kernel& kernel) {
  const Residents residents(kernel);
  std::uint64_t pages = 0;
  unsigned rows = 0;
  unsigned empty = 0;
  for (const LayoutRegion& region : address_map().regions()) {
    const Found found = check_region(region);
    if (region.row->accessor == Accessor::kernel && found.pages == 0) {
      wrong("nothing lives here", region, region.range.start());
    }
    if (found.pages != 0) {
      probe_page(region, found.first);
      probe_page(region, found.last);
    }
    probe_around(region, found);
    pages += found.pages;
    ++(found.pages != 0 ? rows : empty);
  }
  const LayoutRegion& stacks = *address_map().find(RegionId::segkp);
  expect_nothing(stacks, residents.stack().start() - kPage);
  pc::print_line("layout: ", pages, " pages in ", rows, " rows are as their rows say, ", empty, " rows are empty");
  unsigned lines = 0;
  write_kmap([](void* count, const char* /*line*/) { ++*static_cast<unsigned*>(count); }, &lines);
  pc::print_line("kmap: ", lines, " lines, written by a module at ", kmap_module_text());
}

}  // namespace vellum::kernel
