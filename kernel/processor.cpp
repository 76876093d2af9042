#include "processor.hpp"

#include <algorithm>

#include <vellum/pc/clock.hpp>
#include <vellum/pc/console.hpp>
#include <vellum/pc/cpus.hpp>
#include <vellum/pc/interrupts.hpp>
#include <vellum/pc/power.hpp>
#include <vellum/pc/thread.hpp>
#include <vellum/unix/system_lock.hpp>
#include <vellum/unix/wait_queue.hpp>

#include "device_registers.hpp"
#include "other_cpus.hpp"

extern "C" {
extern const char user_copy_start[], user_copy_end[], user_copy_failed[];
}

namespace vellum::kernel {

namespace {

constinit Processor the_processor;

static_assert(sizeof(pc::TrapFrame) == sizeof(unix::UserRegisters));
static_assert(offsetof(pc::TrapFrame, rip) == offsetof(unix::UserRegisters, rip));
static_assert(offsetof(pc::TrapFrame, vector) == offsetof(unix::UserRegisters, vector));

unix::UserRegisters& registers_of(pc::TrapFrame& frame) { return reinterpret_cast<unix::UserRegisters&>(frame); }

bool in_user_copy(const pc::TrapFrame& frame) {
  const auto at = reinterpret_cast<const char*>(frame.rip);
  return at >= user_copy_start && at < user_copy_end;
}

using Kind = unix::ProgramFault::Kind;

// [intel/vol3 table 6-1]
std::optional<Kind> kind_of(std::uint64_t vector) {
  switch (vector) {
    case 0:
      return Kind::divide;
    case 1:
      return Kind::single_step;
    case 3:
      return Kind::breakpoint;
    case 6:
      return Kind::illegal;
    case 12:
      return Kind::stack_segment;
    case 16:
    case 19:
      return Kind::floating_point;
    case 17:
      return Kind::alignment;
    case 4:
    case 5:
    case 10:
    case 11:
    case 13:
    case 0x80:  // a system call of 32-bit programs
      return Kind::non_canonical;
    default:
      return {};
  }
}

// System calls, of programs on the only CPU and on one of several.
void call(pc::TrapFrame& frame) { unix::on_system_call(registers_of(frame)); }
void call_of_several(pc::TrapFrame& frame) {
  unix::on_system_call_of_several(registers_of(frame));
  // The interrupt of who sent a signal meanwhile has not come yet, but the call may have failed for it.
  unix::on_call();
}

}  // namespace

Processor& processor() { return the_processor; }

void run_space(AddressSpace<HardwareFormat>* space) {
  AddressSpace<HardwareFormat>* const before = running_space();
  if (space == before) {
    return;
  }
  Kernel& kernel = *the_processor.kernel;
  const CpuIndex index = kernel.machine.current_cpu();
  if (space != nullptr) {
    space->activate(index);
  }
  kernel.machine.set_root(space != nullptr ? space->root_address() : kernel.tables.root_address());
  if (before != nullptr) {
    before->deactivate(index);
  }
  pc::this_cpu().space = space;
}

void start_processor(Kernel& kernel) {
  the_processor.kernel = &kernel;
  the_processor.features = kernel.features;
  pc::enable_system_calls();
  pc::enable_vector_registers(kernel.features, unix::kMostVectorState);
  if (!pc::start_interrupts(map_device_registers).ok()) {
    panic("no memory for the registers of the interrupt controllers");
  }
  pc::calibrate_clock();
  the_processor.boot_time = unix::Nanoseconds(pc::read_calendar_clock() * 1'000'000'000);
  pc::this_cpu().system_call = pc::cpu_total > 1 ? call_of_several : call;
  pc::set_tick_handler([] {
    const unix::InSystem in_system;
    unix::on_tick();
  });
  pc::start_ticks(unix::kTickLength.value());
}

void set_realtime(unix::Nanoseconds now) {
  the_processor.boot_time = now - unix::Nanoseconds(pc::nanoseconds_since_boot());
}

bool resolve_program_fault(pc::TrapFrame& frame, const pc::PageFault& fault) {
  AddressSpace<HardwareFormat>* const space = running_space();
  if (space == nullptr || (!frame.from_user() && !in_user_copy(frame))) {
    return false;
  }
  // An access with the processor's rights on the program's behalf (descriptor tables; QEMU: the stack of a far return):
  // what the program may do does not matter, and the same would happen again.
  if (frame.from_user() && fault.privilege == Privilege::kernel) {
    const unix::InSystem in_system;
    unix::on_program_fault(registers_of(frame), {.kind = Kind::non_canonical, .address = fault.address});
    return true;
  }
  const FaultVerdict verdict = space->fault(fault.address, fault.access);
  if (verdict == FaultVerdict::resolved) [[likely]] {
    unix::count_fault();
    return true;
  }
  const unix::ProgramFault program_fault{
      .kind = Kind::page, .verdict = verdict, .address = fault.address, .access = fault.access};
  if (frame.from_user()) {
    const unix::InSystem in_system;
    unix::on_program_fault(registers_of(frame), program_fault);
    return true;
  }
  if (verdict == FaultVerdict::out_of_memory) {
    const unix::InSystem in_system;
    if (unix::find_memory()) {
      return true;
    }
  }
  if (verdict == FaultVerdict::missing) {
    const unix::InSystem in_system;
    if (unix::wait_for_page(fault.address, fault.access, Privilege::kernel)) {
      return true;
    }
  }
  frame.rip = reinterpret_cast<std::uint64_t>(user_copy_failed);
  return true;
}

bool signal_program(pc::TrapFrame& frame) {
  if (running_context() == nullptr) {
    return false;
  }
  if (!frame.from_user()) {
    // A copy to or from a non-canonical address.
    if (frame.vector == 13 && in_user_copy(frame)) {
      frame.rip = reinterpret_cast<std::uint64_t>(user_copy_failed);
      return true;
    }
    return false;
  }
  const std::optional<Kind> kind = kind_of(frame.vector);
  if (!kind) {
    return false;
  }
  const unix::InSystem in_system;
  unix::on_program_fault(registers_of(frame), {.kind = *kind, .address = VirtAddr(frame.rip)});
  return true;
}

}  // namespace vellum::kernel

namespace vellum::unix {

using kernel::processor;

void prepare_thread(ThreadContext& context, void (*entry)(void*), void* argument) {
  // Below the registers of the program, which its creator may write before the thread runs.
  const VirtAddr top = context.kernel_stack.end() - ByteCount(sizeof(UserRegisters));
  context.stack_pointer = pc::prepare_stack(top, entry, argument);
  pc::reset_vector_image(context.vector_state);
}

void switch_thread(ThreadContext& from, ThreadContext& to) {
  if (from.space != nullptr) {
    from.fs_base = pc::read_msr(pc::msr::kFsBase);
    from.gs_base = pc::read_msr(pc::msr::kOtherGsBase);
    pc::save_vector_registers(from.vector_state);
  }
  if (to.space != nullptr) {
    pc::write_msr(pc::msr::kFsBase, to.fs_base);
    pc::write_msr(pc::msr::kOtherGsBase, to.gs_base);
    pc::load_vector_registers(to.vector_state);
  }
  kernel::run_space(to.space);
  pc::this_cpu().context = &to;
  pc::set_kernel_stack(to.kernel_stack.end());
  pc::switch_stacks(&from.stack_pointer, to.stack_pointer);
}

void use_space(ThreadContext& context, AddressSpace<Format>* space) {
  context.space = space;
  kernel::run_space(space);
}

UserRegisters& user_registers(ThreadContext& context) {
  return *reinterpret_cast<UserRegisters*>((context.kernel_stack.end() - ByteCount(sizeof(UserRegisters))).value());
}

void enter_user_mode(ThreadContext& context) {
  leave_system();
  pc::return_to_user(reinterpret_cast<pc::TrapFrame&>(user_registers(context)));
}

void set_fs_base(ThreadContext& context, std::uint64_t base) {
  context.fs_base = base;
  pc::write_msr(pc::msr::kFsBase, base);
}

void set_gs_base(ThreadContext& context, std::uint64_t base) {
  context.gs_base = base;
  pc::write_msr(pc::msr::kOtherGsBase, base);
}

void save_vector_state(ThreadContext& context) { pc::save_vector_registers(context.vector_state); }

void load_vector_state(ThreadContext& context) { pc::load_vector_registers(context.vector_state); }

void reset_vector_state(ThreadContext& context) { pc::reset_vector_image(context.vector_state); }

std::size_t vector_state_size() { return pc::vector_state_size(); }

Thread* current_thread() { return static_cast<Thread*>(pc::this_cpu().thread); }

void set_current_thread(Thread& thread) { pc::this_cpu().thread = &thread; }

void wait_for_interrupt() {
  // The boot CPU keeps the time for all.
  const bool ticks = &pc::this_cpu() == &pc::boot_cpu;
  if (!ticks) {
    pc::stop_ticks();
  }
  pc::rest();
  if (!ticks) {
    pc::start_ticks(kTickLength.value());
  }
}

void let_interrupts_in() {
  const bool in_system = pc::this_cpu().in_system;
  if (in_system) {
    kernel::hand_over_system();
  }
  // An interrupt is let in only after the instruction that follows STI.
  asm volatile("sti; nop; cli" : : : "memory");
  if (in_system) {
    (void)enter_system();
  }
}

void request_attention() { pc::this_cpu().user_return |= pc::PerCpu::kAttention; }

Nanoseconds monotonic_now() { return Nanoseconds(pc::nanoseconds_since_boot()); }

Nanoseconds realtime_now() { return processor().boot_time + monotonic_now(); }

void fill_random(std::span<std::byte> bytes) {
  static constinit std::uint64_t state = 0;
  for (std::size_t done = 0; done < bytes.size(); done += sizeof(std::uint64_t)) {
    std::uint64_t fresh = pc::read_time_stamp();
    if (processor().features.random) {
      asm volatile("rdrand %0" : "+r"(fresh) : : "cc");
    }
    // A step of splitmix64 [Steele, Lea, Flood 2014].
    state += fresh | 0x9E3779B97F4A7C15;
    std::uint64_t mixed = (state ^ state >> 30) * 0xBF58476D1CE4E5B9;
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB;
    mixed ^= mixed >> 31;
    __builtin_memcpy(bytes.data() + done, &mixed, std::min(bytes.size() - done, sizeof(mixed)));
  }
}

void power_off() { pc::power_off(); }

}  // namespace vellum::unix

// Called by trap.S.
extern "C" void vellum_on_attention(vellum::pc::TrapFrame& frame);
extern "C" void vellum_on_attention(vellum::pc::TrapFrame& frame) {
  vellum::pc::this_cpu().user_return &= static_cast<std::uint8_t>(~vellum::pc::PerCpu::kAttention);
  const vellum::unix::InSystem in_system;
  vellum::unix::before_user_mode(reinterpret_cast<vellum::unix::UserRegisters&>(frame));
}
