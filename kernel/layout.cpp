#include "layout.hpp"

#include <algorithm>
#include <cstddef>
#include <new>

#include <vellum/layout/text.hpp>

namespace vellum::kernel {

namespace {

alignas(AddressMap) constinit std::byte room_for_map[sizeof(AddressMap)] = {};
constinit const AddressMap* the_map = nullptr;
constinit KernelInputs the_inputs;

}  // namespace

void compute_layout(const BootMemory& memory, ByteCount tables) {
  VELLUM_CHECK(the_map == nullptr);
  const ByteCount top = bytes_of(memory.ram.end() - Pfn(0));
  KernelInputs& inputs = the_inputs;
  inputs.arch = Arch::amd64;
  inputs.physical_top = top;
  inputs.usable_pages = memory.usable.total();
  inputs.tables_size = std::max(tables, own_tables_size(top));
  const auto map = AddressMap::create(inputs, {});
  if (!map.has_value()) {
    static constinit char text[256] = {};
    TextBuffer problem(text);
    describe(problem, map.error());
    panic(problem.c_str());
  }
  the_map = ::new (room_for_map) AddressMap(*map);
}

const AddressMap& address_map() {
  VELLUM_ASSERT(the_map != nullptr);
  return *the_map;
}

const KernelInputs& layout_inputs() { return the_inputs; }

VirtRange region(RegionId id) {
  const LayoutRegion* const found = address_map().find(id);
  VELLUM_CHECK(found != nullptr);
  return found->range;
}

}  // namespace vellum::kernel
