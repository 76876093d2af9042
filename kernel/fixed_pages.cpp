#include "fixed_pages.hpp"

#include <vellum/pc/descriptor_tables.hpp>
#include <vellum/pc/machine.hpp>

#include "debug_info.hpp"
#include "image.hpp"
#include "layout.hpp"

namespace vellum::kernel {

namespace {

constexpr ByteCount kPage{kPageSize};

// Lies among the constants of the image: it is filled while the boot stub's tables are on.
[[gnu::section(".tables")]] alignas(kPageSize) constinit DebugInfo debug_info{};

// Where local descriptors and the stack of double faults lie.
alignas(kPageSize) constinit std::byte local_table[kPageSize] = {};
alignas(kPageSize) constinit std::byte double_fault_stack[kPageSize] = {};

VirtAddr address_of_object(const void* object) { return VirtAddr(reinterpret_cast<std::uintptr_t>(object)); }

pc::DescriptorTables layout_tables() {
  return {.global = region(RegionId::gdt).start(),
          .interrupts = region(RegionId::idt).start(),
          .task_state = region(RegionId::tss).start()};
}

void fill_debug_info(PhysAddr root_table) {
  const Landmarks& at = address_map().landmarks();
  debug_info = {.magic = DebugInfo::kMagic,
                .version = DebugInfo::kVersion,
                .size = sizeof(DebugInfo),
                .root_table = root_table.value(),
                .table_levels = HardwareFormat::kLevels,
                .physical_top = address_map().physical_top().value(),
                .kernel_text = image_text().start().value(),
                .kernel_text_end = image_constants().end().value(),
                .kernel_data = image_data().start().value(),
                .kernel_data_end = image_data().end().value(),
                .image_offset = kImageOffset.value(),
                .direct_map = at.segkpm_base.value(),
                .page_descriptors = at.valloc_base.value(),
                .page_descriptor_size = sizeof(Frame),
                .kernel_base = at.kernelbase.value(),
                .user_limit = at.user_limit.value(),
                .kernel_heap = at.kernelheap.value()};
}

}  // namespace

void prepare_fixed_pages(const Kernel& kernel) {
  fill_debug_info(kernel.tables.root_address());
  // Of the local table's row one page is in use: programs define no segments yet.
  pc::prepare_descriptor_tables(layout_tables(), VirtRange::must(region(RegionId::ldt).start(), kPage),
                                region(RegionId::double_fault_tss).end());
}

Result<void> map_fixed_pages(Kernel& kernel) {
  const pc::DescriptorTables pages = pc::descriptor_tables();
  const struct {
    RegionId row;
    VirtAddr in_image;
  } places[] = {
      {RegionId::debug_info, address_of_object(&debug_info)},
      {RegionId::gdt, pages.global},
      {RegionId::idt, pages.interrupts},
      {RegionId::ldt, address_of_object(local_table)},
      {RegionId::tss, pages.task_state},
      {RegionId::double_fault_tss, address_of_object(double_fault_stack)},
  };
  for (const auto& place : places) {
    const LayoutRegion& row = *address_map().find(place.row);
    VELLUM_TRY(kernel.tables.map(VirtRange::must(row.range.start(), kPage),
                                 physical(VirtRange::must(place.in_image, kPage)).start(), row.row->rights));
  }
  return {};
}

void use_fixed_pages() { pc::use_descriptor_tables(layout_tables()); }

}  // namespace vellum::kernel
