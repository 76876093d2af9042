#include "device_registers.hpp"

#include <vellum/pc/machine.hpp>

namespace vellum::kernel {

Result<std::span<volatile std::byte>> map_device_registers(Kernel& kernel, PhysRange registers) {
  VELLUM_TRY(kernel.tables.map_registers(registers));
  return std::span<volatile std::byte>(pc::direct_mapped<volatile std::byte>(registers.start()),
                                       static_cast<std::size_t>(registers.size().value()));
}

}  // namespace vellum::kernel
