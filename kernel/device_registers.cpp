#include "device_registers.hpp"

#include "regions.hpp"

namespace vellum::kernel {

Result<std::byte*> map_device_registers(PhysAddr address, ByteCount size) {
  const VirtRange registers = VELLUM_TRY(regions().devices.map(PhysRange::must(address, size)));
  return reinterpret_cast<std::byte*>(registers.start().value());
}

}  // namespace vellum::kernel
