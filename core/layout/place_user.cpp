// The user half's landmarks: the stack, the gap beneath it, and where mappings begin.
#include <algorithm>

#include "placement.hpp"

namespace vellum::layout_detail {

namespace {

// Whole pages, and never more than `most` of them.
ByteCount pages_up_to(ByteCount size, ByteCount most) { return bytes_of(std::min(pages_for(size), whole_pages(most))); }

}  // namespace

void place_user(Arch arch, const UserInputs& inputs, Landmarks& landmarks) {
  const bool program_is_64_bit = arch == Arch::amd64 && inputs.model != UserModel::program32;
  VirtAddr lowest = kLowestUserAddress;  // that the stack's window may reach
  if (!program_is_64_bit) {
    landmarks.stack_top = i386_layout::kUserText;
    landmarks.mapping_top = arch == Arch::i386 ? landmarks.user_limit : amd64_layout::kUserLimit32;
  } else if (inputs.model == UserModel::linux_low) {
    landmarks.stack_top = amd64_layout::kHoleGuard;
    lowest = amd64_layout::kLinuxUserText;
  } else {
    landmarks.stack_top = landmarks.user_limit;
    lowest = amd64_layout::kHoleEnd;
  }

  // The stack and its window leave a sixth of the room to mappings, as on Linux (MAX_GAP).
  const ByteCount room = landmarks.stack_top - lowest;
  const ByteCount guard = pages_up_to(inputs.stack_guard, room / 6);
  const ByteCount stack = pages_up_to(inputs.stack_limit, room / 6 * 5 - guard);
  landmarks.stack_start = landmarks.stack_top - stack;
  landmarks.guard_start = landmarks.stack_start - guard;
  if (program_is_64_bit) {
    const ByteCount window = std::max(stack + guard, pages_up_to(inputs.stack_window, room / 6 * 5));
    landmarks.mapping_top = landmarks.stack_top - window;
  }
}

}  // namespace vellum::layout_detail
