#include "program_layout.hpp"

#include <vellum/layout/fixed_addresses.hpp>

#include "layout.hpp"

namespace vellum::kernel {

unix::ProgramLayout program_layout(UserModel model) {
  const VirtAddr user_limit = address_map().landmarks().user_limit;
  unix::ProgramLayout layout;
  layout.space.user[0] = VirtRange::between(kLowestUserAddress, amd64_layout::kHoleGuard);
  if (model == UserModel::linux_low) {
    layout.stack_top = amd64_layout::kHoleGuard;
    layout.program_base = amd64_layout::kLinuxUserText;
    layout.space.placement_bottom = kLowestUserAddress;
  } else {
    layout.stack_top = user_limit;
    layout.program_base = amd64_layout::kUserText;
    layout.space.placement_bottom = amd64_layout::kHoleEnd;
    layout.space.user[1] = VirtRange::between(amd64_layout::kHoleEnd, user_limit);
  }
  layout.space.placement_top = layout.stack_top;  // exec leaves room for the stack
  return layout;
}

}  // namespace vellum::kernel
