// Between processes and the processor that runs them: what unix/process asks of a kernel's machine-dependent part, and
// what that part calls when a program enters the kernel. Interrupts are off in the kernel but where it idles or says
// otherwise; a thread gives up its CPU only in block_current(), in yield() and on its way back to user mode.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <vellum/space/space.hpp>
#include <vellum/unix/amd64/registers.hpp>
#include <vellum/unix/format.hpp>
#include <vellum/unix/types.hpp>

namespace vellum::unix {

class Thread;

// Floating-point and vector registers as FXSAVE or XSAVE stores them; the size in use is vector_state_size().
inline constexpr std::size_t kMostVectorState = 2816;  // x87, SSE, AVX, AVX-512 [intel/vol1 13.4]

// What the processor part keeps for each thread. The owner zero-initialises it and sets kernel_stack, space.
struct ThreadContext {
  VirtRange kernel_stack;                 // mapped; the page below is a red zone
  std::uint64_t stack_pointer = 0;        // while the thread does not run
  AddressSpace<Format>* space = nullptr;  // null: the kernel's tables alone
  std::uint64_t fs_base = 0;              // the program's; current only while the thread does not run
  std::uint64_t gs_base = 0;
  alignas(64) std::byte vector_state[kMostVectorState] = {};
};

// --- asked of the processor part; implemented in kernel/
// ---------------------------------------------------------------

// Kernel stacks, each with a red zone below. Error: no_memory.
[[nodiscard]] Result<VirtRange> allocate_kernel_stack();
void free_kernel_stack(VirtRange stack);

// Makes `context` such that the first switch to it calls entry(argument) on its stack, which never returns.
void prepare_thread(ThreadContext& context, void (*entry)(void*), void* argument);
// Saves the calling thread's context, runs the other; returns when somebody switches back. Interrupts are off.
void switch_thread(ThreadContext& from, ThreadContext& to);
// After exec gave the calling thread another space, or none: uses it from now on. The old one may then be destroyed.
void use_space(ThreadContext& context, AddressSpace<Format>* space);

// Where the registers of a thread that entered the kernel from user mode lie: at the top of its kernel stack.
[[nodiscard]] UserRegisters& user_registers(ThreadContext& context);
// Leaves the kernel with the registers that lie there; for a thread's first entry into user mode (after fork, exec).
[[noreturn]] void enter_user_mode(ThreadContext& context);

// The calling thread's program's: take effect at once.
void set_fs_base(ThreadContext& context, std::uint64_t base);
void set_gs_base(ThreadContext& context, std::uint64_t base);
// Between the registers and the image in `context` of the calling thread.
void save_vector_state(ThreadContext& context);
void load_vector_state(ThreadContext& context);
// Sets the image to the state that a program starts with.
void reset_vector_state(ThreadContext& context);
// Bytes of the image that are in use: 512 with FXSAVE.
[[nodiscard]] std::size_t vector_state_size();

// CPUs. Those from 1 on are started by start_other_cpus(), each of which then calls run(), outside of the system; one
// that does not start is never online. Errors: no_memory.
inline constexpr unsigned kMostCpus = 16;
[[nodiscard]] Result<void> start_other_cpus(void (*run)());
// Interrupts another CPU, which then calls on_call().
void call_cpu(unsigned cpu);
// How often a CPU interrupted others so that they drop translations, and dropped some for others; since boot.
struct FlushCounts {
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
};
[[nodiscard]] FlushCounts flush_counts(unsigned cpu);
// What current_thread() says on the calling CPU from now on; null before.
void set_current_thread(Thread& thread);

// Lets interrupts in, and stops the CPU until one came. Outside of the system.
void wait_for_interrupt();
// Lets interrupts in that wait, in the middle of what the calling thread does in the kernel; where it is in the system,
// outside for that time. With no lock held.
void let_interrupts_in();
// Makes the return to user mode of what the CPU runs go through before_user_mode().
void request_attention();

[[nodiscard]] Nanoseconds realtime_now();  // since 1970
void fill_random(std::span<std::byte> bytes);
[[noreturn]] void power_off();

// --- called by the processor part; implemented in unix/process and unix/syscall
// -----------------------------------------

// The program made a system call; the result goes into rax. On the only CPU; and on one of several, which need not be
// in the system.
void on_system_call(UserRegisters& registers);
void on_system_call_of_several(UserRegisters& registers);

// A trap that the program caused and nobody resolved: becomes a signal.
struct ProgramFault {
  enum class Kind : std::uint8_t {
    page,            // see verdict
    non_canonical,   // general protection, for an address or otherwise
    divide,          // SIGFPE, FPE_INTDIV
    floating_point,  // SIGFPE
    illegal,         // SIGILL
    breakpoint,      // SIGTRAP
    single_step,     // SIGTRAP
    stack_segment,   // SIGBUS
    alignment        // SIGBUS, BUS_ADRALN
  };
  Kind kind = Kind::page;
  FaultVerdict verdict = FaultVerdict::no_mapping;
  VirtAddr address;
  Access access = Access::read;
};
void on_program_fault(UserRegisters& registers, const ProgramFault& fault);
// The calling thread's program, or the kernel for it, took a fault that was resolved.
void count_fault();
// There is no memory for an access of the kernel to the program's memory: ends somebody. False where that is the
// calling thread's process, so that the access is to fail.
[[nodiscard]] bool find_memory();

// The calling thread's program, or the kernel for it, lacks a page that somebody is to supply: waits for it. False
// where the access is to fail (SIGBUS; of the kernel's: bad_address).
[[nodiscard]] bool wait_for_page(VirtAddr address, Access access, Privilege who);

// Before each return to user mode after request_attention(): signals, another thread's turn, the end of the process.
void before_user_mode(UserRegisters& registers);

// From the interrupt of call_cpu(), perhaps outside of the system.
void on_call();

// From the timer's interrupt, kTickLength apart, of each CPU; of those from 1 on only while they have something to run.
inline constexpr Nanoseconds kTickLength{10'000'000};
void on_tick();

}  // namespace vellum::unix
