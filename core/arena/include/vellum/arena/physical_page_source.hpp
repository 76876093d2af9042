// Pages straight from physical memory, for machines that map all of it linearly.
#pragma once

#include <cstddef>
#include <cstdint>

#include <vellum/arena/page_source.hpp>
#include <vellum/phys/physical_memory.hpp>

namespace vellum {

// Requires that a window stays where it is for good, and that the bytes of physical address 0 would be aligned to the
// biggest block asked for: true of the hosted machine and of a 64-bit kernel's direct map.
class PhysicalPageSource final : public PageSource {
 public:
  explicit PhysicalPageSource(PhysicalMemory& memory) : memory_(memory) {}

  Result<std::byte*> allocate(unsigned order) override {
    const Pfn frame =
        VELLUM_TRY(order == 0 ? memory_.allocate(Contents::any) : memory_.allocate_block(Order(order), Contents::any));
    std::byte* const block = memory_.machine().window(frame).data();
    VELLUM_ASSERT(reinterpret_cast<std::uintptr_t>(block) % (kPageSize << order) == 0);
    return block;
  }
  void free(std::byte* block, unsigned order) override {
    const auto offset = static_cast<std::uint64_t>(block - memory_.machine().window(Pfn(0)).data());
    const Pfn frame = frame_of(PhysAddr(offset));
    if (order == 0) {
      memory_.free(frame);
    } else {
      memory_.free_block(frame, Order(order));
    }
  }

 private:
  PhysicalMemory& memory_;
};

}  // namespace vellum
