#include <vellum/unix/signal_frame.hpp>

#include <vellum/unix/process_system.hpp>
#include <vellum/unix/signals.hpp>
#include <vellum/unix/user_memory.hpp>

namespace vellum::unix {

namespace {

constexpr std::uint64_t kRedZone = 128;
constexpr std::uint64_t kVectorAlignment = 64;
constexpr std::size_t kFxsaveSize = 512;

// ucontext's uc_flags.
constexpr std::uint64_t kHasExtendedState = 1;
constexpr std::uint64_t kHasStackSegment = 2;
constexpr std::uint64_t kStrictStackSegment = 4;

// What Linux's selectors are: a program may look at them, nothing else is done with them.
constexpr std::uint16_t kShownCode = 0x33;
constexpr std::uint16_t kShownStack = 0x2B;

// What a program may set: carry to overflow, trap, direction, alignment check, resume.
constexpr std::uint64_t kProgramFlags = 0x00050DD5;
constexpr std::uint64_t kDirection = 1U << 10;
constexpr std::uint64_t kTrap = 1U << 8;
constexpr std::uint64_t kResume = 1U << 16;

// In the image's bytes that FXSAVE leaves to software (struct _fpx_sw_bytes), where there is more than FXSAVE's part.
struct ExtendedState {
  static constexpr std::size_t kOffset = 464;
  static constexpr std::uint32_t kMagic1 = 0x46505853;
  static constexpr std::uint32_t kMagic2 = 0x46505845;  // behind the image
  std::uint32_t magic1;
  std::uint32_t whole_size;
  std::uint64_t components;
  std::uint32_t state_size;
  std::uint32_t zero[7];
};
static_assert(sizeof(ExtendedState) == 48);

bool has_extended_state() { return vector_state_size() > kFxsaveSize; }
std::uint64_t vector_frame_size() {
  return vector_state_size() + (has_extended_state() ? sizeof(ExtendedState::kMagic2) : 0);
}

bool is_canonical(std::uint64_t address) {
  return static_cast<std::int64_t>(address << 16) >> 16 == static_cast<std::int64_t>(address);
}

// Where the frame begins to grow down from.
std::uint64_t stack_for(const Thread& thread, const UserRegisters& registers, const SignalAction& action) {
  const AlternateStack& alternate = thread.alternate_stack;
  const bool usable = action.has(SignalAction::kOnStack) && (alternate.flags & AlternateStack::kDisabled) == 0;
  const bool inside = (alternate.flags & AlternateStack::kAutoDisarm) == 0 && alternate.contains(registers.rsp);
  return usable && !inside ? alternate.base + alternate.size : registers.rsp - kRedZone;
}

Result<void> store_vector_state(Thread& thread, std::uint64_t at) {
  save_vector_state(thread.context);
  std::byte* const image = thread.context.vector_state;
  ExtendedState extended = {};
  if (has_extended_state()) {
    extended.magic1 = ExtendedState::kMagic1;
    extended.whole_size = static_cast<std::uint32_t>(vector_frame_size());
    __builtin_memcpy(&extended.components, image + kFxsaveSize, sizeof(extended.components));
    extended.components |= 3;  // x87 and SSE are always there
    extended.state_size = static_cast<std::uint32_t>(vector_state_size());
    VELLUM_TRY(write_user(VirtAddr(at + vector_state_size()), ExtendedState::kMagic2));
  }
  __builtin_memcpy(image + ExtendedState::kOffset, &extended, sizeof(extended));
  return copy_out(VirtAddr(at), std::span<const std::byte>(image, vector_state_size()));
}

Result<void> load_vector_frame(Thread& thread, std::uint64_t at) {
  std::byte* const image = thread.context.vector_state;
  if (at == 0) {
    reset_vector_state(thread.context);
    load_vector_state(thread.context);
    return {};
  }
  save_vector_state(thread.context);
  VELLUM_TRY(copy_in(std::span(image, kFxsaveSize), VirtAddr(at)));
  if (has_extended_state()) {
    ExtendedState extended;
    __builtin_memcpy(&extended, image + ExtendedState::kOffset, sizeof(extended));
    const std::span<std::byte> rest(image + kFxsaveSize, vector_state_size() - kFxsaveSize);
    std::uint32_t magic2 = 0;
    if (extended.magic1 == ExtendedState::kMagic1 && extended.state_size == vector_state_size()) {
      magic2 = VELLUM_TRY(read_user<std::uint32_t>(VirtAddr(at + vector_state_size())));
    }
    if (magic2 == ExtendedState::kMagic2) {
      VELLUM_TRY(copy_in(rest, VirtAddr(at + kFxsaveSize)));
    } else {  // only the part that FXSAVE stores
      __builtin_memset(rest.data(), 0, rest.size());
      image[kFxsaveSize] = std::byte{3};
    }
  }
  load_vector_state(thread.context);
  return {};
}

SignalContext context_of(const Thread& thread, const UserRegisters& from) {
  SignalContext to = {};
  to.r8 = from.r8;
  to.r9 = from.r9;
  to.r10 = from.r10;
  to.r11 = from.r11;
  to.r12 = from.r12;
  to.r13 = from.r13;
  to.r14 = from.r14;
  to.r15 = from.r15;
  to.rdi = from.rdi;
  to.rsi = from.rsi;
  to.rbp = from.rbp;
  to.rbx = from.rbx;
  to.rdx = from.rdx;
  to.rax = from.rax;
  to.rcx = from.rcx;
  to.rsp = from.rsp;
  to.rip = from.rip;
  to.rflags = from.rflags;
  to.cs = kShownCode;
  to.ss = kShownStack;
  to.error_code = thread.fault_error_code;
  to.trap = thread.fault_vector;
  to.fault_address = thread.fault_address;
  return to;
}

void take_context(UserRegisters& to, const SignalContext& from) {
  to.r8 = from.r8;
  to.r9 = from.r9;
  to.r10 = from.r10;
  to.r11 = from.r11;
  to.r12 = from.r12;
  to.r13 = from.r13;
  to.r14 = from.r14;
  to.r15 = from.r15;
  to.rdi = from.rdi;
  to.rsi = from.rsi;
  to.rbp = from.rbp;
  to.rbx = from.rbx;
  to.rdx = from.rdx;
  to.rax = from.rax;
  to.rcx = from.rcx;
  to.rsp = from.rsp;
  to.rip = from.rip;
  to.rflags = (to.rflags & ~kProgramFlags) | (from.rflags & kProgramFlags);
  to.cs = UserRegisters::kCodeSelector;
  to.ss = UserRegisters::kDataSelector;
}

}  // namespace

std::uint64_t least_signal_stack() {
  return round_up(sizeof(SignalFrame) + vector_frame_size() + kVectorAlignment + 16, 16);
}

bool enter_handler(Thread& thread, UserRegisters& registers, const SignalAction& action, const SignalInfo& info,
                   SignalSet saved_mask) {
  const std::uint64_t top = stack_for(thread, registers, action);
  const std::uint64_t vector_state = round_down(top - vector_frame_size(), kVectorAlignment);
  const std::uint64_t at = round_down(vector_state - sizeof(SignalFrame), 16) - 8;
  const AlternateStack& alternate = thread.alternate_stack;
  // A handler that overflows its alternate stack must not go on below it.
  if (alternate.contains(registers.rsp) && (alternate.flags & AlternateStack::kAutoDisarm) == 0 &&
      !alternate.contains(at)) {
    return false;
  }
  SignalFrame frame = {};
  frame.return_address = action.restorer;
  frame.flags = kHasStackSegment | kStrictStackSegment | (has_extended_state() ? kHasExtendedState : 0);
  frame.stack = alternate;
  if (alternate.size != 0 && (alternate.flags & AlternateStack::kAutoDisarm) == 0) {
    frame.stack.flags = alternate.contains(registers.rsp) ? AlternateStack::kOnStack : 0;
  }
  frame.context = context_of(thread, registers);
  frame.context.vector_state = vector_state;
  frame.context.old_mask = saved_mask.bits();
  frame.mask = saved_mask;
  frame.info = info;
  if (!action.has(SignalAction::kRestorer) || !store_vector_state(thread, vector_state).ok() ||
      !write_user(VirtAddr(at), frame).ok()) {
    return false;
  }
  if ((alternate.flags & AlternateStack::kAutoDisarm) != 0) {
    thread.alternate_stack = {};
  }
  registers.rip = action.handler;
  registers.rsp = at;
  registers.rdi = static_cast<std::uint64_t>(info.number);
  registers.rsi = at + offsetof(SignalFrame, info);
  registers.rdx = at + offsetof(SignalFrame, flags);
  registers.rax = 0;
  registers.rflags &= ~(kDirection | kTrap | kResume);
  registers.vector = 0;  // not a system call any more: nothing is restarted
  return true;
}

bool leave_handler(Thread& thread, UserRegisters& registers) {
  const std::uint64_t at = registers.rsp - sizeof(std::uint64_t);
  const Result<SignalFrame> frame = read_user<SignalFrame>(VirtAddr(at));
  if (!frame.ok() || !is_canonical(frame.value().context.rip)) {
    return false;
  }
  if (!load_vector_frame(thread, frame.value().context.vector_state).ok()) {
    return false;
  }
  take_context(registers, frame.value().context);
  registers.vector = 0;
  const AlternateStack& stack = frame.value().stack;
  if ((stack.flags & ~(AlternateStack::kAutoDisarm | AlternateStack::kOnStack | AlternateStack::kDisabled)) == 0 &&
      !thread.alternate_stack.contains(registers.rsp)) {
    thread.alternate_stack = stack;
    thread.alternate_stack.flags &= ~AlternateStack::kOnStack;
  }
  const LockGuard guard(process_lock);
  set_blocked(thread, frame.value().mask);
  return true;
}

}  // namespace vellum::unix
