#include <vellum/base/panic.hpp>
#include <vellum/pc/console.hpp>
#include <vellum/pc/instructions.hpp>
#include <vellum/pc/power.hpp>

namespace vellum {

namespace {

constexpr unsigned kMaxFrames = 32;

// What a function with a frame pointer leaves on the stack.
struct StackFrame {
  const StackFrame* caller;
  pc::Word return_address;
};

// Follows the frame pointers upwards; a chain that does not rise, or that leaves the page next to the last frame by
// far, is broken and ends.
void print_backtrace(const StackFrame* frame) {
  constexpr pc::Word kLargestFrame = 16384;
  for (unsigned depth = 0; frame != nullptr && depth < kMaxFrames; ++depth) {
    pc::print_line("  from ", pc::Hex{frame->return_address});
    const auto distance = reinterpret_cast<pc::Word>(frame->caller) - reinterpret_cast<pc::Word>(frame);
    if (distance == 0 || distance > kLargestFrame) {
      return;
    }
    frame = frame->caller;
  }
}

}  // namespace

void panic(const char* what, std::source_location where) {
  pc::disable_interrupts();
  pc::print_line("panic: ", what);
  pc::print_line("  at ", where.file_name(), ":", where.line(), ", ", where.function_name());
  print_backtrace(static_cast<const StackFrame*>(__builtin_frame_address(0)));
  pc::stop(pc::Outcome::failure);
}

}  // namespace vellum
