// Where the kernel image lies. The build places it (machine/pc/CMakeLists.txt), the linker script names its parts, and
// the layout's tables say where it has to be: this file makes them agree.
#pragma once

#include <vellum/base/range.hpp>
#include <vellum/layout/fixed_addresses.hpp>
#include <vellum/pc/arch.hpp>

extern "C" {
extern const char image_text_start[], image_constants_start[], image_constants_end[];
extern char image_data_start[], boot_stack_guard[], image_data_end[];
}

namespace vellum::kernel {

#if defined(__x86_64__)
namespace addresses = amd64_layout;
static_assert(pc::kBootDirectMap == amd64_layout::kSegkpmBase);
#else
namespace addresses = i386_layout;
#endif

static_assert(addresses::kKernelText == VirtAddr(VELLUM_KERNEL_TEXT));
static_assert(addresses::kKernelData == addresses::kKernelText + addresses::kNucleusHalf);

// From physical to virtual address inside the image.
inline constexpr ByteCount kImageOffset{VELLUM_IMAGE_OFFSET};

[[nodiscard]] inline VirtAddr address_in_image(const char* symbol) {
  return VirtAddr(reinterpret_cast<std::uintptr_t>(symbol));
}

// Read and execute; read; read and write, but for the guard.
[[nodiscard]] inline VirtRange image_text() {
  return VirtRange::between(address_in_image(image_text_start), address_in_image(image_constants_start));
}
[[nodiscard]] inline VirtRange image_constants() {
  return VirtRange::between(address_in_image(image_constants_start), address_in_image(image_constants_end));
}
[[nodiscard]] inline VirtRange image_data() {
  return VirtRange::between(address_in_image(image_data_start), address_in_image(image_data_end));
}

// Nothing: a page inside the data, where a boot stack that overflows runs into.
[[nodiscard]] inline VirtRange image_guard() {
  return VirtRange::must(address_in_image(boot_stack_guard), ByteCount(kPageSize));
}

[[nodiscard]] inline PhysRange physical(VirtRange part_of_image) {
  return PhysRange::must(PhysAddr((part_of_image.start() - kImageOffset).value()), part_of_image.size());
}

}  // namespace vellum::kernel
